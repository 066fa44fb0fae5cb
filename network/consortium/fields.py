"""Reading the ceremony's files: strict JSON objects in exactly one form.

A file that travels is canonical JSON to the last byte, so that a changed byte is a refused file and equal
contents are equal bytes. Every key is taken once, none may be left over, every value is checked for kind and
range.

Everything here raises CeremonyError: ceremony.malformed, ceremony.other_format, ceremony.missing_field,
ceremony.unknown_field, ceremony.bad_value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeVar

from network.consortium.errors import CeremonyError
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError

MAX_NAME: Final = 60
"""Characters of a name: it also stands in the subject of an X.509 certificate, which ends at 64."""
_MARKUP: Final = frozenset("[]{}<>\\")
CHAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
DNS_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)

_T = TypeVar("_T")


class Fields:
    """A JSON object whose keys are taken one by one."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            refuse(path, "must be an object", type(value).__name__, "object")
        self._items: Mapping[str, object] = value
        self._path = path
        self._taken: set[str] = set()

    def take(self, key: str, read: Callable[[object, str], _T]) -> _T:
        """The value of a key that must be there."""
        path = f"{self._path}.{key}"
        if key not in self._items:
            raise CeremonyError("ceremony.missing_field", f"{path} is missing")
        self._taken.add(key)
        return read(self._items[key], path)

    def finish(self) -> None:
        """Refuse keys that nobody took."""
        unknown = sorted(str(key) for key in self._items if key not in self._taken)
        if unknown:
            raise CeremonyError("ceremony.unknown_field", f"{self._path} has unknown keys", unknown)

    def done(self, result: _T) -> _T:
        """`result`, after `finish`."""
        self.finish()
        return result


def read_file(data: bytes, name: str, format: str, max_bytes: int, *, canonical: bool = True) -> Fields:
    """The top object of a file whose `format` key says `format`; with `canonical`, in its one form."""
    try:
        value = decode_strict_json(data, max_bytes)
    except DecodeError as error:
        raise CeremonyError(
            "ceremony.malformed", f"{name}: {error.message}", error.got, error.expected
        ) from None
    if not isinstance(value, dict) or value.get("format") != format:
        got = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise CeremonyError("ceremony.other_format", f"this is not {name}", got, format)
    if canonical and encode_canonical_json(value) != data:
        raise CeremonyError(
            "ceremony.malformed", f"{name}: other bytes than the program writes; was it edited or re-saved?"
        )
    fields = Fields(value, name)
    fields.take("format", text)
    return fields


def refuse(path: str, message: str, got: object = None, expected: object = None) -> NoReturn:
    raise CeremonyError("ceremony.bad_value", f"{path}: {message}", got, expected)


def anything(value: object, path: str) -> object:
    """The value as it stands, for a reader of its own."""
    return value


def text(value: object, path: str) -> str:
    if not isinstance(value, str):
        refuse(path, "must be a string", type(value).__name__, "string")
    return value


def name(value: object, path: str) -> str:
    """A name that people read out: 2 to 60 printable characters in their composed form (NFC), so that two
    names that look alike are alike, without brackets and backslashes, which screens may take as theirs."""
    found = text(value, path)
    if (
        not 2 <= len(found) <= MAX_NAME
        or not found.isprintable()
        or found != unicodedata.normalize("NFC", found)
        or found != found.strip()
        or _MARKUP.intersection(found)
    ):
        refuse(path, "must be a plain name", found[:80], f"2 to {MAX_NAME} printable characters, NFC")
    return found


def chain_name(value: object, path: str) -> str:
    """As `node.chain.genesis` wants it."""
    return matching(CHAIN_NAME, "lower-case letters, digits, hyphens")(value, path)


def boolean(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        refuse(path, "must be true or false", type(value).__name__, "boolean")
    return value


def integer(low: int, high: int) -> Callable[[object, str], int]:
    """A whole number from `low` to `high`, both included."""

    def read(value: object, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            refuse(path, "must be a whole number in range", value, f"{low} to {high}")
        return value

    return read


def one_of(allowed: tuple[str, ...]) -> Callable[[object, str], str]:
    def read(value: object, path: str) -> str:
        found = text(value, path)
        if found not in allowed:
            refuse(path, "is not one of the known words", found[:80], list(allowed))
        return found

    return read


def matching(pattern: re.Pattern[str], meaning: str) -> Callable[[object, str], str]:
    def read(value: object, path: str) -> str:
        found = text(value, path)
        if not pattern.fullmatch(found):
            refuse(path, "has another form", found[:80], meaning)
        return found

    return read


def hex_bytes(length: int | None = None) -> Callable[[object, str], bytes]:
    """Lower-case 0x hex, of `length` bytes if given."""

    def read(value: object, path: str) -> bytes:
        found = text(value, path)
        # One character class: a repeated group would take 75 bytes of memory for each digit.
        if len(found) & 1 or not re.fullmatch(r"0x[0-9a-f]*", found):
            refuse(path, "must be lower-case 0x hex")
        data = bytes.fromhex(found[2:])
        if length is not None and len(data) != length:
            refuse(path, "has the wrong length in bytes", len(data), length)
        return data

    return read


def list_of(
    read_item: Callable[[object, str], _T], least: int, most: int
) -> Callable[[object, str], tuple[_T, ...]]:
    """A list of `least` to `most` items."""

    def read(value: object, path: str) -> tuple[_T, ...]:
        if not isinstance(value, list | tuple):
            refuse(path, "must be a list", type(value).__name__, "list")
        if not least <= len(value) <= most:
            refuse(path, "has too few or too many entries", len(value), f"{least} to {most}")
        return tuple(read_item(item, f"{path}[{index}]") for index, item in enumerate(value))

    return read


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()
