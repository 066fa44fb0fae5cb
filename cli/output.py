"""What a command says: text for a person, or one JSON document for a program (``--json``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from node.chain.errors import ShelianError

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
"""What every command that ends has."""

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Progress and remarks: standard error, so that standard output stays one document."""
    console.print(text)


def result(value: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """The outcome of a command on standard output."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, indent=1, default=_plain))
    else:
        print(text)


def fail(error: ShelianError, *, as_json: bool, todo: str = "") -> NoReturn:
    """Print a typed error with its code, what was got and what was expected; exit with status 1."""
    if as_json:
        print(
            json.dumps(
                {"ok": False, "error": error.as_dict(), "todo": todo}, ensure_ascii=False, default=_plain
            )
        )
    else:
        details = error.as_dict()
        lines = [f"[bold red]失败 failed[/] {_safe(error.message)}  [dim]({error.code})[/]"]
        for key, label in (("got", "得到 got"), ("expected", "应为 expected")):
            if details.get(key) is not None:
                lines.append(f"  {label}: {_safe(str(details[key]))}")
        if todo:
            lines.append(f"  怎么办 what to do: {_safe(todo)}")
        console.print("\n".join(lines))
    sys.exit(1)


def visible(text: str) -> str:
    """Text out of a file of somebody else's, for a screen: what does not print is shown as its escape, so
    that it cannot move the cursor or change colours."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


def _safe(text: str) -> str:
    """`visible`, and brackets are brackets."""
    return escape(visible(text))


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
