"""Validators: Ed25519 keys with voting power, and the hash of a set of them (CometBFT v0.40)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.chain.encoding import (
    decode_proto,
    field_bytes,
    field_integer,
    proto_bytes,
    proto_integer,
    proto_message,
    require_canonical,
    sha256,
)
from node.chain.errors import DecodeError
from node.chain.merkle import merkle_root


@dataclass(frozen=True, slots=True)
class Validator:
    """An Ed25519 key of 32 bytes and its voting power; in an update, power 0 removes the key."""

    public_key: bytes
    power: int

    @property
    def address(self) -> bytes:
        """The first 20 bytes of sha256 of the key."""
        return validator_address(self.public_key)


def validator_address(public_key: bytes) -> bytes:
    return sha256(public_key)[:20]


def sort_validators(validators: Iterable[Validator]) -> tuple[Validator, ...]:
    """CometBFT's order: highest power first, then by address. Commits and the hash follow it."""
    return tuple(sorted(validators, key=lambda validator: (-validator.power, validator.address)))


def encode_validator(validator: Validator) -> bytes:
    """SimpleValidator: pub_key (1) holding ed25519 (1), voting_power (2)."""
    return proto_message(1, proto_bytes(1, validator.public_key)) + proto_integer(2, validator.power)


def decode_validator(data: bytes) -> Validator:
    """Raises DecodeError validator.bad_key, proto.*."""
    fields = decode_proto(data, "validator")
    key_fields = decode_proto(field_bytes(fields, 1, "pub_key"), "pub_key")
    validator = Validator(field_bytes(key_fields, 1, "ed25519"), field_integer(fields, 2, "voting_power"))
    if len(validator.public_key) != 32:
        raise DecodeError("validator.bad_key", "an Ed25519 key has 32 bytes", len(validator.public_key), 32)
    require_canonical(encode_validator(validator), data, "validator")
    return validator


def validators_hash(validators: Sequence[Validator]) -> bytes:
    """`validators_hash` of a header: the Merkle root over the validators, in CometBFT's order."""
    return merkle_root([encode_validator(validator) for validator in validators])


def validator_updates(before: Iterable[Validator], after: Iterable[Validator]) -> tuple[Validator, ...]:
    """What turns one table into the other: one entry a key, power 0 for those that left, ordered by key."""
    old = {validator.public_key: validator.power for validator in before}
    new = {validator.public_key: validator.power for validator in after}
    changed = [key for key in old.keys() | new.keys() if old.get(key, 0) != new.get(key, 0)]
    return tuple(Validator(key, new.get(key, 0)) for key in sorted(changed))


def apply_updates(validators: Iterable[Validator], updates: Iterable[Validator]) -> tuple[Validator, ...]:
    """The set after `updates`, in CometBFT's order."""
    powers = {validator.public_key: validator.power for validator in validators}
    powers.update((update.public_key, update.power) for update in updates)
    return sort_validators(Validator(key, power) for key, power in powers.items() if power)
