"""Strict ABI encoding under the generated bindings: exact widths in, exact types out, one error type.

eth_abi pads a short `bytes32` and takes a `bool` for an integer; here both are refused, because what a person
signs must be what the program meant. Source: Solidity's Contract ABI Specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode as _abi_decode
from eth_abi.abi import encode as _abi_encode

from node.chain.errors import DecodeError, ShelianError


class ArgumentError(ShelianError):
    """A value that does not fit its Solidity type."""


class Log(Protocol):
    """An event as a receipt holds it: 20-byte `address`, 32-byte `topics`, `data`."""

    @property
    def address(self) -> bytes: ...
    @property
    def topics(self) -> Sequence[bytes]: ...
    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ContractError:
    """A custom error a contract reverted with; `args` by the names of the Solidity declaration."""

    name: str
    args: dict[str, Any]


def split_tuple(abi_type: str) -> list[str]:
    """The component types of a tuple type: `(uint8,(bool,bytes)[])` -> `["uint8", "(bool,bytes)[]"]`."""
    parts: list[str] = []
    depth = 0
    current = ""
    for character in abi_type[1:-1]:
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
            continue
        depth += (character == "(") - (character == ")")
        current += character
    return [*parts, current] if current else parts


def check(abi_type: str, value: object, name: str) -> None:
    """Raises ArgumentError unless `value` is exactly a value of `abi_type`."""
    if abi_type.endswith("]"):
        base, _, size = abi_type[:-1].rpartition("[")
        if not isinstance(value, list | tuple) or (size and len(value) != int(size)):
            raise ArgumentError("abi.argument", f"{name} does not fit its type", value, abi_type)
        for index, item in enumerate(value):
            check(base, item, f"{name}[{index}]")
    elif abi_type.startswith("("):
        parts = split_tuple(abi_type)
        if not isinstance(value, tuple) or len(value) != len(parts):
            raise ArgumentError("abi.argument", f"{name} does not fit its type", value, abi_type)
        for index, (part, item) in enumerate(zip(parts, value, strict=True)):
            check(part, item, f"{name}.{index}")
    elif not _fits(abi_type, value):
        raise ArgumentError("abi.argument", f"{name} does not fit its type", value, abi_type)


def _fits(abi_type: str, value: object) -> bool:
    if abi_type == "bool":
        return isinstance(value, bool)
    if abi_type.startswith("uint"):
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << int(abi_type[4:])
    if abi_type == "address":
        return isinstance(value, bytes) and len(value) == 20
    if abi_type == "bytes":
        return isinstance(value, bytes)
    if abi_type.startswith("bytes"):
        return isinstance(value, bytes) and len(value) == int(abi_type[5:])
    return abi_type == "string" and isinstance(value, str)


def encode_arguments(names: Sequence[str], types: Sequence[str], values: Sequence[object]) -> bytes:
    """The ABI encoding of a function's arguments; ArgumentError for a value that does not fit."""
    for name, abi_type, value in zip(names, types, values, strict=True):
        check(abi_type, value, name)
    return _abi_encode(
        types, [_outward(abi_type, value) for abi_type, value in zip(types, values, strict=True)]
    )


def decode_values(types: Sequence[str], data: bytes) -> list[Any]:
    """The values of `types` in `data`, addresses as 20 bytes; DecodeError if it is not their one encoding."""
    try:
        values = _abi_decode(types, data)
        canonical = _abi_encode(types, values) == data
    except Exception as error:
        raise DecodeError(
            "abi.malformed", "not an encoding of these types", data[:64], list(types)
        ) from error
    if not canonical:
        raise DecodeError("abi.not_canonical", "not the one encoding of its values", data[:64], list(types))
    return [_inward(abi_type, value) for abi_type, value in zip(types, values, strict=True)]


def _outward(abi_type: str, value: Any) -> Any:
    if abi_type.endswith("]"):
        return [_outward(abi_type[: abi_type.rindex("[")], item) for item in value]
    if abi_type.startswith("("):
        return tuple(_outward(part, item) for part, item in zip(split_tuple(abi_type), value, strict=True))
    return "0x" + value.hex() if abi_type == "address" else value


def _inward(abi_type: str, value: Any) -> Any:
    if abi_type.endswith("]"):
        return tuple(_inward(abi_type[: abi_type.rindex("[")], item) for item in value)
    if abi_type.startswith("("):
        return tuple(_inward(part, item) for part, item in zip(split_tuple(abi_type), value, strict=True))
    return bytes.fromhex(value[2:]) if abi_type == "address" else value


def decode_log(
    topic: bytes, indexed: Sequence[str], others: Sequence[str], log: Log
) -> tuple[list[Any], list[Any]]:
    """The indexed and the other values of an event; DecodeError for another event or malformed data."""
    topics = list(log.topics)
    if not topics or bytes(topics[0]) != topic:
        got = bytes(topics[0]) if topics else None
        raise DecodeError("abi.other_event", "the log is of another event", got, topic)
    if len(topics) != len(indexed) + 1:
        raise DecodeError("abi.malformed", "wrong number of topics", len(topics), len(indexed) + 1)
    values = [decode_values([kind], bytes(item))[0] for kind, item in zip(indexed, topics[1:], strict=True)]
    return values, decode_values(others, bytes(log.data))


def decode_error_data(
    table: dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]], data: bytes
) -> ContractError:
    """The custom error in a revert's `data`; Solidity's Error(string) and Panic(uint256) are known to all."""
    known = {
        bytes.fromhex("08c379a0"): ("Error", ("message",), ("string",)),
        bytes.fromhex("4e487b71"): ("Panic", ("code",), ("uint256",)),
        **table,
    }
    entry = known.get(data[:4])
    if entry is None:
        raise DecodeError("abi.unknown_error", "no error of this contract", data[:4])
    name, names, types = entry
    return ContractError(name, dict(zip(names, decode_values(types, data[4:]), strict=True)))
