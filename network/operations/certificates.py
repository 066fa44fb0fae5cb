"""How long certificates hold: the agencies' authorities, and the one this node shows to its callers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from network.operations.facts import CertificateFacts
from network.operations.members import Membership
from node.chain.genesis import Genesis

_SECOND_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400

REPLACED: Final = "replaced since the genesis; the chain holds its hash only"
NONE: Final = "the genesis has none"
UNREADABLE: Final = "cannot be read"


def agency_certificates(
    genesis: Genesis, membership: Membership, now_ns: int
) -> tuple[CertificateFacts, ...]:
    """One of each member: the genesis has the certificate, the contract the hash of the present one."""
    in_genesis = {one.id: one.ca_certificate for one in genesis.organisations}
    facts = []
    for member in membership.members.values():
        pem = in_genesis.get(member.id, "")
        days, why = None, NONE
        if pem:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            if member.certificate in (certificate.fingerprint(hashes.SHA256()), bytes(32)):
                days, why = _days_left(certificate, now_ns), ""
            else:
                why = REPLACED
        elif any(member.certificate):
            why = REPLACED
        facts.append(CertificateFacts("agency_ca", member.name, member.id, days, why))
    return tuple(facts)


def tls_certificate(path: Path, now_ns: int) -> CertificateFacts:
    """A PEM file: the first certificate of the first that ends."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        days = min(_days_left(one, now_ns) for one in chain)
    except (OSError, ValueError):
        return CertificateFacts("tls", path.name, 0, None, UNREADABLE)
    return CertificateFacts("tls", path.name, 0, days, "")


def _days_left(certificate: x509.Certificate, now_ns: int) -> int:
    """Whole days; negative once it has ended."""
    end = certificate.not_valid_after_utc.timestamp()
    return int((end - datetime.fromtimestamp(now_ns / _SECOND_NS, UTC).timestamp()) // _DAY_S)
