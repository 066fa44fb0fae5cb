"""Ethereum's tests of bytes: RLPTests, TrieTests (those with hashed keys) and TransactionTests.

They are read from a checkout of https://github.com/ethereum/tests that the environment variable
SHELIAN_ETHEREUM_TESTS names (docs/CONFORMANCE.md), and not collected without one: the repository holds no
copy.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.chain.encoding import (
    keccak256,
    rlp_encode_bytes,
    rlp_encode_integer,
    rlp_encode_list,
    rlp_split,
    rlp_string,
)
from node.chain.errors import DecodeError, ShelianError
from node.chain.signing import sender_of
from node.chain.transaction import EthereumTransaction, decode
from node.execution.gas import MAX_INITCODE_BYTES, ethereum_intrinsic_gas
from node.state import trie
from node.state.nodes import EMPTY_ROOT
from tests.vectors.state_tests.cases import CHECKOUT_VARIABLE

FORK = "Cancun"
CHAIN_ID = 1
REFUSED_BY_DESIGN = {"tx.not_replay_protected"}
"""Codes with which the ledger refuses what is valid in Ethereum."""

TAKEN_BY_DESIGN = {"TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW"}
"""What Ethereum refuses on account of fees, which the ledger does not look at."""


@pytest.fixture(scope="module")
def checkout() -> Path:
    named = os.environ.get(CHECKOUT_VARIABLE)
    if not named:
        pytest.fail(f"{CHECKOUT_VARIABLE} names no checkout of https://github.com/ethereum/tests")
    return Path(named)


def entries(folder: Path, pattern: str) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        for name, test in json.loads(path.read_bytes()).items():
            yield f"{path.name} {name}", test


# RLP


def encoded(value: object) -> bytes:
    if isinstance(value, list):
        return rlp_encode_list([encoded(item) for item in value])
    if isinstance(value, str) and value.startswith("#"):
        value = int(value[1:])
    if isinstance(value, int):
        return rlp_encode_integer(value)
    assert isinstance(value, str)
    return rlp_encode_bytes(value.encode())


def decoded(data: bytes) -> object:
    """The one item that fills `data`, with all that is in it. DecodeError."""

    def items(start: int, end: int) -> list[object]:
        found = rlp_split(data, start, end, 1_000)
        return [items(item[1], item[2]) if item[0] else rlp_string(data, item, "item") for item in found]

    found = items(0, len(data))
    if len(found) != 1:
        raise DecodeError("rlp.left_over", "one item was wanted", len(found), 1)
    return found[0]


def as_bytes(value: object) -> object:
    """The value of a test as decoding gives it: integers are their shortest bytes."""
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    if isinstance(value, str) and not value.startswith("#"):
        return value.encode()
    assert isinstance(value, int | str)
    number = value if isinstance(value, int) else int(value[1:])
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def test_rlp_is_ethereums(checkout: Path) -> None:
    count = 0
    for name, test in entries(checkout / "RLPTests", "rlptest.json"):
        raw = bytes.fromhex(test["out"].removeprefix("0x"))
        assert encoded(test["in"]) == raw, name
        assert decoded(raw) == as_bytes(test["in"]), name
        count += 1
    assert count >= 25


def test_what_is_no_rlp_is_refused(checkout: Path) -> None:
    count = 0
    for name, test in entries(checkout / "RLPTests", "invalidRLPTest.json"):
        with pytest.raises(DecodeError):
            pytest.fail(f"{name}: {decoded(bytes.fromhex(test['out'].removeprefix('0x')))!r}")
        count += 1
    assert count >= 20


# Tries


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


@pytest.mark.parametrize(
    "file",
    ["trietest_secureTrie.json", "trieanyorder_secureTrie.json", "hex_encoded_securetrie_test.json"],
)
def test_tries_of_hashed_keys_have_ethereums_roots(checkout: Path, file: str) -> None:
    count = 0
    for name, test in entries(checkout / "TrieTests", file):
        changes = test["in"].items() if isinstance(test["in"], dict) else test["in"]
        one_by_one, nodes = EMPTY_ROOT, {}
        final: dict[bytes, bytes | None] = {}
        for key, value in changes:
            leaf = {keccak256(bytes_of(key)): bytes_of(value) if value else None}
            change = trie.update(nodes.__getitem__, one_by_one, leaf)
            nodes.update(change.nodes)
            one_by_one = change.root
            final |= leaf
        at_once = trie.update(nodes.__getitem__, EMPTY_ROOT, final).root
        assert at_once == one_by_one == bytes.fromhex(test["root"][2:]), name
        count += 1
    assert count


# Transactions


def outcome(raw: bytes) -> EthereumTransaction | str:
    """The transaction as admission would take it from its bytes alone, or why it would not."""
    try:
        tx = decode(raw)
        sender_of(tx)
    except ShelianError as error:
        return error.code
    if not isinstance(tx, EthereumTransaction):
        return "another type"
    if tx.chain_id != CHAIN_ID:
        return "another chain"
    if tx.gas_limit < ethereum_intrinsic_gas(tx.data, tx.to is None, tx.access_list):
        return "gas below intrinsic"
    if tx.to is None and len(tx.data) > MAX_INITCODE_BYTES:
        return "initcode too large"
    return tx


def test_transactions_are_ethereums_or_refused(checkout: Path) -> None:
    seen = Counter[str]()
    for name, test in entries(checkout / "TransactionTests", "*/*.json"):
        if FORK not in test["result"]:
            continue
        found, expected = outcome(bytes_of(test["txbytes"])), test["result"][FORK]
        if isinstance(found, EthereumTransaction) and expected.get("exception") in TAKEN_BY_DESIGN:
            seen["taken by design"] += 1
        elif isinstance(found, EthereumTransaction):
            assert "exception" not in expected, f"{name}: taken, Ethereum says {expected['exception']}"
            assert found.hash == bytes_of(expected["hash"]), name
            assert sender_of(found) == bytes_of(expected["sender"]), name
            seen["taken"] += 1
        elif "exception" in expected:
            seen["refused, as in Ethereum"] += 1
        else:
            assert found in REFUSED_BY_DESIGN, f"{name}: {found}"
            seen["refused by design"] += 1
    assert seen["taken"] >= 15
    assert seen["refused, as in Ethereum"] >= 90
    print(dict(seen))
