"""An example district for tests and the budget: every agency with its people, and residents."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.genesis import (
    GenesisSpec,
    IdentitySpec,
    OrganisationSpec,
    PeerSpec,
    RegistrarSpec,
    RelyingPartySpec,
    ValidatorSpec,
)
from contracts.sandbox import Sandbox
from contracts.system import SYSTEM_CONTRACTS
from contracts.vocabulary import Domain, OrganisationKind, Role
from node.chain.encoding import keccak256, sha256

NOW = 1_795_000_000
"""Wednesday, 18 November 2026, 19:06 in China."""

COURT, PROCURATORATE, POLICE, JUSTICE, COMMUNITY, AUDITOR, DATA_BUREAU = range(1, 8)
KINDS = {
    COURT: OrganisationKind.COURT,
    PROCURATORATE: OrganisationKind.PROCURATORATE,
    POLICE: OrganisationKind.POLICE,
    JUSTICE: OrganisationKind.JUSTICE,
    COMMUNITY: OrganisationKind.COMMUNITY,
    AUDITOR: OrganisationKind.AUDITOR,
    DATA_BUREAU: OrganisationKind.DATA_BUREAU,
}
VALIDATING = (COURT, PROCURATORATE, POLICE, JUSTICE)
"""Who runs a validator, and so a node."""
STAFF_PARTY, SHARING_PARTY, SERVICE_PARTY = (sha256(name) for name in (b"staff", b"sharing", b"service"))
PARTIES = {Domain.STAFF: STAFF_PARTY, Domain.SHARING: SHARING_PARTY, Domain.SERVICE: SERVICE_PARTY}
WEBAUTHN = 1


@dataclass(frozen=True)
class Person:
    """Somebody with one credential; no real key: in the sandbox the sender is simply named."""

    name: str
    organisation: int
    domain: Domain
    roles: Role
    level: int

    @property
    def identity(self) -> bytes:
        return sha256(b"identity of " + self.name.encode())[:16]

    @property
    def public_key(self) -> bytes:
        return sha256(b"x of " + self.name.encode()) + sha256(b"y of " + self.name.encode())

    @property
    def account(self) -> bytes:
        return keccak256(bytes([WEBAUTHN]) + self.public_key)[12:]


def staff(name: str, organisation: int, roles: Role) -> Person:
    return Person(name, organisation, Domain.STAFF, roles, 4)


def service(organisation: int) -> Person:
    return Person(f"service {organisation}", organisation, Domain.SERVICE, Role.SERVICE, 0)


def resident(name: str, level: int = 2) -> Person:
    return Person(name, DATA_BUREAU, Domain.SHARING, Role.RESIDENT, level)


def registrar(organisation: int, number: int) -> Person:
    return staff(f"registrar {organisation}.{number}", organisation, Role.REGISTRAR)


def handler(organisation: int) -> Person:
    return staff(f"handler {organisation}", organisation, Role.HANDLER)


def approver(organisation: int) -> Person:
    return staff(f"approver {organisation}", organisation, Role.APPROVER)


def sealer(organisation: int) -> Person:
    return staff(f"sealer {organisation}", organisation, Role.SEALER)


CLERKS = tuple(staff(f"clerk {number}", COMMUNITY, Role.COMMUNITY_CLERK) for number in (1, 2))
FUND_APPROVERS = (approver(COMMUNITY), staff("second approver", COMMUNITY, Role.APPROVER))
SUPERVISOR = staff("supervisor", PROCURATORATE, Role.SUPERVISOR)
RESIDENTS = tuple(resident(f"resident {number}") for number in range(4))

PEOPLE = (
    *(make(organisation) for organisation in KINDS for make in (handler, approver, sealer, service)),
    *CLERKS,
    FUND_APPROVERS[1],
    SUPERVISOR,
    *RESIDENTS,
)


def node_of(organisation: int) -> bytes:
    """The node id of the organisation's validator."""
    return sha256(b"node" + bytes([organisation]))[:20]


def district_spec() -> GenesisSpec:
    contracts = tuple(contract.address for contract in SYSTEM_CONTRACTS)
    return GenesisSpec(
        organisations=tuple(
            OrganisationSpec(number, kind, sha256(b"encryption" + bytes([number])))
            for number, kind in KINDS.items()
        ),
        relying_parties=(
            RelyingPartySpec(
                STAFF_PARTY,
                "localhost",
                DATA_BUREAU,
                Domain.STAFF,
                ("http://localhost:8600",),
                contracts,
                localhost_any_port=True,
            ),
            RelyingPartySpec(
                SHARING_PARTY, "localhost", COMMUNITY, Domain.SHARING, ("http://localhost:8600",), contracts
            ),
            RelyingPartySpec(SERVICE_PARTY, "localhost", DATA_BUREAU, Domain.SERVICE, any_contract=True),
        ),
        registrars=tuple(
            RegistrarSpec(person.identity, person.organisation, WEBAUTHN, person.public_key, STAFF_PARTY)
            for organisation in KINDS
            for person in (registrar(organisation, 1), registrar(organisation, 2))
        ),
        validators=tuple(
            ValidatorSpec(sha256(b"validator" + bytes([number])), 10, organisation)
            for number, organisation in enumerate(VALIDATING)
        ),
        peers=tuple(PeerSpec(node_of(organisation), organisation) for organisation in VALIDATING),
        identities=tuple(
            IdentitySpec(
                person.identity,
                person.organisation,
                person.domain,
                person.level,
                person.roles,
                WEBAUTHN,
                person.public_key,
                PARTIES[person.domain],
            )
            for person in PEOPLE
        ),
        deployers=(bytes([0xDE]) * 20,),
    )


def district() -> Sandbox:
    """A fresh district at NOW."""
    return Sandbox.create(district_spec(), NOW)
