"""Keeps CometBFT's write-ahead log small: what no start can need any more is removed.

CometBFT writes every vote and every part of a block into `data/cs.wal/wal`, and at about 10 MB begins a new
file (`wal.000`, `wal.001`, …). It removes the oldest only above 1 GB, and has no setting for that. At a
start it reads what follows the last block whose end is in there, nothing older: so here the oldest files go
as soon as no start can want them, in the way CometBFT removes them itself, from the lowest number on.

*When.* A file that was complete while the ledger's tip was h can hold the end of block h + 1 (CometBFT notes
a block's end before it has it executed), not that of h + 2. Once the tip is h + 2, a start looks for the end
of h + 2 or of a later block. The newest complete file stays in any case.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("network.comet")

KEPT: Final = 1
"""Complete files that stay, besides the one that is written."""
_BLOCKS_LATER: Final = 2
_COMPLETE: Final = re.compile(r"wal\.([0-9]{3,})", re.ASCII)


class WalPruning:
    """Of one node's CometBFT; `look` belongs to one thread."""

    def __init__(self, directory: Path) -> None:
        """`directory`: CometBFT's `data/cs.wal`; need not be there yet."""
        self._directory = directory
        self._complete_at: dict[int, int] = {}

    def look(self, height: int) -> tuple[int, ...]:
        """Now and then, while consensus goes on; `height` is the ledger's. The numbers removed."""
        files = self._files()
        self._complete_at = {number: self._complete_at.get(number, height) for number in files}
        removed: list[int] = []
        for number in sorted(files)[:-KEPT]:
            if height < self._complete_at[number] + _BLOCKS_LATER:
                break  # no gaps: CometBFT counts on files from the lowest number on
            try:
                files[number].unlink(missing_ok=True)
            except OSError as error:
                _log.warning(
                    "a file of CometBFT's log cannot be removed", code="comet.wal_kept", error=str(error)
                )
                break
            removed.append(number)
        return tuple(removed)

    def _files(self) -> dict[int, Path]:
        """The complete ones, by number."""
        try:
            entries = list(self._directory.iterdir())
        except OSError:
            return {}
        found = ((_COMPLETE.fullmatch(entry.name), entry) for entry in entries)
        return {int(match[1]): entry for match, entry in found if match is not None}
