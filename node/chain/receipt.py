"""Receipts, logs and transaction results.

An encoded receipt is Ethereum's (EIP-2718, EIP-658): `(type byte unless 0) || rlp([status, cumulative gas
used, bloom, logs])`, with type 0x49 for IMI transactions. A transaction's result is what CometBFT hashes:
code 0, `data` = keccak256(encoded receipt), gas wanted and gas used. So the `last_results_hash` of header
h+1 proves every receipt and event of block h.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import (
    decode_proto,
    field_bytes,
    field_integer,
    keccak256,
    proto_bytes,
    proto_integer,
    require_canonical,
    rlp_encode_bytes,
    rlp_encode_integer,
    rlp_encode_list,
    rlp_integer,
    rlp_outer_list,
    rlp_split,
    rlp_string,
)
from node.chain.errors import DecodeError
from node.chain.merkle import merkle_root
from node.chain.transaction import IMI_TYPE

BLOOM_BYTES: Final = 256
CODE_EXECUTED: Final = 0
CODE_UNDECODABLE: Final = 1


@dataclass(frozen=True, slots=True)
class Log:
    """An event: `address` 20 bytes, up to four `topics` of 32 bytes, `data`."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did. `status` 1 = succeeded, 0 = failed and undone; gas in units of gas."""

    type: int
    status: int
    cumulative_gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """The deterministic part of CometBFT's ExecTxResult. Code 0 = executed (reverted ones too)."""

    code: int
    data: bytes
    gas_wanted: int
    gas_used: int


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The 2048-bit filter of addresses and topics (Yellow Paper, 4.3.1)."""
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            digest = keccak256(entry)
            for offset in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") & 2047)
    return bits.to_bytes(BLOOM_BYTES, "big")


def build_receipt(type: int, status: int, cumulative_gas_used: int, logs: Iterable[Log]) -> Receipt:
    """A receipt with the bloom of its logs."""
    logs = tuple(logs)
    return Receipt(type, status, cumulative_gas_used, logs_bloom(logs), logs)


def encode_receipt(receipt: Receipt) -> bytes:
    body = rlp_encode_list(
        (
            rlp_encode_integer(receipt.status),
            rlp_encode_integer(receipt.cumulative_gas_used),
            rlp_encode_bytes(receipt.bloom),
            rlp_encode_list(_encode_log(log) for log in receipt.logs),
        )
    )
    return bytes((receipt.type,)) + body if receipt.type else body


def decode_receipt(data: bytes) -> Receipt:
    """The receipt that `data` is the only encoding of.

    Raises DecodeError: receipt.empty, receipt.bad_type, receipt.field_count, receipt.bad_log,
    receipt.bad_bloom, rlp.*.
    """
    if not data:
        raise DecodeError("receipt.empty", "the receipt is empty")
    kind = 0 if data[0] >= 0xC0 else data[0]
    if kind not in (0, 1, 2, IMI_TYPE) or (data[0] < 0xC0 and kind == 0):
        raise DecodeError("receipt.bad_type", "no such receipt type", data[0], [0, 1, 2, IMI_TYPE])
    _, start, end = rlp_outer_list(data, 1 if kind else 0)
    items = rlp_split(data, start, end, 5)
    if len(items) != 4:
        raise DecodeError("receipt.field_count", "a receipt has four fields", len(items), 4)
    bloom = rlp_string(data, items[2], "bloom")
    if not items[3][0]:
        raise DecodeError("receipt.bad_log", "logs must be a list")
    _, logs_start, logs_end = items[3]
    # Of more items than proper logs have room for, one is too small: `_decode_log` refuses it.
    listed = rlp_split(data, logs_start, logs_end, (logs_end - logs_start) // 24 + 1)
    logs = tuple(_decode_log(data, *item) for item in listed)
    if bloom != logs_bloom(logs):
        raise DecodeError("receipt.bad_bloom", "the bloom is not the one of the logs")
    return Receipt(
        kind,
        rlp_integer(data, items[0], "status", 2),
        rlp_integer(data, items[1], "cumulative_gas_used", 1 << 64),
        bloom,
        logs,
    )


def result_of(receipt: bytes, gas_wanted: int, gas_used: int) -> TransactionResult:
    """The result of a transaction with this encoded receipt."""
    return TransactionResult(CODE_EXECUTED, keccak256(receipt), gas_wanted, gas_used)


UNDECODABLE_RESULT: Final = TransactionResult(CODE_UNDECODABLE, b"", 0, 0)
"""The result of a transaction in a decided block that is no transaction at all."""


def encode_result(result: TransactionResult) -> bytes:
    """ExecTxResult as CometBFT hashes it: code (1), data (2), gas_wanted (5), gas_used (6)."""
    return (
        proto_integer(1, result.code)
        + proto_bytes(2, result.data)
        + proto_integer(5, result.gas_wanted)
        + proto_integer(6, result.gas_used)
    )


def decode_result(data: bytes) -> TransactionResult:
    """Raises DecodeError proto.*."""
    fields = decode_proto(data, "result")
    result = TransactionResult(
        field_integer(fields, 1, "code"),
        field_bytes(fields, 2, "data"),
        field_integer(fields, 5, "gas_wanted"),
        field_integer(fields, 6, "gas_used"),
    )
    require_canonical(encode_result(result), data, "result")
    return result


def results_hash(results: Sequence[TransactionResult]) -> bytes:
    """`last_results_hash` of the next header: the Merkle root of the encoded results; sha256("") of none."""
    return merkle_root([encode_result(result) for result in results])


def _encode_log(log: Log) -> bytes:
    topics = rlp_encode_list(rlp_encode_bytes(topic) for topic in log.topics)
    return rlp_encode_list((rlp_encode_bytes(log.address), topics, rlp_encode_bytes(log.data)))


def _decode_log(data: bytes, is_list: bool, start: int, end: int) -> Log:
    items = rlp_split(data, start, end, 4) if is_list else []
    if len(items) != 3 or items[0][0] or not items[1][0] or items[2][0] or items[0][2] - items[0][1] != 20:
        raise DecodeError("receipt.bad_log", "a log is an address, a list of topics and data")
    topics = []
    for topic_is_list, topic_start, topic_end in rlp_split(data, items[1][1], items[1][2], 5):
        if topic_is_list or topic_end - topic_start != 32:
            raise DecodeError("receipt.bad_log", "a topic has 32 bytes", topic_end - topic_start, 32)
        topics.append(data[topic_start:topic_end])
    if len(topics) > 4:
        raise DecodeError("receipt.bad_log", "a log has at most four topics", len(topics), 4)
    return Log(data[items[0][1] : items[0][2]], tuple(topics), data[items[2][1] : items[2][2]])
