"""Answers that were made and are not sent yet: how much memory slow readers can hold."""

from __future__ import annotations

from typing import Final

_SMALL: Final = 65_536


class Unsent:
    """Bytes of all connections together. Used in the event loop only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, size: int) -> bool:
        """Count an answer of so many bytes; False if there is no room for it. Small ones always have."""
        if size > _SMALL and self._held + size > self._most:
            return False
        self._held += size
        return True

    def give_back(self, size: int) -> None:
        """It was sent, or given up."""
        self._held -= size
