"""CometBFT's log lines as lines of our log.

Levels stay, but what consensus, gossip and services say step by step at *info* becomes *debug*. A warning or
error that repeats (a peer that cannot be reached, every few seconds for days) is logged once a minute, with
how often it came. Long values are cut: some lines carry a whole block or a stack.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import structlog

MAX_LINE_BYTES: Final = 1 << 16
"""Of a line that is read; the rest of it is dropped."""

_LONGEST: Final = 300
_QUIET_SECONDS: Final = 60.0
_REMEMBERED: Final = 256
_OWN_WORDS: Final = frozenset({"_msg", "level", "module", "ts"})
_TAKEN: Final = frozenset(
    {"self", "method_name", "event", "timestamp", "logger", "exc_info", "stack_info", "repeated"}
)
"""Words of the logging library and of ours; a field of such a name gets an underscore."""
_TELLING: Final = frozenset({"main", "statesync", "blocksync"})
"""Modules whose info an operator wants to see."""
_STEPS: Final = ("service start", "service stop", "Version info", "Started node")
"""What even they say step by step. (The version told there is a constant that nobody changed.)"""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("cometbft")


@dataclass(frozen=True, slots=True)
class LogLine:
    """`level`: ``debug``, ``info``, ``warning`` or ``error``; `fields`: what has no attribute of its own."""

    level: str
    message: str
    module: str
    fields: dict[str, Any]


def parse_line(line: bytes) -> LogLine:
    """What is not one of CometBFT's JSON lines (a panic, Go's own words) is an error with its text."""
    text = line.decode(errors="replace").rstrip()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("_msg"), str):
        return LogLine("error", _cut(text), "process", {})
    message = document["_msg"]
    module = str(document.get("module", ""))
    fields = {
        f"{key}_" if key in _TAKEN else key: _plain(value)
        for key, value in document.items()
        if key not in _OWN_WORDS
    }
    return LogLine(_level(document.get("level"), module, message), _cut(message), module, fields)


class LogRelay:
    """Hands lines on to our log. One for each process; not for several threads."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def tell(self, line: LogLine, now_s: float) -> None:
        """`now_s`: of a clock that only goes forward, in seconds."""
        if line.level in ("debug", "info"):
            _write(line)
            return
        key = (line.module, line.message)
        last, silent = self._told.get(key, (float("-inf"), 0))
        if now_s - last < _QUIET_SECONDS:
            self._told[key] = (last, silent + 1)
            return
        _write(line, **({"repeated": silent} if silent else {}))
        self._told[key] = (now_s, 0)
        self._told.move_to_end(key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


def _write(line: LogLine, **more: int) -> None:
    getattr(_log, line.level)(line.message, module=line.module, **line.fields, **more)


def _level(level: object, module: str, message: str) -> str:
    if level == "info":
        return "info" if module in _TELLING and message not in _STEPS else "debug"
    return {"debug": "debug", "warn": "warning"}.get(str(level), "error")


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else _cut(_text(value))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
