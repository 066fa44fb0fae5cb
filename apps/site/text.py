"""Two languages, written side by side so that neither can be forgotten: Chinese first, English beside it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Text(NamedTuple):
    """One sentence or word as people see it, in both languages."""

    zh: str
    en: str

    def in_language(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en

    def format(self, **values: object) -> Text:
        """Fill `{name}` places in both languages."""
        return Text(self.zh.format(**values), self.en.format(**values))


def as_language(value: str | None) -> Language:
    """The language a cookie or parameter asks for; anything unknown is Chinese."""
    return "en" if value == "en" else "zh"
