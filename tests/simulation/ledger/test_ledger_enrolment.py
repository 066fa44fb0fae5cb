"""The real contracts: registrars who sign with SM2 and ML-DSA-65 enrol residents who do, and these act."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from contracts.bindings import identity_registry, sharing_orders
from contracts.genesis import RegistrarSpec, RelyingPartySpec
from contracts.vocabulary import Domain, Role
from identity.keys import ED25519, ES256, ML_DSA_65, SM2, KeyAlgorithm, KeyPair, generate_key
from identity.signing import sign_imi
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.encoding import sha256
from node.chain.genesis import Genesis
from node.chain.transaction import Call, build_imi
from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.helpers.ledger import GENESIS_TIME, SECOND_NS, Chain, statuses, validator_key

BUREAU = 1
STAFF, SHARING = sha256(b"staff"), sha256(b"sharing")
ORIGIN = "http://localhost:8600"


def identity_of(key: KeyPair) -> bytes:
    return sha256(key.public_key)[:16]


def genesis(registrars: Sequence[KeyPair]) -> Genesis:
    def origin(name: str, row_id: bytes, domain: Domain, contract: bytes) -> Origin:
        row = RelyingPartySpec(
            id=row_id, rp_id="localhost", organisation=BUREAU, domain=domain, contracts=(contract,),
            any_contract=False, localhost_any_port=True,
        )  # fmt: skip
        return Origin(name, row)

    return plan_genesis(
        Plan(
            chain_name="shelian-schemes",
            purpose="demo",
            genesis_time_ns=GENESIS_TIME * SECOND_NS,
            members=(Member(BUREAU, "data_bureau", "示范数据局", sha256(b"encryption")),),
            validators=(MemberValidator(bytes(validator_key().verify_key), 10, BUREAU, "one"),),
            registrars=tuple(
                RegistrarSpec(identity_of(key), BUREAU, key.scheme, key.public_key, STAFF)
                for key in registrars
            ),
            origins=(
                origin("staff", STAFF, Domain.STAFF, identity_registry.ADDRESS),
                origin("sharing", SHARING, Domain.SHARING, sharing_orders.ADDRESS),
            ),
        )
    )


@pytest.fixture(scope="module")
def registrars() -> tuple[KeyPair, KeyPair]:
    return generate_key(SM2), generate_key(ML_DSA_65)


@pytest.fixture
def chain(tmp_path: Path, registrars: tuple[KeyPair, KeyPair]) -> Iterator[Chain]:
    made = Chain(Ledger.create(tmp_path / "node", genesis(registrars)))
    yield made
    made.close()


def sign(chain: Chain, key: KeyPair, call: Call) -> bytes:
    with chain.ledger.snapshot() as snapshot:
        account = snapshot.state().account(key.address)
    unsigned = build_imi(
        chain_id=chain.ledger.genesis.evm_chain_id,
        nonce=account.nonce if account else 0,
        valid_until=GENESIS_TIME + 600,
        gas_limit=1_000_000,
        calls=[call],
        scheme=key.scheme,
        public_key=key.public_key,
    )
    return sign_imi(key, unsigned, origin=ORIGIN, rp_id="localhost").raw


@pytest.mark.parametrize("algorithm", [SM2, ML_DSA_65, ED25519, ES256], ids=lambda one: one.name)
def test_who_is_enrolled_with_a_scheme_acts_with_it(
    chain: Chain, registrars: tuple[KeyPair, KeyPair], algorithm: KeyAlgorithm
) -> None:
    resident = generate_key(algorithm)
    enrol = identity_registry.enrol(
        identity_of(resident), Domain.SHARING, 3, Role.RESIDENT, resident.scheme, resident.public_key,
        SHARING, 0,
    )  # fmt: skip
    for registrar in registrars:
        raw = sign(chain, registrar, enrol)
        assert chain.ledger.check(raw, chain.next_time_ns).sender == registrar.address
        chain.ledger.process([raw], chain.ledger.tip.height + 1, chain.next_time_ns)
        assert statuses(chain.add_block([raw])) == [1]
    offer = sharing_orders.publish(sha256(b"order"), True, 11, 100, GENESIS_TIME, bytes(32))
    raw = sign(chain, resident, offer)
    admitted = chain.ledger.check(raw, chain.next_time_ns)
    assert (admitted.sender, admitted.identity) == (resident.address, identity_of(resident))
    assert statuses(chain.add_block([raw])) == [1]
    chain.close()
    report = check_ledger(chain.path)
    assert report.ok, report.findings
