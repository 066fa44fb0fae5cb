"""Who is on a scenario's chain: four agencies, their operators, who makes the load; its genesis.

Keys follow from names, so a run can be repeated.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from contracts.genesis import IdentitySpec, RegistrarSpec, RelyingPartySpec
from contracts.vocabulary import Role
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.genesis import Genesis
from node.chain.rules import DOMAIN_SERVICE, DOMAIN_STAFF
from node.chain.signing import ED25519, SECP256K1
from node.chain.transaction import Call, build_imi
from tests.helpers.ledger import (
    SERVICE,
    STAFF,
    TOKEN_CODE,
    Person,
    person,
    sign_ethereum,
)
from tests.network.comet.small_network import public_key, registrar, seed

COURT, PROCURATORATE, POLICE, JUSTICE = AGENCIES = (1, 2, 3, 4)
_KINDS = {COURT: "court", PROCURATORATE: "procuratorate", POLICE: "police", JUSTICE: "justice"}
_STAFF_LEVEL = 4
POWER = 10

DEPLOYER = person("scenario deployer", SECP256K1, DOMAIN_SERVICE, SERVICE)
SERVICES = tuple(
    person(f"scenario service {number}", SECP256K1, DOMAIN_SERVICE, SERVICE) for number in range(8)
)
"""They send tokens."""
HANDLERS = tuple(person(f"scenario handler {number}", ED25519, DOMAIN_STAFF, STAFF) for number in range(8))
"""承办人 of the court: they issue documents."""
OPERATORS = {
    agency: person(f"scenario operator {agency}", ED25519, DOMAIN_STAFF, STAFF) for agency in AGENCIES
}
"""运维人员, one an agency: they vote for it."""
PROBES = tuple(
    person(f"scenario probe {number}", SECP256K1, DOMAIN_SERVICE, SERVICE) for number in range(1, 10)
)
"""One a machine: its transactions ask whether the machine is in step."""

_GAS = 500_000
_HOUR_S = 3_600


def deployment(code: bytes) -> bytes:
    """Init code that leaves `code` behind: PUSH2 length, copy it from behind these ten bytes, return it."""
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


TOKEN_DEPLOYMENT = deployment(TOKEN_CODE)


def scenario_genesis(validators: int) -> Genesis:
    """Four agencies and 1 to 7 validators, the agencies' in turn."""
    return plan_genesis(
        Plan(
            chain_name="shelian-scenario",
            purpose="demo",
            genesis_time_ns=time.time_ns() - _HOUR_S * 1_000_000_000,
            members=tuple(
                Member(id, kind, f"示范 {kind}", bytes([8 + id]) * 32) for id, kind in _KINDS.items()
            ),
            validators=tuple(
                MemberValidator(validator_key(number), POWER, owner_of(number), f"node{number}")
                for number in range(1, validators + 1)
            ),
            registrars=tuple(
                RegistrarSpec(one.identity, id, one.scheme, one.public_key, STAFF)
                for id in AGENCIES
                for one in (registrar(id, 1), registrar(id, 2))
            ),
            origins=(
                Origin("staff", RelyingPartySpec(STAFF, "localhost", 1, DOMAIN_STAFF, any_contract=True)),
                Origin(
                    "service", RelyingPartySpec(SERVICE, "localhost", 1, DOMAIN_SERVICE, any_contract=True)
                ),
            ),
            deployers=(DEPLOYER.address,),
            identities=(
                *(_identity(one, 0, Role.SERVICE) for one in (DEPLOYER, *SERVICES, *PROBES)),
                *(_identity(one, _STAFF_LEVEL, Role.HANDLER) for one in HANDLERS),
                *(_identity(one, _STAFF_LEVEL, Role.OPERATOR, agency) for agency, one in OPERATORS.items()),
            ),
        )
    )


def owner_of(number: int) -> int:
    """The agency whose machine it is."""
    return (number - 1) % len(AGENCIES) + 1


def validator_key(number: int) -> bytes:
    return public_key(seed(f"validator {number}"))


def sign(who: Person, chain_id: int, nonce: int, calls: Sequence[Call], gas: int = _GAS) -> bytes:
    """A transaction; one call without a target of a service deploys."""
    if who.scheme == SECP256K1:
        (call,) = calls
        return sign_ethereum(
            who, chain_id=chain_id, nonce=nonce, gas_limit=gas, to=call.to or None, data=call.data
        )
    unsigned = build_imi(
        chain_id=chain_id,
        nonce=nonce,
        valid_until=int(time.time()) + _HOUR_S,
        gas_limit=gas,
        calls=tuple(calls),
        scheme=who.scheme,
        public_key=who.public_key,
    )
    return unsigned.with_signature(who.sign(unsigned.signing_hash)).raw


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _identity(one: Person, level: int, role: Role, agency: int = COURT) -> IdentitySpec:
    return IdentitySpec(
        one.identity, agency, one.domain, level, role, one.scheme, one.public_key, one.relying_party
    )
