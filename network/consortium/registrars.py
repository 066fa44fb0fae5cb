"""A registrar's statement: this is my key, and I am registrar of this agency on this chain.

It is made on the registrar's own machine with the registrar's own key and handed to the agency's operator,
who puts it into the enrolment. So nobody can enrol a key that its owner did not offer, nor for another
agency, another chain or another signing page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from network.consortium import fields
from network.consortium.errors import CeremonyError
from network.consortium.fields import Fields, read_file, to_hex
from network.consortium.relying_parties import RelyingParty, relying_party_id
from network.consortium.statements import REGISTRAR, statement_hash
from node.chain.encoding import encode_canonical_json
from node.chain.errors import SignatureRefused
from node.chain.genesis import ORGANISATION_KINDS, PURPOSES
from node.chain.rules import SCHEME_SLOTS
from node.chain.signing import SCHEMES, check_public_key

FORMAT: Final = "shelian-registrar/1"
MAX_FILE_BYTES: Final = 32_768
"""A post-quantum key and signature take 10,600 bytes as hex."""


@dataclass(frozen=True, slots=True)
class Registrar:
    """A registrar's key and its owner's proof of holding it.

    Attributes:
        identity: 16 random bytes that stand for the person on the chain; never 0.
        scheme: number of the signature scheme (`node.chain.signing.SCHEMES`).
        relying_party: 32 bytes, the row under which the registrar signs.
        signature: by that key over `registrar_hash`; for passkeys an assertion.
    """

    identity: bytes
    scheme: int
    public_key: bytes
    relying_party: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class RegistrarStatement:
    """A registrar's file: the registrar, and for whom."""

    chain_name: str
    purpose: str
    kind: str
    organisation: str
    registrar: Registrar


def registrar_hash(
    chain_name: str,
    purpose: str,
    kind: str,
    organisation: str,
    identity: bytes,
    scheme: int,
    public_key: bytes,
    relying_party: bytes,
) -> bytes:
    """The 32 bytes that the registrar's key signs."""
    content = {
        "chain_name": chain_name,
        "purpose": purpose,
        "kind": kind,
        "organisation": organisation,
        "identity": to_hex(identity),
        "scheme": scheme,
        "public_key": to_hex(public_key),
        "relying_party": to_hex(relying_party),
    }
    return statement_hash(REGISTRAR, encode_canonical_json(content))


def verify_registrar(statement: RegistrarStatement, row: RelyingParty) -> None:
    """The registrar's key signed for this chain, this agency and this row.

    Raises CeremonyError ceremony.registrar_page, ceremony.registrar_key, ceremony.registrar_signature.
    """
    one = statement.registrar
    expected = relying_party_id(row, statement.chain_name, statement.kind, statement.organisation)
    if one.relying_party != expected:
        raise CeremonyError(
            "ceremony.registrar_page",
            "the registrar signed for another signing page",
            one.relying_party,
            expected,
        )
    if not row.governs():
        raise CeremonyError(
            "ceremony.registrar_page",
            f"from {row.name} a registrar could neither enrol anybody nor vote",
            list(row.contracts),
            "a staff page that reaches Consortium and IdentityRegistry",
        )
    try:
        check_public_key(one.scheme, one.public_key)
    except SignatureRefused as error:
        raise CeremonyError(
            "ceremony.registrar_key",
            f"the registrar's key is not usable: {error.message}",
            error.got,
            error.expected,
        ) from None
    hash = registrar_hash(
        statement.chain_name,
        statement.purpose,
        statement.kind,
        statement.organisation,
        one.identity,
        one.scheme,
        one.public_key,
        one.relying_party,
    )
    try:
        SCHEMES[one.scheme].verify(one.public_key, hash, one.signature, row.signing_context())
    except SignatureRefused as error:
        raise CeremonyError(
            "ceremony.registrar_signature",
            f"the registrar's signature does not hold for {statement.organisation} on "
            f"{statement.chain_name}: {error.message}",
            one.public_key,
        ) from None


def registrar_json(one: Registrar) -> dict[str, object]:
    return {
        "identity": to_hex(one.identity),
        "scheme": one.scheme,
        "public_key": to_hex(one.public_key),
        "relying_party": to_hex(one.relying_party),
        "signature": to_hex(one.signature),
    }


def read_registrar(value: object, path: str) -> Registrar:
    """A registrar inside an enrolment. Raises CeremonyError."""
    entry = Fields(value, path)
    return entry.done(_take(entry, path))


def encode_registrar_statement(statement: RegistrarStatement) -> bytes:
    """The file that a registrar hands to the agency's operator."""
    return encode_canonical_json(
        {
            "format": FORMAT,
            "chain_name": statement.chain_name,
            "purpose": statement.purpose,
            "kind": statement.kind,
            "organisation": statement.organisation,
            **registrar_json(statement.registrar),
        }
    )


def decode_registrar_statement(data: bytes) -> RegistrarStatement:
    """A registrar's file; its signature is verified when it is put into an enrolment.

    Raises CeremonyError.
    """
    entry = read_file(data, "a registrar's statement", FORMAT, MAX_FILE_BYTES)
    return entry.done(
        RegistrarStatement(
            chain_name=entry.take("chain_name", fields.chain_name),
            purpose=entry.take("purpose", fields.one_of(PURPOSES)),
            kind=entry.take("kind", fields.one_of(tuple(ORGANISATION_KINDS))),
            organisation=entry.take("organisation", fields.name),
            registrar=_take(entry, "registrar"),
        )
    )


def _take(entry: Fields, path: str) -> Registrar:
    one = Registrar(
        identity=entry.take("identity", fields.hex_bytes(16)),
        scheme=entry.take("scheme", fields.integer(1, SCHEME_SLOTS - 1)),
        public_key=entry.take("public_key", fields.hex_bytes()),
        relying_party=entry.take("relying_party", fields.hex_bytes(32)),
        signature=entry.take("signature", fields.hex_bytes()),
    )
    if not any(one.identity):
        fields.refuse(f"{path}.identity", "must not be zero")
    return one
