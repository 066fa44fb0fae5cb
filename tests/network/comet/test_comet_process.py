"""The supervised child: a real CometBFT with a small application, and stand-ins that end as told."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from network.comet.binary import find_binary
from network.comet.client import CometClient
from network.comet.faults import CometFault
from network.comet.home import CometPlace
from network.comet.process import CometProcess, Patience
from network.comet.server import AbciServer
from node.chain.commit import verify_commit
from node.chain.errors import LedgerError, ShelianError
from node.chain.header import header_hash
from tests.network.comet.little_application import LittleApplication
from tests.network.comet.small_network import (
    Home,
    make_genesis,
    make_homes,
    port_held,
    public_key,
    require_cometbft,
    seed,
)

HURRY = Patience(first_pause=0.02, longest_pause=0.08, proven=60, stop=2)


def run(coroutine: Awaitable[None]) -> None:
    """As a node does: on uvloop."""

    async def bounded() -> None:
        await asyncio.wait_for(coroutine, 60)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Ended; a zombie that nobody has waited for has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# ---- stand-ins


@pytest.fixture
def place(tmp_path: Path) -> CometPlace:
    (tmp_path / "comet").mkdir()
    return CometPlace(tmp_path / "comet")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in CometBFT's place, which notes each start."""

    def put(body: str) -> Path:
        starts = tmp_path / "starts"
        path = tmp_path / "cometbft"
        path.write_text(
            f'#!/bin/sh\n[ "$1" = version ] && echo 0.40.0 && exit\necho "$$" >> {starts}\n{body}\n'
        )
        path.chmod(0o755)
        monkeypatch.setenv("SHELIAN_COMETBFT", str(path))
        return starts

    return put


def count(starts: Path) -> int:
    return len(starts.read_text().split()) if starts.exists() else 0


def test_what_ends_is_started_again_after_growing_pauses(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("echo 'something odd' >&2; exit 3")

    async def scenario() -> None:
        process = CometProcess(place, patience=Patience(0.1, 0.4, 60, 2))
        began = time.monotonic()
        await process.start()
        await until(lambda: count(starts) >= 5, "five starts")
        # Pauses of 0.1, 0.2, 0.4, 0.4 s.
        assert time.monotonic() - began > 1.0
        assert process.failure is None
        trouble = process.trouble
        assert trouble is not None
        assert trouble.code == "comet.ended"
        assert trouble.got == "exit status 3: something odd"
        await process.stop()
        assert process.restarts >= 4
        assert not process.is_running

    run(scenario())


def test_pauses_are_short_again_after_a_proven_life(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("sleep 0.15; exit 1")

    async def scenario() -> None:
        # Each life is long enough to count, so the pause never grows to its 20 s.
        process = CometProcess(place, patience=Patience(0.01, 20.0, 0.1, 2))
        await process.start()
        await until(lambda: count(starts) >= 12, "twelve starts")
        await process.stop()

    run(scenario())


def test_what_no_restart_heals_ends_the_supervision(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("echo 'ERROR: app block height (9) is higher than core (8)' >&2; exit 1")

    async def scenario() -> None:
        process = CometProcess(place, patience=HURRY)
        await process.start()
        await until(lambda: process.failure is not None, "giving up")
        await asyncio.sleep(0.3)
        failure = process.failure
        assert failure is not None
        assert failure.code == "comet.ledger_ahead"
        assert "backup" in str(failure.expected)
        assert (count(starts), process.restarts, process.is_running) == (1, 0, False)
        await process.restart("too late")
        await process.stop()
        assert count(starts) == 1

    run(scenario())


def test_what_the_node_knows_to_be_hopeless_ends_the_supervision(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("exit 0")
    known: list[ShelianError | None] = [None, LedgerError("database.corrupt", "damaged")]

    async def scenario() -> None:
        process = CometProcess(place, hopeless=lambda: known.pop(0), patience=HURRY)
        await process.start()
        await until(lambda: process.failure is not None, "giving up")
        assert process.failure is not None
        assert process.failure.code == "database.corrupt"
        assert (count(starts), process.restarts) == (2, 1)
        await process.stop()

    run(scenario())


def test_what_does_not_listen_is_killed_with_its_children(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("trap '' TERM; sleep 60 & echo $! >> starts; while :; do wait; sleep 0.05; done")

    async def scenario() -> None:
        process = CometProcess(place, patience=Patience(0.02, 0.08, 60, stop=0.3))
        await process.start()
        child_file = place.directory / "starts"
        await until(lambda: count(starts) == 1 and count(child_file) == 1, "the stand-in")
        pids = [int(starts.read_text()), int(child_file.read_text())]
        await process.stop()
        await until(lambda: all(is_gone(pid) for pid in pids), "both gone", 3)

    run(scenario())


def test_a_process_whose_consensus_has_stopped_is_ended_and_started_again(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("""echo '{"_msg":"CONSENSUS FAILURE!!!","level":"error","err":"x"}'; exec sleep 60""")

    async def scenario() -> None:
        process = CometProcess(place, patience=HURRY)
        await process.start()
        await until(lambda: count(starts) >= 3, "starting again")
        assert process.trouble is not None
        assert "killed by SIGTERM" in str(process.trouble.got)
        await process.stop()

    run(scenario())


def test_a_state_that_fetched_blocks_contradict_ends_the_process_for_good(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    """CometBFT itself only drops the peers who brought the block."""
    line = '{"_msg":"Error in validation","level":"error","err":"wrong Block.Header.AppHash.  Expected 0A"}'
    starts = stand_in(f"echo '{line}'; exec sleep 60")

    async def scenario() -> None:
        process = CometProcess(place, patience=HURRY)
        await process.start()
        await until(lambda: process.failure is not None, "the failure")
        assert process.failure is not None
        assert process.failure.code == "comet.diverged"
        assert count(starts) == 1
        await process.stop()

    run(scenario())


def test_stopping_within_a_pause_does_not_wait_for_it(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("exit 1")

    async def scenario() -> None:
        process = CometProcess(place, patience=Patience(30, 30, 60, 2))
        await process.start()
        await until(lambda: process.trouble is not None, "its end")
        began = time.monotonic()
        await process.stop()
        assert time.monotonic() - began < 5
        assert count(starts) == 1

    run(scenario())


def test_a_restart_on_demand_comes_at_once_and_counts_for_nothing(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    starts = stand_in("exec sleep 60")

    async def scenario() -> None:
        process = CometProcess(place, patience=Patience(30, 30, 60, 2))
        await process.start()
        await until(lambda: count(starts) == 1, "the first")
        first = process.pid
        await process.restart("a peer was struck off")
        await until(lambda: count(starts) == 2, "the second")
        assert process.pid != first
        assert (process.restarts, process.trouble) == (0, None)
        await process.stop()

    run(scenario())


def test_nothing_of_our_environment_reaches_cometbft(
    place: CometPlace, stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("env > env.tmp; mv env.tmp environment; exec sleep 60")
    monkeypatch.setenv("CMTHOME", "/elsewhere")
    monkeypatch.setenv("CMT_P2P_LADDR", "tcp://0.0.0.0:1")
    monkeypatch.setenv("SECRET", "word")
    monkeypatch.setenv("GOMAXPROCS", "1")

    async def scenario() -> None:
        process = CometProcess(place, patience=HURRY)
        await process.start()
        await until((place.directory / "environment").exists, "the environment")
        await process.stop()

    run(scenario())
    names = {line.partition("=")[0] for line in (place.directory / "environment").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"} == {"HOME", "TZ", "GOMAXPROCS"}


def test_lines_of_any_length_are_read_and_a_dump_of_stacks_is_told_by_its_first_words(
    place: CometPlace, stand_in: Callable[[str], Path]
) -> None:
    stand_in(
        f"{sys.executable} -c 'print(\"x\" * 3_000_000)';"
        "printf 'panic: boom\\n\\ngoroutine 1 [running]:\\n' >&2;"
        "for i in 1 2 3 4 5 6 7 8 9; do echo frame $i >&2; done; exit 2"
    )

    async def scenario() -> None:
        process = CometProcess(place, patience=Patience(30, 30, 60, 2))
        await process.start()
        await until(lambda: process.trouble is not None, "its end")
        assert process.trouble is not None
        assert process.trouble.got == "exit status 2: panic: boom"
        await process.stop()

    with capture_logs() as logs:
        run(scenario())
    told = [one["event"] for one in logs if one["log_level"] == "error"]
    assert [word[:11] for word in told] == ["xxxxxxxxxxx", "panic: boom"]


def test_a_missing_program_is_an_error_of_start(place: CometPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELIAN_COMETBFT", "/nowhere/cometbft")

    async def scenario() -> None:
        process = CometProcess(place)
        with pytest.raises(CometFault) as caught:
            await process.start()
        assert caught.value.code == "comet.binary_missing"
        await process.stop()

    run(scenario())


_PARENT = """
import asyncio, sys, time
from pathlib import Path
from network.comet.home import CometPlace
from network.comet.process import CometProcess
async def main():
    process = CometProcess(CometPlace(Path(sys.argv[1])))
    await process.start()
    print("pid", process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_it_never_outlives_the_node(
    place: CometPlace, stand_in: Callable[[str], Path], ending: signal.Signals
) -> None:
    stand_in("trap '' TERM; while :; do sleep 0.05; done")
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(place.directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith(b"pid "))
        assert not is_gone(pid)
        parent.send_signal(ending)
        parent.wait()
        deadline = time.monotonic() + 5
        while not is_gone(pid):
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.02)


# ---- the real one


@asynccontextmanager
async def running(home: Home, application: LittleApplication, **options: Any) -> Any:
    """A real CometBFT with its application: (process, client)."""
    server = AbciServer(application, home.place.abci_socket, lambda at, error: None)
    await server.start()
    process = CometProcess(home.place, **options)
    await process.start()
    try:
        async with CometClient(home.settings.rpc_address) as client:
            yield process, client
    finally:
        await process.stop()
        await server.stop()


async def height_reached(client: CometClient, height: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            status = await client.status()
            if status.height >= height:
                return
            error: object = status
        except CometFault as fault:
            error = fault
        assert time.monotonic() < deadline, f"not at height {height}: {error}"
        await asyncio.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    require_cometbft()
    (home,) = make_homes([tmp_path / "comet"], make_genesis(1), heartbeat_ms=1_000)
    return home


@pytest.mark.cometbft
@pytest.mark.slow
def test_a_real_one_takes_our_home_and_is_read_by_our_client(home: Home) -> None:
    async def scenario() -> None:
        application = LittleApplication()
        async with running(home, application) as (process, client):
            await height_reached(client, 2)
            await client.check_genesis(home.genesis)
            other = make_genesis(1, "shelian-other-network")
            with pytest.raises(CometFault, match=r"comet\.wrong_chain"):
                await client.check_genesis(other)

            status = await client.status()
            key = public_key(seed("validator 1"))
            assert (status.node_id, status.chain_name) == (home.id, home.genesis.chain_name)
            assert (status.validator_key, status.voting_power) == (key, 10)
            assert (status.catching_up, status.earliest_height, status.peers) == (False, 1, ())
            assert abs(status.block_time_ns - time.time_ns()) < 10_000_000_000

            validators = await client.validators(1)
            assert [(one.public_key, one.power) for one in validators] == [(key, 10)]
            header, commit, is_canonical = await client.commit(1)
            assert header.time_ns == home.genesis.genesis_time_ns
            assert (header.chain_name, header.app_version) == (home.genesis.chain_name, 1)
            assert is_canonical
            verify_commit(header.chain_name, validators, commit.block_id, 1, commit)
            second, _, _ = await client.commit(2)
            assert second.last_block_id.hash == header_hash(header)
            with pytest.raises(CometFault, match=r"comet\.rpc_no_block"):
                await client.commit(status.height + 100)
            with pytest.raises(CometFault, match=r"comet\.rpc_no_block"):
                await client.commit(0)

            largest = bytes(home.genesis.rules.max_transaction_bytes)
            sent = [b"one", b"one", b"bad two", largest, *(b"many %d" % number for number in range(300))]
            outcomes = await client.broadcast(sent)
            assert outcomes == [None] * len(sent)
            taken = {raw for raw in sent if not raw.startswith(b"bad")}
            await until(lambda: len(application.committed) >= len(taken), "all in blocks")
            assert set(application.committed) == taken
            too_large = await client.broadcast([bytes((1 << 20) + 1)])
            assert [one.code for one in too_large if one] == ["comet.transaction_refused"]
            assert (process.is_running, process.restarts, process.trouble) == (True, 0, None)

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
def test_a_real_one_that_is_killed_goes_on_where_it_was(home: Home) -> None:
    async def scenario() -> None:
        application = LittleApplication()
        async with running(home, application, patience=HURRY) as (process, client):
            await height_reached(client, 1)
            await client.broadcast([b"before"])
            await until(lambda: application.committed, "the first")
            height = application.height
            os.kill(process.pid, signal.SIGKILL)
            await until(lambda: process.restarts == 1 and process.is_running, "the restart")
            await height_reached(client, height + 1)
            await client.broadcast([b"after"])
            await until(lambda: application.committed == [b"before", b"after"], "the second")

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
def test_a_state_that_is_not_the_networks_is_told_and_not_tried_again(home: Home) -> None:
    async def scenario() -> None:
        application = LittleApplication()
        async with running(home, application) as (_, client):
            await height_reached(client, 2)
        application.app_hash = b"\x01" * 32
        async with running(home, application, patience=HURRY) as (process, _):
            await until(lambda: process.failure is not None, "giving up")
            assert process.failure.code == "comet.diverged", process.failure
            assert process.restarts == 0
        application.app_hash, application.height = bytes(32), 10_000
        async with running(home, application, patience=HURRY) as (process, _):
            await until(lambda: process.failure is not None, "giving up")
            assert process.failure.code == "comet.ledger_ahead"

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
def test_an_application_that_fails_is_tried_again_until_it_works(home: Home) -> None:
    async def scenario() -> None:
        application = LittleApplication()
        application.faults["finalize_block"] = "the disk is full"
        async with running(home, application, patience=HURRY) as (process, client):
            await until(lambda: process.restarts >= 2, "restarts")
            assert process.failure is None
            assert application.height == 0
            application.faults.clear()
            await height_reached(client, 1)
            await until(lambda: application.height >= 1, "the block")

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
@pytest.mark.parametrize("which", ["p2p_address", "rpc_address"])
def test_a_port_in_use_is_told_and_tried_again(home: Home, which: str) -> None:
    async def scenario() -> None:
        with port_held(getattr(home.settings, which)):
            application = LittleApplication()
            server = AbciServer(application, home.place.abci_socket, lambda at, error: None)
            await server.start()
            process = CometProcess(home.place, patience=HURRY)
            await process.start()
            await until(lambda: process.trouble is not None, "its end")
            assert process.trouble is not None
            assert process.trouble.code == "comet.port_in_use"
            assert process.failure is None
        async with CometClient(home.settings.rpc_address) as client:
            await height_reached(client, 1)
        await process.stop()
        await server.stop()

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
def test_a_damaged_store_is_told_and_not_tried_again(home: Home) -> None:
    async def scenario() -> None:
        application = LittleApplication()
        async with running(home, application) as (_, client):
            await height_reached(client, 1)
        state = home.place.directory / "data" / "state.db"
        for manifest in state.glob("MANIFEST-*"):
            manifest.write_bytes(b"\xff" * manifest.stat().st_size)
        async with running(home, application, patience=HURRY) as (process, _):
            await until(lambda: process.failure is not None, "giving up")
            assert process.failure.code == "comet.store_damaged"

    run(scenario())


@pytest.mark.cometbft
@pytest.mark.slow
def test_cometbft_reads_the_keys_as_we_wrote_them(home: Home) -> None:
    command = [str(find_binary().path), "--home", str(home.place.directory)]
    shown = subprocess.run([*command, "show-node-id"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == home.id
    validator = subprocess.run([*command, "show-validator"], capture_output=True, text=True, check=True)
    assert base64.b64encode(public_key(seed("validator 1"))).decode() in validator.stdout
