"""The genesis state of the system contracts: code at fixed addresses, and calls from SYSTEM that fill them.

The calls run once, at height 0; afterwards every table changes by vote only. Nobody can sign as SYSTEM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from contracts.artifacts import runtime_code
from contracts.bindings import (
    consortium,
    correction_documents,
    identity_registry,
    love_bank,
    sharing_orders,
)
from contracts.bindings.consortium import Rules
from contracts.bindings.correction_documents import Rule
from contracts.bindings.sharing_orders import Parameters
from contracts.catalogue import CATALOGUE, RESTRICTED_DOCUMENT
from contracts.holidays import HOLIDAY_WORDS
from contracts.system import SYSTEM_CONTRACTS
from contracts.vocabulary import ORDER_KINDS
from node.chain import rules
from node.chain.encoding import sha256
from node.chain.transaction import Call

ANY_CONTRACT = 1
LOCALHOST_ANY_PORT = 2

CORRECTION = "correction"
SHARING = "sharing"
_OF_CORRECTION = frozenset({"CorrectionCases", "CorrectionDocuments"})
_OF_SHARING = frozenset({"LoveBank", "SharingOrders"})


@dataclass(frozen=True, slots=True)
class OrganisationSpec:
    """`encryption_key`: X25519, 32 bytes. `kind`: 1 to 7.

    `certificate`: SHA-256 of the certificate of its certificate authority in DER, zero for none.
    """

    id: int
    kind: int
    encryption_key: bytes
    certificate: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class RelyingPartySpec:
    """A signing origin: `rp_id` as WebAuthn has it, exact `origins`, the contracts callable from there."""

    id: bytes
    rp_id: str
    organisation: int
    domain: int
    origins: tuple[str, ...] = ()
    contracts: tuple[bytes, ...] = ()
    any_contract: bool = False
    localhost_any_port: bool = False
    from_height: int = 0
    until_height: int = 0


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """An identity that stands from genesis on. A production genesis has registrars only."""

    identity: bytes
    organisation: int
    domain: int
    level: int
    roles: int
    scheme: int
    public_key: bytes
    relying_party: bytes


@dataclass(frozen=True, slots=True)
class RegistrarSpec:
    """One of an organisation's registrars, at least two of each."""

    identity: bytes
    organisation: int
    scheme: int
    public_key: bytes
    relying_party: bytes


@dataclass(frozen=True, slots=True)
class ValidatorSpec:
    """`public_key`: Ed25519, 32 bytes; `organisation`: whose machine it is."""

    public_key: bytes
    power: int
    organisation: int


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """A node that may connect: `node_id` is the first 20 bytes of SHA-256 of its Ed25519 node key."""

    node_id: bytes
    organisation: int


@dataclass(frozen=True, slots=True)
class PointsSpec:
    """Parameters of the love bank; percents go to the provider."""

    max_issue: int = 1_000
    max_grant: int = 500
    orders: Parameters = Parameters(  # noqa: RUF009 (frozen)
        auto_complete_after=72 * 3_600,
        no_show_after=1_800,
        max_amount=200,
        late_cancel_percent=20,
        no_show_percent=50,
    )
    weights: Mapping[int, int] = field(
        default_factory=lambda: {kind.number: kind.weight for kind in ORDER_KINDS.values()}
    )


FIRST_RULES = Rules(
    **{
        field.name: getattr(rules.FIRST_RULES, field.name)
        for field in fields(rules.Rules)
        if field.name != "version"
    }
)
"""The node's first rules as a row of the Consortium: its version is its place in the table."""


def catalogue_rules() -> dict[int, Rule]:
    """Every row of the catalogue and the restricted class, by code."""
    return {row.code: row.rule() for row in (RESTRICTED_DOCUMENT, *CATALOGUE.values())}


@dataclass(frozen=True, slots=True)
class GenesisSpec:
    """What the consortium agreed on before its first block."""

    organisations: tuple[OrganisationSpec, ...]
    relying_parties: tuple[RelyingPartySpec, ...]
    registrars: tuple[RegistrarSpec, ...]
    validators: tuple[ValidatorSpec, ...]
    peers: tuple[PeerSpec, ...] = ()
    identities: tuple[IdentitySpec, ...] = ()
    deployers: tuple[bytes, ...] = ()
    systems: tuple[str, ...] = (CORRECTION, SHARING)
    rules: Rules = FIRST_RULES
    document_rules: Mapping[int, Rule] = field(default_factory=catalogue_rules)
    holidays: Mapping[int, int] = field(default_factory=lambda: dict(HOLIDAY_WORDS))
    points: PointsSpec = field(default_factory=PointsSpec)


def genesis_codes(systems: tuple[str, ...] = (CORRECTION, SHARING)) -> list[tuple[bytes, bytes]]:
    """(address, runtime code) of the system contracts of these systems, by address."""
    left_out = (frozenset() if CORRECTION in systems else _OF_CORRECTION) | (
        frozenset() if SHARING in systems else _OF_SHARING
    )
    return [
        (contract.address, runtime_code(contract.name))
        for contract in SYSTEM_CONTRACTS
        if contract.name not in left_out
    ]


def genesis_calls(spec: GenesisSpec) -> list[Call]:
    """The calls from SYSTEM in their order: members, origins, rules, validators, peers, people, rows."""
    calls = [
        consortium.add_organisation(item.id, item.kind, item.encryption_key, item.certificate)
        for item in spec.organisations
    ]
    for party in spec.relying_parties:
        calls += relying_party_calls(party)
    calls += [consortium.set_deployer(account, True) for account in spec.deployers]
    calls.append(consortium.add_rules(spec.rules))
    calls.append(
        consortium.change_validators(
            tuple(item.public_key for item in spec.validators),
            tuple(item.power for item in spec.validators),
            tuple(item.organisation for item in spec.validators),
        )
    )
    calls += [consortium.set_peer(item.node_id, item.organisation, True) for item in spec.peers]
    calls += [
        identity_registry.install_registrar(
            item.organisation, item.identity, item.scheme, item.public_key, item.relying_party
        )
        for item in spec.registrars
    ]
    calls += [
        identity_registry.install_identity(
            item.organisation,
            item.identity,
            item.domain,
            item.level,
            item.roles,
            item.scheme,
            item.public_key,
            item.relying_party,
        )
        for item in spec.identities
    ]
    if CORRECTION in spec.systems:
        calls += [
            correction_documents.set_rule(code, rule) for code, rule in sorted(spec.document_rules.items())
        ]
        calls += [
            correction_documents.set_holidays(word, bits) for word, bits in sorted(spec.holidays.items())
        ]
    if SHARING in spec.systems:
        calls.append(love_bank.set_parameters(spec.points.max_issue, spec.points.max_grant))
        calls.append(sharing_orders.set_parameters(spec.points.orders))
        calls += [
            sharing_orders.set_kind_weight(kind, weight)
            for kind, weight in sorted(spec.points.weights.items())
        ]
    return calls


def relying_party_calls(party: RelyingPartySpec) -> list[Call]:
    """The row, its origins, what may be called from there: at genesis, and later by vote."""
    flags = (ANY_CONTRACT if party.any_contract else 0) | (
        LOCALHOST_ANY_PORT if party.localhost_any_port else 0
    )
    row = consortium.RelyingParty(
        rp_id_hash=sha256(party.rp_id.encode()),
        from_height=party.from_height,
        until_height=party.until_height,
        organisation=party.organisation,
        flags=flags,
        domain=party.domain,
    )
    calls = [consortium.set_relying_party(party.id, row)]
    calls += [consortium.set_origin(party.id, origin.encode(), True) for origin in party.origins]
    calls += [consortium.set_callable(party.id, address, True) for address in party.contracts]
    return calls
