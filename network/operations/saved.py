"""When the last snapshot and the last backup of a node were made."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from network.operations.facts import SavedFacts
from node.chain.errors import LedgerError
from node.ledger.shelf import Shelf

_RECORD: Final = "last_backup.json"
_SECOND_NS: Final = 1_000_000_000


def note_backup(node_directory: Path, height: int, made_ns: int) -> None:
    """Remember, in DATA/node, that a backup at this height was made. The backup counts, not the note: where
    it cannot be written nothing is raised.
    """
    path = node_directory / _RECORD
    with suppress(OSError):
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps({"height": height, "made_ns": made_ns}))
        temporary.replace(path)


def last_backup(node_directory: Path, now_ns: int) -> SavedFacts | None:
    """None if there is no note of one."""
    try:
        record = orjson.loads((node_directory / _RECORD).read_bytes())
        return SavedFacts(int(record["height"]), (now_ns - int(record["made_ns"])) / _SECOND_NS)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_snapshot(shelf: Shelf, now_ns: int) -> SavedFacts | None:
    """None if there is none, or the shelf cannot be read."""
    try:
        heights = shelf.heights()
        if not heights:
            return None
        made_ns = (shelf.directory / str(heights[0])).stat().st_mtime_ns
    except (LedgerError, OSError):
        return None
    return SavedFacts(heights[0], (now_ns - made_ns) / _SECOND_NS)
