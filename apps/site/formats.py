"""How values look on a page: times in China Standard Time, sizes, short hashes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

CHINA = timezone(timedelta(hours=8), "CST")


def moment(seconds: int | None) -> str:
    """`2026-11-22 15:04` in China Standard Time; empty for None or 0."""
    return (
        datetime.fromtimestamp(seconds, UTC).astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if seconds else ""
    )


def day(seconds: int | None) -> str:
    """`2026-11-22` in China Standard Time; empty for None or 0."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(CHINA).strftime("%Y-%m-%d") if seconds else ""


def size(count: int) -> str:
    """Bytes as people read them: `912 B`, `48.2 kB`, `3.1 MB`."""
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1_000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def short(value: bytes | str) -> str:
    """The first eight hex digits of an identifier or hash: enough to tell two apart by eye."""
    text = value.hex() if isinstance(value, bytes) else value.removeprefix("0x")
    return text[:8]


def from_hex(quantity: str) -> int:
    """A number as JSON-RPC writes it."""
    return int(quantity, 16)


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "day": day,
    "size": size,
    "short": short,
    "from_hex": from_hex,
}
