"""The one family of errors of the whole system.

Every error carries a stable dotted `code` for programs, a `message` for people, and, where it makes sense,
what was `got` and what was `expected`. A parser or verifier of this package raises nothing else on any input;
a leaked `ValueError` is a bug. All codes are listed in docs/ERRORS.md.
"""

from __future__ import annotations

from collections.abc import Mapping


class ShelianError(Exception):
    """An error with a stable code. `got` and `expected` are data, never secrets."""

    def __init__(self, code: str, message: str, got: object = None, expected: object = None) -> None:
        super().__init__(code, message, got, expected)
        self.code = code
        self.message = message
        self.got = got
        self.expected = expected

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        if self.got is not None:
            text += f"; got {_plain(self.got)}"
        if self.expected is not None:
            text += f"; expected {_plain(self.expected)}"
        return text

    def as_dict(self) -> dict[str, object]:
        """`{code, message, got, expected}` that any JSON encoder takes; bytes become 0x hex."""
        return {
            "code": self.code,
            "message": self.message,
            "got": _plain(self.got),
            "expected": _plain(self.expected),
        }


class DecodeError(ShelianError):
    """Malformed or non-canonical bytes."""


class SignatureRefused(ShelianError):
    """A signature, key or assertion that is malformed or does not verify."""


class Refusal(ShelianError):
    """A well-formed, well-signed transaction that is not admitted."""


class BlockRejected(ShelianError):
    """A proposed block that breaks a rule."""


class LedgerError(ShelianError):
    """The data directory is missing, damaged, held by another process or of another chain."""


class ProofError(ShelianError):
    """A commit, Merkle path or state proof that does not prove what it should."""


class GenesisError(ShelianError):
    """A genesis file that is malformed, inconsistent or does not run."""


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return "0x" + bytes(value).hex()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
