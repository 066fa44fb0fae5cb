"""The skills of the sharing community as pages show them: nine categories of two kinds each.

Numbers, names and first weights are the contracts' vocabulary; what a kind is worth now is asked from the
chain (`tariff`). Kinds of items (101 on) are lent and returned, which is another life than an order's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from contracts.vocabulary import ORDER_KINDS, Label, OrderKind

_MARKS: Final = "修老童学艺体医便公"
_FIRST_ITEM: Final = 101


@dataclass(frozen=True, slots=True)
class Category:
    """One of the nine: its number, its name, the one character it is known by on a phone, its kinds."""

    number: int
    label: Label
    mark: str
    kinds: tuple[OrderKind, ...]


KINDS: Mapping[int, OrderKind] = MappingProxyType(
    {number: kind for number, kind in ORDER_KINDS.items() if number < _FIRST_ITEM}
)


def _categories() -> tuple[Category, ...]:
    found: dict[int, list[OrderKind]] = {}
    for kind in KINDS.values():
        found.setdefault(kind.number // 10, []).append(kind)
    return tuple(
        Category(number, kinds[0].category, mark, tuple(kinds))
        for (number, kinds), mark in zip(sorted(found.items()), _MARKS, strict=True)
    )


CATEGORIES: tuple[Category, ...] = _categories()


def category_of(kind: int) -> Category | None:
    """The category of a kind, None for one that is not a skill."""
    return next((one for one in CATEGORIES if one.number == kind // 10 and kind in KINDS), None)
