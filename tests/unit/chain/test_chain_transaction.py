"""Transactions have one form: published examples decode, every other form is refused by its code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import rlp
from eth_account import Account

from node.chain.encoding import keccak256, rlp_encode_bytes, rlp_encode_integer, rlp_encode_list
from node.chain.errors import DecodeError
from node.chain.signing import sender_of
from node.chain.transaction import (
    MAX_CALLS,
    MAX_TRANSACTION_BYTES,
    Call,
    EthereumTransaction,
    ImiTransaction,
    build_ethereum,
    build_imi,
    decode,
)

KEY = bytes([0x46] * 32)
ADDRESS = bytes.fromhex("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f")
EIP155_SIGNED = bytes.fromhex(
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe53"
    "7567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)
TO = bytes([0x35] * 20)


def refused(raw: bytes, code: str, **options: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(raw, **options)
    assert caught.value.code == code


def imi(**changes: object) -> list[object]:
    """The fields of a well-formed 0x49 transaction, to be changed one at a time."""
    fields: dict[str, object] = {
        "chain_id": 1234,
        "nonce": 0,
        "valid_until": 1_800_000_000,
        "gas_limit": 900_000,
        "calls": [[TO, b"\x01\x02\x03\x04"]],
        "scheme": 2,
        "public_key": bytes(range(32)),
        "signature": bytes(64),
    }
    assert changes.keys() <= fields.keys()
    return list((fields | changes).values())


def imi_bytes(**changes: object) -> bytes:
    return b"\x49" + rlp.encode(imi(**changes))


def test_the_example_of_eip_155() -> None:
    tx = decode(EIP155_SIGNED)
    assert isinstance(tx, EthereumTransaction)
    assert (tx.type, tx.chain_id, tx.nonce, tx.max_fee, tx.gas_limit, tx.to, tx.value, tx.data) == (
        0,
        1,
        9,
        20 * 10**9,
        21_000,
        TO,
        10**18,
        b"",
    )
    assert tx.signing_hash.hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    assert sender_of(tx) == ADDRESS
    assert tx.hash == keccak256(EIP155_SIGNED)


@pytest.mark.parametrize("creation", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_what_eth_account_signs_decodes_and_names_its_sender(kind: int, creation: bool) -> None:
    fields: dict[str, object] = {
        "chainId": 5_000,
        "nonce": 200,
        "gas": 123_456,
        "value": 3,
        "data": "0xabcdef",
    }
    if not creation:
        fields["to"] = "0x" + TO.hex()
    if kind == 2:
        fields |= {"type": 2, "maxFeePerGas": 7, "maxPriorityFeePerGas": 1}
    else:
        fields |= {"gasPrice": 7}
    slots = ((ADDRESS, (0, 2**255)), (TO, ()))
    if kind:
        fields |= {
            "type": kind,
            "accessList": [
                {"address": "0x" + address.hex(), "storageKeys": [hex_slot(slot) for slot in listed]}
                for address, listed in slots
            ],
        }
    signed = Account.sign_transaction(fields, KEY)
    tx = decode(bytes(signed.raw_transaction))
    assert isinstance(tx, EthereumTransaction)
    assert tx.hash == bytes(signed.hash)
    assert (tx.type, tx.chain_id, tx.nonce, tx.gas_limit, tx.value, tx.data) == (
        kind,
        5_000,
        200,
        123_456,
        3,
        b"\xab\xcd\xef",
    )
    assert tx.to == (None if creation else TO)
    assert (tx.max_fee, tx.max_priority_fee) == ((7, 1) if kind == 2 else (7, 7))
    assert tx.access_list == (slots if kind else ())
    assert sender_of(tx) == ADDRESS
    again = build_ethereum(
        type=kind,
        chain_id=5_000,
        nonce=200,
        gas_limit=123_456,
        to=tx.to,
        value=3,
        data=tx.data,
        max_fee=7,
        max_priority_fee=1,
        access_list=tx.access_list,
    )
    assert again.signing_hash == tx.signing_hash
    assert again.with_signature(tx.y_parity, tx.r, tx.s) == tx


def hex_slot(slot: int) -> str:
    return "0x" + slot.to_bytes(32, "big").hex()


def test_an_imi_transaction_is_what_the_specification_says() -> None:
    raw = imi_bytes(calls=[[TO, b"\x01"], [ADDRESS, b""]])
    tx = decode(raw)
    assert isinstance(tx, ImiTransaction)
    assert tx.calls == (Call(TO, b"\x01"), Call(ADDRESS, b""))
    assert (tx.type, tx.chain_id, tx.valid_until, tx.scheme) == (0x49, 1234, 1_800_000_000, 2)
    body = imi(calls=[[TO, b"\x01"], [ADDRESS, b""]])[:-1]
    assert tx.signing_hash == keccak256(b"\x49" + rlp.encode(body))
    assert tx.hash == keccak256(raw)
    unsigned = build_imi(
        chain_id=1234,
        nonce=0,
        valid_until=1_800_000_000,
        gas_limit=900_000,
        calls=tx.calls,
        scheme=2,
        public_key=bytes(range(32)),
    )
    assert unsigned.signing_hash == tx.signing_hash
    assert unsigned.with_signature(bytes(64)) == tx


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "tx.empty"),
        (b"\x00" + EIP155_SIGNED, "tx.type_not_allowed"),
        (b"\x03\xc0", "tx.type_not_allowed"),
        (b"\x04\xc0", "tx.type_not_allowed"),
        (b"\x7f\xc0", "tx.type_not_allowed"),
        (b"\x80", "tx.type_not_allowed"),
        (b"\x49", "rlp.trailing_bytes"),
        (b"\x49\x80", "rlp.not_a_list"),
        (b"\x49\xc0", "tx.field_count"),
        (b"\x02\xc0", "tx.field_count"),
        (b"\xc0", "tx.field_count"),
        (EIP155_SIGNED + b"\x00", "rlp.trailing_bytes"),
        (EIP155_SIGNED[:-1], "rlp.truncated"),
        (imi_bytes() + b"\x80", "rlp.trailing_bytes"),
        (b"\x49" + rlp.encode([*imi(), b""]), "tx.field_count"),
        (imi_bytes(calls=[]), "tx.no_calls"),
        (imi_bytes(calls=b""), "tx.bad_call"),
        (imi_bytes(calls=[b"x"]), "tx.bad_call"),
        (imi_bytes(calls=[[TO]]), "tx.bad_call"),
        (imi_bytes(calls=[[TO, b"", b""]]), "tx.bad_call"),
        (imi_bytes(calls=[[TO, [b""]]]), "tx.bad_call"),
        (imi_bytes(calls=[[TO[:19], b""]]), "tx.bad_address"),
        (imi_bytes(calls=[[b"", b""]]), "tx.bad_address"),
        (imi_bytes(calls=[[TO, b""]] * (MAX_CALLS + 1)), "tx.too_many_calls"),
        (imi_bytes(scheme=0), "tx.bad_scheme"),
        (imi_bytes(scheme=256), "rlp.integer_too_large"),
        (imi_bytes(public_key=bytes(4097)), "tx.key_too_large"),
        (imi_bytes(signature=bytes(8193)), "tx.signature_too_large"),
        (imi_bytes(nonce=2**64 - 1), "rlp.integer_too_large"),
        (imi_bytes(gas_limit=2**63), "rlp.integer_too_large"),
        (imi_bytes(chain_id=2**64), "rlp.integer_too_large"),
        (imi_bytes(valid_until=2**48), "rlp.integer_too_large"),
        (imi_bytes(nonce=b"\x00"), "rlp.leading_zero"),
        (imi_bytes(nonce=b"\x00\x01"), "rlp.leading_zero"),
        (imi_bytes(nonce=bytes([1]) * 33), "rlp.integer_too_large"),
        (imi_bytes(nonce=[]), "rlp.not_bytes"),
        (imi_bytes(public_key=[]), "rlp.not_bytes"),
        (imi_bytes(signature=[b"", b"", b""]), "rlp.not_bytes"),
    ],
)
def test_malformed_and_non_canonical_bytes_are_refused_by_name(raw: bytes, code: str) -> None:
    refused(raw, code)


def unprotected(v: int) -> bytes:
    items = rlp.decode(EIP155_SIGNED)
    return rlp.encode([*items[:6], rlp_integer_bytes(v), *items[7:]])


def rlp_integer_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


@pytest.mark.parametrize("v", [0, 1, 27, 28, 35, 36])
def test_a_legacy_transaction_must_name_its_chain(v: int) -> None:
    refused(unprotected(v), "tx.not_replay_protected")


def typed(change: Callable[[list[object]], None]) -> bytes:
    slots = [[TO, [bytes(32)]]]
    items: list[object] = [
        b"\x01",
        b"",
        b"\x01",
        b"\x02",
        b"\x52\x08",
        TO,
        b"",
        b"",
        slots,
        b"\x01",
        b"\x01",
        b"\x01",
    ]
    change(items)
    return b"\x02" + rlp.encode(items)


def put(index: int, value: object) -> Callable[[list[object]], None]:
    return lambda items: items.__setitem__(index, value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put(9, b"\x02"), "tx.bad_y_parity"),
        (put(2, b"\x03"), "tx.priority_fee_too_high"),
        (put(5, TO + b"\x00"), "tx.bad_address"),
        (put(8, b""), "tx.bad_access_list"),
        (put(8, [TO]), "tx.bad_access_list"),
        (put(8, [[TO, b""]]), "tx.bad_access_list"),
        (put(8, [[TO[1:], []]]), "tx.bad_access_list"),
        (put(8, [[TO, [bytes(31)]]]), "tx.bad_access_list"),
        (put(8, [[TO, [[]]]]), "tx.bad_access_list"),
        (put(8, [[TO, [], []]]), "tx.bad_access_list"),
        (put(10, bytes([1]) * 33), "rlp.integer_too_large"),
    ],
)
def test_fields_of_a_typed_transaction_are_checked(change: Callable[[list[object]], None], code: str) -> None:
    assert decode(typed(lambda items: None)).type == 2
    refused(typed(change), code)


def test_lengths_have_one_form() -> None:
    body = rlp.encode(imi())
    assert body[0] == 0xF8
    payload = body[2:]
    refused(b"\x49\xf9\x00" + body[1:], "rlp.not_minimal")
    refused(b"\x49\xff" + bytes(7) + body[1:], "rlp.not_minimal")
    short = rlp_encode_list([rlp_encode_bytes(b"ab")])
    refused(b"\x49\xf8" + bytes([len(short) - 1]) + short[1:], "rlp.not_minimal")
    wrapped = rlp_encode_list([b"\x81\x05" + payload])
    refused(b"\x49" + wrapped, "rlp.not_minimal")


@pytest.mark.parametrize("depth", [10, 1_000, 300_000])
def test_deep_nesting_costs_nothing(depth: int) -> None:
    nested = b"\xc0"
    for _ in range(min(depth, 1_000)):
        nested = rlp_encode_list([nested])
    refused(b"\x49" + nested, "tx.field_count")
    refused(b"\x49" + b"\xc1" * depth + b"\xc0", "rlp.trailing_bytes")


def test_a_length_beyond_the_end_is_refused_without_allocating_it() -> None:
    refused(b"\x49\xff" + b"\xff" * 8, "rlp.truncated")
    refused(b"\x49\xbf" + b"\xff" * 8, "rlp.truncated")
    refused(b"\xff\xff", "rlp.truncated")


def test_the_size_is_looked_at_before_the_content() -> None:
    refused(imi_bytes(calls=[[TO, bytes(2_000)]]), "tx.too_large", max_bytes=2_000)
    refused(b"\x02" + bytes(MAX_TRANSACTION_BYTES), "tx.too_large")
    refused(b"\x03" + bytes(MAX_TRANSACTION_BYTES), "tx.type_not_allowed")


def test_a_builder_checks_what_it_signs() -> None:
    unsigned = build_imi(
        chain_id=1, nonce=0, valid_until=1, gas_limit=1, calls=[Call(TO[:5], b"")], scheme=2, public_key=b""
    )
    with pytest.raises(DecodeError) as caught:
        unsigned.with_signature(b"")
    assert caught.value.code == "tx.bad_address"
    with pytest.raises(DecodeError) as caught:
        build_ethereum(type=3, chain_id=1, nonce=0, gas_limit=1, to=None)
    assert caught.value.code == "tx.type_not_allowed"


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 2**55, 2**256 - 1])
def test_integers_encode_as_the_rlp_library_does(value: int) -> None:
    assert rlp_encode_integer(value) == rlp.encode(value)
