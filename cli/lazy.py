"""Commands whose modules are imported when they are asked for.

A node, each service and every short command is a start of `shelian`; importing what other commands need would
double what a start costs.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group


class _LazyGroup(TyperGroup):
    """A group that knows where its commands are."""

    places: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self.places]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.places and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name, self.places[cmd_name])
        return super().get_command(ctx, cmd_name)


def lazy_group(places: Mapping[str, str]) -> type[TyperGroup]:
    """For `typer.Typer(cls=…)`: besides what is registered, each name is a command at ``module:attribute``,
    a function or a Typer of its own.
    """
    return type("LazyGroup", (_LazyGroup,), {"places": dict(places)})


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    # Importing makes a hundred thousand objects and throws none away; the collector would look through them
    # again and again, a fifth of a start.
    gc.disable()
    try:
        found = getattr(importlib.import_module(module), attribute)
    finally:
        gc.enable()
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return get_command(alone)
