"""Any bytes are refused with a documented DecodeError, or are the one encoding of a transaction.

What is decoded, encoded anew by the `rlp` library from its fields, gives the same bytes; its hash is
keccak256 of them; its signing hash is that of the unsigned form. The form of key and signature, the sender
and the signature itself are refused with SignatureRefused and nothing else. (Signatures of SM2 and ML-DSA-65
are looked at for one input in 32, by its checksum: they cost more than everything else together.)
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator

import rlp
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gmssl_pyx import sm2_key_generate, sm2_sign

from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.signing import (
    ML_DSA_65,
    SCHEMES,
    SM2,
    SM2_SIGNER_ID,
    SigningContext,
    check_form,
    sender_of,
    verify,
)
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
        if not isinstance(tx, ImiTransaction) or tx.scheme < SM2 or not zlib.crc32(data) & 31:
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


def _key(scheme: int) -> tuple[bytes, Callable[[bytes], bytes]]:
    if scheme == SM2:
        public_key, private_key = sm2_key_generate()
        return public_key, lambda message: _raw(sm2_sign(private_key, public_key, message, SM2_SIGNER_ID))
    if scheme == ML_DSA_65:
        key = MLDSA65PrivateKey.from_seed_bytes(bytes(32))
        return key.public_key().public_bytes_raw(), key.sign
    who = person("fuzz", scheme)
    return who.public_key, who.sign


def _raw(der: bytes) -> bytes:
    return b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(der))


def seeds() -> Iterator[bytes]:
    """A transaction of every type and scheme with a signature that holds."""
    for scheme in SCHEMES:
        public_key, sign = _key(scheme)
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
                public_key=public_key,
            )
            yield imi.with_signature(sign(imi.signing_hash)).raw
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
