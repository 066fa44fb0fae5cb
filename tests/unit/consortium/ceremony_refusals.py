"""Tests of refusals read as one line: what was done, and with which code it was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from network.consortium.errors import CeremonyError


@contextmanager
def refused(code: str) -> Iterator[pytest.ExceptionInfo[CeremonyError]]:
    """The block raises CeremonyError with this code."""
    with pytest.raises(CeremonyError) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)


def code_of(act: Callable[[], object]) -> str | None:
    """The code with which something was refused; None if it was not. Any other exception is a bug."""
    try:
        act()
    except CeremonyError as error:
        return error.code
    return None
