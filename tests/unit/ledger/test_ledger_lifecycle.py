"""A data directory: made, opened, read at one height, read at old heights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.commit import encode_commit
from node.chain.encoding import keccak256
from node.chain.errors import GenesisError, LedgerError
from node.chain.header import encode_header
from node.chain.receipt import results_hash
from node.chain.rules import COINBASE, CONSORTIUM, FIRST_RULES
from node.chain.transaction import Call
from node.execution import PyEvmExecutor
from node.ledger import FinalizedBlock, Ledger
from node.state.logs import LogQuery
from tests.helpers.ledger import (
    TOKEN,
    Chain,
    make_genesis,
    mint,
    set_rules,
    set_validators,
    transfer,
    write_slots,
)

TO = b"\x77" * 20


def test_genesis_is_height_0(chain: Chain) -> None:
    tip, genesis = chain.ledger.tip, chain.ledger.genesis
    assert (tip.height, tip.block_hash, tip.time_ns) == (0, b"", genesis.genesis_time_ns)
    assert tip.last_results_hash == results_hash([])
    with chain.ledger.snapshot() as snapshot:
        coinbase = snapshot.state().account(COINBASE)
        record = snapshot.block(0)
        assert snapshot.height_of(genesis.hash) == 0
    assert coinbase is not None
    assert coinbase.nonce == 1
    assert record is not None
    assert record.state_root == tip.app_hash
    assert chain.balance(chain.clerk.address) == 1_000_000


def test_the_first_header_carries_the_genesis_state(chain: Chain) -> None:
    root = chain.ledger.tip.app_hash
    chain.add_block()
    assert chain.stored_header(1).app_hash == root


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (transfer(TO, 1), "genesis.call_failed"),
        (set_rules(replace(FIRST_RULES, byte_gas=9)), "genesis.rules_differ"),
        (set_validators(1, []), "genesis.validators_differ"),
        (Call(CONSORTIUM, write_slots([(1, 1)])), None),
    ],
)
def test_a_genesis_must_run_and_agree_with_itself(tmp_path: Path, call: Call, code: str | None) -> None:
    genesis = make_genesis(Chain.people(), calls=[call])
    if code is None:
        Ledger.create(tmp_path / "ledger", genesis).close()
        return
    with pytest.raises(GenesisError) as caught:
        Ledger.create(tmp_path / "ledger", genesis)
    assert caught.value.code == code
    # Nothing half-made is left: a good genesis can follow in the same place.
    Ledger.create(tmp_path / "ledger", make_genesis(Chain.people())).close()


def test_a_ledger_is_made_once_and_opened_by_one(chain: Chain) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(chain.path)
    assert caught.value.code == "state.locked"
    chain.close()
    with pytest.raises(LedgerError) as caught:
        Ledger.create(chain.path, make_genesis(Chain.people()))
    assert caught.value.code == "state.exists"


def test_a_ledger_of_another_chain_is_not_opened(chain: Chain) -> None:
    chain.close()
    other = make_genesis(Chain.people(), purpose="production")
    with pytest.raises(LedgerError) as caught:
        Ledger.open(chain.path, other)
    assert (caught.value.code, caught.value.expected) == ("ledger.other_chain", other.hash)
    Ledger.open(
        chain.path, make_genesis(Chain.people(), calls=[mint(chain.clerk.address, 1_000_000)])
    ).close()


def test_a_restart_continues_where_it_was(chain: Chain) -> None:
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 3)])])
    before = chain.ledger.tip
    chain.close()
    again = Chain.open(chain.path)
    assert again.ledger.tip == before
    again.add_block([again.sign(again.clerk, [mint(TO, 4)])])
    assert again.balance(TO) == 7
    again.close()


def test_a_snapshot_stays_at_its_height(chain: Chain) -> None:
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 3)])])
    with chain.ledger.snapshot() as pinned:
        chain.add_block([chain.sign(chain.clerk, [mint(TO, 4)])])
        account = pinned.state().account(chain.clerk.address)
        assert account is not None
        assert (pinned.tip.height, account.nonce) == (1, 1)
        assert pinned.block(2) is None
        assert len(pinned.logs(LogQuery(0, 9, frozenset({TOKEN}))).logs) == 1
    assert chain.nonce(chain.clerk) == 2


def test_every_height_can_be_read(chain: Chain) -> None:
    for _ in range(4):
        chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    with chain.ledger.snapshot() as snapshot:
        accounts = [snapshot.state(height).account(chain.clerk.address) for height in range(5)]
        assert [account.nonce if account else 0 for account in accounts] == [0, 1, 2, 3, 4]
        for height in (-1, 5):
            with pytest.raises(LedgerError) as caught:
                snapshot.state(height)
            assert caught.value.code == "ledger.unknown_height"


def test_a_transaction_is_found_by_hash_and_by_sender(chain: Chain) -> None:
    raw = chain.sign(chain.clerk, [mint(TO, 1)])
    finalized = chain.add_block([raw])
    with chain.ledger.snapshot() as snapshot:
        assert snapshot.locate(keccak256(raw)) == (1, 0)
        assert snapshot.locate(bytes(32)) is None
        assert snapshot.transactions_of(chain.clerk.address) == ((1, 0),)
        assert snapshot.transaction(1, 0) == raw
        assert snapshot.receipt(1, 0) == finalized.receipts[0]


def test_a_proof_of_the_state_starts_at_the_root(chain: Chain) -> None:
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    with chain.ledger.snapshot() as snapshot:
        account_nodes, (slot_nodes,) = snapshot.account_proof(TOKEN, [1])
        account = snapshot.state().account(TOKEN)
    assert account is not None
    assert keccak256(account_nodes[0]) == chain.ledger.tip.app_hash
    assert keccak256(slot_nodes[0]) == account.storage_root


def test_listeners_hear_of_a_block_after_it_can_be_read(chain: Chain) -> None:
    heard: list[tuple[int, int]] = []

    def listener(finalized: FinalizedBlock) -> None:
        heard.append((finalized.block.height, chain.ledger.tip.height))

    stop = chain.ledger.add_listener(listener)
    chain.add_block()
    stop()
    chain.add_block()
    assert heard == [(1, 1)]


def test_header_and_commit_may_come_later(chain: Chain) -> None:
    decided, header, commit, _ = chain.decide([chain.sign(chain.clerk, [mint(TO, 1)])])
    chain.ledger.commit(chain.ledger.finalize(decided))
    with chain.ledger.snapshot() as snapshot:
        assert snapshot.header(1) is None
    with pytest.raises(LedgerError) as caught:
        chain.ledger.save_header(replace(header, time_ns=header.time_ns + 1))
    assert caught.value.code == "ledger.wrong_header"
    with pytest.raises(LedgerError) as caught:
        chain.ledger.save_header(replace(header, height=2))
    assert caught.value.code == "ledger.unknown_height"
    chain.ledger.save_header(header)
    second, second_header, _, _ = chain.decide([])
    chain.ledger.commit(chain.ledger.finalize(second))
    with pytest.raises(LedgerError) as caught:
        chain.ledger.save_header(second_header, commit)
    assert caught.value.code == "ledger.wrong_commit"
    chain.ledger.save_header(second_header, last_commit=commit)
    with chain.ledger.snapshot() as snapshot:
        assert snapshot.header(1) == encode_header(header)
        assert snapshot.commit(1) == encode_commit(commit)


def test_a_header_of_another_block_is_not_written(chain: Chain) -> None:
    decided, header, _, _ = chain.decide([])
    with pytest.raises(LedgerError) as caught:
        chain.ledger.commit(chain.ledger.finalize(decided), header=replace(header, app_version=9))
    assert caught.value.code == "ledger.wrong_header"
    assert chain.ledger.tip.height == 0


def test_old_snapshots_are_let_go_with_their_last_reader(chain: Chain) -> None:
    held = [chain.ledger.snapshot() for _ in range(3)]
    chain.add_block()
    for snapshot in held:
        assert snapshot.block(0) is not None
        snapshot.close()
        snapshot.close()
    with pytest.raises(LedgerError) as caught:
        held[0].block(0)
    assert caught.value.code == "state.closed"


def test_a_header_may_come_while_the_next_block_is_executed(tmp_path: Path) -> None:
    class Interrupted(PyEvmExecutor):
        """Delivers the header of the block before in the middle of an execution, as another thread would."""

        deliver: Callable[[], None] | None = None

        def execute(self, overlay, context, tx, sender, rules):  # type: ignore[no-untyped-def]
            if self.deliver is not None:
                self.deliver()
            return super().execute(overlay, context, tx, sender, rules)

    executor = Interrupted()
    ledger = Ledger.create(tmp_path / "ledger", make_genesis(Chain.people()), executor=executor)
    chain = Chain(ledger)
    first, header, _, _ = chain.decide([])
    ledger.commit(ledger.finalize(first))
    block = [chain.sign(who, [mint(TO, 1)]) for who in (chain.clerk, chain.judge)]
    executor.deliver = lambda: ledger.save_header(header)
    ledger.commit(ledger.finalize(chain.decide(block)[0]))
    assert chain.balance(TO) == 2
    assert chain.stored_header(1) == header
    chain.close()
