"""The skills of the sharing community as pages show them: nine categories of two kinds each.

Numbers, names and first weights are the contracts' vocabulary; what a kind is worth now is asked from the
chain (`tariff`). Kinds of items (101 on) are lent and returned, which is another life than an order's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from apps.site.text import Text
from contracts.vocabulary import ORDER_KINDS, Label

_MARKS: Final = "修老童学艺体医便公"
_FIRST_ITEM: Final = 101


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of help by its number on the chain."""

    number: int
    name: Text


@dataclass(frozen=True, slots=True)
class Category:
    """One of the nine: its number, its name, the one character it is known by on a phone, its kinds."""

    number: int
    name: Text
    mark: str
    kinds: tuple[Kind, ...]


def _text(label: Label) -> Text:
    return Text(label.zh, label.en)


KINDS: Mapping[int, Kind] = MappingProxyType(
    {number: Kind(number, _text(kind.label)) for number, kind in ORDER_KINDS.items() if number < _FIRST_ITEM}
)


def _categories() -> tuple[Category, ...]:
    found: dict[int, list[Kind]] = {}
    for kind in KINDS.values():
        found.setdefault(kind.number // 10, []).append(kind)
    return tuple(
        Category(number, _text(ORDER_KINDS[kinds[0].number].category), mark, tuple(kinds))
        for (number, kinds), mark in zip(sorted(found.items()), _MARKS, strict=True)
    )


CATEGORIES: tuple[Category, ...] = _categories()


def category_of(kind: int) -> Category | None:
    """The category of a kind, None for one that is not a skill."""
    return next((one for one in CATEGORIES if one.number == kind // 10 and kind in KINDS), None)


def name_of(kind: int) -> Text:
    """The name of any kind the contracts know; the number itself for one that a vote has added since."""
    known = ORDER_KINDS.get(kind)
    return _text(known.label) if known is not None else Text(f"类别 {kind}", f"kind {kind}")
