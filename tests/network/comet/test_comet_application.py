"""The ledger behind ABCI: what CometBFT is answered, and what is left after a crash at any point."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.comet import abci_pb2 as pb
from network.comet.application import CHECK_HELD_BACK, CHECK_READY, CHECK_REFUSED
from network.comet.faults import CometFault
from node.chain.errors import LedgerError, ShelianError
from node.chain.header import header_hash
from node.chain.rules import CONSORTIUM, FIRST_RULES, peer_slot
from node.chain.transaction import Call
from node.chain.validators import Validator
from node.ledger import DecidedBlock, Ledger
from node.ledger.check import check_ledger
from node.ledger.ledger import HEADERS_AT_RISK
from node.ledger.ledger import STEPS as COMMIT_STEPS
from tests.helpers.ledger import (
    SECOND_NS,
    Chain,
    make_genesis,
    mint,
    set_rules,
    set_validators,
    transfer,
    write_slots,
)
from tests.network.comet import grammar
from tests.network.comet.grammar import Step
from tests.network.comet.machine import Machine, hash_of
from tests.network.comet.model_comet import (
    POINTS,
    Cut,
    ModelComet,
    ModelPanic,
    Stored,
    request_of,
    signing_key,
)

TO = b"\x77" * 20
OWN = Validator(bytes(signing_key("validator").verify_key), 10)
SECOND = Validator(bytes(signing_key("second validator").verify_key), 5)
SEEDS = ("validator", "second validator")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def begin(path: Path) -> ModelComet:
    """A new ledger, and a CometBFT that knows nothing yet."""
    genesis = make_genesis(Chain.people(), calls=[mint(Chain.people()[0].address, 1_000_000)])
    Ledger.create(path, genesis).close()
    return ModelComet(genesis, SEEDS)


def eventful(chain: Chain, height: int) -> list[bytes]:
    """Transactions of a chain in which everything happens; they depend on the height only."""
    clerk, judge = chain.clerk, chain.judge
    match height:
        case 1:
            return [
                chain.sign(clerk, [mint(TO, 3)]),
                b"junk",
                chain.sign(judge, [transfer(TO, 10**9)]),
            ]
        case 2:
            rules = replace(FIRST_RULES, version=2, activation_height=5, byte_gas=9)
            return [chain.sign(clerk, [set_rules(rules), set_validators(2, [OWN, SECOND])])]
        case 4:
            return [chain.sign(clerk, [set_validators(3, [replace(OWN, power=12)])])]
        case 5:
            return []
        case _:
            return [chain.sign(clerk, [transfer(TO, height)]), chain.sign(judge, [mint(TO, 1)])]


async def require_whole(machine: Machine) -> None:
    """Everything that can be said of a ledger whose node caught up; closes it."""
    await machine.fetch_headers()
    assert machine.cursor.alarm is None
    comet, ledger = machine.comet, machine.ledger
    info = await machine.application.info(pb.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (len(comet.blocks), ledger.tip.app_hash)
    with ledger.snapshot() as snapshot:
        for height, stored in enumerate(comet.blocks, start=1):
            record = snapshot.block(height)
            assert record is not None
            assert record.hash == header_hash(stored.header)
            assert snapshot.transactions(height) == stored.transactions
    path, genesis = ledger.path, ledger.genesis
    machine.close()
    report = check_ledger(path, genesis)
    assert report.ok, report.findings
    assert (report.headers, report.headers_to_come) == (len(comet.blocks), 0)
    assert report.commits == len(comet.blocks)


def test_blocks_through_abci_do_what_they_do_through_the_embedded_path(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "abci")
        machine = Machine(tmp_path / "abci", comet)
        await comet.handshake(machine.application)
        with Ledger.create(tmp_path / "other", comet.genesis) as other:
            for height in range(1, 9):
                await machine.add(*eventful(machine.chain, height))
                stored = comet.blocks[-1]
                finalized = other.finalize(
                    DecidedBlock(
                        height,
                        stored.header.time_ns,
                        stored.hash,
                        stored.header.proposer_address,
                        stored.transactions,
                    )
                )
                other.commit(finalized)
                assert other.tip == machine.ledger.tip
                with other.snapshot() as theirs, machine.ledger.snapshot() as ours:
                    assert theirs.receipts(height) == ours.receipts(height)
                    assert theirs.block(height) == ours.block(height)
        await require_whole(machine)

    run(drive())


def test_validators_and_rules_change_when_the_specification_says(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        await comet.handshake(machine.application)
        for height in range(1, 8):
            await machine.add(*eventful(machine.chain, height))
        updates = {
            height: [(one.pub_key.ed25519, one.power) for one in answer.validator_updates]
            for height, answer in comet.responses.items()
            if answer.validator_updates
        }
        # Each key once; the one that left with power 0; ordered by key.
        assert updates == {
            2: [(SECOND.public_key, 5)],
            4: sorted([(OWN.public_key, 12), (SECOND.public_key, 0)]),
        }
        # Effective two heights later: the headers say so, and the commits are signed by those.
        assert [len(stored.seen.signatures) for stored in comet.blocks] == [1, 1, 1, 2, 2, 1, 1]
        # Rules of activation height 5: told with block 4, in header 5.
        told = {height for height, one in comet.responses.items() if one.HasField("consensus_param_updates")}
        assert told == {4}
        assert [stored.header.app_version for stored in comet.blocks] == [1, 1, 1, 1, 2, 2, 2]
        params = comet.responses[4].consensus_param_updates
        assert [name.name for name, _ in params.ListFields()] == ["version"]
        assert (await machine.application.info(pb.RequestInfo())).app_version == 2
        await require_whole(machine)

    run(drive())


@pytest.mark.parametrize("who", ["both", "comet"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("height", [1, 2, 4])
def test_a_crash_at_any_point_of_a_height_is_made_good(
    tmp_path: Path, who: str, point: str, height: int
) -> None:
    """`both`: the node goes too, so the ledger is opened again. `comet`: the application lives on."""

    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        await comet.handshake(machine.application)
        for before in range(1, height):
            await machine.add(*eventful(machine.chain, before))
        stored = comet.decide(eventful(machine.chain, height))
        with pytest.raises(Cut):
            await comet.height(machine.application, stored, point)
        if who == "both":
            machine.close()
            machine = Machine(tmp_path / "ledger", comet)
        committed = point in ("committed", "saved")
        assert machine.height == (height if committed else height - 1)
        info = await machine.application.info(pb.RequestInfo())
        assert info.last_block_height == machine.height
        sent = await comet.handshake(machine.application)
        assert sent == (1 if point in ("stored", "finalized") else 0)
        if point == "decided":  # nobody has it: another block may be decided
            stored = comet.decide([])
            await comet.height(machine.application, stored)
        assert machine.ledger.tip.block_hash == stored.hash
        for after in range(height + 1, height + 3):
            await machine.add(*eventful(machine.chain, after))
        await require_whole(machine)

    run(drive())


@pytest.mark.parametrize("step", COMMIT_STEPS)
def test_a_crash_within_commit_leaves_the_whole_block_or_nothing(tmp_path: Path, step: str) -> None:
    class Killed(Exception):
        pass

    armed = False

    def on_step(name: str) -> None:
        if armed and name == step:
            raise Killed

    async def drive() -> None:
        nonlocal armed
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet, on_step)
        await comet.handshake(machine.application)
        await machine.add(*eventful(machine.chain, 1))
        armed = True
        with pytest.raises(Killed):
            await machine.add(*eventful(machine.chain, 2))
        armed = False
        machine.close()
        machine = Machine(tmp_path / "ledger", comet)
        assert machine.height == (2 if step in ("write.done", "commit.published") else 1)
        await comet.handshake(machine.application)
        assert machine.height == 2
        await machine.add(*eventful(machine.chain, 3))
        await require_whole(machine)

    run(drive())


def test_the_handshake_makes_good_every_pair_of_heights(tmp_path: Path) -> None:
    """The application at h, the store at s >= h, CometBFT's state at s or s-1."""

    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        path = tmp_path / "ledger"
        copies = [tmp_path / f"at-{height}" for height in range(6)]
        shutil.copytree(path, copies[0])
        states = []
        machine = Machine(path, comet)
        await comet.handshake(machine.application)
        states.append(comet.state)
        for height in range(1, 6):
            await machine.add(*eventful(machine.chain, height))
            machine.close()
            shutil.copytree(path, copies[height])
            states.append(comet.state)
            machine = Machine(path, comet)
        roots = [state.app_hash for state in states if state]
        machine.close()
        for store in range(1, 6):
            for app in range(store + 1):
                for state in (store - 1, store):
                    here = tmp_path / f"{app}-{store}-{state}"
                    shutil.copytree(copies[app], here)
                    other = ModelComet(
                        comet.genesis, SEEDS, comet.blocks[:store], states[state], dict(comet.responses)
                    )
                    machine = Machine(here, other)
                    assert await other.handshake(machine.application) == store - app
                    assert machine.ledger.tip.app_hash == roots[store]
                    assert other.state == states[store]
                    machine.close()
                    shutil.rmtree(here)
        ahead = ModelComet(comet.genesis, SEEDS, comet.blocks[:4], states[4])
        machine = Machine(copies[5], ahead)
        with pytest.raises(ModelPanic, match="higher than core"):
            await ahead.handshake(machine.application)
        machine.close()
        last = Machine(path, comet)
        await require_whole(last)

    run(drive())


# ---- Any sequence that CometBFT's grammar allows


class Interpreter:
    """Carries the steps of a sequence out on a real application, and knows what must come of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.comet = begin(path)
        self.machine = Machine(path, self.comet)
        self.proposals: dict[tuple[int, int], list[bytes]] = {}
        self.decided: Stored | None = None

    async def step(self, step: Step) -> None:
        machine, comet, application = self.machine, self.comet, self.machine.application
        match step:
            case grammar.Info():
                info = await application.info(pb.RequestInfo())
                assert info.last_block_height == len(comet.blocks) == machine.height
                if comet.blocks:
                    assert comet.state is not None
                    assert info.last_block_app_hash == comet.state.app_hash
            case grammar.InitChain():
                comet.begin(await application.init_chain(comet.init_chain()))
            case grammar.PrepareProposal(height, _, proposal):
                self.proposals[height, proposal] = await machine.propose()
            case grammar.ProcessProposal(height, _, proposal):
                assert await machine.judge(self._content(height, proposal))
            case grammar.FinalizeBlock(height, proposal):
                if self.decided is None:
                    self.decided = comet.decide(self._content(height, proposal))
                answer = await application.finalize_block(request_of(self.decided))
                assert len(answer.tx_results) == len(self.decided.transactions)
                comet.responses[height] = answer
            case grammar.Commit(height):
                assert self.decided is not None
                await application.commit(pb.RequestCommit())
                comet.keep(self.decided, comet.responses[height])
                self.decided = None
            case grammar.Crash(of_application):
                if of_application:
                    machine.close()
                    self.machine = Machine(self.path, comet)
            case _:
                raise AssertionError(f"not a step of this chain: {step}")

    async def arrive(self, by_gossip: bool, ahead: int) -> None:
        """A transaction of the clerk, so many nonces ahead, by CheckTx or JSON-RPC."""
        machine, chain = self.machine, self.machine.chain
        nonce = chain.nonce(chain.clerk) + ahead
        raw = chain.sign(chain.clerk, [transfer(TO, 1)], nonce=nonce)
        if by_gossip:
            (code,) = await machine.check(raw)
            assert (code == CHECK_READY) == machine.pool.is_ready(hash_of(raw))
        else:
            await machine.submit(raw)

    def _content(self, height: int, proposal: int) -> list[bytes]:
        """What came from elsewhere: a transaction of the judge's, another one in each proposal."""
        chain = self.machine.chain
        if (height, proposal) not in self.proposals:
            self.proposals[height, proposal] = [chain.sign(chain.judge, [mint(TO, proposal + 1)])]
        return self.proposals[height, proposal]


ARRIVALS = st.lists(st.none() | st.tuples(st.booleans(), st.integers(0, 3)), max_size=20)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=grammar.call_sequences(), arrivals=ARRIVALS)
def test_any_sequence_of_the_grammar_with_crashes_gives_a_whole_ledger(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], arrivals: list[tuple[bool, int] | None]
) -> None:
    run(interpret(tmp_path_factory.mktemp("grammar") / "ledger", steps, arrivals))


@pytest.mark.long
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=grammar.call_sequences(max_runs=6, max_heights=5), arrivals=ARRIVALS)
def test_long_sequences_of_the_grammar_with_crashes_give_a_whole_ledger(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], arrivals: list[tuple[bool, int] | None]
) -> None:
    run(interpret(tmp_path_factory.mktemp("grammar") / "ledger", steps, arrivals))


async def interpret(path: Path, steps: list[Step], arrivals: list[tuple[bool, int] | None]) -> None:
    """The steps one by one, transactions arriving in between; then the ledger is whole."""
    interpreter = Interpreter(path)
    for step, arrival in zip_longest(steps, arrivals[: len(steps)]):
        if arrival is not None:
            await interpreter.arrive(*arrival)
        await interpreter.step(step)
    await require_whole(interpreter.machine)


# ---- Calls that do not belong there


def refused(error: pytest.ExceptionInfo[ShelianError]) -> str:
    return error.value.code


def test_calls_out_of_order_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        application = machine.application
        await comet.handshake(application)
        with pytest.raises(CometFault) as error:
            await application.commit(pb.RequestCommit())
        assert refused(error) == "comet.nothing_finalized"
        await machine.add(*eventful(machine.chain, 1))
        root = machine.ledger.tip.app_hash
        with pytest.raises(CometFault) as error:
            await application.commit(pb.RequestCommit())
        assert refused(error) == "comet.nothing_finalized", "that block is done with"
        with pytest.raises(CometFault) as error:
            await application.init_chain(comet.init_chain())
        assert refused(error) == "comet.init_chain_late"
        again = pb.RequestFinalizeBlock(height=1, hash=comet.blocks[0].hash)
        with pytest.raises(CometFault) as error:
            await application.finalize_block(again)
        assert refused(error) == "comet.already_committed"
        with pytest.raises(LedgerError) as ledger_error:
            await application.finalize_block(pb.RequestFinalizeBlock(height=3))
        assert refused(ledger_error) == "ledger.not_next"  # type: ignore[arg-type]
        with pytest.raises(CometFault) as error:
            await application.commit(pb.RequestCommit())
        assert refused(error) == "comet.nothing_finalized"
        assert (machine.height, machine.ledger.tip.app_hash) == (1, root)
        assert application.failure is None
        await machine.add(*eventful(machine.chain, 2))
        await require_whole(machine)

    run(drive())


def test_the_second_block_finalized_for_a_height_is_the_one_committed(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        await comet.handshake(machine.application)
        first = comet.decide([machine.chain.sign(machine.chain.clerk, [mint(TO, 5)])])
        with pytest.raises(Cut):
            await comet.height(machine.application, first, "finalized")
        comet.blocks.clear()  # CometBFT lost what it had
        await machine.add(machine.chain.sign(machine.chain.clerk, [mint(TO, 7)]))
        assert machine.chain.balance(TO) == 7
        await require_whole(machine)

    run(drive())


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("chain_id", lambda request: setattr(request, "chain_id", "another")),
        ("app_state.genesis_hash", lambda request: setattr(request, "app_state_bytes", b"{}")),
        ("app_state.genesis_hash", lambda request: setattr(request, "app_state_bytes", b"\xff")),
        ("genesis_time", lambda request: setattr(request.time, "nanos", 1)),
        ("initial_height", lambda request: setattr(request, "initial_height", 2)),
        ("validators", lambda request: request.validators.pop()),
        ("validators", lambda request: setattr(request.validators[0], "power", 11)),
        ("block.max_bytes", lambda request: setattr(request.consensus_params.block, "max_bytes", 1)),
        ("block.max_gas", lambda request: setattr(request.consensus_params.block, "max_gas", 1)),
        (
            "evidence.max_age_num_blocks",
            lambda request: setattr(request.consensus_params.evidence, "max_age_num_blocks", 1),
        ),
        (
            "evidence.max_age_duration",
            lambda request: setattr(request.consensus_params.evidence.max_age_duration, "seconds", 1),
        ),
        ("evidence.max_bytes", lambda request: setattr(request.consensus_params.evidence, "max_bytes", 1)),
        (
            "validator.pub_key_types",
            lambda request: request.consensus_params.validator.pub_key_types.append("secp256k1"),
        ),
        ("version.app", lambda request: setattr(request.consensus_params.version, "app", 2)),
        (
            "abci.vote_extensions_enable_height",
            lambda request: setattr(request.consensus_params.abci, "vote_extensions_enable_height", 1),
        ),
    ],
)
def test_another_genesis_is_refused_by_the_field_that_differs(
    tmp_path: Path, field: str, change: Any
) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        request = comet.init_chain()
        change(request)
        with pytest.raises(CometFault, match=f": {field} differs") as error:
            await machine.application.init_chain(request)
        assert refused(error) == "comet.other_genesis"
        assert machine.application.failure is error.value, "no restart heals it"
        machine.close()

    run(drive())


def test_init_chain_may_come_again_and_answers_the_genesis_root(tmp_path: Path) -> None:
    async def drive() -> None:
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet)
        answers = [await machine.application.init_chain(comet.init_chain()) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0].app_hash == machine.ledger.tip.app_hash
        info = await machine.application.info(pb.RequestInfo())
        assert (info.last_block_height, info.last_block_app_hash) == (0, b"")
        machine.close()

    run(drive())


def test_a_ledger_that_cannot_be_written_is_remembered_and_takes_no_more(tmp_path: Path) -> None:
    is_full = False

    def on_step(name: str) -> None:
        if is_full and name == "write.begin":
            raise LedgerError("state.disk_full", "the disk is full")

    async def drive() -> None:
        nonlocal is_full
        comet = begin(tmp_path / "ledger")
        machine = Machine(tmp_path / "ledger", comet, on_step)
        await comet.handshake(machine.application)
        is_full = True
        with pytest.raises(LedgerError):
            await machine.add()
        assert machine.application.failure is not None
        assert machine.application.failure.code == "state.disk_full"
        with pytest.raises(LedgerError):
            await machine.propose()
        assert machine.height == 0
        assert (await machine.application.info(pb.RequestInfo())).last_block_height == 0
        is_full = False
        machine.close()
        machine = Machine(tmp_path / "ledger", comet, on_step)
        await comet.handshake(machine.application)
        await require_whole(machine)

    run(drive())


# ---- CheckTx


def test_check_tx_tells_ready_held_back_and_refused(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        chain, clerk = machine.chain, machine.chain.clerk
        raws = [chain.sign(clerk, [transfer(TO, 1)], nonce=nonce) for nonce in range(4)]
        assert await machine.check(raws[0]) == [CHECK_READY]
        assert await machine.check(raws[0]) == [CHECK_READY], "known"
        assert await machine.check(raws[2]) == [CHECK_HELD_BACK]
        assert await machine.check(raws[2]) == [CHECK_HELD_BACK], "known"
        assert await machine.check(b"junk") == [CHECK_REFUSED]
        assert await machine.check(raws[1], recheck=True) == [CHECK_REFUSED], "never seen"
        assert await machine.check(raws[3], raws[1]) == [CHECK_READY, CHECK_READY], (
            "together they close the gap"
        )
        assert await machine.check(*raws, recheck=True) == [CHECK_READY] * 4
        await machine.add(raws[0])
        assert await machine.check(*raws, recheck=True) == [CHECK_REFUSED] + [CHECK_READY] * 3
        assert await machine.check(raws[0]) == [CHECK_REFUSED]
        machine.close()

    run(drive())


def test_a_refusal_says_its_code_and_nothing_about_who_sent_it(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        chain = machine.chain
        raw = chain.sign(chain.clerk, [transfer(TO, 1)], valid_for=-700)
        (answer,) = await machine.application.check_txs([pb.RequestCheckTx(tx=raw)])
        assert (answer.codespace, answer.log) == ("tx.expired", "valid_until has passed")
        machine.close()

    run(drive())


def test_what_came_by_check_tx_is_not_forwarded_and_what_it_makes_ready_is(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        chain, clerk = machine.chain, machine.chain.clerk
        raws = [chain.sign(clerk, [transfer(TO, 1)], nonce=nonce) for nonce in range(4)]
        await machine.check(raws[1])
        assert machine.forwarding.waiting == 0
        await machine.check(raws[0])
        assert machine.forwarding.waiting == 1, "the one held back is ready now"
        await machine.submit(raws[3])
        assert machine.forwarding.waiting == 1, "it misses a nonce"
        await machine.submit(raws[2])
        assert machine.forwarding.waiting == 3
        machine.close()

    run(drive())


def test_a_block_time_that_lags_behind_loses_no_fresh_transaction(tmp_path: Path) -> None:
    """An hour idle: the next block's time is that of the votes an hour ago; what is valid for a day from now
    is too far ahead for it. It goes into the block after.
    """

    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        machine.clock_ahead_ns = 3_600 * SECOND_NS
        chain = machine.chain
        raw = chain.sign(chain.clerk, [transfer(TO, 1)], valid_for=86_400 + 3_000)
        assert await machine.check(raw) == [CHECK_READY]
        assert await machine.propose() == []
        await machine.add()
        assert await machine.check(raw, recheck=True) == [CHECK_READY]
        machine.close()

    run(drive())


# ---- What else is asked


def test_peers_are_the_contracts_and_the_operators_own(tmp_path: Path) -> None:
    async def drive() -> None:
        listed, own, stranger = ("11" * 20, "22" * 20, "33" * 20)
        machine = await ready_machine(tmp_path, bootstrap=[f"{own}@10.0.0.1:26656"])
        chain = machine.chain

        async def ask(path: str) -> int:
            return (await machine.application.query(pb.RequestQuery(path=path))).code

        async def set_peer(organisation: int) -> None:
            pairs = [(peer_slot(bytes.fromhex(listed)), organisation)]
            await machine.add(chain.sign(chain.clerk, [Call(CONSORTIUM, write_slots(pairs))]))

        assert [await ask(f"/p2p/filter/id/{one}") for one in (listed, own, stranger)] == [1, 0, 1]
        await set_peer(3)
        assert [await ask(f"/p2p/filter/id/{one}") for one in (listed, own, stranger)] == [0, 0, 1]
        await set_peer(0)
        assert await ask(f"/p2p/filter/id/{listed}") == 1
        assert await ask("/p2p/filter/addr/10.9.8.7:1234") == 0
        for nonsense in (
            "/p2p/filter/id/",
            "/p2p/filter/id/zz",
            "/p2p/filter/id/" + "1" * 4_000,
            "",
            "/store",
        ):
            assert await ask(nonsense) == 1
        machine.close()

    run(drive())


def test_misbehaviour_is_remembered_once_and_changes_no_state(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        piece = pb.Misbehavior(
            type=pb.DUPLICATE_VOTE, validator=pb.Validator(address=OWN.address, power=10), height=1
        )
        stored = machine.comet.decide((), [piece])
        with pytest.raises(Cut):
            await machine.comet.height(machine.application, stored, "finalized")
        await machine.comet.handshake(machine.application)
        (found,) = machine.application.misbehaviour
        assert (found.kind, found.validator, found.height, found.decided_height) == (
            "duplicate_vote", OWN.address, 1, stored.header.height,
        )  # fmt: skip
        assert machine.ledger.tip.next_validators[0].power == 10
        await require_whole(machine)

    run(drive())


def test_a_bad_proposal_is_rejected_and_the_node_goes_on(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        chain = machine.chain
        good = chain.sign(chain.clerk, [transfer(TO, 1)])
        forged = bytearray(good)
        forged[-1] ^= 1
        gap = chain.sign(chain.clerk, [transfer(TO, 1)], nonce=1)
        other_chain = chain.sign(chain.clerk, [transfer(TO, 1)], chain_id=1)
        for bad in ([b"junk"], [bytes(forged)], [gap], [good, good], [other_chain]):
            assert not await machine.judge(bad)
        assert await machine.judge([good, gap])
        assert await machine.judge([])
        machine.close()

    run(drive())


def test_a_proposal_is_made_of_our_pool_within_the_bytes_given(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        chain = machine.chain
        raws = [chain.sign(chain.clerk, [transfer(TO, 1)], nonce=nonce) for nonce in (0, 1, 3)]
        await machine.submit(*raws)
        assert await machine.propose() == raws[:2]
        assert await machine.propose(len(raws[0]) + 3) == raws[:1]
        assert await machine.propose(-1) == []
        machine.close()

    run(drive())


def test_cometbft_keeps_what_evidence_and_headers_need(tmp_path: Path) -> None:
    async def drive() -> None:
        machine = await ready_machine(tmp_path)
        retain = machine.application._retain_height
        age = machine.ledger.genesis.consensus_params.evidence_max_age_num_blocks
        assert age > HEADERS_AT_RISK
        machine.cursor._next = 1
        assert retain(age * 2) == 0, "no header is saved yet"
        machine.cursor._next = 10**9
        assert retain(age) == 0
        assert retain(age + 500) == 500
        machine.cursor._next = 400
        assert retain(age + 500) == 399, "the canonical commit of the height before is in the next block"
        machine.close()

    run(drive())


async def ready_machine(tmp_path: Path, bootstrap: list[str] | None = None) -> Machine:
    """One block is there."""
    comet = begin(tmp_path / "ledger")
    machine = Machine(tmp_path / "ledger", comet, bootstrap=bootstrap or [])
    await comet.handshake(machine.application)
    await machine.add()
    return machine
