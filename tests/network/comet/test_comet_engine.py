"""What the engine does on its own account: when it starts CometBFT anew, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from network.comet import engine as module
from network.comet.engine import CometEngine
from network.comet.forwarding import Forwarding
from network.comet.home import CometPlace, CometSettings
from network.comet.rpc_answers import CometStatus, Peer
from network.intake import Outcome
from node.txpool import TransactionPool
from tests.helpers.ledger import Chain

OWN, OTHER, THIRD = "11" * 20, "22" * 20, "33" * 20


def status(*peers: str, height: int = 1) -> CometStatus:
    connected = tuple(Peer(one, "tcp://10.0.0.1:26656", "10.0.0.1", "peer", True, 1.0) for one in peers)
    return CometStatus(OWN, "shelian-test", height, 0, 1, False, bytes(32), 0, connected)


@pytest.fixture
def engine(tmp_path: Path):  # type: ignore[no-untyped-def]
    chain = Chain.create(tmp_path / "ledger")
    bootstrap = (f"{OWN}@127.0.0.1:26656", f"{OTHER}@127.0.0.2:26656")
    settings = CometSettings("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", bootstrap)

    async def submit(raws: object) -> list[Outcome]:
        return []

    engine = CometEngine(
        CometPlace(tmp_path / "comet"),
        settings,
        chain.ledger,
        TransactionPool(chain.ledger),
        submit,
        Forwarding(),
        tmp_path / "snapshots",
        lambda: 0,
    )
    yield engine
    engine.stop()
    chain.close()


@pytest.fixture
def restarts(engine: CometEngine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reasons: list[str] = []

    async def restart(reason: str) -> None:
        reasons.append(reason)

    monkeypatch.setattr(engine._process, "restart", restart)
    return reasons


def test_a_node_alone_dials_again_ever_more_patiently(
    engine: CometEngine, restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALONE_S", 0.05)
    monkeypatch.setattr(module, "LONGEST_ALONE_S", 0.2)

    async def drive() -> None:
        loop = asyncio.get_running_loop()
        await engine._dial_again(status(OTHER))
        assert engine._patience_s == 0.05
        waited = []
        for _ in range(4):
            began, before = loop.time(), len(restarts)
            while len(restarts) == before:
                await engine._dial_again(status())
                await asyncio.sleep(0.005)
            waited.append(loop.time() - began)
        for seconds, least in zip(waited, (0.05, 0.1, 0.2, 0.2), strict=True):
            assert seconds >= least
        await engine._dial_again(status(OTHER))
        await engine._dial_again(status())
        assert len(restarts) == 4, "it has just been connected"
        assert engine._patience_s == 0.05

    asyncio.run(drive())


def test_a_node_without_a_quorum_dials_those_again_whom_it_misses(
    engine: CometEngine, restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One peer is there, one is not: a restart only while no blocks come."""
    monkeypatch.setattr(module, "ALONE_S", 0.05)
    both = (*engine._settings.bootstrap, f"{THIRD}@127.0.0.3:26656")
    monkeypatch.setattr(engine, "_settings", replace(engine._settings, bootstrap=both, heartbeat_ms=1_000))

    async def look(seconds: float, height: Callable[[int], int]) -> None:
        loop = asyncio.get_running_loop()
        began, turn = loop.time(), 0
        while loop.time() - began < seconds:
            await engine._dial_again(status(OTHER, height=height(turn)))
            turn += 1
            await asyncio.sleep(0.01)

    async def drive() -> None:
        await look(1.5, lambda turn: turn)
        assert restarts == [], "blocks come without the third"
        await look(0.8, lambda turn: 1_000)
        assert restarts == [], "not longer than the heartbeat"
        await look(0.8, lambda turn: 1_000)
        assert restarts, "no blocks come"
        await engine._dial_again(status(OTHER, THIRD, height=1_000))
        assert engine._patience_s == 0.05, "all are there"

    asyncio.run(drive())


def test_who_is_on_the_operators_list_is_no_stranger(engine: CometEngine, restarts: list[str]) -> None:
    async def drive() -> None:
        await engine._cut_off_strangers(status(OTHER))
        assert restarts == []
        await engine._cut_off_strangers(status(OTHER, "44" * 20))
        assert len(restarts) == 1

    asyncio.run(drive())


def test_an_engine_that_cannot_start_says_why_and_reads_go_on(engine: CometEngine) -> None:
    engine.start()
    engine._thread.join(20)
    said = engine.status()
    assert not said.running
    assert said.failure is not None
    assert said.failure.startswith("comet.key_missing"), "there is no home"
    assert (said.name, said.height, said.target_height) == ("cometbft", 0, 0)
