"""Handover certificates: one chain ends, another goes on with its history and state, and anyone can check it.

When a ledger moves to another engine or other validators by a new genesis, the last block of the old chain
and the first of the new one are joined by a certificate. It says: after block N, which is empty and so left
the state as it was, the ledger has this state root and this snapshot, and it goes on with height N + 1 under
that genesis. It is signed by old validators with more than two thirds of the old power, with the keys that
signed block N, and by every agency, with the key of the CA certificate that the new genesis names.

`verify_handover` goes these steps:
1. its block holds by itself (`light_block`), and the certificate is what its own bytes decode to; 2. it
is of the old genesis, and its block is the one that is trusted as the old chain's last; 3. that block is
empty, its state root the certificate's, no change of validators under way; 4. the new genesis is the one that
is named, begins at N + 1, later than block N, for the same purpose; 5. each validator's signature verifies,
and together they carry more than two thirds; 6. every organisation of the new genesis with a CA certificate
signed; each with a validator has one.

What it does not prove: that a snapshot with this hash holds that state (whoever imports it checks that), or
that a CA certificate is valid: it is taken as the new genesis states it. `newcomers` are the organisations
whose key the old genesis does not name: their signatures show consent, not who they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from node.chain.errors import DecodeError, ProofError, SignatureRefused
from node.chain.genesis import Genesis, Organisation
from node.chain.handover_certificate import (
    HandoverCertificate,
    HandoverStatement,
    decode_certificate,
    encode_certificate,
    handover_sign_bytes,
)
from node.chain.light import Trusted, trust_genesis
from node.chain.light_block import check_block
from node.chain.merkle import EMPTY_ROOT
from node.chain.schemes.ecdsa import verify_p256
from node.chain.schemes.ed25519 import verify_ed25519


@dataclass(frozen=True, slots=True)
class ProvenHandover:
    """A handover that was verified; `trusted` is where the new chain begins."""

    statement: HandoverStatement
    trusted: Trusted
    signed_power: int
    total_power: int
    agencies: tuple[int, ...]
    newcomers: tuple[int, ...]
    """Of the agencies, those whose key the old genesis does not name."""


def verify_handover(
    certificate: HandoverCertificate, old: Genesis, trusted: Trusted, new: Genesis
) -> ProvenHandover:
    """Go the steps of the module; `trusted` is the old chain's last block, verified from `old`.

    Raises ProofError: handover.malformed, handover.wrong_genesis, handover.other_block, handover.not_empty,
    handover.wrong_root, handover.validators_change, handover.other_genesis, handover.wrong_height,
    handover.wrong_time, handover.wrong_purpose, handover.unknown_signer, handover.bad_signature,
    handover.no_quorum, handover.no_ca, handover.agency_missing, handover.wrong_agency_key; light.*, commit.*.
    """
    statement = certificate.statement
    # 1
    checked = check_block(statement.block, trusted.chain_name)
    _check_form(certificate)
    # 2 and 3
    _check_old(statement, checked.hash, old, trusted)
    # 4
    _check_new(statement, old, trusted, new)
    message = handover_sign_bytes(statement)
    # 5
    signed, total = _verify_validators(certificate, message)
    # 6
    agencies = _verify_agencies(certificate, message, new)
    known = {(organisation.id, _ca_key_or_none(organisation)) for organisation in old.organisations}
    newcomers = tuple(
        entry.organisation
        for entry in certificate.agencies
        if (entry.organisation, entry.public_key) not in known
    )
    start = trust_genesis(new, statement.state_root)
    return ProvenHandover(statement, start, signed, total, agencies, newcomers)


def ca_public_key(organisation: Organisation) -> bytes:
    """The P-256 key, x || y, of an organisation's CA certificate. Raises ProofError handover.no_ca."""
    try:
        certificate = x509.load_pem_x509_certificate(organisation.ca_certificate.encode())
        key = certificate.public_key()
    except Exception:  # the parser raises many kinds, among them for keys of unknown algorithms
        raise ProofError(
            "handover.no_ca", "the organisation has no readable CA certificate", organisation.id
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ProofError(
            "handover.no_ca", "the CA's key is not one of P-256", organisation.id, "an ES256 key"
        )
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _check_form(certificate: HandoverCertificate) -> None:
    try:
        if decode_certificate(encode_certificate(certificate)) != certificate:
            raise ProofError("handover.malformed", "a number is out of the range that its bytes can hold")
    except DecodeError as error:
        raise ProofError("handover.malformed", error.message, error.got, error.expected) from None


def _check_old(statement: HandoverStatement, block_hash: bytes, old: Genesis, trusted: Trusted) -> None:
    header = statement.block.header
    if statement.old_genesis_hash != old.hash:
        raise ProofError(
            "handover.wrong_genesis",
            "the certificate is of another chain",
            statement.old_genesis_hash,
            old.hash,
        )
    if block_hash != trusted.hash:
        raise ProofError(
            "handover.other_block",
            "the certificate's block is not the one that is trusted",
            block_hash,
            trusted.hash,
        )
    # Only of an empty block the state root stands in its own header; there is no next one to look it up in.
    for value, name in ((header.data_hash, "transactions"), (header.evidence_hash, "evidence")):
        if value != EMPTY_ROOT:
            raise ProofError(
                "handover.not_empty", f"the last block of the old chain has {name}", value, EMPTY_ROOT
            )
    if statement.state_root != header.app_hash:
        raise ProofError(
            "handover.wrong_root",
            "the state root is not that of the old chain's last header",
            statement.state_root,
            header.app_hash,
        )
    if header.next_validators_hash != header.validators_hash:
        raise ProofError(
            "handover.validators_change",
            "a change of the old validators is under way at the last block",
            header.next_validators_hash,
            header.validators_hash,
        )


def _check_new(statement: HandoverStatement, old: Genesis, trusted: Trusted, new: Genesis) -> None:
    if statement.new_genesis_hash != new.hash:
        raise ProofError(
            "handover.other_genesis",
            "the certificate names another new genesis",
            statement.new_genesis_hash,
            new.hash,
        )
    following = trusted.height + 1
    if statement.initial_height != following or new.initial_height != following:
        raise ProofError(
            "handover.wrong_height",
            "the new chain begins at the height after the old one's last",
            [statement.initial_height, new.initial_height],
            following,
        )
    if new.genesis_time_ns <= trusted.time_ns:
        raise ProofError(
            "handover.wrong_time",
            "the new chain begins later than the old one's last block",
            new.genesis_time_ns,
            trusted.time_ns + 1,
        )
    if new.purpose != old.purpose:
        raise ProofError(
            "handover.wrong_purpose", "a demo stays a demo, production stays it", new.purpose, old.purpose
        )


def _verify_validators(certificate: HandoverCertificate, message: bytes) -> tuple[int, int]:
    powers = {one.public_key: one.power for one in certificate.statement.block.validators}
    signed, total = 0, sum(powers.values())
    for entry in certificate.validators:
        if entry.public_key not in powers:
            raise ProofError(
                "handover.unknown_signer", "a signer is no validator of the last block", entry.public_key
            )
        try:
            verify_ed25519(entry.public_key, message, entry.signature)
        except SignatureRefused as error:
            raise ProofError("handover.bad_signature", error.message, entry.public_key) from None
        signed += powers[entry.public_key]
    if signed * 3 <= total * 2:
        raise ProofError(
            "handover.no_quorum",
            "too few old validators signed",
            signed,
            f"more than two thirds of {total}",
        )
    return signed, total


def _verify_agencies(certificate: HandoverCertificate, message: bytes, new: Genesis) -> tuple[int, ...]:
    with_validator = {validator.organisation for validator in new.validators}
    wanted = {
        organisation.id: ca_public_key(organisation)
        for organisation in new.organisations
        if organisation.ca_certificate or organisation.id in with_validator
    }
    signed = {entry.organisation for entry in certificate.agencies}
    if signed != set(wanted):
        raise ProofError(
            "handover.agency_missing",
            "every agency of the new genesis signs, and nobody else",
            sorted(signed),
            sorted(wanted),
        )
    for entry in certificate.agencies:
        if entry.public_key != wanted[entry.organisation]:
            raise ProofError(
                "handover.wrong_agency_key",
                "the key is not that of the agency's CA certificate",
                entry.public_key,
                wanted[entry.organisation],
            )
        try:
            verify_p256(entry.public_key, message, entry.signature)
        except SignatureRefused as error:
            raise ProofError("handover.bad_signature", error.message, entry.organisation) from None
    return tuple(sorted(signed))


def _ca_key_or_none(organisation: Organisation) -> bytes | None:
    try:
        return ca_public_key(organisation)
    except ProofError:
        return None
