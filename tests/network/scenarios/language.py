"""The language of scenario files: one command a line, `#` begins a comment. See docs/SCENARIOS.md.

A command is a function with a pattern: words, and in angle brackets what the function takes, by the name of
its parameter. The kind stands behind the name: ``<seconds:number>``, ``<machines:machines>``. A line that
fits no pattern is an error with file and line, before anything is started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Machines = tuple[int, ...]
"""Numbers of machines; empty: everybody."""
EVERYBODY: Machines = ()


class ScenarioFault(Exception):
    """A file that cannot be run; the message begins with file:line."""


@dataclass(frozen=True)
class Command:
    """`text`: its pattern as people read it; `pattern`: as the machine does."""

    text: str
    pattern: re.Pattern[str]
    kinds: dict[str, str]
    run: Callable[..., None]


@dataclass(frozen=True)
class Step:
    """One line of a file."""

    line: int
    text: str
    command: Command
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """`suite`: `quick` or `long`; `title`: the file's first comment."""

    name: str
    title: str
    suite: str
    steps: tuple[Step, ...]


COMMANDS: list[Command] = []

_KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "number": (r"\d+(?:\.\d+)?", float),
    "count": (r"\d+", int),
    "signed": (r"[+-]\d+", int),
    "machine": (r"\d", int),
    "machines": (r"everybody|\d(?: \d)*", lambda text: EVERYBODY if text == "everybody" else _numbers(text)),
    "groups": (
        r"\d(?: \d)*(?: \| \d(?: \d)*)+",
        lambda text: tuple(_numbers(one) for one in text.split(" | ")),
    ),
    "word": (r"[a-z_.]+", str),
}
_SUITE = re.compile(r"suite (quick|long)")


def command(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a function a command: ``@command("kill <machines:machines>")``."""

    def register(run: Callable[..., None]) -> Callable[..., None]:
        kinds = dict(re.findall(r"<(\w+):(\w+)>", text))
        pattern = re.sub(
            r"(?P<plain>[^<]+)|<(?P<name>\w+):(?P<kind>\w+)>",
            lambda m: re.escape(m["plain"]) if m["plain"] else f"(?P<{m['name']}>{_KINDS[m['kind']][0]})",
            text,
        )
        COMMANDS.append(Command(text, re.compile(pattern), kinds, run))
        return run

    return register


def parse(name: str, lines: Iterable[str]) -> Scenario:
    """Raises ScenarioFault."""
    title, suite, steps = "", "", []
    for number, raw in enumerate(lines, 1):
        text, _, comment = raw.partition("#")
        text = " ".join(text.split())
        title = title or comment.strip()
        if not text:
            continue
        if found := _SUITE.fullmatch(text):
            suite = found[1]
        else:
            steps.append(_step(name, number, text))
    if not suite:
        raise ScenarioFault(f"{name}:1: no line says `suite quick` or `suite long`")
    if not steps or not steps[0].text.startswith("network "):
        raise ScenarioFault(f"{name}:1: the first command makes the network")
    return Scenario(name.removesuffix(".scenario"), title, suite, tuple(steps))


def _step(name: str, number: int, text: str) -> Step:
    for one in COMMANDS:
        if found := one.pattern.fullmatch(text):
            arguments = {key: _KINDS[kind][1](found[key]) for key, kind in one.kinds.items()}
            return Step(number, text, one, arguments)
    raise ScenarioFault(f"{name}:{number}: unknown command: {text}")


def _numbers(text: str) -> Machines:
    return tuple(int(one) for one in text.split())
