"""The backup of a running node: asked for over its control socket, made beside the blocks.

A pinned view of the ledger is copied; the thread rests after each piece three times as long as it has
computed, so that it takes at most a quarter of the interpreter from the blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from network.backup import Backup, make_backup
from network.control import Command, ControlRefused, Tell
from network.operations.saved import note_backup
from node.ledger import Ledger

_log = structlog.get_logger("network.backup")

REST: Final = 3.0
"""Seconds of rest for each second of processor time."""


def backup_command(ledger: Callable[[], Ledger], data: Path) -> Command:
    """The command `backup` of the node whose data directory is `data`: `to`, an absolute path."""

    def backup(request: Mapping[str, Any], tell: Tell) -> Mapping[str, Any]:
        to = request.get("to")
        if not isinstance(to, str) or not Path(to).is_absolute():
            raise ControlRefused("control.malformed", "where to, as an absolute path", to, "/…")
        spent, began = time.thread_time(), time.monotonic()

        def rest(done: int) -> None:
            nonlocal spent
            tell({"bytes": done})
            before, spent = spent, time.thread_time()
            time.sleep((spent - before) * REST)

        node = ledger()
        with node.snapshot() as snapshot:
            made: Backup = make_backup(snapshot, node.genesis, data, Path(to), rest)
        note_backup(data / "node", made.height, time.time_ns())
        seconds = round(time.monotonic() - began, 3)
        _log.info("backup made", height=made.height, bytes=made.rows.size, seconds=seconds, to=to)
        return {"to": to, "seconds": seconds} | made.as_dict()

    return backup
