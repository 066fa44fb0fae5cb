"""Writes docs/COMMANDS.md from the commands: `python -m cli.reference`; a test keeps the page fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import typer.main
from typer import Context
from typer.core import TyperGroup

from cli.main import app

PAGE: Final = Path(__file__).parents[1] / "docs" / "COMMANDS.md"
_HEAD: Final = """# 命令 Commands

Every command of `shelian` with its options, written by `python -m cli.reference`. A command exits with
status 0 when it did what it says and with another one when it failed; errors carry a code of
[ERRORS.md](ERRORS.md).
"""


def reference() -> str:
    """The page."""
    return "\n".join([_HEAD, *_commands(typer.main.get_command(app), ())])


def _commands(command: object, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        if command.invoke_without_command:
            yield from _command(command, path)
        context = Context(command)
        for name in sorted(command.list_commands(context)):
            yield from _commands(command.get_command(context, name), (*path, name))
        return
    yield from _command(command, path)


def _command(command: object, path: tuple[str, ...]) -> Iterator[str]:
    help_text = str(getattr(command, "help", "") or "").strip()
    yield f"## `shelian {' '.join(path)}`\n\n{help_text}\n"
    rows = [_row(parameter) for parameter in getattr(command, "params", ())]
    if rows:
        yield "| option | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _row(parameter: click.Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    if getattr(parameter, "param_type_name", "") == "argument":
        names = f"`{(parameter.name or '').upper()}`"
    default = "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
    return f"| {names} | {default} | {getattr(parameter, 'help', None) or ''} |"


if __name__ == "__main__":
    PAGE.write_text(reference())
