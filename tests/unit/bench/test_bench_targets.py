"""Starting what is measured."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bench.targets import _line_of


@pytest.mark.parametrize("turns", range(6))
def test_an_interruption_while_a_node_answers_is_not_lost(turns: int) -> None:
    """Ctrl-C cancels the run once; a wait that takes it for its own leaves the run going on for ever."""

    async def interrupted() -> bool:
        stdout = asyncio.StreamReader()
        process: Any = SimpleNamespace(stdout=stdout)
        starting = asyncio.ensure_future(_line_of(process))
        for _ in range(3):
            await asyncio.sleep(0)
        stdout.feed_data(b"{}\n")
        for _ in range(turns):
            await asyncio.sleep(0)
        if not starting.cancel():
            return True  # it had answered before
        await asyncio.wait((starting,))
        return starting.cancelled()

    assert asyncio.run(interrupted())
