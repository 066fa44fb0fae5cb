"""Who is on the benchmark's chain, and its genesis.

Keys follow from names, so the node's process and the load generator's agree on them without talking. They are
worth nothing: the chain is a demo and lives as long as a run.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.genesis import IdentitySpec, RegistrarSpec, RelyingPartySpec
from contracts.system import SYSTEM_CONTRACTS
from contracts.vocabulary import Domain, Role
from identity.keys import ED25519, SECP256K1, WEBAUTHN_P256, KeyAlgorithm, KeyPair, key_pair
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.encoding import sha256
from node.chain.genesis import Genesis

RP_ID = "localhost"
ORIGIN = "http://localhost:8600"

COURT, PROCURATORATE, POLICE, JUSTICE, COMMUNITY, AUDITOR, DATA_BUREAU = range(1, 8)
_KINDS = {
    COURT: "court",
    PROCURATORATE: "procuratorate",
    POLICE: "police",
    JUSTICE: "justice",
    COMMUNITY: "community",
    AUDITOR: "auditor",
    DATA_BUREAU: "data_bureau",
}
_STAFF_PARTY, SHARING_PARTY, _SERVICE_PARTY = (
    sha256(f"bench {name}".encode()) for name in ("staff", "sharing", "service")
)
_LEVELS = {Domain.STAFF: 4, Domain.SHARING: 2, Domain.SERVICE: 0}


def _key(name: str, algorithm: KeyAlgorithm) -> KeyPair:
    credential_id = sha256(f"bench credential {name}".encode()) if algorithm is WEBAUTHN_P256 else b""
    return key_pair(algorithm, sha256(f"bench key {name}".encode()), credential_id)


def _keys(name: str, algorithm: KeyAlgorithm, count: int) -> tuple[KeyPair, ...]:
    return tuple(_key(f"{name} {number}", algorithm) for number in range(count))


VALIDATOR = _key("validator", ED25519)
"""The only one of a chain of one node, the first of a network."""
DEPLOYER = _key("deployer", SECP256K1)
"""Deploys the token and funds the senders."""
SENDERS = _keys("sender", SECP256K1, 16)
"""Services that send ERC-20 transfers."""
HANDLERS = _keys("handler", WEBAUTHN_P256, 32)
"""承办人 of the court: they issue documents."""
CLERKS = _keys("clerk", WEBAUTHN_P256, 2)
"""Of the community: together they issue points."""
RESIDENTS = _keys("resident", WEBAUTHN_P256, 64)
"""They publish, take and settle orders."""
_REGISTRARS = {organisation: _keys(f"registrar {organisation}", WEBAUTHN_P256, 2) for organisation in _KINDS}
CALIPER_SEED = "shelian bench caliper"
"""Each of Caliper's workers derives its key from it (BIP-32, BIP-44)."""
CALIPER_WORKERS = 4
"""How many of them have a credential."""
REGISTRARS_OF_RESIDENTS = _REGISTRARS[DATA_BUREAU]
"""They enrol residents."""


def identity_of(key: KeyPair) -> bytes:
    """The 16 bytes that name the holder of a key on this chain."""
    return sha256(b"bench identity" + key.public_key)[:16]


def caliper_workers() -> tuple[KeyPair, ...]:
    """Keys as Caliper's Ethereum connector derives them, by number of the worker."""
    from eth_account.hdaccount.deterministic import HDPath  # slow to import, and a reopened chain needs none

    return tuple(
        key_pair(SECP256K1, HDPath(f"m/44'/60'/{number}'/0/0").derive(CALIPER_SEED.encode()))
        for number in range(CALIPER_WORKERS)
    )


def validator_key(number: int) -> KeyPair:
    """Of the node `number`, from 1."""
    return VALIDATOR if number == 1 else _key(f"validator {number}", ED25519)


def node_key(number: int) -> KeyPair:
    """By which its peers know the node `number`, from 1."""
    return _key(f"node {number}", ED25519)


def bench_genesis(genesis_time_ns: int, validators: int = 1) -> Genesis:
    """A demo consortium with everybody above enrolled from genesis on. The validators, at most seven, are of
    the organisations in their order; a single one is the data bureau's.
    """
    owners = range(1, validators + 1) if validators > 1 else (DATA_BUREAU,)
    addresses = {contract.name: contract.address for contract in SYSTEM_CONTRACTS}

    def party(name: str, row_id: bytes, domain: Domain, contracts: Sequence[str]) -> Origin:
        row = RelyingPartySpec(
            id=row_id,
            rp_id=RP_ID,
            organisation=DATA_BUREAU,
            domain=domain,
            contracts=tuple(addresses[contract] for contract in contracts),
            any_contract=not contracts,
            localhost_any_port=True,
        )
        return Origin(name, row)

    return plan_genesis(
        Plan(
            chain_name="shelian-bench",
            purpose="demo",
            genesis_time_ns=genesis_time_ns,
            members=tuple(
                Member(number, kind, kind, sha256(kind.encode())) for number, kind in _KINDS.items()
            ),
            validators=tuple(
                MemberValidator(validator_key(number).public_key, 10, owner, f"bench{number}")
                for number, owner in enumerate(owners, 1)
            ),
            registrars=tuple(
                RegistrarSpec(identity_of(key), organisation, key.scheme, key.public_key, _STAFF_PARTY)
                for organisation, keys in _REGISTRARS.items()
                for key in keys
            ),
            origins=(
                party(
                    "staff",
                    _STAFF_PARTY,
                    Domain.STAFF,
                    ("CorrectionDocuments", "LoveBank", "IdentityRegistry"),
                ),
                party("sharing", SHARING_PARTY, Domain.SHARING, ("LoveBank", "SharingOrders")),
                party("service", _SERVICE_PARTY, Domain.SERVICE, ()),
            ),
            deployers=(DEPLOYER.address,),
            identities=(
                *_identities(
                    (DEPLOYER, *SENDERS, *caliper_workers()),
                    DATA_BUREAU,
                    Domain.SERVICE,
                    Role.SERVICE,
                    _SERVICE_PARTY,
                ),
                *_identities(HANDLERS, COURT, Domain.STAFF, Role.HANDLER, _STAFF_PARTY),
                *_identities(CLERKS, COMMUNITY, Domain.STAFF, Role.COMMUNITY_CLERK, _STAFF_PARTY),
                *_identities(RESIDENTS, DATA_BUREAU, Domain.SHARING, Role.RESIDENT, SHARING_PARTY),
            ),
        )
    )


def _identities(
    keys: Sequence[KeyPair], organisation: int, domain: Domain, role: Role, party: bytes
) -> tuple[IdentitySpec, ...]:
    return tuple(
        IdentitySpec(
            identity_of(key), organisation, domain, _LEVELS[domain], role, key.scheme, key.public_key, party
        )
        for key in keys
    )
