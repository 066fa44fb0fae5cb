"""What a command says: text for a person, or one JSON document for a program (``--json``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

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
        lines = [f"[bold red]失败 failed[/] {error.message}  [dim]({error.code})[/]"]
        for key, label in (("got", "得到 got"), ("expected", "应为 expected")):
            if details.get(key) is not None:
                lines.append(f"  {label}: {details[key]}")
        if todo:
            lines.append(f"  怎么办 what to do: {todo}")
        console.print("\n".join(lines))
    sys.exit(1)


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
