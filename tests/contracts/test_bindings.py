"""The generated bindings: exact arguments in, the same out, nothing but typed errors on foreign bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.abi import ArgumentError, split_tuple
from contracts.artifacts import artifact
from contracts.bindings import consortium, correction_documents, love_bank
from contracts.generate import canonical, signature, snake
from contracts.sandbox import BINDINGS
from contracts.system import SYSTEM_CONTRACTS
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError

MODULES = dict(zip((contract.name for contract in SYSTEM_CONTRACTS), BINDINGS, strict=True))
FUNCTIONS = [(name, item) for name in MODULES for item in artifact(name)["abi"] if item["type"] == "function"]


def values(abi_type: str) -> st.SearchStrategy[Any]:
    """Values of an ABI type as the bindings take them."""
    if abi_type.endswith("]"):
        base, _, size = abi_type[:-1].rpartition("[")
        low, high = (int(size), int(size)) if size else (0, 4)
        return st.lists(values(base), min_size=low, max_size=high).map(tuple)
    if abi_type.startswith("("):
        return st.tuples(*map(values, split_tuple(abi_type)))
    if abi_type == "bool":
        return st.booleans()
    if abi_type.startswith("uint"):
        return st.integers(0, (1 << int(abi_type[4:])) - 1)
    if abi_type in ("bytes", "string"):
        return st.binary(max_size=70)
    return st.binary(min_size=20, max_size=20) if abi_type == "address" else _fixed(int(abi_type[5:]))


def _fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def arguments(module: ModuleType, item: dict[str, Any], drawn: tuple[Any, ...]) -> list[Any]:
    """Structs as the module's own dataclasses."""
    return [
        getattr(module, part["internalType"].split(".")[-1])(*value) if part["type"] == "tuple" else value
        for part, value in zip(item["inputs"], drawn, strict=True)
    ]


@pytest.mark.parametrize(
    ("contract", "item"), FUNCTIONS, ids=[f"{name}.{item['name']}" for name, item in FUNCTIONS]
)
def test_a_call_decodes_to_what_it_was_made_of(contract: str, item: dict[str, Any]) -> None:
    module = MODULES[contract]

    @given(st.tuples(*(values(canonical(part)) for part in item["inputs"])))
    @settings(max_examples=8, deadline=None)
    def check(drawn: tuple[Any, ...]) -> None:
        given_arguments = arguments(module, item, drawn)
        call = getattr(module, snake(item["name"]))(*given_arguments)
        assert call.to == module.ADDRESS
        assert call.data[:4] == keccak256(signature(item).encode())[:4]
        name, decoded = module.decode_call(call.data)
        assert name == item["name"]
        assert [getattr(decoded, field.name) for field in fields(decoded)] == given_arguments

    check()


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_foreign_call_data_is_a_decode_error(data: bytes) -> None:
    for module in BINDINGS:
        with pytest.raises(DecodeError):
            module.decode_call(data)


def test_trailing_or_missing_bytes_are_refused() -> None:
    call = love_bank.donate(5, bytes(32))
    for data in (call.data + b"\0", call.data[:-1], call.data + bytes(32)):
        with pytest.raises(DecodeError):
            love_bank.decode_call(data)


@pytest.mark.parametrize("amount", [-1, 1 << 64, True, "5", 5.0, None])
def test_a_number_that_does_not_fit_is_refused(amount: Any) -> None:
    with pytest.raises(ArgumentError):
        love_bank.donate(amount, bytes(32))


@pytest.mark.parametrize("reference", [bytes(31), bytes(33), "0x" + "00" * 32, bytearray(32)])
def test_bytes_of_another_length_or_kind_are_refused(reference: Any) -> None:
    with pytest.raises(ArgumentError):
        love_bank.donate(5, reference)


@dataclass(frozen=True)
class SomeLog:
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


def test_logs_of_others_are_none_and_broken_logs_an_error() -> None:
    topic = correction_documents.DocumentApproved.TOPIC
    own = correction_documents.ADDRESS
    assert correction_documents.decode_event(SomeLog(bytes(20), (topic,), b"")) is None
    assert correction_documents.decode_event(SomeLog(own, (), b"")) is None
    assert correction_documents.decode_event(SomeLog(own, (bytes(32),), b"")) is None
    for log in (SomeLog(own, (topic,), b""), SomeLog(own, (topic, bytes(32), b"\xff" * 32), bytes(96))):
        with pytest.raises(DecodeError):
            correction_documents.decode_event(log)


def test_errors_decode_with_their_names() -> None:
    error = consortium.decode_error(
        keccak256(b"AlreadyVoted(bytes32,uint16)")[:4] + bytes(31) + b"\1" + bytes(31) + b"\2"
    )
    assert error.name == "AlreadyVoted"
    assert error.args == {"proposal": bytes(31) + b"\1", "organisation": 2}
    panic = consortium.decode_error(bytes.fromhex("4e487b71") + bytes(31) + b"\x11")
    assert (panic.name, panic.args) == ("Panic", {"code": 0x11})
    with pytest.raises(DecodeError):
        consortium.decode_error(b"\1\2\3\4")
