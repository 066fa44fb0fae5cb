"""A one-machine ledger graduates: real blocks, real files, then a CometBFT network at block N + 1."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.consortium import app
from cli.layout import Layout
from contracts.bindings import consortium, identity_registry
from evidence.transaction import SignedHeader, TransactionEvidence, verify_transaction
from identity.keys import ED25519, KeyPair, generate_key
from network.comet.home import CometPlace, load_settings
from node.chain.commit import decode_commit
from node.chain.encoding import keccak256
from node.chain.genesis import Genesis, decode_genesis
from node.chain.handover_certificate import decode_certificate
from node.chain.header import NIL_BLOCK_ID, decode_header
from node.chain.light import Archive
from node.chain.light_block import LightBlock
from node.chain.light_chain import Segment, verify_segments
from node.chain.merkle import EMPTY_ROOT, MerkleProof
from node.chain.signing import imi_sender
from node.chain.validators import Validator
from node.ledger.check import check_ledger
from tests.helpers.graduating import (
    NEW_CHAIN,
    OLD_CHAIN,
    PASSPHRASE,
    OldMachine,
    make_old_machine,
    transaction,
)
from tests.network.comet.four_nodes import Network, Node
from tests.network.comet.small_network import Home, free_ports, require_cometbft

pytestmark = [pytest.mark.cometbft, pytest.mark.slow, pytest.mark.network]

runner = CliRunner()


def run(*words: object) -> dict[str, Any]:
    outcome = runner.invoke(app, ["graduate", *map(str, words), "--json"])
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer: dict[str, Any] = json.loads(outcome.stdout)
    return answer


@dataclass
class Graduated:
    """The network after the handover, and what was there before."""

    old: OldMachine
    end: int
    clerk: KeyPair
    old_transaction: bytes
    genesis: Genesis
    certificate: bytes
    network: Network


def live_on_one_machine(old: OldMachine) -> tuple[KeyPair, bytes]:
    """Two registrars bring a clerk in, who then signs by themself: the clerk, and the clerk's transaction."""
    chain_id, court = old.genesis.evm_chain_id, old.members[-1]
    clerk = generate_key(ED25519)
    enrol = identity_registry.enrol(
        b"\x77" * 16, 1, 4, 1, clerk.scheme, clerk.public_key, court.party(OLD_CHAIN), 0
    )
    old.add_blocks((), [court.call(0, [enrol], chain_id, 0)], [court.call(0, [enrol], chain_id, 1)], ())
    raw = transaction(clerk, 0, [consortium.validators()], chain_id)
    old.add_blocks([raw], ())
    return clerk, raw


def graduate(path: Path, kinds: tuple[str, ...]) -> Graduated:
    """Every step by the commands; the last member takes the whole ledger, the others the snapshot."""
    old = make_old_machine(path, kinds)
    clerk, raw = live_on_one_machine(old)
    handover, ports = path / "handover", free_ports(4 * len(kinds))
    prepared = run("prepare", "--data", old.layout.data, "--out", handover)
    start = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0).isoformat()
    files: list[object] = []
    for member, port in zip(old.members, ports[: len(kinds)], strict=True):
        files += ["--enrolment", member.enrolment_file(path, NEW_CHAIN, f"127.0.0.1:{port}")]
    run("merge", handover, *files, "--chain-name", NEW_CHAIN, "--time", start)
    signatures: list[object] = []
    for name, who in [
        *((one.kind, ("--keys", one.keys.path)) for one in old.members),
        ("old", ("--data", old.layout.data)),
    ]:
        run("sign", handover, *who, "--out", path / f"{name}.sig", "--yes")
        signatures += ["--signature", path / f"{name}.sig"]
    run("check", handover, *signatures, "--save")
    genesis = decode_genesis((handover / "genesis.json").read_bytes())
    nodes = []
    rest = ports[len(kinds) :]
    for number, member in enumerate(old.members, 1):
        layout = Layout(path / member.kind / "data")
        rpc, metrics, json_rpc = rest[3 * number - 3 : 3 * number]
        whole = ("--ledger", old.layout.data) if member is old.members[-1] else ()
        run(
            *("init", handover, "--keys", member.keys.path, "--data", layout.data, *whole),
            *("--p2p", f"127.0.0.1:{ports[number - 1]}"),
            *("--rpc", f"127.0.0.1:{rpc}", "--metrics", f"127.0.0.1:{metrics}"),
        )
        place = CometPlace(layout.comet)
        nodes.append(
            Node(
                number,
                layout,
                Home(number, place, load_settings(place), genesis),
                json_rpc,
                ("--operations", "off"),
            )
        )
    signed = json.loads((handover / "handover.json").read_bytes())["certificate"]
    return Graduated(
        old,
        prepared["height"],
        clerk,
        raw,
        genesis,
        bytes.fromhex(signed[2:]),
        Network(genesis, tuple(nodes)),
    )


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("SHELIAN_PASSPHRASE_FILE", str(file))


@pytest.fixture(params=[("police", "court"), ("police", "procuratorate", "court", "justice")], ids=len)
def graduated(request: pytest.FixtureRequest, tmp_path: Path, passphrase: None) -> Iterator[Graduated]:
    require_cometbft()
    made = graduate(tmp_path, request.param)
    with closing(made.network):
        made.network.start()
        made.network.wait_height(made.end + 1)
        yield made


def light_block(node: Node, height: int) -> LightBlock:
    """As another program asks for it."""
    answer, rows = (
        node.call("shelian_getHeader", hex(height)),
        node.call("shelian_getValidators", hex(height)),
    )
    return LightBlock(
        decode_header(bytes.fromhex(answer["header"]["encoded"][2:])),
        decode_commit(bytes.fromhex(answer["commit"]["encoded"][2:])),
        tuple(Validator(bytes.fromhex(one["publicKey"][2:]), int(one["power"], 16)) for one in rows),
    )


def evidence_of(node: Node, transaction_hash: str) -> TransactionEvidence:
    def unhex(value: str) -> bytes:
        return bytes.fromhex(value[2:])

    def proof(value: dict[str, Any]) -> MerkleProof:
        return MerkleProof(
            int(value["index"], 16), int(value["total"], 16), tuple(unhex(one) for one in value["aunts"])
        )

    def signed(value: dict[str, Any]) -> SignedHeader:
        return SignedHeader(unhex(value["encoded"]), unhex(value["commit"]))

    answer = node.call("shelian_getTransactionProof", transaction_hash)
    assert answer["isComplete"]
    return TransactionEvidence(
        unhex(answer["transaction"]["raw"]),
        proof(answer["transaction"]["proof"]),
        unhex(answer["receipt"]["encoded"]),
        unhex(answer["receipt"]["result"]),
        proof(answer["receipt"]["proof"]),
        signed(answer["header"]),
        signed(answer["nextHeader"]),
    )


def test_a_one_machine_ledger_goes_on_as_a_network_with_history_state_and_proofs(
    graduated: Graduated,
) -> None:
    network, old, end = graduated.network, graduated.old, graduated.end
    whole, part = network.nodes[-1], network.nodes[0]
    chain_id = graduated.genesis.evm_chain_id
    assert int(whole.call("eth_chainId"), 16) == chain_id

    # Keys and nonces go on: the clerk's second transaction, by its nonce.
    clerk_address = imi_sender(graduated.clerk.scheme, graduated.clerk.public_key)
    assert whole.nonce(clerk_address) == part.nonce(clerk_address) == 1
    raw = transaction(graduated.clerk, 1, [consortium.validators()], chain_id)
    receipt = part.send(raw)
    assert receipt["status"] == "0x1"
    height = int(receipt["blockNumber"], 16)
    assert height > end
    network.wait_height(height + 1)
    network.wait(lambda node: "error" not in node.ask("shelian_getHeader", hex(height + 1)), "header")

    # What was signed for the old chain is refused on the new one.
    stale = transaction(graduated.clerk, 2, [consortium.validators()], old.genesis.evm_chain_id)
    answer = part.ask("eth_sendRawTransaction", "0x" + stale.hex())
    assert "tx.wrong_chain" in json.dumps(answer["error"])

    # Old receipts and proofs are there; they verify with the old genesis, new ones with the new one.
    old_hash = "0x" + keccak256(graduated.old_transaction).hex()
    old_receipt = whole.call("eth_getTransactionReceipt", old_hash)
    assert old_receipt["status"] == "0x1"
    proven = verify_transaction(evidence_of(whole, old_hash), old.genesis)
    assert proven.height == int(old_receipt["blockNumber"], 16) < end
    assert (
        verify_transaction(evidence_of(part, receipt["transactionHash"]), graduated.genesis).height == height
    )
    assert whole.block(end)["hash"] == whole.block(end + 1)["parentHash"]

    # Block N + 1 names no block before it and begins with the state of N.
    first = light_block(whole, end + 1).header
    assert first.last_block_id == NIL_BLOCK_ID
    assert first.last_results_hash == EMPTY_ROOT
    told = part.call("shelian_getHandover")
    assert told["certificate"] == "0x" + graduated.certificate.hex()
    assert (int(told["height"], 16), told["oldChainName"]) == (end, OLD_CHAIN)
    certificate = decode_certificate(graduated.certificate)
    assert first.app_hash == certificate.statement.state_root
    assert first.time_ns == graduated.genesis.genesis_time_ns

    # A light client goes from the old genesis to a new header, by what the nodes tell.
    joined = verify_segments(
        [
            Segment(old.genesis, (light_block(whole, 1),)),
            Segment(
                graduated.genesis, (light_block(part, end + 1), light_block(part, height + 1)), certificate
            ),
        ],
        Archive(),
    )
    assert joined.header.height == height + 1
    assert joined.genesis_hash == old.genesis.hash

    # The contract's table is the new genesis', and the nodes are listed.
    table = whole.call(
        "eth_call",
        {"to": "0x" + consortium.ADDRESS.hex(), "data": "0x" + consortium.validators().data.hex()},
        "latest",
    )
    rows = consortium.decode_validators(bytes.fromhex(table[2:]))
    assert set(rows.keys) == {one.public_key for one in graduated.genesis.validators}

    for node in network.nodes:
        node.stop()
    tips = set()
    for node in network.nodes:
        report = check_ledger(node.layout.ledger, graduated.genesis)
        assert report.findings == [], report.findings
        tips.add(report.height)
        assert report.base == (0 if node is whole else end)
    assert min(tips) >= height + 1

    # The old machine makes no block any more.
    started = subprocess.run(
        [sys.executable, "-m", "cli.main", "node", "--data", str(old.layout.data), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert started.returncode != 0
    assert "graduate.went_on" in started.stdout + started.stderr
