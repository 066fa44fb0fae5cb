"""Receipts: Ethereum's bytes, one form each."""

from __future__ import annotations

import pytest
import rlp
from eth_bloom import BloomFilter

from node.chain.errors import DecodeError, ShelianError
from node.chain.merkle import EMPTY_ROOT
from node.chain.receipt import (
    UNDECODABLE_RESULT,
    Log,
    build_receipt,
    decode_receipt,
    encode_receipt,
    encode_result,
    logs_bloom,
    results_hash,
)

LOGS = [Log(bytes([7] * 20), (bytes(32), bytes([1] * 32)), b"data"), Log(bytes([8] * 20), (), b"")]


def test_the_bloom_is_ethereum_s() -> None:
    bloom = BloomFilter()
    for log in LOGS:
        bloom.extend([log.address, *log.topics])
    assert logs_bloom(LOGS) == int(bloom).to_bytes(256, "big")
    assert logs_bloom([]) == bytes(256)


@pytest.mark.parametrize("kind", [0, 1, 2, 0x49])
def test_a_receipt_is_ethereum_s_and_round_trips(kind: int) -> None:
    receipt = build_receipt(kind, 1, 123_456, LOGS)
    encoded = encode_receipt(receipt)
    body = rlp.encode(
        [1, 123_456, receipt.bloom, [[log.address, list(log.topics), log.data] for log in LOGS]]
    )
    assert encoded == (bytes([kind]) if kind else b"") + body
    assert decode_receipt(encoded) == receipt


def encoded(status: object = 1, gas: object = 5, bloom: object = bytes(256), logs: object = ()) -> bytes:
    return rlp.encode([status, gas, bloom, logs])


def topics(count: int) -> list[object]:
    return [[bytes(20), [bytes(32)] * count, b""]]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "receipt.empty"),
        (b"\x03" + encoded(), "receipt.bad_type"),
        (b"\x00" + encoded(), "receipt.bad_type"),
        (encoded() + b"\x00", "rlp.trailing_bytes"),
        (rlp.encode([1, 5, bytes(256)]), "receipt.field_count"),
        (rlp.encode([1, 5, bytes(256), [], []]), "receipt.field_count"),
        (encoded(status=2), "rlp.integer_too_large"),
        (encoded(gas=2**64), "rlp.integer_too_large"),
        (encoded(bloom=bytes(255)), "receipt.bad_bloom"),
        (encoded(bloom=b"\x01" + bytes(255)), "receipt.bad_bloom"),
        (encoded(logs=b""), "receipt.bad_log"),
        (encoded(logs=[b""]), "receipt.bad_log"),
        (encoded(logs=[[bytes(19), [], b""]]), "receipt.bad_log"),
        (encoded(logs=[[bytes(20), [bytes(31)], b""]]), "receipt.bad_log"),
        (encoded(logs=topics(5)), "receipt.bad_log"),
        (encoded(logs=topics(9)), "receipt.bad_log"),
    ],
)
def test_malformed_receipts_are_refused_by_name(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_receipt(data)
    assert caught.value.code == code


def test_results_of_nothing_and_of_the_undecodable() -> None:
    assert results_hash([]) == EMPTY_ROOT
    assert encode_result(UNDECODABLE_RESULT) == b"\x08\x01"


def test_errors_are_json_safe() -> None:
    error = ShelianError("a.b", "message", {b"\x01": (b"\x02", [None, 3])}, object)
    assert error.as_dict()["got"] == {"0x01": ["0x02", [None, 3]]}
    assert isinstance(error.as_dict()["expected"], str)
    assert str(ShelianError("a.b", "message", b"\x01", 2)) == "a.b: message; got 0x01; expected 2"
    assert str(ShelianError("a.b", "message")) == "a.b: message"
