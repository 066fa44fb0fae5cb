"""What CometBFT's RPC said (recorded from real networks) is read as it is; what it never says is refused."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.comet.client import CometClient, split_batches
from network.comet.configuration import BATCH_BYTES, BATCH_REQUESTS
from network.comet.faults import CometFault
from network.comet.rpc_answers import decode_peers, decode_signed_header, decode_validators
from node.chain.commit import verify_commit
from node.chain.header import header_hash
from node.chain.validators import validator_address, validators_hash
from tests.helpers.ledger import Chain, make_genesis
from tests.unit.chain.chain_recordings import load_recording

VECTORS = Path(__file__).parents[2] / "vectors" / "cometbft"
RECORDINGS = ("single-node", "four-nodes")
Json = dict[str, Any]


def recorded(name: str) -> list[Json]:
    blocks: list[Json] = json.loads((VECTORS / f"{name}.json").read_text())["blocks"]
    return blocks


def commit_answer(block: Json) -> Json:
    """What `/commit` answers for a recorded block."""
    return copy.deepcopy(
        {"signed_header": {"header": block["block"]["header"], "commit": block["commit"]}, "canonical": True}
    )


def validators_answer(block: Json) -> Json:
    return {
        "block_height": block["block"]["header"]["height"],
        "validators": [
            {
                "address": one["address"],
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": one["public_key"]},
                "voting_power": one["power"],
                "proposer_priority": "0",
            }
            for one in block["validators"]
        ],
        "count": str(len(block["validators"])),
        "total": str(len(block["validators"])),
    }


ANSWER = commit_answer(recorded("four-nodes")[4])
HEIGHT = int(ANSWER["signed_header"]["header"]["height"])


def change(path: str, value: object) -> Json:
    """A copy of ANSWER with another value at a dotted path."""
    answer = copy.deepcopy(ANSWER)
    place: Any = answer
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return answer


# ---- reading


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_headers_and_commits_are_read_as_they_are(name: str) -> None:
    known = load_recording(name)
    for block, expected in zip(recorded(name), known.blocks, strict=True):
        height = expected.block.header.height
        header, commit, is_canonical = decode_signed_header(commit_answer(block), height)
        assert (header, commit) == (expected.block.header, expected.commit)
        assert header_hash(header) == expected.block_id.hash
        assert is_canonical is True
        verify_commit(known.chain_name, expected.validators, expected.block_id, height, commit)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_validators_are_read_in_their_order(name: str) -> None:
    for block in recorded(name):
        header = block["block"]["header"]
        validators, total = decode_validators(validators_answer(block), int(header["height"]))
        assert total == len(validators)
        assert validators_hash(validators).hex().upper() == header["validators_hash"]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("signed_header.header.height", "6", "comet.rpc_wrong_height"),
        ("signed_header.commit.height", "6", "comet.rpc_wrong_height"),
        ("signed_header.header.app_hash", "00" * 8, "comet.rpc_wrong_hash"),
        ("signed_header.header.time", "2026-11-22T15:44:00Z", "comet.rpc_wrong_hash"),
        ("signed_header.commit.block_id.hash", "00" * 32, "comet.rpc_wrong_hash"),
        ("signed_header.header.height", 5, "comet.rpc_malformed"),
        ("signed_header.header.height", "05", "comet.rpc_malformed"),
        ("signed_header.header.height", "-5", "comet.rpc_malformed"),
        ("signed_header.header.time", "2026-11-22 15:44:00", "comet.rpc_malformed"),
        ("signed_header.header.time", "2026-13-22T15:44:00Z", "comet.rpc_malformed"),
        ("signed_header.header.data_hash", "AB", "comet.rpc_malformed"),
        ("signed_header.header.data_hash", "ab" * 32, "comet.rpc_malformed"),
        ("signed_header.header.proposer_address", "", "comet.rpc_malformed"),
        ("signed_header.header.chain_id", "链", "comet.rpc_malformed"),
        ("signed_header.header.version", None, "comet.rpc_malformed"),
        ("signed_header.commit.round", -1, "comet.rpc_malformed"),
        ("signed_header.commit.round", True, "comet.rpc_malformed"),
        ("signed_header.commit.signatures", None, "comet.rpc_malformed"),
        ("signed_header.commit.signatures.0", [], "comet.rpc_malformed"),
        ("signed_header.commit.signatures.0.block_id_flag", 4, "comet.rpc_malformed"),
        ("signed_header.commit.signatures.0.signature", "AB=C", "comet.rpc_malformed"),
        ("canonical", 1, "comet.rpc_malformed"),
    ],
)
def test_an_answer_that_was_changed_is_refused(path: str, value: object, code: str) -> None:
    with pytest.raises(CometFault) as caught:
        decode_signed_header(change(path, value), HEIGHT)
    assert caught.value.code == code, caught.value


@given(st.data())
def test_an_answer_that_lacks_something_is_refused(data: st.DataObject) -> None:
    answer = copy.deepcopy(ANSWER)
    place: Any = answer
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            place = inner
            continue
        del place[key]
        break
    if isinstance(place, list):  # a vote less is another commit, for `verify_commit` to refuse
        return
    if key in ("app", "block"):  # stands for 0, so it is another header
        with pytest.raises(CometFault, match=r"comet\.rpc_wrong_hash"):
            decode_signed_header(answer, HEIGHT)
        return
    with pytest.raises(CometFault, match=r"comet\.rpc_malformed"):
        decode_signed_header(answer, HEIGHT)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    )
)
def test_any_json_in_place_of_an_answer_is_refused_with_a_code(value: object) -> None:
    for read in (
        lambda: decode_signed_header(value, 1),
        lambda: decode_validators(value, 1),
        lambda: decode_peers(value),
    ):
        with pytest.raises(CometFault, match=r"comet\.rpc_malformed"):
            read()


def test_a_validator_under_a_wrong_address_is_refused() -> None:
    answer = validators_answer(recorded("four-nodes")[0])
    answer["validators"][0]["address"] = "00" * 20
    with pytest.raises(CometFault, match=r"address is not that of the key"):
        decode_validators(answer, 1)


# ---- asking


Method = Callable[[Json], Any]


class Speaker(ThreadingHTTPServer):
    """Speaks JSON-RPC as CometBFT does (rpc/jsonrpc/server); a method is a function of its params."""

    daemon_threads = True

    def __init__(self, **methods: Method) -> None:
        super().__init__(("127.0.0.1", 0), _Speech)
        self.methods = methods
        self.requests: list[list[Json]] = []
        self.body: bytes | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Speech(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Speaker

    def do_POST(self) -> None:
        calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(calls)
        answers = [self._answer(call) for call in calls]
        # CometBFT answers a batch of one without a list.
        body = json.dumps(answers if len(answers) > 1 else answers[0]).encode()
        body = body if self.server.body is None else self.server.body
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, call: Json) -> Json:
        try:
            result = self.server.methods[call["method"]](call["params"])
        except LookupError as error:
            words = {"code": -32603, "message": "Internal error", "data": str(error.args[0])}
            return {"jsonrpc": "2.0", "id": call["id"], "error": words}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    with Speaker() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(speaker: Speaker, question: Callable[[CometClient], Any]) -> Any:
    async def run() -> Any:
        async with CometClient(speaker.address) as client:
            return await question(client)

    return asyncio.run(run())


def fault(speaker: Speaker, question: Callable[[CometClient], Any]) -> CometFault:
    with pytest.raises(CometFault) as caught:
        ask(speaker, question)
    return caught.value


def fail(words: str) -> Method:
    def method(params: Json) -> Any:
        raise LookupError(words)

    return method


def test_a_commit_is_asked_by_its_height(speaker: Speaker) -> None:
    speaker.methods["commit"] = lambda params: ANSWER if params == {"height": str(HEIGHT)} else None
    header, commit, is_canonical = ask(speaker, lambda client: client.commit(HEIGHT))
    assert (header.height, commit.height, is_canonical) == (HEIGHT, HEIGHT, True)


@pytest.mark.parametrize(
    "method",
    [
        lambda params: None,
        lambda params: {"signed_header": {"header": None, "commit": None}, "canonical": True},
        fail("height 9 must be less than or equal to the current blockchain height 8"),
        fail("height 9 is not available, lowest height is 11"),
    ],
)
def test_a_block_that_is_not_there_has_a_code_of_its_own(speaker: Speaker, method: Method) -> None:
    speaker.methods["commit"] = method
    assert fault(speaker, lambda client: client.commit(9)).code == "comet.rpc_no_block"


def test_validators_come_over_several_pages(speaker: Speaker) -> None:
    keys = [bytes([number // 256, number % 256]) * 16 for number in range(250)]

    def page(params: Json) -> Json:
        assert params["height"] == "3"
        start = (int(params["page"]) - 1) * int(params["per_page"])
        return {
            "block_height": "3",
            "total": str(len(keys)),
            "validators": [
                {
                    "address": validator_address(key).hex().upper(),
                    "pub_key": {
                        "type": "tendermint/PubKeyEd25519",
                        "value": base64.b64encode(key).decode(),
                    },
                    "voting_power": "1",
                }
                for key in keys[start : start + int(params["per_page"])]
            ],
        }

    speaker.methods["validators"] = page
    validators = ask(speaker, lambda client: client.validators(3))
    assert [one.public_key for one in validators] == keys
    assert len(speaker.requests) == 3


def test_pages_that_never_end_are_refused(speaker: Speaker) -> None:
    speaker.methods["validators"] = lambda params: {
        "block_height": "3", "total": "5", "validators": []
    }  # fmt: skip
    assert fault(speaker, lambda client: client.validators(3)).code == "comet.rpc_malformed"


def test_each_transaction_has_an_outcome(speaker: Speaker) -> None:
    words = {
        b"new": None,
        b"seen": "tx already exists in cache",
        b"later": "mempool is full: number of txs 5000 (max: 5000), total txs bytes 1 (max: 2)",
        b"recheck": "mempool is still rechecking after a new committed block, so it is considered as full",
        b"behind": "endpoint is closed while node is catching up",
        b"large": "Tx too large. Max size is 1, but got 5",
    }

    def broadcast(params: Json) -> Json:
        said = words[base64.b64decode(params["tx"])]
        if said is not None:
            raise LookupError(said)
        return {"code": 0, "data": "", "log": "", "codespace": "", "hash": "00" * 32}

    speaker.methods["broadcast_tx_async"] = broadcast
    outcomes = ask(speaker, lambda client: client.broadcast(list(words)))
    assert [None if one is None else one.code for one in outcomes] == [
        None,
        None,
        "comet.mempool_full",
        "comet.mempool_full",
        "comet.mempool_full",
        "comet.transaction_refused",
    ]
    assert len(speaker.requests) == 1


def test_outcomes_go_by_id_and_not_by_place(speaker: Speaker) -> None:
    error = {"code": -32603, "message": "Internal error", "data": "mempool is full: "}
    speaker.body = json.dumps([{"id": 1, "error": error}, {"id": 0, "result": {}}]).encode()
    speaker.methods["broadcast_tx_async"] = lambda params: {}
    outcomes = ask(speaker, lambda client: client.broadcast([b"first", b"second"]))
    assert [one is None for one in outcomes] == [True, False]


def test_no_transaction_is_no_request(speaker: Speaker) -> None:
    assert ask(speaker, lambda client: client.broadcast([])) == []
    assert speaker.requests == []


@given(st.lists(st.binary(max_size=40).map(lambda part: part * 20_000), max_size=230))
def test_batches_hold_everything_in_order_and_fit(raws: list[bytes]) -> None:
    batches = split_batches(raws)
    assert [raw for batch in batches for raw in batch] == raws
    for batch in batches:
        assert 0 < len(batch) <= BATCH_REQUESTS
        assert len(batch) == 1 or sum(map(len, batch)) <= BATCH_BYTES


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not JSON", "comet.rpc_malformed"),
        (b"[]", "comet.rpc_malformed"),
        (b"null", "comet.rpc_malformed"),
        (b'{"jsonrpc":"2.0","id":7,"result":{}}', "comet.rpc_malformed"),
        (b'[{"id":0,"result":1},{"id":0,"result":2}]', "comet.rpc_malformed"),
        (b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"no","data":"too large"}}', "comet.rpc_refused"),
        (b'{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"no","data":"x"}}', "comet.rpc_refused"),
        (b'{"jsonrpc":"2.0","id":0,"error":"no"}', "comet.rpc_malformed"),
    ],
)
def test_answers_that_are_none_are_refused(speaker: Speaker, body: bytes, code: str) -> None:
    speaker.body = body
    assert fault(speaker, lambda client: client.peers()).code == code


def test_nobody_listening_is_told_apart(speaker: Speaker) -> None:
    speaker.server_close()
    found = fault(speaker, lambda client: client.status())
    assert (found.code, found.expected) == ("comet.rpc_unreachable", f"http://{speaker.address}")


def test_data_of_another_chain_is_noticed(speaker: Speaker) -> None:
    genesis = make_genesis(Chain.people())
    kept = {"chain_id": genesis.chain_name, "app_state": {"genesis_hash": "0x" + genesis.hash.hex()}}
    speaker.methods["genesis"] = lambda params: {"genesis": kept}
    assert ask(speaker, lambda client: client.check_genesis(genesis)) is None
    for other in (
        kept | {"chain_id": "other"},
        kept | {"app_state": {"genesis_hash": "0x" + "00" * 32}},
        kept | {"app_state": "text"},
    ):
        speaker.methods["genesis"] = lambda params, other=other: {"genesis": other}  # type: ignore[misc]
        assert fault(speaker, lambda client: client.check_genesis(genesis)).code == "comet.wrong_chain"
