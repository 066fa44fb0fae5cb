"""Who takes part in a demo: a fixed list of organisations, relying parties, people and services."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from identity.keys import SECP256K1, WEBAUTHN_P256, KeyAlgorithm
from node.chain.encoding import keccak256

DEMO_PASSPHRASE = "shelian-demo"  # noqa: S105
"""Public on purpose: demo keys protect nothing."""

STAFF, SHARING, SERVICE_DOMAIN = 1, 2, 3
"""Domains of identities."""

HANDLER, APPROVER, SEALER, SUPERVISOR = 1, 2, 4, 8
AUDITOR, OPERATOR, COMMUNITY_CLERK, REGISTRAR, SERVICE, RESIDENT = 32, 64, 128, 256, 512, 1024
"""Bits of the roles mask."""

RESIDENTS = 20


@dataclass(frozen=True, slots=True)
class DemoRelyingParty:
    """A row of the Consortium's relying parties. `contracts` names what it may call; none = any."""

    key: str
    id: bytes
    name: str
    domain: int
    organisation: int
    contracts: tuple[str, ...]


def _relying_party(key: str, name: str, domain: int, organisation: int, *contracts: str) -> DemoRelyingParty:
    return DemoRelyingParty(
        key, keccak256(b"shelian.demo." + key.encode()), name, domain, organisation, contracts
    )


RELYING_PARTIES: Mapping[str, DemoRelyingParty] = MappingProxyType(
    {
        party.key: party
        for party in (
            _relying_party(
                "staff",
                "社矫链签名页（示范）",
                STAFF,
                7,
                "Consortium",
                "IdentityRegistry",
                "CorrectionCases",
                "CorrectionDocuments",
                "Anchors",
            ),
            _relying_party(
                "sharing-staff",
                "爱心银行工作人员签名页（示范）",
                STAFF,
                5,
                "Consortium",
                "IdentityRegistry",
                "LoveBank",
                "SharingOrders",
            ),
            _relying_party("sharing", "爱心银行签名页（示范）", SHARING, 5, "LoveBank", "SharingOrders"),
            _relying_party("service", "系统服务（示范）", SERVICE_DOMAIN, 7),
        )
    }
)


@dataclass(frozen=True, slots=True)
class DemoOrganisation:
    """A member organisation; `kind` as in the contracts and in the genesis file."""

    id: int
    key: str
    kind: str
    name: str
    english: str
    short: str
    staff: tuple[tuple[str, str, int], ...]
    """(key, Chinese title, role) of its people besides the two registrars."""


_OPERATOR = ("operator", "运维员", OPERATOR)
_CASE_STAFF = (
    ("handler", "承办人", HANDLER),
    ("approver", "审批人", APPROVER),
    ("sealer", "用印人", SEALER),
    _OPERATOR,
)
_SUPERVISOR = ("supervisor", "法律监督员", SUPERVISOR)
_COMMUNITY_STAFF = (
    ("clerk-1", "管理员甲", COMMUNITY_CLERK),
    ("clerk-2", "管理员乙", COMMUNITY_CLERK),
    ("handler", "承办人", HANDLER),
    ("approver-1", "审批人甲", APPROVER),
    ("approver-2", "审批人乙", APPROVER),
    ("sealer", "用印人", SEALER),
    _OPERATOR,
)
_AUDITOR = ("auditor", "审计员", AUDITOR)

ORGANISATIONS: tuple[DemoOrganisation, ...] = tuple(
    DemoOrganisation(*row)
    for row in (
        (1, "court", "court", "示范区人民法院", "Demo District Court", "法院", _CASE_STAFF),
        (
            2,
            "procuratorate",
            "procuratorate",
            "示范区人民检察院",
            "Demo District Procuratorate",
            "检察院",
            (*_CASE_STAFF, _SUPERVISOR),
        ),
        (3, "police", "police", "示范区公安分局", "Demo District Police", "公安", _CASE_STAFF),
        (4, "justice", "justice", "示范区司法局", "Demo District Justice Bureau", "司法局", _CASE_STAFF),
        (5, "community", "community", "示范共享社区", "Demo Sharing Community", "社区", _COMMUNITY_STAFF),
        (6, "auditor", "auditor", "示范审计中心", "Demo Audit Centre", "审计", (_AUDITOR, *_CASE_STAFF)),
        (7, "data-bureau", "data_bureau", "示范区数统局", "Demo Data Bureau", "数统局", (_OPERATOR,)),
    )
)
"""Every organisation has two registrars and the process that sends its transactions besides its staff."""


@dataclass(frozen=True, slots=True)
class DemoIdentity:
    """One identity of the demo: a person or a service, with its only credential."""

    id: str
    """Account name, such as `court-handler`."""
    name: str
    """Made up, and says so."""
    organisation: int
    organisation_name: str
    identity: bytes
    """The 16 random bytes on the chain."""
    domain: int
    level: int
    roles: int
    relying_party: str
    """Key into RELYING_PARTIES."""
    algorithm: str
    scheme: int
    public_key: bytes
    credential_id: bytes
    address: bytes


@dataclass(frozen=True, slots=True)
class DemoCast:
    """Everybody, in a stable order, and each organisation's public encryption key."""

    people: tuple[DemoIdentity, ...]
    services: tuple[DemoIdentity, ...]
    encryption_keys: Mapping[int, bytes]

    @property
    def registrars(self) -> tuple[DemoIdentity, ...]:
        """Those whom genesis installs: two of each organisation."""
        return tuple(person for person in self.people if person.roles & REGISTRAR)

    def find(self, id: str) -> DemoIdentity | None:
        """A person or service by account name."""
        return next((one for one in (*self.people, *self.services) if one.id == id), None)


@dataclass(frozen=True, slots=True)
class Part:
    """A part to be played: an identity before its key."""

    id: str
    name: str
    organisation: DemoOrganisation
    domain: int
    level: int
    roles: int
    relying_party: str
    algorithm: KeyAlgorithm


_REGISTRARS = (("registrar-1", "登记员甲", REGISTRAR), ("registrar-2", "登记员乙", REGISTRAR))


def parts() -> tuple[Part, ...]:
    """Every identity of a demo in its order: by organisation staff and service, then the residents."""
    found: list[Part] = []
    for organisation in ORGANISATIONS:
        party = "sharing-staff" if organisation.key == "community" else "staff"
        for key, title, role in (*_REGISTRARS, *organisation.staff):
            id, name = f"{organisation.key}-{key}", f"{organisation.short}{title}（示范）"
            found.append(Part(id, name, organisation, STAFF, 4, role, party, WEBAUTHN_P256))
        id, name = f"{organisation.key}-service", f"{organisation.short}服务程序（示范）"
        found.append(Part(id, name, organisation, SERVICE_DOMAIN, 0, SERVICE, "service", SECP256K1))
    bureau = next(organisation for organisation in ORGANISATIONS if organisation.kind == "data_bureau")
    for number in range(1, RESIDENTS + 1):
        id, name = f"resident-{number:02d}", f"示范居民{number:02d}"
        found.append(Part(id, name, bureau, SHARING, 3, RESIDENT, "sharing", WEBAUTHN_P256))
    return tuple(found)
