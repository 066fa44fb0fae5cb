"""A CA certificate is of one profile or refused by name; what is no certificate never leaks another error."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from ceremony_agencies import NOW, secret
from ceremony_refusals import code_of, refused
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from network.consortium.certificates import (
    LIFE,
    check_validity,
    decode_certificate,
    make_certificate,
)

KEY = ec.derive_private_key(int.from_bytes(secret("ca"), "big"), ec.SECP256R1())
OURS = make_certificate(KEY, "示例区人民法院", "court", NOW, ["court.example"])

Builder = x509.CertificateBuilder


def subject(*organisations: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organisations])


def usage(**changes: bool) -> x509.KeyUsage:
    flags = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**flags, "key_cert_sign": True, "crl_sign": True, **changes})


def certificate(
    key: object = KEY,
    *,
    signer: object = None,
    name: x509.Name | None = None,
    issuer: x509.Name | None = None,
    basic: x509.BasicConstraints | None = x509.BasicConstraints(ca=True, path_length=1),  # noqa: B008
    key_usage: x509.KeyUsage | None = None,
    hash: hashes.HashAlgorithm | None = hashes.SHA256(),  # noqa: B008
    extra: Callable[[Builder], Builder] = lambda builder: builder,
) -> str:
    """A certificate that differs from the profile in one thing."""
    name = name or subject("示例区人民法院")
    builder = (
        Builder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())  # type: ignore[attr-defined]
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + LIFE)
        .add_extension(key_usage or usage(), critical=True)
    )
    if basic is not None:
        builder = builder.add_extension(basic, critical=True)
    return extra(builder).sign(signer or key, hash).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]


def test_what_keygen_makes_fits_the_profile() -> None:
    assert decode_certificate(OURS.pem) == OURS
    assert OURS.organisation == "示例区人民法院"
    assert OURS.domains == ("court.example",)
    assert OURS.not_after - OURS.not_before == LIFE
    assert decode_certificate(certificate()).domains == ()


def other_curve() -> str:
    return certificate(ec.generate_private_key(ec.SECP384R1()))


def rsa_key() -> str:
    return certificate(rsa.generate_private_key(65_537, 2_048))


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("certificate.key", rsa_key),
        ("certificate.key", other_curve),
        ("certificate.key", lambda: certificate(ed25519.Ed25519PrivateKey.generate(), hash=None)),
        ("certificate.algorithm", lambda: certificate(hash=hashes.SHA384())),
        (
            "certificate.not_self_signed",
            lambda: certificate(signer=ec.generate_private_key(ec.SECP256R1())),
        ),
        ("certificate.not_self_signed", lambda: certificate(issuer=subject("another"))),
        ("certificate.not_a_ca", lambda: certificate(basic=None)),
        ("certificate.not_a_ca", lambda: certificate(basic=x509.BasicConstraints(False, None))),
        ("certificate.path_length", lambda: certificate(basic=x509.BasicConstraints(True, None))),
        ("certificate.path_length", lambda: certificate(basic=x509.BasicConstraints(True, 2))),
        ("certificate.key_usage", lambda: certificate(key_usage=usage(digital_signature=True))),
        ("certificate.key_usage", lambda: certificate(key_usage=usage(crl_sign=False))),
        (
            "certificate.extension",
            lambda: certificate(
                extra=lambda builder: builder.add_extension(
                    x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True
                )
            ),
        ),
        (
            "certificate.extension",
            lambda: certificate(
                extra=lambda builder: builder.add_extension(
                    x509.NameConstraints([x509.DNSName("\x1b[2Jexample")], None), critical=True
                )
            ),
        ),
        ("certificate.subject", lambda: certificate(name=subject("one", "two"))),
        ("certificate.malformed", lambda: OURS.pem + OURS.pem),
        ("certificate.malformed", lambda: "our CA:\n" + OURS.pem),
        ("certificate.malformed", lambda: OURS.pem.replace("\n", "\r\n")),
        ("certificate.malformed", lambda: OURS.pem + "\n" * 5_000),
        ("certificate.malformed", lambda: ""),
    ],
)
def test_another_profile_is_refused_by_name(code: str, make: Callable[[], str]) -> None:
    with refused(code):
        decode_certificate(make())


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_byte_of_a_certificate_can_be_changed() -> None:
    raw = OURS.pem.encode()
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert code_of(lambda raw=changed: decode_certificate(raw.decode())) is not None, place


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_at_all_raises_anything_else(text: str) -> None:
    assert code_of(lambda: decode_certificate(text)) == "certificate.malformed"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_der_in_pem_raises_anything_else(der: bytes) -> None:
    body = base64.encodebytes(der).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
    assert code_of(lambda: decode_certificate(pem)) is not None


def test_a_certificate_counts_from_its_first_moment_until_before_its_last() -> None:
    check_validity(OURS, OURS.not_before)
    check_validity(OURS, OURS.not_after - timedelta(seconds=1))
    with refused("certificate.not_yet_valid"):
        check_validity(OURS, OURS.not_before - timedelta(seconds=1))
    with refused("certificate.expired"):
        check_validity(OURS, OURS.not_after)
