"""What a signature scheme is, and what a signature is checked against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.chain.errors import SignatureRefused


@dataclass(frozen=True, slots=True)
class SigningContext:
    """What a WebAuthn assertion is checked against: the relying party of the sender's credential.

    `rp_id_hash` is sha256 of the rp id; `allows_origin` says whether an exact origin is listed.
    Schemes without an origin ignore it.
    """

    rp_id_hash: bytes
    allows_origin: Callable[[bytes], bool]
    allow_backup_eligible: bool


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign an IMI transaction.

    `check_key(key)` and `parse(signature)` look at the form only; `verify(key, signing_hash, signature,
    context)` decides. Keys given to `check_key` and `verify` have `key_length` bytes.
    """

    number: int
    name: str
    key_length: int
    longest_signature: int
    """In bytes; the schemes with signatures of one length have no shorter ones."""
    check_key: Callable[[bytes], None]
    parse: Callable[[bytes], object]
    verify: Callable[[bytes, bytes, bytes, SigningContext], None]


def does_not_verify() -> SignatureRefused:
    """The refusal of a well-formed signature that somebody else made, or over something else."""
    return SignatureRefused("signature.does_not_verify", "the signature is not of this key and message")
