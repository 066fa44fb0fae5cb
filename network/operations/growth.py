"""How fast the data grows: sizes noted at most once an hour, kept over restarts, for a week.

One small JSON file beside the ledger, written anew each time; a damaged one is begun again, for nothing but a
forecast depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EVERY_S: Final = 3_600
KEPT_S: Final = 7 * 86_400
LEAST_S: Final = 6 * 3_600
"""A forecast from less would be a guess."""
_DAY_S: Final = 86_400
_MAX_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Size:
    """`at_s`: seconds since the epoch."""

    at_s: int
    bytes: int


def load_sizes(path: Path) -> tuple[Size, ...]:
    """Oldest first; none if there is no sound file."""
    try:
        with path.open("rb") as file:
            rows = json.loads(file.read(_MAX_BYTES))
        return tuple(Size(int(at), int(size)) for at, size in rows)
    except (OSError, ValueError, TypeError):
        return ()


def save_sizes(path: Path, sizes: Sequence[Size]) -> None:
    """OSError."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps([[one.at_s, one.bytes] for one in sizes]))
    temporary.replace(path)


def noted(sizes: Sequence[Size], now: Size) -> tuple[Size, ...]:
    """With `now`, if the last one is old enough, and without what is too old or from the future."""
    kept = tuple(one for one in sizes if now.at_s - KEPT_S <= one.at_s <= now.at_s)
    return kept if kept and now.at_s - kept[-1].at_s < EVERY_S else (*kept, now)


def growth_per_day(sizes: Sequence[Size], now: Size) -> int | None:
    """Bytes a day since the oldest size noted; None while that is too young."""
    if not sizes or now.at_s - sizes[0].at_s < LEAST_S:
        return None
    return (now.bytes - sizes[0].bytes) * _DAY_S // (now.at_s - sizes[0].at_s)


def days_left(free_bytes: int, growth: int | None) -> int | None:
    """Until the disk is full, if it goes on so; None if it does not grow or that is not known."""
    return None if growth is None or growth <= 0 else free_bytes // growth
