"""Every reason to refuse a transaction has its code, and a refusal changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from node.chain.encoding import keccak256
from node.chain.errors import ShelianError
from node.chain.rules import (
    CONSORTIUM,
    DOMAIN_SERVICE,
    DOMAIN_SHARING,
    DOMAIN_STAFF,
    FIRST_RULES,
    STATUS_REVOKED,
    STATUS_SUSPENDED,
    deployer_slot,
    origin_slot,
)
from node.chain.signing import ED25519, SECP256K1, WEBAUTHN_ES256
from node.chain.transaction import Call, ImiTransaction, decode
from node.ledger import admission
from node.ledger.admission import Admission, Surroundings
from node.state.account import EMPTY_ACCOUNT
from node.state.overlay import Overlay
from tests.helpers.ledger import (
    GENESIS_TIME,
    ORIGIN,
    OTHER_TOKEN,
    SECOND_NS,
    SERVICE,
    SHARING,
    STAFF,
    TOKEN,
    Chain,
    Person,
    person,
    relying_party,
    resign,
    set_credential,
    set_relying_party,
    sign_ethereum,
    statuses,
    transfer,
    webauthn_signature,
    write_slots,
)

NOW = GENESIS_TIME + 1
TO = b"\x77" * 20


def refusal(chain: Chain, raw: bytes, now_ns: int | None = None) -> ShelianError:
    """The error that `check` refuses with; the tip is as it was."""
    before = chain.ledger.tip
    with pytest.raises(ShelianError) as caught:
        chain.ledger.check(raw, chain.next_time_ns if now_ns is None else now_ns)
    assert chain.ledger.tip is before
    return caught.value


def changed(chain: Chain, who: Person, **changes: object) -> bytes:
    """A good transaction of `who`, with other fields, signed again."""
    tx = decode(chain.sign(who, [transfer(TO, 1)]))
    assert isinstance(tx, ImiTransaction)
    return resign(tx, who, **changes)


def with_call(chain: Chain, *calls: Call) -> None:
    """Commit a block in which the clerk makes these calls."""
    assert statuses(chain.add_block([chain.sign(chain.clerk, calls, gas_limit=2_000_000)])) == [1]


@pytest.mark.parametrize("name", ["clerk", "judge", "officer", "resident", "service"])
def test_everybody_with_a_credential_is_admitted(chain: Chain, name: str) -> None:
    who: Person = getattr(chain, name)
    admitted = chain.ledger.check(chain.sign(who, [transfer(TO, 1)]), chain.next_time_ns)
    assert (admitted.sender, admitted.identity, admitted.domain) == (who.address, who.identity, who.domain)
    assert admitted.gas_limit == 1_000_000


def test_types_0_1_and_2_are_admitted(chain: Chain) -> None:
    for kind in (0, 1, 2):
        raw = sign_ethereum(
            chain.service, type=kind, chain_id=chain.ledger.genesis.evm_chain_id, nonce=0, gas_limit=100_000,
            to=TOKEN, data=transfer(TO, 1).data, max_fee=10**9, max_priority_fee=10**9,
        )  # fmt: skip
        assert chain.ledger.check(raw, chain.next_time_ns).transaction.type == kind


BAD_ENVELOPES: dict[str, tuple[Callable[[Chain], bytes], str]] = {
    "nothing": (lambda chain: b"", "tx.empty"),
    "blob transaction": (lambda chain: b"\x03" + b"\xc0", "tx.type_not_allowed"),
    "another chain": (lambda chain: changed(chain, chain.clerk, chain_id=1), "tx.wrong_chain"),
    "another chain, type 2": (
        lambda chain: chain.sign(chain.service, [transfer(TO, 1)], chain_id=1),
        "tx.wrong_chain",
    ),
    "too large": (
        lambda chain: chain.sign(chain.clerk, [Call(TOKEN, bytes(131_072))], gas_limit=5_000_000),
        "tx.too_large",
    ),
    "101 calls": (
        lambda chain: chain.sign(chain.clerk, [transfer(TO, 1)] * 101, gas_limit=9_000_000),
        "tx.too_many_calls",
    ),
    "expired": (lambda chain: changed(chain, chain.clerk, valid_until=NOW), "tx.expired"),
    "valid for more than a day": (
        lambda chain: changed(chain, chain.clerk, valid_until=NOW + 86_401),
        "tx.valid_too_long",
    ),
    "gas above the cap": (
        lambda chain: changed(chain, chain.clerk, gas_limit=30_000_001),
        "tx.gas_above_cap",
    ),
    "gas below the intrinsic": (
        lambda chain: changed(chain, chain.clerk, gas_limit=24_000),
        "tx.gas_below_intrinsic",
    ),
    "scheme without a price": (lambda chain: _of_scheme(chain, 6), "tx.scheme_off"),
    "initcode too large": (
        lambda chain: chain.deploy(chain.service, bytes(49_153), gas_limit=9_000_000),
        "tx.initcode_too_large",
    ),
    "value": (
        lambda chain: sign_ethereum(
            chain.service, chain_id=chain.ledger.genesis.evm_chain_id, nonce=0, gas_limit=100_000,
            to=TOKEN, value=1,
        ),
        "tx.value_not_zero",
    ),
    "a stranger": (
        lambda chain: chain.sign(person("stranger", ED25519), [transfer(TO, 1)]),
        "sender.unknown",
    ),
    "a stranger, type 2": (
        lambda chain: chain.sign(person("stranger", SECP256K1), [transfer(TO, 1)]),
        "sender.unknown",
    ),
    "somebody else's key": (
        lambda chain: changed(chain, chain.clerk, public_key=person("stranger", ED25519).public_key),
        "sender.unknown",
    ),
    "a contract of nobody's": (
        lambda chain: chain.sign(chain.clerk, [transfer(TO, 1), transfer(TO, 1, OTHER_TOKEN)]),
        "call.not_callable",
    ),
    "a key of the wrong length": (
        lambda chain: changed(chain, chain.clerk, public_key=bytes(31)),
        "signature.key_length",
    ),
}  # fmt: skip


def _of_scheme(chain: Chain, scheme: int) -> bytes:
    return changed(chain, chain.clerk, scheme=scheme)


@pytest.mark.parametrize("name", BAD_ENVELOPES)
def test_a_bad_transaction_is_refused_by_name(chain: Chain, name: str) -> None:
    make, code = BAD_ENVELOPES[name]
    assert refusal(chain, make(chain)).code == code


def test_a_refusal_says_what_it_got_and_what_it_expected(chain: Chain) -> None:
    error = refusal(chain, changed(chain, chain.clerk, gas_limit=30_000_001))
    assert (error.got, error.expected) == (30_000_001, 30_000_000)


@pytest.mark.parametrize("name", ["clerk", "judge", "officer"])
def test_a_signature_over_something_else_is_refused(chain: Chain, name: str) -> None:
    who: Person = getattr(chain, name)
    tx = decode(chain.sign(who, [transfer(TO, 1)]))
    assert isinstance(tx, ImiTransaction)
    other = decode(chain.sign(who, [transfer(TO, 2)]))
    assert isinstance(other, ImiTransaction)
    forged = resign(tx, replace(who, sign=lambda digest: other.signature))
    assert refusal(chain, forged).code in {"signature.does_not_verify", "signature.client_data"}


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"origin": b"https://evil.example"}, "signature.origin"),
        ({"flags": 0x01}, "signature.user_not_verified"),
        ({"flags": 0x04}, "signature.user_not_present"),
        ({"flags": 0x0D}, "signature.backup_eligible"),
        ({"rp_id_hash": bytes(32)}, "signature.rp_id"),
    ],
)
def test_an_assertion_must_be_of_the_relying_party(chain: Chain, how: dict[str, object], code: str) -> None:
    assert refusal(chain, _assertion(chain, chain.officer, "officer", **how)).code == code


def test_a_resident_may_use_a_backed_up_passkey(chain: Chain) -> None:
    raw = _assertion(chain, chain.resident, "resident", flags=0x0D)
    assert chain.ledger.check(raw, chain.next_time_ns).sender == chain.resident.address


def _assertion(chain: Chain, who: Person, seed: str, **how: object) -> bytes:
    secret = hashlib.sha256(seed.encode()).digest()
    signer = replace(who, sign=lambda digest: webauthn_signature(secret, digest, **how))  # type: ignore[arg-type]
    tx = decode(chain.sign(who, [transfer(TO, 1)]))
    assert isinstance(tx, ImiTransaction)
    return resign(tx, signer)


def test_any_port_of_localhost_is_an_origin_in_a_demo_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    party = relying_party(DOMAIN_STAFF, localhost_any_port=True)
    for purpose, code in (("demo", None), ("production", "signature.origin")):
        chain = Chain.create(
            tmp_path_factory.mktemp(purpose) / "ledger",
            purpose=purpose,
            calls=[set_relying_party(STAFF, party)],
        )
        raw = _assertion(chain, chain.officer, "officer", origin=b"http://localhost:4711")
        if code is None:
            chain.ledger.check(raw, chain.next_time_ns)
        else:
            assert refusal(chain, raw).code == code
        chain.close()


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        ({"status": STATUS_SUSPENDED}, "sender.suspended"),
        ({"status": STATUS_REVOKED}, "sender.revoked"),
        ({"valid_from": NOW + 3_600}, "sender.not_yet_valid"),
        ({"valid_until": NOW}, "sender.expired"),
        ({"scheme": WEBAUTHN_ES256}, "sender.wrong_scheme"),
        ({"relying_party": bytes(32)}, "relying_party.unknown"),
    ],
)
def test_a_credential_must_be_good_now(chain: Chain, credential: dict[str, object], code: str) -> None:
    raw = chain.sign(chain.judge, [transfer(TO, 1)])
    chain.ledger.check(raw, chain.next_time_ns)
    with_call(chain, set_credential(chain.judge.address, chain.judge.credential(**credential)))
    assert refusal(chain, raw).code == code


@pytest.mark.parametrize("heights", [{"from_height": 3}, {"until_height": 2}])
def test_a_relying_party_must_be_in_force_at_the_height(chain: Chain, heights: dict[str, int]) -> None:
    raw = chain.sign(chain.resident, [transfer(TO, 1)])
    chain.ledger.check(raw, chain.next_time_ns)
    with_call(chain, set_relying_party(SHARING, relying_party(DOMAIN_SHARING, **heights)))
    assert refusal(chain, raw).code == "relying_party.not_in_force"


def test_an_origin_that_is_taken_away_counts_no_more_even_for_a_verified_transaction(chain: Chain) -> None:
    raw = chain.sign(chain.officer, [transfer(TO, 1)])
    chain.ledger.check(raw, chain.next_time_ns)
    with_call(chain, Call(CONSORTIUM, write_slots([(origin_slot(STAFF, keccak256(ORIGIN)), 0)])))
    assert refusal(chain, raw).code == "signature.origin"


def test_a_signature_is_verified_once(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    raws = [chain.sign(who, [transfer(TO, 0)]) for who in (chain.clerk, chain.officer, chain.service)]
    held = [chain.ledger.check(raw, chain.next_time_ns) for raw in raws]

    def no_more(*_: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr(admission, "verify", no_more)
    monkeypatch.setattr(admission, "sender_of", no_more)
    chain.ledger.process(raws, 1, chain.next_time_ns)
    assert statuses(chain.add_block(raws)) == [1, 1, 1]
    assert len(held) == 3


def test_the_type_is_looked_at_before_the_size(chain: Chain) -> None:
    assert refusal(chain, b"\x03" + bytes(200_000)).code == "tx.type_not_allowed"


def test_only_deployers_create_contracts(chain: Chain) -> None:
    raw = chain.deploy(chain.service, b"\x00")
    chain.ledger.check(raw, chain.next_time_ns)
    with_call(chain, Call(CONSORTIUM, write_slots([(deployer_slot(chain.service.address), 0)])))
    assert refusal(chain, raw).code == "call.not_deployer"


def test_a_used_nonce_is_refused_and_a_gap_is_not(chain: Chain) -> None:
    first, later = (chain.sign(chain.clerk, [transfer(TO, 1)], nonce=nonce) for nonce in (0, 7))
    chain.ledger.check(later, chain.next_time_ns)
    chain.add_block([first])
    error = refusal(chain, first)
    assert (error.code, error.got, error.expected) == ("tx.nonce_too_low", 0, 1)


def test_a_contract_cannot_send(chain: Chain) -> None:
    victim = person("victim", SECP256K1, DOMAIN_SERVICE, SERVICE)
    credential = set_credential(victim.address, victim.credential())
    with_call(chain, credential)
    chain.ledger.check(chain.sign(victim, [transfer(TO, 1)]), chain.next_time_ns)
    # Code at the address of a key: EIP-3607 is about addresses that collide, so a view has to pretend.
    with chain.ledger.snapshot() as snapshot:
        overlay = Overlay(snapshot.state())
        code_hash = overlay.add_code(b"\x00")
        overlay.set_account(victim.address, EMPTY_ACCOUNT._replace(code_hash=code_hash))
        fresh = Admission(chain.ledger.genesis.evm_chain_id, True)
        raw = chain.sign(victim, [transfer(TO, 1)])
        with pytest.raises(ShelianError) as caught:
            fresh.admit(raw, Surroundings(overlay, FIRST_RULES, 2, NOW))
    assert caught.value.code == "sender.is_contract"


def test_time_is_the_callers(chain: Chain) -> None:
    raw = chain.sign(chain.clerk, [transfer(TO, 1)], valid_for=600)
    chain.ledger.check(raw, (NOW + 599) * SECOND_NS)
    assert refusal(chain, raw, (NOW + 600) * SECOND_NS).code == "tx.expired"


def test_the_order_of_checks_gives_one_answer_to_a_transaction_with_many_faults(chain: Chain) -> None:
    stranger = person("stranger", ED25519)
    tx = decode(chain.sign(stranger, [transfer(TO, 1, OTHER_TOKEN)]))
    assert isinstance(tx, ImiTransaction)
    faults: list[dict[str, object]] = [
        {"chain_id": 1, "valid_until": NOW, "gas_limit": 1, "scheme": 6},
        {"valid_until": NOW, "gas_limit": 1, "scheme": 6},
        {"gas_limit": 1, "scheme": 6},
        {"gas_limit": 1},
        {},
    ]
    codes = [refusal(chain, resign(tx, stranger, **fault)).code for fault in faults]
    assert codes == [
        "tx.wrong_chain", "tx.expired", "tx.scheme_off", "tx.gas_below_intrinsic", "sender.unknown",
    ]  # fmt: skip


def test_intrinsic_gas_prices_scheme_and_bytes(chain: Chain) -> None:
    for who in (chain.clerk, chain.judge, chain.officer):
        price = FIRST_RULES.scheme_gas[who.scheme]
        raw = chain.sign(who, [transfer(TO, 1)])
        exact = 21_000 + price + 8 * len(raw)
        assert chain.ledger.check(raw, chain.next_time_ns).intrinsic_gas == exact


def test_a_staff_credential_is_of_the_staff_domain(chain: Chain) -> None:
    assert chain.ledger.check(chain.sign(chain.clerk, [transfer(TO, 1)]), chain.next_time_ns).is_staff
    assert not chain.ledger.check(chain.sign(chain.resident, [transfer(TO, 1)]), chain.next_time_ns).is_staff
