"""Blocks and what they are made of: any bytes are refused with a documented DecodeError, or are the one
encoding of what they decode to. A commit is verified with ProofError and nothing else; hashes are always
to be had.

The first byte says which decoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from node.chain.block import Block, block_id_of, decode_block, encode_block, verify_block
from node.chain.commit import (
    ABSENT,
    FLAG_NIL,
    Commit,
    CommitSignature,
    commit_hash,
    decode_commit,
    decode_commit_signature,
    encode_commit,
    encode_commit_signature,
    precommit_sign_bytes,
    verify_commit,
)
from node.chain.errors import DecodeError, ProofError
from node.chain.header import (
    NIL_BLOCK_ID,
    BlockId,
    Header,
    decode_block_id,
    decode_header,
    encode_block_id,
    encode_header,
    header_hash,
)
from node.chain.receipt import (
    Log,
    build_receipt,
    decode_receipt,
    decode_result,
    encode_receipt,
    encode_result,
    result_of,
)
from node.chain.validators import (
    Validator,
    decode_validator,
    encode_validator,
    sort_validators,
    validators_hash,
)
from tests.fuzz.mutators import Havoc, mutate_proto, mutate_rlp
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import validator_key

CHAIN_NAME = "shelian-fuzz"
KEY = validator_key()
VALIDATORS = sort_validators(
    [
        Validator(bytes(KEY.verify_key), 10),
        Validator(bytes(31) + b"\x01", 3),
        Validator(bytes(31) + b"\x02", 1),
    ]
)
BLOCK_ID = BlockId(b"\xaa" * 32, 1, b"\xbb" * 32)


@dataclass(frozen=True)
class Message:
    """A decoder, its encoder, and what else must work on whatever was decoded."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    then: Callable[[Any], object] = lambda value: None


def _check_block(block: Block) -> None:
    block_id_of(block)
    try:
        verify_block(block)
    except ProofError as error:
        check_refusal(error)


def _check_commit(commit: Commit) -> None:
    commit_hash(commit)
    try:
        verify_commit(CHAIN_NAME, VALIDATORS, BLOCK_ID, 7, commit)
    except ProofError as error:
        check_refusal(error)
        return
    signed = [entry for entry in commit.signatures if entry.flag == 2]
    assert commit.height == 7
    assert commit.block_id == BLOCK_ID
    assert [entry.validator_address for entry in signed] == [VALIDATORS[0].address]
    message = precommit_sign_bytes(CHAIN_NAME, 7, commit.round, BLOCK_ID, signed[0].time_ns)
    KEY.verify_key.verify(message, signed[0].signature)


MESSAGES = (
    Message(decode_header, encode_header, header_hash),
    Message(decode_block, encode_block, _check_block),
    Message(decode_commit, encode_commit, _check_commit),
    Message(decode_commit_signature, encode_commit_signature),
    Message(decode_validator, encode_validator, lambda one: validators_hash([one])),
    Message(decode_block_id, encode_block_id),
    Message(decode_result, encode_result),
    Message(decode_receipt, encode_receipt),
)
_RECEIPT = 7


def one_input(data: bytes) -> None:
    if not data:
        return
    message = MESSAGES[data[0] % len(MESSAGES)]
    body = data[1:]
    try:
        value = message.decode(body)
    except DecodeError as error:
        check_refusal(error)
        return
    assert message.encode(value) == body
    message.then(value)


def mutate(data: bytes, random: Random, havoc: Havoc) -> bytes:
    if data and data[0] % len(MESSAGES) == _RECEIPT:
        return data[:1] + mutate_rlp(data[1:], random, havoc)
    return mutate_proto(data, random, havoc)


def seeds() -> Iterator[bytes]:
    """Blocks of a real CometBFT network, and a message of each kind."""
    vectors = Path(__file__).parents[2] / "vectors" / "cometbft"
    header = sample_header()
    time_ns = header.time_ns
    vote = precommit_sign_bytes(CHAIN_NAME, 7, 0, BLOCK_ID, time_ns)
    good = CommitSignature(2, VALIDATORS[0].address, time_ns, KEY.sign(vote).signature)
    nil = CommitSignature(FLAG_NIL, VALIDATORS[1].address, time_ns, bytes(64))
    no_block = precommit_sign_bytes(CHAIN_NAME, 7, 0, NIL_BLOCK_ID, time_ns)
    against = CommitSignature(FLAG_NIL, VALIDATORS[0].address, time_ns, KEY.sign(no_block).signature)
    commits = [
        Commit(7, 0, BLOCK_ID, votes)
        for votes in ((good, ABSENT, ABSENT), (good, nil, ABSENT), (against, ABSENT, ABSENT), (ABSENT,) * 3)
    ]
    blocks = [Block(header, (b"tx", b""), commits[0]), Block(header, (), Commit(0, 0, NIL_BLOCK_ID, ()))]
    logs = [Log(b"\x51" * 20, (bytes(32), b"\x01" * 32), b"data"), Log(bytes(20), (), b"")]
    receipts = [encode_receipt(build_receipt(kind, 1, 50_000, logs[: kind & 3])) for kind in (0, 1, 2, 0x49)]
    found: list[list[bytes]] = [
        [encode_header(header)],
        [encode_block(block) for block in blocks],
        [encode_commit(commit) for commit in commits],
        [encode_commit_signature(one) for one in (good, nil, ABSENT)],
        [encode_validator(one) for one in VALIDATORS],
        [encode_block_id(one) for one in (BLOCK_ID, NIL_BLOCK_ID)],
        [encode_result(result_of(receipts[3], 900_000, 50_000))],
        receipts,
    ]
    for text in _texts(json.loads((vectors / "library.json").read_text())):
        try:
            encoded = bytes.fromhex(text)
        except ValueError:
            continue
        for kind, message in enumerate(MESSAGES):
            try:
                message.decode(encoded)
            except DecodeError:
                continue
            found[kind].append(encoded)
    for kind, encodings in enumerate(found):
        for encoded in encodings:
            yield bytes((kind,)) + encoded


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def sample_header() -> Header:
    hashes = [bytes((number,)) * 32 for number in range(1, 9)]
    return Header(CHAIN_NAME, 7, 1_800_000_000_123_456_789, BLOCK_ID, *hashes, b"\x09" * 20, 1)
