"""The list of tables is complete, unambiguous, and the one operators read."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.errors import LedgerError
from node.state import tables
from node.state.account import Account, decode_account, decode_storage, encode_account, encode_storage
from node.state.nodes import EMPTY_ROOT
from node.state.rows import decode_row, encode_row
from node.state.tables import TABLES, Table

STORAGE = Path(__file__).resolve().parents[3] / "docs" / "STORAGE.md"
KEYS: dict[str, object] = {
    "meta": b"tip",
    "accounts": b"\x01" * 20,
    "slots": (b"\x01" * 20, 2**255),
    "codes": b"\x02" * 32,
    "nodes": b"\x01" * 52,
    "stale": (300, 7),
    "held": b"\x02" * 32,
    "blocks": 300,
    "headers": 300,
    "commits": 300,
    "validators": 300,
    "transactions": (300, 7),
    "receipts": (300, 7),
    "block_hashes": b"\x02" * 32,
    "transaction_hashes": b"\x02" * 32,
    "senders": (b"\x01" * 20, 300, 7),
    "logs": (300, 7, 9),
    "logs_by_address": (b"\x01" * 20, (300, 7, 9)),
    "logs_by_topic": (b"\x00" + b"\x02" * 32, (300, 7, 9)),
    "logs_by_address_topic": (b"\x01" * 20 + b"\x02" * 32, (300, 7, 9)),
}


def test_the_list_holds_every_table_once_with_its_own_prefix() -> None:
    defined = {id(value) for value in vars(tables).values() if isinstance(value, Table)}
    assert {id(table) for table in TABLES} == defined
    assert len({table.prefix for table in TABLES}) == len({table.name for table in TABLES}) == len(TABLES)
    assert all(len(table.prefix) == 1 for table in TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_come_back(table: Table[object, object]) -> None:
    encoded = table.encode_key(KEYS[table.name])
    assert table.decode_key(encoded) == KEYS[table.name]
    assert table.key(KEYS[table.name]) == table.prefix + encoded


@pytest.mark.parametrize(
    "table", [table for table in TABLES if table.name != "meta"], ids=lambda table: table.name
)
def test_keys_of_a_wrong_length_are_refused(table: Table[object, object]) -> None:
    encoded = table.encode_key(KEYS[table.name])
    for damaged in (encoded[:-1], encoded + b"\x00", b""):
        with pytest.raises(LedgerError, match=r"state\.row_malformed"):
            table.decode_key(damaged)


def test_keys_sort_as_their_numbers() -> None:
    heights = [0, 1, 255, 256, 65_535, 65_536, 2**40]
    assert sorted(map(tables.encode_height, heights)) == [tables.encode_height(height) for height in heights]
    places = [(1, 300), (2, 0), (256, 1), (256, 2)]
    assert sorted(map(tables.encode_place, places)) == [tables.encode_place(place) for place in places]


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x00\x01", b"\x01" * 33])
def test_a_slot_value_has_one_form(raw: bytes) -> None:
    with pytest.raises(LedgerError, match=r"state\.row_malformed"):
        tables.decode_slot(raw)


@pytest.mark.parametrize("value", [1, 127, 128, 255, 256, 2**256 - 1])
def test_storage_values_come_back_from_both_stores(value: int) -> None:
    assert tables.decode_slot(tables.encode_slot(value)) == value
    assert decode_storage(encode_storage(value)) == value


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\x00", b"\x81\x7f", b"\x82\x00\x01", b"\xc0", b"\xa1" + b"\x01" * 33]
)
def test_a_storage_leaf_has_one_form(raw: bytes) -> None:
    with pytest.raises(LedgerError, match=r"state\.row_malformed"):
        decode_storage(raw)


@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 2**64 - 1])
def test_accounts_come_back(nonce: int) -> None:
    account = Account(nonce, nonce * 3, EMPTY_ROOT, b"\x05" * 32)
    assert decode_account(encode_account(account)) == account


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc0",
        b"\x83abc",
        encode_row((0, 0, EMPTY_ROOT)),
        encode_row((0, 0, EMPTY_ROOT, b"short")),
        encode_row((b"\x00\x01", 0, EMPTY_ROOT, EMPTY_ROOT)),
        encode_row((0, 0, EMPTY_ROOT, EMPTY_ROOT, 0)),
        encode_row((0, 0, EMPTY_ROOT, EMPTY_ROOT))[:-1],
    ],
)
def test_a_damaged_account_is_refused(raw: bytes) -> None:
    with pytest.raises(LedgerError, match=r"state\.row_malformed"):
        decode_account(raw)


@pytest.mark.parametrize(
    ("raw", "count"), [(b"\x05", 1), (b"\xc1\xc0", 1), (encode_row((1, 2)), 3), (b"\xc2\x01", 2)]
)
def test_a_damaged_row_is_refused(raw: bytes, count: int) -> None:
    with pytest.raises(LedgerError, match=r"state\.row_malformed"):
        decode_row(raw, count)


def test_the_documented_tables_are_these() -> None:
    lines = [line for line in STORAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert lines == [
        f"| `{table.prefix.decode()}` | {table.name} | {table.key_layout} | {table.value_layout} "
        f"| {table.meaning} |"
        for table in TABLES
    ]
    assert f"Format version: {tables.FORMAT_VERSION}." in STORAGE.read_text(encoding="utf-8")
