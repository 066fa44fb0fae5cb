"""The ABCI socket serves CometBFT in order, and goes on serving whatever one of its peers does."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.comet import abci_pb2 as pb
from network.comet.framing import encode_frame, encode_length
from network.comet.server import CHECKS_TOGETHER, MAX_WAITING, AbciFault, AbciServer
from node.chain.errors import LedgerError
from tests.network.comet.abci_peers import Application, Client, Scenario, Served, served

FLUSH = pb.Request(flush=pb.RequestFlush())
COMMIT = pb.Request(commit=pb.RequestCommit())
FINALIZE = pb.Request(finalize_block=pb.RequestFinalizeBlock(height=1, txs=[b"a", b"b"]))


def check(number: int) -> pb.Request:
    return pb.Request(check_tx=pb.RequestCheckTx(tx=number.to_bytes(4, "big")))


def echo(text: str) -> pb.Request:
    return pb.Request(echo=pb.RequestEcho(message=text))


def kinds(answers: list[pb.Response]) -> list[str | None]:
    return [answer.WhichOneof("value") for answer in answers]


Run = Callable[[Scenario], Served]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a scenario against a server, in each kind of event loop; gives back what was noted."""

    def run_it(scenario: Scenario) -> Served:
        async def whole() -> Served:
            async with served(tmp_path / "abci.sock") as running:
                await scenario(running)
            return running

        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(whole())

    return run_it


# ---- Answers


def test_every_method_reaches_the_application_and_its_answer_comes_back(run: Run) -> None:
    requests = [
        pb.Request(info=pb.RequestInfo(version="0.40.0")),
        pb.Request(init_chain=pb.RequestInitChain(chain_id="c", app_state_bytes=b"{}")),
        pb.Request(query=pb.RequestQuery(data=b"q", path="/p2p/filter/id/x")),
        pb.Request(check_tx=pb.RequestCheckTx(tx=b"t", type=pb.RECHECK)),
        COMMIT,
        pb.Request(list_snapshots=pb.RequestListSnapshots()),
        pb.Request(offer_snapshot=pb.RequestOfferSnapshot(app_hash=b"h")),
        pb.Request(load_snapshot_chunk=pb.RequestLoadSnapshotChunk(chunk=3)),
        pb.Request(apply_snapshot_chunk=pb.RequestApplySnapshotChunk(index=1, chunk=b"c")),
        pb.Request(prepare_proposal=pb.RequestPrepareProposal(txs=[b"1", b"2"])),
        pb.Request(process_proposal=pb.RequestProcessProposal(height=5)),
        pb.Request(extend_vote=pb.RequestExtendVote(hash=b"b")),
        pb.Request(verify_vote_extension=pb.RequestVerifyVoteExtension(hash=b"b")),
        FINALIZE,
    ]
    names = [request.WhichOneof("value") for request in requests]
    left_out = set(pb.Request.DESCRIPTOR.fields_by_name) - set(names)
    assert left_out == {"echo", "flush", "insert_tx", "reap_txs"}

    async def scenario(node: Served) -> None:
        answers = await (await node.connect()).ask(*requests)
        assert kinds(answers) == names
        assert answers[0].info.version == "0.40.0"
        assert answers[2].query.value == b"q"
        assert answers[3].check_tx.data == b"t"
        assert list(answers[9].prepare_proposal.txs) == [b"1", b"2"]
        assert len(answers[13].finalize_block.tx_results) == 2
        for request, (name, asked) in zip(requests, node.application.asked, strict=True):
            assert getattr(request, name) == (asked[0] if name == "check_tx" else asked)

    assert run(scenario).application.faults == []


def test_answers_come_in_the_order_of_requests(run: Run) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("check_tx")
        client, other = await node.connect(), await node.connect()
        client.send(check(1), FLUSH, echo("after"), COMMIT)
        assert await other.is_alive()
        assert "commit" not in node.application.answered
        gate.set()
        answers = [await client.receive() for _ in range(4)]
        assert kinds(answers) == ["check_tx", "flush", "echo", "commit"]

    run(scenario)


def test_a_flush_is_answered_after_everything_before_it_and_not_sooner(run: Run) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("finalize_block")
        client, other = await node.connect(), await node.connect()
        client.send(echo("before"), FINALIZE, FLUSH)
        assert (await client.receive()).echo.message == "before"  # not held back by what takes long
        for _ in range(20):
            assert await other.is_alive()
        reading = asyncio.ensure_future(client.receive())
        assert await other.is_alive()
        assert not reading.done()
        gate.set()
        assert kinds([await reading, await client.receive()]) == ["finalize_block", "flush"]

    run(scenario)


def test_a_request_without_a_flush_is_answered_too(run: Run) -> None:
    async def scenario(node: Served) -> None:
        assert kinds(await (await node.connect()).ask(COMMIT)) == ["commit"]

    run(scenario)


def test_checks_that_wait_in_a_row_reach_the_application_together(run: Run) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("commit")
        client = await node.connect()
        client.send(COMMIT, *map(check, range(150)), FLUSH, check(150), COMMIT, check(151), check(152))
        while not node.application.asked:
            await asyncio.sleep(0)
        gate.set()
        answers = [await client.receive() for _ in range(156)]
        checked = [answer.check_tx.data for answer in answers if answer.HasField("check_tx")]
        assert checked == [number.to_bytes(4, "big") for number in range(153)]
        sizes = [len(asked) for name, asked in node.application.asked if name == "check_tx"]
        assert sizes == [CHECKS_TOGETHER, CHECKS_TOGETHER, 23, 2]

    run(scenario)


def test_checks_with_a_flush_behind_each_go_together_and_flushes_are_answered_in_place(run: Run) -> None:
    """As CometBFT's client sends them."""

    async def scenario(node: Served) -> None:
        gate = node.application.hold("commit")
        client = await node.connect()
        pairs = [request for number in range(100) for request in (check(number), FLUSH)]
        client.send(COMMIT, *pairs, FLUSH, FLUSH, COMMIT)
        while not node.application.asked:
            await asyncio.sleep(0)
        gate.set()
        answers = [await client.receive() for _ in range(204)]
        assert kinds(answers) == ["commit", *["check_tx", "flush"] * 100, "flush", "flush", "commit"]
        checked = [answer.check_tx.data for answer in answers if answer.HasField("check_tx")]
        assert checked == [number.to_bytes(4, "big") for number in range(100)]
        sizes = [len(asked) for name, asked in node.application.asked if name == "check_tx"]
        assert sizes == [CHECKS_TOGETHER, 100 - CHECKS_TOGETHER]

    run(scenario)


def test_ten_thousand_checks_in_one_go_are_answered_in_order_while_others_work(run: Run) -> None:
    async def scenario(node: Served) -> None:
        client, other = await node.connect(), await node.connect()
        client.send(*map(check, range(10_000)), FLUSH)
        for number in range(10_000):
            assert (await client.receive()).check_tx.data == number.to_bytes(4, "big")
            if number % 1000 == 0:
                assert await other.is_alive()
        assert kinds([await client.receive()]) == ["flush"]
        sizes = [len(asked) for name, asked in node.application.asked if name == "check_tx"]
        assert sum(sizes) == 10_000
        assert max(sizes) <= CHECKS_TOGETHER
        assert sum(sizes) / len(sizes) > CHECKS_TOGETHER / 4  # they do go together

    run(scenario)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_the_stream_is_cut_the_answers_are_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    requests = data.draw(
        st.lists(
            st.sampled_from([FLUSH, COMMIT, FINALIZE, echo("x" * 300)]) | st.integers(0, 99).map(check),
            max_size=30,
        )
    )
    stream = b"".join(encode_frame(request.SerializeToString()) for request in requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pauses = data.draw(st.lists(st.integers(0, 3), min_size=9, max_size=9))

    async def scenario() -> None:
        async with served(tmp_path_factory.mktemp("cut") / "abci.sock") as node:
            client = await node.connect()
            for start, end, turns in zip([0, *cuts], [*cuts, len(stream)], pauses, strict=False):
                client.writer.write(stream[start:end])
                for _ in range(turns):
                    await asyncio.sleep(0)
            client.writer.write_eof()
            answers = [await client.receive() for _ in requests]
            assert kinds(answers) == [request.WhichOneof("value") for request in requests]
            assert [a.check_tx.data for a in answers if a.HasField("check_tx")] == [
                r.check_tx.tx for r in requests if r.HasField("check_tx")
            ]
            assert await client.is_closed()
            assert node.application.faults == []

    asyncio.run(scenario())


# ---- What the application cannot answer


@pytest.mark.parametrize(
    ("failure", "words", "code"),
    [
        (
            LedgerError("ledger.disk_full", "the disk is full", got="/home/chen/data"),
            "ledger.disk_full: the disk is full",
            "ledger.disk_full",
        ),
        (ValueError("pass phrase: hunter2"), "abci.handler_failed: ValueError", "ValueError"),
        (
            asyncio.CancelledError(),
            "abci.handler_cancelled: the handler gave the request up",
            "abci.handler_cancelled",
        ),
    ],
    ids=["typed", "foreign", "cancelled"],
)
def test_a_failure_is_told_on_both_sides_and_ends_its_connection_only(
    run: Run, failure: BaseException, words: str, code: str
) -> None:
    async def scenario(node: Served) -> None:
        node.application.failures["commit"] = failure
        client, other = await node.connect(), await node.connect()
        client.send(check(1), COMMIT, check(2), FLUSH)
        assert (await client.receive()).check_tx.data == (1).to_bytes(4, "big")
        assert (await client.receive()).exception.error == words
        assert await client.is_closed()
        assert node.application.fault_codes()[0] == ("commit", code)
        assert len(node.application.asked) == 2, "nothing after the failure was begun"
        assert await other.is_alive()
        assert await (await node.connect()).is_alive()

    run(scenario)


def test_a_failing_check_ends_the_connection_with_one_exception(run: Run) -> None:
    async def scenario(node: Served) -> None:
        node.application.failures["check_tx"] = OSError(28, "No space left on device", "/secret/place")
        client = await node.connect()
        client.send(check(1), check(2), FLUSH)
        assert (await client.receive()).exception.error == "abci.handler_failed: OSError"
        assert await client.is_closed()

    run(scenario)


def test_too_few_answers_to_checks_are_a_failure_and_not_a_shift_by_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one_short(self: Application, requests: list[pb.RequestCheckTx]) -> list[pb.ResponseCheckTx]:
        return [pb.ResponseCheckTx() for _ in requests[1:]]

    monkeypatch.setattr(Application, "check_txs", one_short)

    async def scenario(node: Served) -> None:
        client = await node.connect()
        client.send(check(1), FLUSH)
        assert (await client.receive()).exception.error.startswith("abci.answers_missing")
        assert await client.is_closed()

    run(scenario)


@pytest.mark.parametrize(
    ("request_", "place", "code"),
    [
        (pb.Request(insert_tx=pb.RequestInsertTx(tx=b"t")), "insert_tx", "abci.method_unused"),
        (pb.Request(reap_txs=pb.RequestReapTxs(max_bytes=1)), "reap_txs", "abci.method_unused"),
        (pb.Request(), "unknown", "abci.request_unknown"),
        (pb.Request.FromString(b"\xba\x1f\x00"), "unknown", "abci.request_unknown"),  # field 503
    ],
    ids=["insert_tx", "reap_txs", "empty", "of a later version"],
)
def test_what_this_application_does_not_do_is_answered_with_an_exception(
    run: Run, request_: pb.Request, place: str, code: str
) -> None:
    async def scenario(node: Served) -> None:
        client, other = await node.connect(), await node.connect()
        client.send(request_, FLUSH)
        assert (await client.receive()).exception.error.startswith(code)
        assert await client.is_closed()
        assert node.application.fault_codes()[0] == (place, code)
        assert await other.is_alive()

    run(scenario)


# ---- Peers that misbehave


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (encode_length(1 << 63), "abci.frame_too_large"),
        (b"\xff" * 64, "abci.frame_length_too_long"),
        (b"\x80\x00", "abci.frame_length_not_minimal"),
        (encode_frame(b"\x42\x7f"), "abci.request_malformed"),
        (encode_frame(b"\x0a\x04\x0a\x02\xff\xfe"), "abci.request_malformed"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + bytes(100), "abci.request_malformed"),
    ],
    ids=["2^63", "endless length", "long length", "truncated message", "text that is none", "HTTP"],
)
def test_bytes_that_are_no_requests_end_their_connection_only(run: Run, garbage: bytes, code: str) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("commit")
        client, other = await node.connect(), await node.connect()
        client.send(echo("first"), COMMIT)
        client.writer.write(garbage + encode_frame(COMMIT.SerializeToString()))
        assert (await client.receive()).echo.message == "first"
        assert await other.is_alive()
        gate.set()
        assert kinds([await client.receive()]) == ["commit"], "what came before is answered"
        assert await client.is_closed()
        assert ("connection", code) in node.application.fault_codes()
        assert [name for name, _ in node.application.asked].count("commit") == 1
        assert await other.is_alive()
        assert await (await node.connect()).is_alive()

    run(scenario)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=300))
def test_no_bytes_at_all_stop_the_server(garbage: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def scenario() -> None:
        async with served(tmp_path_factory.mktemp("any") / "abci.sock") as node:
            client, other = await node.connect(), await node.connect()
            client.writer.write(garbage)
            client.writer.write_eof()
            await client.reader.read()  # until the server closes
            assert await other.is_alive()

    asyncio.run(scenario())


def test_a_peer_that_goes_inside_a_frame_is_told_of(run: Run) -> None:
    async def scenario(node: Served) -> None:
        client, other = await node.connect(), await node.connect()
        client.writer.write(encode_frame(FINALIZE.SerializeToString())[:-1])
        client.writer.write_eof()
        assert await client.is_closed()
        assert node.application.fault_codes() == [("connection", "abci.frame_truncated")]
        assert await other.is_alive()

    run(scenario)


def test_a_peer_that_comes_and_goes_leaves_no_fault(run: Run) -> None:
    async def scenario(node: Served) -> None:
        for _ in range(20):
            client = await node.connect()
            assert await client.is_alive()
            client.writer.write_eof()
            assert await client.is_closed()

    assert run(scenario).application.faults == []


def test_a_commit_in_hand_is_finished_though_its_peer_has_gone(run: Run) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("commit")
        client, other = await node.connect(), await node.connect()
        client.send(COMMIT, FINALIZE)
        while not node.application.asked:
            await asyncio.sleep(0)
        client.close()
        for _ in range(5):
            assert await other.is_alive()
        gate.set()
        while "commit" not in node.application.answered:
            await asyncio.sleep(0)
        assert await other.is_alive()

    run(scenario)


def test_a_peer_that_writes_byte_by_byte_is_served_while_others_work(run: Run) -> None:
    async def scenario(node: Served) -> None:
        slow, other = await node.connect(), await node.connect()
        for byte in encode_frame(check(7).SerializeToString()):
            slow.writer.write(bytes((byte,)))
            assert await other.is_alive()
        assert (await slow.receive()).check_tx.data == (7).to_bytes(4, "big")

    run(scenario)


async def send_until_not_taken(raw: socket.socket, frame: bytes, other: Client, at_most: int) -> int:
    """Send frame after frame until the server takes no more while `other` goes to and fro; whole frames sent.

    The socket is non-blocking; the last frame may be sent in part.
    """
    loop = asyncio.get_running_loop()
    pending = memoryview(frame)
    frames = refused = 0
    while refused < 50:
        try:
            pending = pending[raw.send(pending) :]
            refused = 0
        except BlockingIOError:
            refused += 1
            assert await other.is_alive()
        if not pending:
            frames += 1
            pending = memoryview(frame)
            assert frames * len(frame) <= at_most, "the server takes what it cannot handle"
    await loop.sock_sendall(raw, b"")
    raw.shutdown(socket.SHUT_WR)
    return frames


async def read_all(raw: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    size = 0
    while piece := await loop.sock_recv(raw, 1 << 20):
        size += len(piece)
    return size


def test_what_waits_for_a_busy_application_is_bounded(run: Run) -> None:
    """16 KiB requests: more than MAX_WAITING of them stay with the peer."""
    frame = encode_frame(pb.Request(check_tx=pb.RequestCheckTx(tx=bytes(16384))).SerializeToString())

    async def scenario(node: Served) -> None:
        gate = node.application.hold("check_tx")
        other = await node.connect()
        with node.connect_raw() as raw:
            frames = await send_until_not_taken(raw, frame, other, at_most=(MAX_WAITING + 200) * len(frame))
            assert frames >= MAX_WAITING
            gate.set()
            answer = encode_frame(
                pb.Response(check_tx=pb.ResponseCheckTx(data=bytes(16384))).SerializeToString()
            )
            assert await read_all(raw) == frames * len(answer), "after the wait all are answered"

    run(scenario)


def test_large_requests_are_bounded_by_their_bytes(run: Run) -> None:
    """Of 4 MiB requests a handful waits, not 256."""
    frame = encode_frame(
        pb.Request(finalize_block=pb.RequestFinalizeBlock(txs=[bytes(4 << 20)])).SerializeToString()
    )

    async def scenario(node: Served) -> None:
        gate = node.application.hold("finalize_block")
        other = await node.connect()
        with node.connect_raw() as raw:
            await send_until_not_taken(raw, frame, other, at_most=8 * len(frame))
            gate.set()

    run(scenario)


def test_a_peer_that_never_reads_is_not_worked_for(run: Run) -> None:
    """Answers of 16 KiB to a peer that leaves them lying: soon no further request is begun."""
    frame = encode_frame(echo("x" * 16384).SerializeToString())

    async def scenario(node: Served) -> None:
        other = await node.connect()
        with node.connect_raw() as raw:
            frames = await send_until_not_taken(raw, frame, other, at_most=(MAX_WAITING + 400) * len(frame))
            assert await read_all(raw) == frames * len(frame), "when it reads at last, all are there"

    run(scenario)


def test_a_peer_that_goes_without_reading_leaves_nothing_behind(run: Run) -> None:
    frame = encode_frame(echo("x" * 16384).SerializeToString())

    async def scenario(node: Served) -> None:
        other = await node.connect()
        assert await other.is_alive()
        tasks = len(asyncio.all_tasks())
        with node.connect_raw() as raw:
            await send_until_not_taken(raw, frame, other, at_most=(MAX_WAITING + 400) * len(frame))
            assert len(asyncio.all_tasks()) == tasks + 1
        while len(asyncio.all_tasks()) > tasks:
            assert await other.is_alive()

    assert run(scenario).application.fault_codes() == [("connection", "BrokenPipeError")]


# ---- Starting and stopping


def test_stop_lets_what_is_in_hand_be_answered_and_begins_nothing_more(run: Run) -> None:
    async def scenario(node: Served) -> None:
        gate = node.application.hold("commit")
        client, idle = await node.connect(), await node.connect()
        assert await idle.is_alive()
        client.send(COMMIT, FINALIZE)
        while ("commit", COMMIT.commit) not in node.application.asked:
            await asyncio.sleep(0)
        stopping = asyncio.ensure_future(node.server.stop())
        assert await idle.is_closed()
        assert not stopping.done()
        gate.set()
        assert kinds([await client.receive()]) == ["commit"]
        assert await client.is_closed()
        await stopping
        assert "finalize_block" not in dict(node.application.asked)
        assert not node.path.exists()
        with pytest.raises(FileNotFoundError):
            await node.connect()

    run(scenario)


def test_stop_does_not_wait_for_ever(run: Run) -> None:
    async def scenario(node: Served) -> None:
        node.application.hold("commit")
        client = await node.connect()
        client.send(COMMIT)
        while not node.application.asked:
            await asyncio.sleep(0)
        with node.connect_raw() as deaf:
            await send_until_not_taken(
                deaf,
                encode_frame(echo("x" * 16384).SerializeToString()),
                await node.connect(),
                at_most=1 << 24,
            )
            await node.server.stop(patience_s=0.01)
            assert await client.is_closed()
            assert not node.path.exists()

    run(scenario)


def test_stopping_twice_or_before_starting_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        application = Application()
        server = AbciServer(application, tmp_path / "abci.sock", application.note_fault)
        await server.stop()
        async with served(tmp_path / "abci.sock") as node:
            await node.server.stop()

    asyncio.run(scenario())


def test_the_socket_is_its_owners_alone(run: Run) -> None:
    async def scenario(node: Served) -> None:
        status = node.path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600

    run(scenario)


def test_a_socket_left_behind_by_a_killed_process_is_replaced(run: Run, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "abci.sock"))

    async def scenario(node: Served) -> None:
        assert await (await node.connect()).is_alive()

    run(scenario)


def start_at(path: Path) -> str:
    """The code of the fault with which a start there is refused."""

    async def attempt() -> None:
        application = Application()
        await AbciServer(application, path, application.note_fault).start()

    with pytest.raises(AbciFault) as caught:
        asyncio.run(attempt())
    return caught.value.code


@pytest.mark.parametrize("backlog", [0, 8], ids=["busy", "idle"])
def test_a_socket_that_somebody_serves_is_left_alone(tmp_path: Path, backlog: int) -> None:
    path = tmp_path / "abci.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with waiting:
            waiting.connect(str(path))  # with a backlog of 0 the queue is full now
            assert start_at(path) == "abci.socket_in_use"
            assert stat.S_ISSOCK(path.stat().st_mode)


def test_two_servers_do_not_share_a_socket(run: Run) -> None:
    async def scenario(node: Served) -> None:
        second = AbciServer(node.application, node.path, node.application.note_fault)
        with pytest.raises(AbciFault) as caught:
            await second.start()
        assert caught.value.code == "abci.socket_in_use"
        assert await (await node.connect()).is_alive()

    run(scenario)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "pipe"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "abci.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_text("precious")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    before = path.lstat()
    assert start_at(path) == "abci.socket_occupied"
    assert path.lstat() == before


def test_a_place_where_no_socket_can_be_is_refused(tmp_path: Path) -> None:
    assert start_at(tmp_path / "missing" / "abci.sock") == "abci.socket_unusable"
    assert start_at(tmp_path / ("x" * 120)) == "abci.socket_unusable"


def test_stop_leaves_a_socket_that_is_no_longer_ours(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "abci.sock"
    successor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    async def scenario(node: Served) -> None:
        successor.bind(str(tmp_path / "other.sock"))
        (tmp_path / "other.sock").rename(path)

    with successor:
        run(scenario)
        assert stat.S_ISSOCK(path.stat().st_mode)
