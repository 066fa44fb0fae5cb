"""Any bytes are refused with a documented DecodeError, or are the one encoding of a transaction.

What is decoded, encoded anew by the `rlp` library from its fields, gives the same bytes; its hash is
keccak256 of them; its signing hash is that of the unsigned form. The form of key and signature, the sender
and the signature itself are refused with SignatureRefused and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import rlp

from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.signing import SCHEMES, SigningContext, check_form, sender_of, verify
from node.chain.transaction import (
    Call,
    EthereumTransaction,
    ImiTransaction,
    Transaction,
    build_ethereum,
    build_imi,
    decode,
)
from tests.fuzz.mutators import mutate_rlp as mutate
from tests.fuzz.refusals import check_refusal
from tests.helpers.ledger import RP_ID_HASH, person

__all__ = ["mutate", "one_input", "seeds"]

CONTEXT = SigningContext(RP_ID_HASH, lambda origin: True, allow_backup_eligible=True)


def one_input(data: bytes) -> None:
    try:
        tx = decode(data)
    except DecodeError as error:
        check_refusal(error)
        return
    assert tx.raw == data
    assert tx.hash == keccak256(data)
    unsigned, signature = fields_of(tx)
    kind = bytes((tx.type,)) if tx.type else b""
    assert kind + rlp.encode(unsigned + signature) == data
    if isinstance(tx, EthereumTransaction) and tx.type == 0:
        unsigned = [*unsigned, number(tx.chain_id), b"", b""]
    assert tx.signing_hash == keccak256(kind + rlp.encode(unsigned))
    try:
        check_form(tx)
        assert len(sender_of(tx)) == 20
        verify(tx, CONTEXT)
    except SignatureRefused as refused:
        check_refusal(refused)


def fields_of(tx: Transaction) -> tuple[list[object], list[object]]:
    """The fields that are signed, and those of the signature, as `rlp` takes them."""
    if isinstance(tx, ImiTransaction):
        return [
            *map(number, (tx.chain_id, tx.nonce, tx.valid_until, tx.gas_limit)),
            [[call.to, call.data] for call in tx.calls],
            number(tx.scheme),
            tx.public_key,
        ], [tx.signature]
    middle: list[object] = [number(tx.gas_limit), tx.to or b"", number(tx.value), tx.data]
    if tx.type == 0:
        v = 35 + 2 * tx.chain_id + tx.y_parity
        return [number(tx.nonce), number(tx.max_fee), *middle], [number(v), number(tx.r), number(tx.s)]
    fees = [tx.max_fee] if tx.type == 1 else [tx.max_priority_fee, tx.max_fee]
    access = [[address, [slot.to_bytes(32, "big") for slot in slots]] for address, slots in tx.access_list]
    head = [number(one) for one in (tx.chain_id, tx.nonce, *fees)]
    return [*head, *middle, access], [number(tx.y_parity), number(tx.r), number(tx.s)]


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def seeds() -> Iterator[bytes]:
    """A transaction of every type and scheme with a signature that holds."""
    from tests.helpers.ledger import _KEYS

    for scheme in sorted(SCHEMES):
        if scheme not in _KEYS:
            continue
        who = person("fuzz", scheme)
        for calls in (
            [Call(bytes(20), b"")],
            [Call(b"\x51" * 20, b"\x01\x02\x03\x04"), Call(b"\x52" * 20, bytes(64))],
        ):
            imi = build_imi(
                chain_id=1234,
                nonce=7,
                valid_until=1_800_000_000,
                gas_limit=900_000,
                calls=calls,
                scheme=scheme,
                public_key=who.public_key,
            )
            yield imi.with_signature(who.sign(imi.signing_hash)).raw
    who = person("fuzz", 0)
    slots = ((b"\x51" * 20, (0, 1 << 255)), (b"\x52" * 20, ()))
    for kind in (0, 1, 2):
        for to, access_list in ((b"\x51" * 20, slots if kind else ()), (None, ())):
            unsigned = build_ethereum(
                type=kind,
                chain_id=1234,
                nonce=7,
                gas_limit=900_000,
                to=to,
                data=hashlib.sha256(b"data").digest()[: kind * 10],
                max_fee=5,
                max_priority_fee=2,
                access_list=access_list,
            )
            signed = who.sign(unsigned.signing_hash)
            r, s = (int.from_bytes(part, "big") for part in (signed[:32], signed[32:64]))
            yield unsigned.with_signature(signed[64], r, s).raw
