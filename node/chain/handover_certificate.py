"""Handover certificates, their bytes: a statement about where one chain ends and another goes on, signed.

What they are for, and how they are verified: `node.chain.handover`.

Signed bytes are `SIGNING_TAG || sha256(statement)`. A vote starts with its length and 08, an X.509
certificate or revocation list with 30, so no signature made for one of them is one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.chain.commit import MAX_VALIDATORS
from node.chain.encoding import (
    decode_proto,
    field_bytes,
    field_integer,
    field_repeated,
    proto_bytes,
    proto_integer,
    proto_message,
    require_canonical,
    sha256,
)
from node.chain.errors import DecodeError
from node.chain.light_block import LightBlock, decode_light_block, encode_light_block

VERSION: Final = 1
SIGNING_TAG: Final = b"shelian handover certificate 1\n"
MAX_AGENCIES: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class HandoverStatement:
    """What is signed. Hashes have 32 bytes."""

    old_genesis_hash: bytes
    block: LightBlock
    """The old chain's last block, of height N."""
    state_root: bytes
    """The state after block N."""
    snapshot_hash: bytes
    """Of the ledger snapshot after block N that the new chain's nodes import."""
    new_genesis_hash: bytes
    initial_height: int
    """N + 1."""


@dataclass(frozen=True, slots=True)
class ValidatorSignature:
    """Ed25519, by a validator of block N."""

    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class AgencySignature:
    """ES256 (raw r || s, low s), by the key of an organisation's CA certificate, as x || y."""

    organisation: int
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class HandoverCertificate:
    """A statement and its signatures: validators ordered by key, agencies by number, none twice."""

    statement: HandoverStatement
    validators: tuple[ValidatorSignature, ...]
    agencies: tuple[AgencySignature, ...]


def handover_sign_bytes(statement: HandoverStatement) -> bytes:
    """What validators and agencies sign."""
    return SIGNING_TAG + sha256(encode_statement(statement))


def encode_statement(statement: HandoverStatement) -> bytes:
    """version (1) = 1, old_genesis_hash (2), block (3), state_root (4), snapshot_hash (5), new_genesis_hash
    (6), initial_height (7)."""
    return (
        proto_integer(1, VERSION)
        + proto_bytes(2, statement.old_genesis_hash)
        + proto_message(3, encode_light_block(statement.block))
        + proto_bytes(4, statement.state_root)
        + proto_bytes(5, statement.snapshot_hash)
        + proto_bytes(6, statement.new_genesis_hash)
        + proto_integer(7, statement.initial_height)
    )


def decode_statement(data: bytes) -> HandoverStatement:
    """Raises DecodeError handover.unknown_version, handover.bad_length, proto.*, header.*, commit.*,
    validator.*."""
    fields = decode_proto(data, "handover statement")
    version = field_integer(fields, 1, "version")
    if version != VERSION:
        raise DecodeError("handover.unknown_version", "no such version of certificates", version, VERSION)
    statement = HandoverStatement(
        field_bytes(fields, 2, "old_genesis_hash"),
        decode_light_block(field_bytes(fields, 3, "block")),
        field_bytes(fields, 4, "state_root"),
        field_bytes(fields, 5, "snapshot_hash"),
        field_bytes(fields, 6, "new_genesis_hash"),
        field_integer(fields, 7, "initial_height"),
    )
    for value in (
        statement.old_genesis_hash,
        statement.state_root,
        statement.snapshot_hash,
        statement.new_genesis_hash,
    ):
        _require_length(value, 32)
    require_canonical(encode_statement(statement), data, "handover statement")
    return statement


def encode_certificate(certificate: HandoverCertificate) -> bytes:
    """statement (1), validators (2)…: public_key (1), signature (2); agencies (3)…: organisation (1),
    public_key (2), signature (3)."""
    return (
        proto_message(1, encode_statement(certificate.statement))
        + b"".join(
            proto_message(2, proto_bytes(1, entry.public_key) + proto_bytes(2, entry.signature))
            for entry in certificate.validators
        )
        + b"".join(
            proto_message(
                3,
                proto_integer(1, entry.organisation)
                + proto_bytes(2, entry.public_key)
                + proto_bytes(3, entry.signature),
            )
            for entry in certificate.agencies
        )
    )


def decode_certificate(data: bytes) -> HandoverCertificate:
    """The certificate that `data` is the only encoding of.

    Raises DecodeError: handover.unknown_version, handover.bad_length, handover.wrong_order, proto.*,
    header.*, commit.*, validator.*.
    """
    fields = decode_proto(data, "handover certificate", MAX_VALIDATORS + MAX_AGENCIES)
    certificate = HandoverCertificate(
        decode_statement(field_bytes(fields, 1, "statement")),
        tuple(_decode_validator(item) for item in field_repeated(fields, 2, "validators")),
        tuple(_decode_agency(item) for item in field_repeated(fields, 3, "agencies")),
    )
    keys = [entry.public_key for entry in certificate.validators]
    numbers = [entry.organisation for entry in certificate.agencies]
    if keys != sorted(set(keys)) or numbers != sorted(set(numbers)):
        raise DecodeError("handover.wrong_order", "signatures stand in order, none twice")
    require_canonical(encode_certificate(certificate), data, "handover certificate")
    return certificate


def _decode_validator(data: bytes) -> ValidatorSignature:
    fields = decode_proto(data, "validator's signature")
    return ValidatorSignature(
        _require_length(field_bytes(fields, 1, "public_key"), 32),
        _require_length(field_bytes(fields, 2, "signature"), 64),
    )


def _decode_agency(data: bytes) -> AgencySignature:
    fields = decode_proto(data, "agency's signature")
    return AgencySignature(
        field_integer(fields, 1, "organisation"),
        _require_length(field_bytes(fields, 2, "public_key"), 64),
        _require_length(field_bytes(fields, 3, "signature"), 64),
    )


def _require_length(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise DecodeError(
            "handover.bad_length", "a hash, key or signature has the wrong length", len(value), length
        )
    return value
