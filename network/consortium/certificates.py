"""The CA certificate of an agency: made once, checked by everybody.

One profile, so that there is nothing to configure: X.509 v3 (RFC 5280), self-signed with ECDSA on P-256 and
SHA-256, basic constraints CA with path length 1 (so the root can lie in a safe while one issuing CA below it
works), key usage for signing certificates and revocation lists only, and, where the agency names its DNS
domains, name constraints that hold the CA to them. The subject's organisation is the agency's name.

The checks are numbered. Raises CeremonyError certificate.*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from network.consortium.errors import CeremonyError
from network.consortium.fields import DNS_NAME
from node.chain.encoding import sha256

MAX_PEM_BYTES: Final = 4_096
PATH_LENGTH: Final = 1
LIFE: Final = timedelta(days=20 * 365 + 5)
"""Documents are proven by certificates of this CA long after they were signed."""
ENDING_SOON: Final = timedelta(days=2 * 365)

_BACKDATED: Final = timedelta(minutes=10)
"""Clocks of the others may be behind."""
_COMMON_NAME: Final = "Shelian agency CA"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN_EXTENSIONS: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)


@dataclass(frozen=True, slots=True)
class AgencyCertificate:
    """A CA certificate that fits the profile.

    Attributes:
        pem: the certificate as the library writes it, one form.
        organisation: the subject's organisation, the agency's name.
        public_key: P-256, x || y, 64 bytes.
        not_before, not_after: the certificate's validity, UTC.
        domains: DNS domains it is held to; empty: not held to any.
    """

    pem: str
    organisation: str
    public_key: bytes
    not_before: datetime
    not_after: datetime
    domains: tuple[str, ...]
    fingerprint: bytes
    """sha256 of the DER form, as `openssl x509 -fingerprint -sha256` prints it."""


def make_certificate(
    key: ec.EllipticCurvePrivateKey, organisation: str, kind: str, now: datetime, domains: Iterable[str] = ()
) -> AgencyCertificate:
    """A self-signed CA certificate of this profile, valid for 20 years from `now`."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, kind),
            x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME),
        ]
    )
    start = now.replace(microsecond=0) - _BACKDATED
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=PATH_LENGTH), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    names = [x509.DNSName(domain) for domain in domains]
    if names:
        constraints = x509.NameConstraints(permitted_subtrees=names, excluded_subtrees=None)
        builder = builder.add_extension(constraints, critical=True)
    return decode_certificate(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())


def decode_certificate(pem: str) -> AgencyCertificate:
    """Check a certificate against the profile; whether it is valid now, `check_validity` says.

    Raises CeremonyError certificate.malformed, certificate.version, certificate.key, certificate.algorithm,
    certificate.not_self_signed, certificate.not_a_ca, certificate.path_length, certificate.key_usage,
    certificate.extension, certificate.subject.
    """
    try:
        return _decode(pem)
    except (
        ValueError,
        TypeError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        UnsupportedAlgorithm,
    ) as error:
        raise CeremonyError("certificate.malformed", f"the CA certificate cannot be read: {error}") from None


def check_validity(certificate: AgencyCertificate, at: datetime) -> None:
    """Refuse a certificate that is not valid at `at`. Raises CeremonyError certificate.not_yet_valid,
    certificate.expired."""
    name = certificate.organisation
    if at < certificate.not_before:
        raise CeremonyError(
            "certificate.not_yet_valid",
            f"the CA certificate of {name} is not valid yet",
            at,
            certificate.not_before,
        )
    if at >= certificate.not_after:
        raise CeremonyError(
            "certificate.expired",
            f"the CA certificate of {name} has expired",
            certificate.not_after,
            f"after {at}",
        )


def moment(time_ns: int) -> datetime:
    """Nanoseconds since the epoch as a moment, to the microsecond. Raises CeremonyError ceremony.bad_value
    beyond the year 9999."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1_000)
    except OverflowError:
        raise CeremonyError("ceremony.bad_value", "the time is too far away", time_ns) from None


def _decode(pem: str) -> AgencyCertificate:
    # 1. One certificate, in the one form that the library writes.
    raw = pem.encode()
    if len(raw) > MAX_PEM_BYTES:
        raise CeremonyError(
            "certificate.malformed", "the CA certificate is too large", len(raw), MAX_PEM_BYTES
        )
    certificate = x509.load_pem_x509_certificate(raw)
    if certificate.public_bytes(Encoding.PEM) != raw:
        raise CeremonyError("certificate.malformed", "the CA certificate is not plain PEM of one certificate")
    # 2. Version 3, and a serial number as it allows.
    if certificate.version is not x509.Version.v3:
        raise CeremonyError(
            "certificate.version", "the certificate is not X.509 v3", certificate.version.name, "v3"
        )
    if certificate.serial_number <= 0:
        raise CeremonyError("certificate.malformed", "the serial number is not positive (RFC 5280)")
    # 3. A key on P-256.
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        got = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
        raise CeremonyError(
            "certificate.key", "the CA's key is of another kind", got, "ECDSA on P-256 (secp256r1)"
        )
    # 4. Signed by itself with ECDSA and SHA-256.
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        got = certificate.signature_algorithm_oid.dotted_string
        raise CeremonyError(
            "certificate.algorithm",
            "the certificate is signed by another algorithm",
            got,
            "ecdsa-with-SHA256",
        )
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, ValueError):
        raise CeremonyError(
            "certificate.not_self_signed", "the certificate is not signed by its own key"
        ) from None
    # 5. A CA, with one level below it at most.
    found = {extension.oid: extension for extension in certificate.extensions}
    basic = found[ExtensionOID.BASIC_CONSTRAINTS].value if ExtensionOID.BASIC_CONSTRAINTS in found else None
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
        raise CeremonyError(
            "certificate.not_a_ca", "the certificate is not a CA's", None, "basic constraints: CA"
        )
    if basic.path_length is None or basic.path_length > PATH_LENGTH:
        raise CeremonyError(
            "certificate.path_length",
            "the CA may have too many levels below it",
            basic.path_length,
            f"<= {PATH_LENGTH}",
        )
    # 6. For certificates and revocation lists, nothing else.
    usage = found[ExtensionOID.KEY_USAGE].value if ExtensionOID.KEY_USAGE in found else None
    if usage != _key_usage():
        raise CeremonyError(
            "certificate.key_usage", "the key has other uses", str(usage), "keyCertSign and cRLSign only"
        )
    # 7. Nothing critical that is not understood here.
    strange = [
        oid.dotted_string for oid, item in found.items() if item.critical and oid not in _KNOWN_EXTENSIONS
    ]
    if strange:
        raise CeremonyError("certificate.extension", "a critical extension is not known here", strange)
    # 8. One organisation in the subject.
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(names) != 1 or not isinstance(names[0].value, str):
        raise CeremonyError(
            "certificate.subject", "the subject names not exactly one organisation", len(names), 1
        )
    numbers = key.public_numbers()
    return AgencyCertificate(
        pem=pem,
        organisation=names[0].value,
        public_key=numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        domains=_domains(found.get(ExtensionOID.NAME_CONSTRAINTS)),
        fingerprint=sha256(certificate.public_bytes(Encoding.DER)),
    )


def _domains(extension: x509.Extension[x509.ExtensionType] | None) -> tuple[str, ...]:
    if extension is None or not isinstance(extension.value, x509.NameConstraints):
        return ()
    permitted = extension.value.permitted_subtrees or ()
    domains = tuple(name.value for name in permitted if isinstance(name, x509.DNSName))
    strange = [name for name in domains if not DNS_NAME.fullmatch(name)]
    if strange:
        raise CeremonyError("certificate.extension", "a name constraint is no DNS domain", strange)
    return domains


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
