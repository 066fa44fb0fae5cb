"""The cover of a document: what its recipients are told besides the files, sealed with them as the
manifest's last file.

It carries the title and what the case is about (number, name, category), which never stand on the chain, in
a URL or in a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError, ShelianError

COVER_NAME = "cover.json"
COVER_MEDIA_TYPE = "application/json"
_FORMAT = "shelian-cover/1"
_MAX_BYTES = 16_384


class CoverError(ShelianError):
    """A cover that cannot be read."""


@dataclass(frozen=True, slots=True)
class CoverCase:
    """The case as its parties know it. `details` and `salt` (hex) open the commitment on the chain."""

    number: str
    person: str
    category: str
    details: str
    salt: str


@dataclass(frozen=True, slots=True)
class Cover:
    title: str
    case: CoverCase | None


def encode_cover(cover: Cover) -> bytes:
    case = cover.case
    return encode_canonical_json(
        {
            "format": _FORMAT,
            "title": cover.title,
            "case": {
                "number": case.number,
                "person": case.person,
                "category": case.category,
                "details": case.details,
                "salt": case.salt,
            }
            if case is not None
            else {},
        }
    )


def decode_cover(raw: bytes) -> Cover:
    """CoverError cover.malformed."""
    try:
        data: Any = decode_strict_json(raw, _MAX_BYTES)
        if data["format"] != _FORMAT or not isinstance(data["title"], str):
            raise KeyError("format")
        fields = data["case"]
        names = ("number", "person", "category", "details", "salt")
        if fields and not all(isinstance(fields[name], str) for name in names):
            raise TypeError("case")
        case = CoverCase(*(fields[name] for name in names)) if fields else None
        return Cover(data["title"][:200], case)
    except (DecodeError, KeyError, TypeError) as error:
        raise CoverError("cover.malformed", "not a cover of this format", got=type(error).__name__) from None
