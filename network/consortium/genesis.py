"""Makes a genesis file out of what the members agreed on.

The file says everything twice: once for people (organisations, registrars, relying parties, rules) and once
for the machine (`alloc` and `calls`, the contracts' code and the calls that fill them). Both come from one
`Plan` here, so they cannot disagree; the node itself runs `alloc` and `calls` only and knows nothing of the
contracts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from contracts.genesis import (
    GenesisSpec,
    IdentitySpec,
    OrganisationSpec,
    PeerSpec,
    RegistrarSpec,
    RelyingPartySpec,
    ValidatorSpec,
    genesis_calls,
    genesis_codes,
)
from network.consortium.certificates import decode_certificate
from node.chain.genesis import FORMAT, ORGANISATION_KINDS, Genesis, build_genesis
from node.chain.rules import COINBASE, FIRST_RULES, Rules
from node.chain.transaction import Call

_SECOND_NS = 1_000_000_000
BLOCK_MAX_BYTES = 4 << 20
"""A block's size: some thousand transactions, and a part set that gossips in a moment."""
_CONSENSUS_PARAMS: Final = {
    "block_max_bytes": BLOCK_MAX_BYTES,
    "block_max_gas": -1,
    "evidence_max_age_num_blocks": 100_000,
    "evidence_max_age_duration_ns": 172_800 * _SECOND_NS,
    "evidence_max_bytes": 1 << 20,
}


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation of the consortium.

    Attributes:
        id: 1 to 65,535, its number in the contracts.
        kind: a key of `node.chain.genesis.ORGANISATION_KINDS`.
        name: as people know it.
        encryption_key: X25519, 32 bytes: what documents are sealed to.
        ca_certificate: PEM of the organisation's CA; empty in a demo of one machine.
    """

    id: int
    kind: str
    name: str
    encryption_key: bytes
    ca_certificate: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """A relying party: where people sign and what they may call from there. See `RelyingPartySpec`."""

    name: str
    row: RelyingPartySpec


@dataclass(frozen=True, slots=True)
class MemberValidator:
    """A machine that signs blocks: Ed25519 key of 32 bytes, and whose it is."""

    public_key: bytes
    power: int
    organisation: int
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the members agreed on before the first block.

    Attributes:
        chain_name: 1 to 50 lower-case letters, digits, hyphens.
        purpose: ``demo`` or ``production``.
        genesis_time_ns: nanoseconds since the epoch; the first block's time.
        systems: ``correction``, ``sharing`` or both.
        registrars: at least two of each member.
        peers: nodes that may connect; empty where one machine is the network.
        deployers: accounts that may create contracts.
        identities: who else stands from genesis on; empty in production.
    """

    chain_name: str
    purpose: str
    genesis_time_ns: int
    members: tuple[Member, ...]
    validators: tuple[MemberValidator, ...]
    registrars: tuple[RegistrarSpec, ...]
    origins: tuple[Origin, ...]
    peers: tuple[PeerSpec, ...] = ()
    deployers: tuple[bytes, ...] = ()
    identities: tuple[IdentitySpec, ...] = ()
    systems: tuple[str, ...] = ("correction", "sharing")


def plan_genesis(plan: Plan) -> Genesis:
    """The genesis of a plan. Raises GenesisError where the plan is inconsistent, CeremonyError for a CA
    certificate of another profile."""
    spec = GenesisSpec(
        organisations=tuple(
            OrganisationSpec(
                member.id, ORGANISATION_KINDS[member.kind], member.encryption_key, _certificate_hash(member)
            )
            for member in plan.members
        ),
        relying_parties=tuple(origin.row for origin in plan.origins),
        registrars=plan.registrars,
        validators=tuple(
            ValidatorSpec(one.public_key, one.power, one.organisation) for one in plan.validators
        ),
        peers=plan.peers,
        identities=plan.identities,
        deployers=plan.deployers,
        systems=plan.systems,
    )
    return build_genesis(
        {
            "format": FORMAT,
            "chain_name": plan.chain_name,
            "purpose": plan.purpose,
            "genesis_time_ns": plan.genesis_time_ns,
            "initial_height": 1,
            "systems": list(plan.systems),
            "organisations": [_member(member) for member in plan.members],
            "validators": [_validator(validator) for validator in plan.validators],
            "registrars": [_registrar(registrar) for registrar in plan.registrars],
            "relying_parties": [_origin(origin) for origin in plan.origins],
            "rules": _rules(FIRST_RULES),
            "consensus_params": _CONSENSUS_PARAMS,
            "alloc": [
                {"address": _hex(COINBASE), "code": "0x", "nonce": 1},
                *(
                    {"address": _hex(address), "code": _hex(code), "nonce": 1}
                    for address, code in genesis_codes(plan.systems)
                ),
            ],
            "calls": [{"to": _hex(call.to), "data": _hex(call.data)} for call in genesis_calls(spec)],
        }
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """The chain that a new one goes on from: its genesis, its last height, the rules in force after it."""

    old: Genesis
    height: int
    rules: Rules


def plan_continuing(
    ends: Ends,
    *,
    chain_name: str,
    genesis_time_ns: int,
    members: tuple[Member, ...],
    validators: tuple[MemberValidator, ...],
    calls: Sequence[Call],
) -> Genesis:
    """The genesis of a chain that goes on with another one's ledger (docs/PROTOCOL.md, section 9): contracts,
    people, signing pages and rules are those in its state. Raises GenesisError.
    """
    return build_genesis(
        {
            "format": FORMAT,
            "chain_name": chain_name,
            "purpose": ends.old.purpose,
            "genesis_time_ns": genesis_time_ns,
            "initial_height": ends.height + 1,
            "systems": list(ends.old.systems),
            "organisations": [_member(member) for member in members],
            "validators": [_validator(validator) for validator in validators],
            "registrars": [],
            "relying_parties": [],
            "rules": _rules(ends.rules),
            "consensus_params": _CONSENSUS_PARAMS,
            "alloc": [],
            "calls": [{"to": _hex(call.to), "data": _hex(call.data)} for call in calls],
        }
    )


def _certificate_hash(member: Member) -> bytes:
    """sha256 of the CA certificate in DER, as the Consortium keeps it; zero for none."""
    return decode_certificate(member.ca_certificate).fingerprint if member.ca_certificate else bytes(32)


def _member(member: Member) -> Mapping[str, object]:
    return {
        "id": member.id,
        "kind": member.kind,
        "name": member.name,
        "encryption_key": _hex(member.encryption_key),
        "ca_certificate": member.ca_certificate,
    }


def _validator(validator: MemberValidator) -> Mapping[str, object]:
    return {
        "public_key": _hex(validator.public_key),
        "power": validator.power,
        "organisation": validator.organisation,
        "name": validator.name,
    }


def _registrar(registrar: RegistrarSpec) -> Mapping[str, object]:
    return {
        "organisation": registrar.organisation,
        "identity": _hex(registrar.identity),
        "scheme": registrar.scheme,
        "public_key": _hex(registrar.public_key),
        "relying_party": _hex(registrar.relying_party),
    }


def _origin(origin: Origin) -> Mapping[str, object]:
    row = origin.row
    return {
        "id": _hex(row.id),
        "name": origin.name,
        "rp_id": row.rp_id,
        "origins": list(row.origins),
        "organisation": row.organisation,
        "contracts": [_hex(address) for address in row.contracts],
        "any_contract": row.any_contract,
        "localhost_any_port": row.localhost_any_port,
        "from_height": row.from_height,
        "until_height": row.until_height,
    }


def _rules(rules: Rules) -> Mapping[str, object]:
    plain = {field.name: getattr(rules, field.name) for field in fields(rules)}
    return plain | {"scheme_gas": list(rules.scheme_gas)}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
