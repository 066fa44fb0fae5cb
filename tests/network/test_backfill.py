"""A ledger that began at a snapshot fetches what is below from real nodes, beside its blocks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from network import backfill
from network.backfill import Backfill
from network.embedded import Pace
from network.history_source import HistorySource, SourceUnavailable
from node.ledger import Ledger
from node.ledger.backfill import HistoryRefused
from node.ledger.check import check_ledger
from node.ledger.past import PastBlock
from node.ledger.shelf import SavedSnapshot
from node.rpc.config import RpcConfig
from tests.helpers.history import begin_at, follow, make_history
from tests.helpers.rpc_node import RunningNode
from tests.property.ledger_snapshots.states import restore

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SavedSnapshot]:
    directory = tmp_path_factory.mktemp("history")
    chain, saved = make_history(directory)
    chain.close()
    return directory / "source" / "ledger", saved


@pytest.fixture
def source(made: tuple[Path, SavedSnapshot]) -> Iterator[RunningNode]:
    """A node that has all blocks; it makes no more, so the test's ledger stays in step."""
    node = RunningNode(made[0], RpcConfig(port=0), pace=Pace(), makes_blocks=False)
    yield node
    node.close()


@pytest.fixture
def ledger(made: tuple[Path, SavedSnapshot], source: RunningNode, tmp_path: Path) -> Iterator[Ledger]:
    with begin_at(made[1], source.node.ledger, tmp_path / "node") as ledger:
        yield ledger


def first_block(ledger: Ledger) -> int:
    with ledger.snapshot() as snapshot:
        return snapshot.first_block


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Liar:
    """A node between: what it passes on is not what it was told."""

    def __init__(self, behind: HistorySource, change: Callable[[PastBlock], PastBlock]) -> None:
        self.url = "http://liar"
        self.asked = 0
        self._behind = behind
        self._change = change

    def fetch(self, start: int) -> list[PastBlock]:
        self.asked += 1
        blocks = self._behind.fetch(start)
        return [*blocks[:1], *map(self._change, blocks[1:])]

    def close(self) -> None:
        self._behind.close()


def test_it_fetches_down_to_the_first_block(
    source: RunningNode, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "PIECE_BLOCKS", 3)
    filling = Backfill(ledger, [HistorySource(source.url)])
    before = filling.status()
    assert before is not None
    assert (before.first, before.wanted) == (first_block(ledger), 1)
    filling.start()
    wait(lambda: filling.status() is None)
    filling.stop()
    assert first_block(ledger) == 0
    ledger.close()
    report = check_ledger(ledger.path)
    assert (report.findings, report.unverified) == ([], [])


def test_stopped_it_goes_on_where_it_was(
    source: RunningNode, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "PIECE_BLOCKS", 2)
    monkeypatch.setattr(backfill, "REST", 50.0)
    began = first_block(ledger)
    filling = Backfill(ledger, [HistorySource(source.url)])
    filling.start()
    wait(lambda: first_block(ledger) < began)
    filling.stop()
    between = first_block(ledger)
    assert 0 < between < began
    again = Backfill(ledger, [HistorySource(source.url)])
    monkeypatch.setattr(backfill, "REST", 0.0)
    again.start()
    wait(lambda: first_block(ledger) == 0)
    again.stop()


def test_a_node_that_lies_is_put_aside_and_another_asked(source: RunningNode, ledger: Ledger) -> None:
    def cut(block: PastBlock) -> PastBlock:
        return replace(block, commit=block.commit[:-1] + bytes([block.commit[-1] ^ 1]))

    liar = Liar(HistorySource(source.url), cut)
    filling = Backfill(ledger, [liar, HistorySource(source.url)])
    filling.start()
    wait(lambda: first_block(ledger) == 0)
    filling.stop()
    assert liar.asked == 1
    ledger.close()
    assert check_ledger(ledger.path).ok


def test_with_nobody_left_it_says_so(source: RunningNode, ledger: Ledger) -> None:
    began = first_block(ledger)
    liar = Liar(HistorySource(source.url), lambda block: replace(block, receipts=(b"\x01",)))
    filling = Backfill(ledger, [liar])
    filling.start()
    wait(lambda: (status := filling.status()) is not None and status.failure is not None)
    filling.stop()
    assert first_block(ledger) == began, "the sound block of a bad piece is not written either"


def test_it_waits_for_a_node_that_does_not_answer(
    source: RunningNode, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "FIRST_PAUSE_S", 0.02)

    class Late(HistorySource):
        asked = 0

        def fetch(self, start: int, count: int = 5) -> list[PastBlock]:
            Late.asked += 1
            if Late.asked < 3:
                raise SourceUnavailable("history.unreachable", "not yet", self.url)
            return super().fetch(start, count)

    filling = Backfill(ledger, [Late(source.url)])
    filling.start()
    wait(lambda: first_block(ledger) == 0)
    filling.stop()
    assert Late.asked > 3


def test_it_waits_for_the_snapshot_and_the_header_after_it(
    made: tuple[Path, SavedSnapshot], source: RunningNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "FIRST_PAUSE_S", 0.02)
    genesis = source.node.genesis
    with Ledger.create(tmp_path / "node" / "ledger", genesis) as ledger:
        filling = Backfill(ledger, [HistorySource(source.url)])
        filling.start()
        other = restore(made[1], genesis, tmp_path / "other")

        def put_in_place(path: Path) -> None:
            shutil.rmtree(path)
            other.rename(path)

        ledger.replace(put_in_place)
        time.sleep(0.1)
        assert first_block(ledger) == made[1].manifest.height + 1
        follow(ledger, source.node.ledger)
        wait(lambda: first_block(ledger) == 0)
        filling.stop()


def test_answers_of_both_are_the_same(
    made: tuple[Path, SavedSnapshot], source: RunningNode, ledger: Ledger
) -> None:
    filling = Backfill(ledger, [HistorySource(source.url)])
    filling.start()
    wait(lambda: first_block(ledger) == 0)
    filling.stop()
    ledger.close()
    joined = RunningNode(ledger.path, RpcConfig(port=0), pace=Pace(), makes_blocks=False)
    try:
        assert joined.call("shelian_status")["firstBlock"] == "0x0"
        base = made[1].manifest.height
        calls: list[tuple[str, tuple[object, ...]]] = [
            ("eth_getLogs", ({"fromBlock": "earliest", "toBlock": "latest"},)),
            ("eth_feeHistory", (hex(100), "latest", [])),
            ("eth_getBlockByNumber", ("earliest", True)),
        ]
        for height in range(1, base + 1):
            block = source.call("eth_getBlockByNumber", hex(height), False)
            calls += [
                ("eth_getBlockByNumber", (hex(height), True)),
                ("eth_getBlockByHash", (block["hash"], False)),
                ("shelian_getHeader", (hex(height),)),
                ("shelian_getValidators", (hex(height),)),
                ("shelian_getHistory", (hex(height), "0x3")),
                ("eth_getLogs", ({"blockHash": block["hash"]},)),
            ]
            for one in block["transactions"]:
                calls += [("eth_getTransactionByHash", (one,)), ("shelian_getTransactionProof", (one,))]
        for method, parameters in calls:
            assert joined.ask(method, *parameters) == source.ask(method, *parameters), (method, parameters)
        for height in range(1, base + 1):
            theirs = source.call("eth_getBlockReceipts", hex(height))
            for one in theirs:  # nothing vouches for it
                if "revertData" in one:
                    one["revertData"] = None
            assert joined.call("eth_getBlockReceipts", hex(height)) == theirs
        error = joined.error("eth_getBalance", "0x" + "11" * 20, "0x1")
        assert error["data"]["code"] == "state.pruned"
    finally:
        joined.close()


# ---- what a source may answer


def test_what_is_no_answer_is_told_apart(source: RunningNode, made: tuple[Path, SavedSnapshot]) -> None:
    good = HistorySource(source.url)
    assert len(good.fetch(5, 3)) == 3
    with pytest.raises(SourceUnavailable, match=r"ledger\.unknown_height"):
        good.fetch(1_000)
    with pytest.raises(SourceUnavailable, match=r"rpc\.history_count"):
        good.fetch(5, 100_000)
    with pytest.raises(SourceUnavailable, match=r"history\.unreachable"):
        HistorySource("http://127.0.0.1:1").fetch(5)
    with pytest.raises(SourceUnavailable, match=r"history\.bad_source"):
        HistorySource("ftp://node")
    good.close()


@pytest.mark.parametrize(
    "answer",
    [
        b'{"result":null}',
        b'{"result":[]}',
        b'{"result":[1]}',
        b'{"result":[{"header":"0x","commit":"0x","transactions":"0x","receipts":[],"validators":null}]}',
        b'{"result":[{"header":"0x0","commit":"0x","transactions":[],"receipts":[],"validators":null}]}',
        b'{"result":[{"header":"0x","commit":"0x","transactions":[],"receipts":[],"validators":[{"power":"0x1"}]}]}',
    ],
)
def test_what_is_no_block_is_refused(
    answer: bytes, source: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = HistorySource(source.url)
    one._http = httpx.Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, content=answer))
    )
    with pytest.raises(HistoryRefused, match=r"history\.malformed"):
        one.fetch(5)
    one.close()
