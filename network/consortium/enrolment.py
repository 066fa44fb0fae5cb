"""The one file that an agency sends to the others: who it is, its public keys, registrars and signing pages.

    {"content": {…}, "format": "shelian-enrolment/1", "signatures": {"ca": …, "node": …, "validator": …}}

Canonical JSON to the last byte. What binds it: the content names the chain and its purpose, and is signed by
the agency's CA key, by the validator key and by the node key over statements of their own, so that each key
is proven to be held by the agency; each registrar's key signed for this agency on this chain on its owner's
machine. An enrolment for another chain name is refused by `merge`; an older one of the same agency for the
same name cannot get into a chain behind its back, because the agency signs the genesis only if its newest
one stands in it (`network.consortium.ceremony`).

`decode_enrolment` verifies everything that can be verified without a clock and without the other agencies, so
an `Enrolment` in hand is a verified one. Raises CeremonyError and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeVar

import nacl.exceptions
from nacl.bindings import crypto_scalarmult

from network.consortium import fields
from network.consortium.certificates import AgencyCertificate, decode_certificate
from network.consortium.errors import CeremonyError
from network.consortium.fields import Fields, read_file, to_hex
from network.consortium.registrars import (
    Registrar,
    RegistrarStatement,
    read_registrar,
    registrar_json,
    verify_registrar,
)
from network.consortium.relying_parties import (
    RelyingParty,
    as_json,
    read_relying_party,
    relying_party_id,
)
from network.consortium.statements import (
    CA_OF_ENROLMENT,
    NODE_OF_ENROLMENT,
    VALIDATOR_OF_ENROLMENT,
    statement,
)
from node.chain.encoding import encode_canonical_json, sha256
from node.chain.errors import SignatureRefused
from node.chain.genesis import MIN_REGISTRARS, ORGANISATION_KINDS, PURPOSES
from node.chain.schemes.ecdsa import verify_p256
from node.chain.signing import ED25519, check_public_key, verify_ed25519
from node.chain.validators import validator_address

FORMAT: Final = "shelian-enrolment/1"
MAX_FILE_BYTES: Final = 128 << 10
MAX_REGISTRARS: Final = 8
MAX_RELYING_PARTIES: Final = 8
MAX_POWER: Final = 1 << 48
"""The Consortium contract's bound on one validator's power."""

_HOST_AND_PORT: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253}):([1-9][0-9]{0,4})")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ONE: Final = (1).to_bytes(32, "little")

_T = TypeVar("_T")

Sign = Callable[[bytes], bytes]
"""A message to its signature: 64 bytes, r || s with low s for P-256."""


@dataclass(frozen=True, slots=True)
class MemberKey:
    """The validator of an agency: Ed25519 public key and voting power."""

    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class EnrolmentContent:
    """What an agency declares.

    Attributes:
        chain_name: the chain it joins, and no other.
        purpose: ``demo`` or ``production``.
        kind: a key of `node.chain.genesis.ORGANISATION_KINDS`.
        name: as people know the agency; the CA certificate's subject has the same.
        encryption_key: X25519, 32 bytes: what documents are sealed to.
        certificate: the agency's CA.
        validator: None for an agency whose node signs no blocks.
        node_key: Ed25519, 32 bytes: the node's key for connections.
        address: where the others' nodes reach it, host:port.
        registrars: at least two, by identity.
        relying_parties: at least one, by their id on the chain.
    """

    chain_name: str
    purpose: str
    kind: str
    name: str
    encryption_key: bytes
    certificate: AgencyCertificate
    validator: MemberKey | None
    node_key: bytes
    address: str
    registrars: tuple[Registrar, ...]
    relying_parties: tuple[RelyingParty, ...]

    @property
    def node_id(self) -> bytes:
        """CometBFT's id of the node, 20 bytes."""
        return validator_address(self.node_key)

    @property
    def peer(self) -> str:
        """CometBFT's address of the node: id@host:port."""
        return f"{self.node_id.hex()}@{self.address}"

    def encode(self) -> bytes:
        """The bytes that are hashed and signed."""
        return encode_canonical_json(_content_json(self))


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A verified enrolment. `hash`: sha256 of the content's bytes, what is read out over the telephone."""

    content: EnrolmentContent
    ca_signature: bytes
    validator_signature: bytes | None
    node_signature: bytes
    hash: bytes

    @property
    def who(self) -> str:
        """The agency as messages name it."""
        return f"{self.content.name} ({self.content.kind})"


def make_enrolment(content: EnrolmentContent, ca: Sign, validator: Sign, node: Sign) -> Enrolment:
    """Sign an agency's declaration with its three keys. Raises CeremonyError for one that others would
    refuse."""
    raw = content.encode()
    enrolment = Enrolment(
        content,
        ca(statement(CA_OF_ENROLMENT, raw)),
        None if content.validator is None else validator(statement(VALIDATOR_OF_ENROLMENT, raw)),
        node(statement(NODE_OF_ENROLMENT, raw)),
        sha256(raw),
    )
    return decode_enrolment(encode_enrolment(enrolment))


def encode_enrolment(enrolment: Enrolment) -> bytes:
    """The file."""
    return encode_canonical_json(enrolment_json(enrolment))


def enrolment_json(enrolment: Enrolment) -> dict[str, object]:
    """The file as Python data, for the ceremony's record."""
    validator = enrolment.validator_signature
    return {
        "format": FORMAT,
        "content": _content_json(enrolment.content),
        "signatures": {
            "ca": to_hex(enrolment.ca_signature),
            "validator": None if validator is None else to_hex(validator),
            "node": to_hex(enrolment.node_signature),
        },
    }


def decode_enrolment(data: bytes) -> Enrolment:
    """Read and verify an enrolment.

    Raises CeremonyError: those of `fields`, `certificates` and `verify_registrar`, ceremony.other_name,
    ceremony.signature, ceremony.address, ceremony.encryption_key, ceremony.registrar_twice,
    ceremony.relying_party_twice, ceremony.key_twice.
    """
    # 1. The form: canonical bytes, known keys only, every value in range.
    top = read_file(data, "an enrolment", FORMAT, MAX_FILE_BYTES)
    content = top.take("content", _content)
    signatures = Fields(top.take("signatures", fields.anything), "signatures")
    top.finish()
    ca = signatures.take("ca", fields.hex_bytes(64))
    node = signatures.take("node", fields.hex_bytes(64))
    validator = signatures.take("validator", _optional(fields.hex_bytes(64)))
    signatures.finish()
    # 2. The CA certificate is the agency's.
    certificate = content.certificate
    if certificate.organisation != content.name:
        raise CeremonyError(
            "ceremony.other_name",
            "the CA certificate is of another organisation",
            certificate.organisation,
            content.name,
        )
    # 3. The CA, the node and the validator signed exactly this content.
    raw = content.encode()
    _verify("CA", verify_p256, certificate.public_key, statement(CA_OF_ENROLMENT, raw), ca)
    _verify("node", verify_ed25519, content.node_key, statement(NODE_OF_ENROLMENT, raw), node)
    if (content.validator is None) != (validator is None):
        raise CeremonyError("ceremony.signature", "a validator and its signature go together")
    if content.validator is not None and validator is not None:
        key = content.validator.public_key
        _verify("validator", verify_ed25519, key, statement(VALIDATOR_OF_ENROLMENT, raw), validator)
    # 4. Each registrar stands for this agency on this chain, under one of these rows.
    rows = {row_id(content, row): row for row in content.relying_parties}
    for one in content.registrars:
        row = rows.get(one.relying_party)
        if row is None:
            raise CeremonyError(
                "ceremony.registrar_page",
                "a registrar signed for a signing page that is not in the enrolment",
                one.relying_party,
                sorted(rows),
            )
        verify_registrar(
            RegistrarStatement(content.chain_name, content.purpose, content.kind, content.name, one), row
        )
    # 5. No key does two things.
    keys = public_keys(content)
    if len(set(keys)) != len(keys):
        raise CeremonyError("ceremony.key_twice", f"{content.name} uses one key for two things")
    return Enrolment(content, ca, validator, node, sha256(raw))


def public_keys(content: EnrolmentContent) -> tuple[bytes, ...]:
    """Every public key of an enrolment."""
    validator = () if content.validator is None else (content.validator.public_key,)
    registrars = tuple(one.public_key for one in content.registrars)
    return (content.certificate.public_key, content.encryption_key, content.node_key, *validator, *registrars)


def row_id(content: EnrolmentContent, row: RelyingParty) -> bytes:
    """The id on the chain of one of the enrolment's relying parties."""
    return relying_party_id(row, content.chain_name, content.kind, content.name)


def check_address(address: str, path: str = "address") -> str:
    """host:port that other machines can be given. Raises CeremonyError ceremony.address."""
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or int(match[2]) > 65_535:
        raise _address(path, address)
    host = match[1]
    if host.startswith("[") or re.fullmatch(r"[0-9.]+", host):
        try:
            literal = ip_address(host.strip("[]"))
        except ValueError:
            raise _address(path, address) from None
        if literal.is_unspecified or literal.is_multicast or (literal.version == 6) != host.startswith("["):
            raise _address(path, address)
    elif not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _address(path, address)
    return address


def is_this_machine(address: str) -> bool:
    """The address means another machine to everybody who reads it."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# ---- the content as JSON


def _content_json(content: EnrolmentContent) -> dict[str, object]:
    validator = content.validator
    return {
        "chain_name": content.chain_name,
        "purpose": content.purpose,
        "kind": content.kind,
        "name": content.name,
        "encryption_key": to_hex(content.encryption_key),
        "ca_certificate": content.certificate.pem,
        "validator": None
        if validator is None
        else {"public_key": to_hex(validator.public_key), "power": validator.power},
        "node_key": to_hex(content.node_key),
        "address": content.address,
        "registrars": [registrar_json(one) for one in content.registrars],
        "relying_parties": [as_json(row) for row in content.relying_parties],
    }


def _content(value: object, path: str) -> EnrolmentContent:
    entry = Fields(value, path)
    content = EnrolmentContent(
        chain_name=entry.take("chain_name", fields.chain_name),
        purpose=entry.take("purpose", fields.one_of(PURPOSES)),
        kind=entry.take("kind", fields.one_of(tuple(ORGANISATION_KINDS))),
        name=entry.take("name", fields.name),
        encryption_key=entry.take("encryption_key", _encryption_key),
        certificate=decode_certificate(entry.take("ca_certificate", fields.text)),
        validator=entry.take("validator", _optional(_validator)),
        node_key=entry.take("node_key", _ed25519_key),
        address=check_address(entry.take("address", fields.text), f"{path}.address"),
        registrars=entry.take("registrars", fields.list_of(read_registrar, MIN_REGISTRARS, MAX_REGISTRARS)),
        relying_parties=entry.take(
            "relying_parties", fields.list_of(read_relying_party, 1, MAX_RELYING_PARTIES)
        ),
    )
    entry.finish()
    identities = [one.identity for one in content.registrars]
    keys = [one.public_key for one in content.registrars]
    if len(set(identities)) != len(identities) or len(set(keys)) != len(keys):
        raise CeremonyError("ceremony.registrar_twice", f"{content.name} names the same registrar twice")
    if identities != sorted(identities):
        fields.refuse(f"{path}.registrars", "must stand in the order of their identities")
    rows = [row_id(content, row) for row in content.relying_parties]
    if len(set(rows)) != len(rows):
        raise CeremonyError(
            "ceremony.relying_party_twice", f"{content.name} names the same signing page twice"
        )
    if rows != sorted(rows):
        fields.refuse(f"{path}.relying_parties", "must stand in the order of their ids")
    if content.purpose != "demo" and any(row.localhost_any_port for row in content.relying_parties):
        fields.refuse(f"{path}.relying_parties", "localhost may sign in a demo only")
    return content


def _validator(value: object, path: str) -> MemberKey:
    entry = Fields(value, path)
    return entry.done(
        MemberKey(
            entry.take("public_key", _ed25519_key),
            entry.take("power", fields.integer(1, MAX_POWER)),
        )
    )


def _ed25519_key(value: object, path: str) -> bytes:
    key = fields.hex_bytes(32)(value, path)
    try:
        check_public_key(ED25519, key)
    except SignatureRefused as error:
        fields.refuse(path, error.message, error.got, error.expected)
    return key


def _encryption_key(value: object, path: str) -> bytes:
    key = fields.hex_bytes(32)(value, path)
    try:
        # libsodium refuses points of low order: what is sealed to them, everybody can open.
        crypto_scalarmult(_ONE, key)
    except nacl.exceptions.CryptoError:
        raise CeremonyError("ceremony.encryption_key", "nothing can be sealed to this key", key) from None
    return key


def _optional(read: Callable[[object, str], _T]) -> Callable[[object, str], _T | None]:
    return lambda value, path: None if value is None else read(value, path)


def _verify(
    whose: str, verify: Callable[[bytes, bytes, bytes], None], key: bytes, message: bytes, signature: bytes
) -> None:
    try:
        verify(key, message, signature)
    except SignatureRefused as error:
        raise CeremonyError(
            "ceremony.signature",
            f"the {whose}'s signature does not hold: the file was changed, or the key is another agency's "
            f"({error.message})",
            key,
        ) from None


def _address(path: str, address: str) -> CeremonyError:
    return CeremonyError(
        "ceremony.address",
        f"{path}: not an address that other machines can be given",
        address[:300],
        "court.example:26656, 192.0.2.1:26656 or [2001:db8::1]:26656",
    )
