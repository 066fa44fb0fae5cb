"""A ledger goes on under a new genesis only if everything holds; what it then holds is checked row by row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from node.chain.commit import encode_commit
from node.chain.errors import DecodeError, GenesisError, LedgerError, ProofError, ShelianError
from node.chain.genesis import build_genesis, encode_genesis
from node.chain.handover_certificate import decode_certificate, encode_certificate
from node.chain.header import encode_header
from node.chain.rules import FIRST_RULES
from node.ledger import Ledger
from node.ledger.building import build_ledger
from node.ledger.check import check_ledger
from node.ledger.continuation import continue_ledger, load_continuation, prove_handover
from node.ledger.shelf import SavedSnapshot, Shelf
from node.state import blocks as stored
from node.state.database import Batch, Database
from node.state.seam import Seam, add_seam
from tests.helpers.graduation import (
    EndedChain,
    Handover,
    continuing_document,
    end_chain,
    ended,
    new_validators,
    sign_handover,
    with_root,
)
from tests.helpers.ledger import Chain, set_rules, set_validators, transfer


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> EndedChain:
    return end_chain(tmp_path_factory.mktemp("ended") / "ledger")


@pytest.fixture
def chain(template: EndedChain, tmp_path: Path) -> EndedChain:
    """A copy that a test may change."""
    shutil.copytree(template.path, tmp_path / "ledger")
    return replace(template, path=tmp_path / "ledger")


def refused(code: str) -> Any:
    return pytest.raises(ShelianError, match=rf"^{code.replace('.', '[.]')}:")


def require_untouched(chain: EndedChain) -> None:
    """Still a ledger of the old chain, to the last row."""
    report = check_ledger(chain.path, chain.genesis)
    assert report.findings == []
    with Ledger.open(chain.path, chain.genesis) as ledger:
        assert ledger.seam is None


def test_going_on_twice_with_the_same_certificate_changes_nothing(chain: EndedChain) -> None:
    handover = chain.hand_over()
    for _ in range(2):
        continue_ledger(chain.path, handover.genesis, handover.certificate)
        report = check_ledger(chain.path, handover.genesis)
        assert report.findings == []
        assert report.height == report.headers == chain.height
    other = chain.hand_over(chain.new_genesis(chain_name="shelian-test-elsewhere"))
    with refused("continuation.other"):
        continue_ledger(chain.path, other.genesis, other.certificate)


def test_a_certificate_of_another_root_or_snapshot_is_refused(chain: EndedChain) -> None:
    for change, code in (
        (with_root(b"\x01" * 32), "handover.wrong_root"),
        (lambda one: replace(one, snapshot_hash=b"\x02" * 32), "continuation.other_state"),
        (lambda one: replace(one, old_genesis_hash=b"\x03" * 32), "handover.wrong_genesis"),
        (lambda one: replace(one, new_genesis_hash=b"\x04" * 32), "handover.other_genesis"),
    ):
        handover = chain.hand_over(change=change)
        with refused(code):
            continue_ledger(chain.path, handover.genesis, handover.certificate)
    require_untouched(chain)


def test_every_signature_is_needed(chain: EndedChain) -> None:
    true = chain.hand_over()
    for certificate, code in (
        (replace(true.certificate, agencies=()), "handover.agency_missing"),
        (replace(true.certificate, validators=()), "handover.no_quorum"),
        (sign_handover(true.certificate.statement, SigningKey(b"\x09" * 32)), "handover.unknown_signer"),
    ):
        with refused(code):
            continue_ledger(chain.path, true.genesis, certificate)
    require_untouched(chain)


def test_the_new_chain_begins_right_after_the_last_block(chain: EndedChain) -> None:
    for changes, code in (
        ({"initial_height": chain.height + 2}, "handover.wrong_height"),
        ({"genesis_time_ns": chain.block.header.time_ns}, "handover.wrong_time"),
        ({"purpose": "demo"}, "handover.wrong_purpose"),
    ):
        handover = chain.hand_over(chain.new_genesis(**changes))
        with refused(code):
            continue_ledger(chain.path, handover.genesis, handover.certificate)
    require_untouched(chain)


def test_a_ledger_with_other_blocks_is_refused(chain: EndedChain, tmp_path: Path) -> None:
    """One block more; one block fewer; another chain."""
    handover = chain.hand_over()
    more = Chain.open(chain.path)
    more.add_block()
    more.close()
    with refused("continuation.not_the_end"):
        continue_ledger(chain.path, handover.genesis, handover.certificate)
    fewer = Chain.create(tmp_path / "fewer", purpose="production")
    fewer.add_block()
    fewer.close()
    with refused("continuation.not_the_end"):
        continue_ledger(tmp_path / "fewer", handover.genesis, handover.certificate)
    end_chain(tmp_path / "demo", purpose="demo")
    with pytest.raises((LedgerError, ProofError)):
        continue_ledger(tmp_path / "demo", handover.genesis, handover.certificate)


def test_a_change_of_validators_under_way_is_no_end(tmp_path: Path) -> None:
    """A vote gave others power: the block after it is empty, and still nothing to end with."""
    chain = Chain.create(tmp_path / "ledger", purpose="production")
    chain.add_block()
    chain.add_block([chain.sign(chain.clerk, [set_validators(2, new_validators())])])
    for _ in range(2):
        if len(chain.ledger.tip.validators) == 1:
            chain.add_block()
    end = ended(chain)
    chain.close()
    handover = end.hand_over()
    with pytest.raises((LedgerError, ProofError)) as error:
        continue_ledger(end.path, handover.genesis, handover.certificate)
    assert error.value.code in ("continuation.under_way", "handover.validators_change")


def test_the_calls_must_leave_what_the_genesis_says(chain: EndedChain) -> None:
    three = continuing_document(chain.genesis, chain.height, chain.block.header.time_ns)["validators"]
    assert isinstance(three, list)
    higher = replace(FIRST_RULES, version=2, activation_height=1, byte_gas=9)
    late = set_rules(replace(higher, activation_height=chain.height + 1))
    calls = continuing_document(chain.genesis, chain.height, 0)["calls"]
    assert isinstance(calls, list)
    rules_of = {
        name: list(value) if isinstance(value := getattr(higher, name), tuple) else value
        for name in type(higher).__slots__
    }
    for changes, code in (
        ({"calls": []}, "genesis.validators_differ"),
        ({"validators": three[:3]}, "genesis.validators_differ"),
        ({"rules": rules_of}, "genesis.rules_differ"),
        (
            {"calls": [*calls, {"to": "0x" + late.to.hex(), "data": "0x" + late.data.hex()}]},
            "genesis.rules_differ",
        ),
        ({"calls": [{"to": "0x" + "00" * 18 + "7001", "data": "0xffffffff"}]}, "genesis.call_failed"),
    ):
        handover = chain.hand_over(chain.new_genesis(**changes))
        with refused(code):
            continue_ledger(chain.path, handover.genesis, handover.certificate)
    require_untouched(chain)


def test_a_genesis_that_goes_on_brings_no_accounts(chain: EndedChain) -> None:
    account = {"address": "0x" + "12" * 20, "code": "0x", "nonce": 1}
    for changes in (
        {"alloc": [account]},
        {"initial_height": 0},
        {"rules": chain_rules(activation_height=chain.height + 2)},
    ):
        with pytest.raises(GenesisError):
            chain.new_genesis(**changes)
    # Rules voted before are those of the file; registrars stand in the state.
    voted = chain.new_genesis(rules=chain_rules(version=2, activation_height=3))
    assert (voted.rules.version, voted.registrars) == (2, ())
    with pytest.raises(GenesisError):
        build_genesis(
            continuing_document(chain.genesis, 0, 0) | {"rules": chain_rules(version=2, activation_height=1)}
        )


def chain_rules(**changes: int) -> dict[str, object]:
    rules = replace(FIRST_RULES, **changes)
    return {
        name: list(value) if isinstance(value := getattr(rules, name), tuple) else value
        for name in type(rules).__slots__
    }


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_at_the_write_it_is_done_again(
    chain: EndedChain, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    handover = chain.hand_over()
    write = Database.write

    def cut(self: Database, batch: Batch, *more: object, **others: object) -> None:
        if after:
            write(self, batch, *more, **others)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", cut)
        with pytest.raises(Killed):
            continue_ledger(chain.path, handover.genesis, handover.certificate)
    if not after:
        require_untouched(chain)
    continue_ledger(chain.path, handover.genesis, handover.certificate)
    assert check_ledger(chain.path, handover.genesis).findings == []


# ---- what check finds


Change = Callable[[Batch, EndedChain, Handover], None]


def _other_seam(batch: Batch, chain: EndedChain, handover: Handover) -> None:
    seam = Seam(chain.height, chain.genesis.evm_chain_id + 1)
    add_seam(batch, seam, encode_genesis(chain.genesis), encode_certificate(handover.certificate))


def _other_certificate(batch: Batch, chain: EndedChain, handover: Handover) -> None:
    seam = Seam(chain.height, chain.genesis.evm_chain_id)
    other = replace(handover.certificate, agencies=())
    add_seam(batch, seam, encode_genesis(chain.genesis), encode_certificate(other))


def _other_commit(batch: Batch, chain: EndedChain, handover: Handover) -> None:
    commit = handover.certificate.statement.block.commit
    stored.add_commit(batch, chain.height, encode_commit(replace(commit, round=commit.round + 1)))


def _other_header(batch: Batch, chain: EndedChain, handover: Handover) -> None:
    header = handover.certificate.statement.block.header
    stored.add_header(batch, chain.height, encode_header(replace(header, time_ns=header.time_ns + 1)))


def _other_validators(batch: Batch, chain: EndedChain, handover: Handover) -> None:
    rows = [stored.StoredValidator(one.public_key, one.power) for one in new_validators()[:3]]
    stored.add_validators(batch, chain.height + 1, rows)


@pytest.mark.parametrize(
    "change", [_other_seam, _other_certificate, _other_commit, _other_header, _other_validators]
)
def test_check_finds_what_was_changed_at_the_seam(chain: EndedChain, change: Change) -> None:
    handover = chain.hand_over()
    continue_ledger(chain.path, handover.genesis, handover.certificate)
    batch = Batch()
    change(batch, chain, handover)
    with Database.open(chain.path) as database:
        database.write(batch)
    assert check_ledger(chain.path, handover.genesis).findings != []


# ---- snapshots on both sides


def test_a_member_that_began_at_the_last_snapshot_holds_the_same_state(
    chain: EndedChain, tmp_path: Path
) -> None:
    """Without history: the snapshot of block N, then the same certificate."""
    saved = _save(chain.path, tmp_path / "member" / "snapshots")
    path = tmp_path / "member" / "ledger"
    build_ledger(path, chain.genesis, saved)
    handover = chain.hand_over()
    continue_ledger(path, handover.genesis, handover.certificate)
    report = check_ledger(path, handover.genesis)
    assert report.findings == []
    assert report.base == chain.height
    with Ledger.open(path, handover.genesis) as ledger, ledger.snapshot() as snapshot:
        assert snapshot.tip.app_hash == chain.root
        with refused("ledger.history_unavailable"):
            snapshot.transactions(chain.height)


def test_before_the_first_block_there_is_nothing_to_make_a_snapshot_of(
    chain: EndedChain, tmp_path: Path
) -> None:
    handover = chain.hand_over()
    continue_ledger(chain.path, handover.genesis, handover.certificate)
    with refused("snapshot.no_block"):
        _save(chain.path, tmp_path / "snapshots")


def test_a_directory_of_the_new_genesis_alone_is_empty_and_sound(chain: EndedChain, tmp_path: Path) -> None:
    genesis = chain.new_genesis()
    Ledger.create(tmp_path / "empty", genesis).close()
    assert check_ledger(tmp_path / "empty", genesis).findings == []
    with Ledger.open(tmp_path / "empty", genesis) as ledger, ledger.snapshot() as snapshot:
        assert snapshot.tip.height == 0
        assert len(snapshot.tip.validators) == 4
        assert load_continuation(snapshot.reads) is None


def _save(path: Path, shelf: Path) -> SavedSnapshot:
    with Ledger.open(path) as ledger, ledger.snapshot() as snapshot:
        return Shelf(shelf).create(snapshot, ledger.genesis)


# ---- no bit of a certificate can be changed


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bit_of_a_certificate_can_be_changed(template: EndedChain, data: st.DataObject) -> None:
    handover = template.hand_over()
    encoded = encode_certificate(handover.certificate)
    place = data.draw(st.integers(0, 8 * len(encoded) - 1))
    changed = bytearray(encoded)
    changed[place // 8] ^= 1 << place % 8
    with Database.open(template.path) as database, database.snapshot() as reads:
        prove_handover(reads, template.genesis, handover.genesis, handover.certificate)
        try:
            certificate = decode_certificate(bytes(changed))
        except DecodeError:
            return
        with pytest.raises((ProofError, LedgerError)):
            prove_handover(reads, template.genesis, handover.genesis, certificate)


@settings(max_examples=4, deadline=None)
@given(before=st.lists(st.integers(0, 2), min_size=1, max_size=3))
def test_whatever_was_on_the_old_chain_both_segments_are_verified(
    tmp_path_factory: pytest.TempPathFactory, before: list[int]
) -> None:
    """Any old blocks, then the new chain: the check executes both again, each by its own rules."""
    chain = Chain.create(tmp_path_factory.mktemp("any") / "ledger", purpose="production")
    for count in before:
        nonce = chain.nonce(chain.clerk)
        chain.add_block(
            [
                chain.sign(chain.clerk, [transfer(chain.judge.address, 1)], nonce=nonce + place)
                for place in range(count)
            ]
        )
    for _ in range(2):
        chain.add_block()
    end = ended(chain)
    chain.close()
    handover = end.hand_over()
    continue_ledger(end.path, handover.genesis, handover.certificate)
    report = check_ledger(end.path, handover.genesis)
    assert report.findings == []
    assert (report.height, report.transactions) == (end.height, sum(before))
