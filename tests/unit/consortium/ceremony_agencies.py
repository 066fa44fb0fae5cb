"""Made-up agencies with keys that follow from their names: a ceremony in memory.

court = agency("court")
merged = merge([one.enrolment() for one in four_agencies()], **PARAMETERS)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from nacl.signing import SigningKey

from identity.keys import ED25519, ES256, X25519, KeyPair, key_pair, p256_private_key
from identity.signing import sign_hash
from network.consortium.certificates import AgencyCertificate, make_certificate
from network.consortium.enrolment import (
    Enrolment,
    EnrolmentContent,
    MemberKey,
    Sign,
    make_enrolment,
    row_id,
)
from network.consortium.keys import node_signer
from network.consortium.registrars import Registrar, registrar_hash
from network.consortium.relying_parties import (
    RelyingParty,
    relying_party_id,
    services,
    staff_page,
)

CHAIN = "district-correction"
NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
TIME_NS = int(datetime(2026, 12, 1, 1, 0, tzinfo=UTC).timestamp()) * 1_000_000_000
PARAMETERS = {"chain_name": CHAIN, "systems": ("correction",), "genesis_time_ns": TIME_NS}
NAMES = {
    "police": "示例区公安分局",
    "procuratorate": "示例区人民检察院",
    "court": "示例区人民法院",
    "justice": "示例区司法局",
    "community": "示例共享社区",
    "auditor": "示例审计中心",
    "data_bureau": "示例区数统局",
}
"""Nobody real."""


def secret(*words: str) -> bytes:
    return hashlib.sha256("/".join(words).encode()).digest()


@dataclass(frozen=True)
class Agency:
    """An agency and all its private keys; `enrolment` makes its file."""

    kind: str
    name: str
    chain_name: str = CHAIN
    purpose: str = "production"
    power: int = 10
    address: str = ""
    seed: str = "1"
    registrar_keys: tuple[KeyPair, ...] = ()
    rows: tuple[RelyingParty, ...] = ()
    certificate: AgencyCertificate | None = None
    identities: tuple[bytes, ...] = field(default=())

    def secret(self, what: str) -> bytes:
        return secret(self.kind, self.name, self.seed, what)

    @property
    def ca(self) -> KeyPair:
        return key_pair(ES256, self.secret("ca"))

    def sign_ca(self, message: bytes) -> bytes:
        return sign_hash(self.ca, message, origin="", rp_id="")

    @property
    def sign_validator(self) -> Sign:
        return node_signer(self.secret("validator"))

    @property
    def sign_node(self) -> Sign:
        return node_signer(self.secret("node"))

    def page(self) -> RelyingParty:
        return staff_page(f"https://sign.{self.kind.replace('_', '-')}.example", self.kind, "工作人员签名页")

    def registrars(self, page: RelyingParty) -> tuple[Registrar, ...]:
        keys = self.registrar_keys or tuple(
            key_pair(ED25519, self.secret(f"registrar {number}")) for number in (1, 2)
        )
        identities = self.identities or tuple(self.secret(f"identity {n}")[:16] for n in range(len(keys)))
        found = [registrar(key, identity, page, self) for key, identity in zip(keys, identities, strict=True)]
        return tuple(sorted(found, key=lambda one: one.identity))

    def content(self) -> EnrolmentContent:
        page = self.page()
        rows = self.rows or (page, services("机构服务"))
        unsorted = EnrolmentContent(
            chain_name=self.chain_name,
            purpose=self.purpose,
            kind=self.kind,
            name=self.name,
            encryption_key=key_pair(X25519, self.secret("sealing")).public_key,
            certificate=self.certificate
            or make_certificate(p256_private_key(self.ca.secret), self.name, self.kind, NOW),
            validator=MemberKey(bytes(SigningKey(self.secret("validator")).verify_key), self.power)
            if self.power
            else None,
            node_key=bytes(SigningKey(self.secret("node")).verify_key),
            address=self.address or f"{self.kind.replace('_', '-')}.example:26656",
            registrars=self.registrars(rows[0]),
            relying_parties=rows,
        )
        return replace(unsorted, relying_parties=tuple(sorted(rows, key=lambda row: row_id(unsorted, row))))

    def enrolment(self) -> Enrolment:
        return make_enrolment(self.content(), self.sign_ca, self.sign_validator, self.sign_node)


def registrar(key: KeyPair, identity: bytes, page: RelyingParty, of: Agency) -> Registrar:
    """A registrar's statement, signed."""
    row = relying_party_id(page, of.chain_name, of.kind, of.name)
    hash = registrar_hash(
        of.chain_name, of.purpose, of.kind, of.name, identity, key.scheme, key.public_key, row
    )
    origin = page.origins[0] if page.origins else "http://localhost:8600"
    return Registrar(
        identity, key.scheme, key.public_key, row, sign_hash(key, hash, origin=origin, rp_id=page.rp_id)
    )


def agency(kind: str, **changes: object) -> Agency:
    return replace(Agency(kind, NAMES[kind]), **changes)  # type: ignore[arg-type]


def four_agencies() -> tuple[Agency, ...]:
    return tuple(agency(kind) for kind in ("court", "procuratorate", "police", "justice"))
