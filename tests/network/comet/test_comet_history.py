"""Real networks: old blocks filled in behind a state sync; a validator that comes back from its backup."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.layout import Layout
from network.backup import verify_backup
from network.comet.home import CometPlace, StateSync, load_validator_key, node_id, save_settings
from node.chain.genesis import encode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger
from node.state.blocks import decode_receipt
from node.state.database import Database
from node.state.tables import (
    BLOCK_HASHES,
    BLOCKS,
    COMMITS,
    HEADERS,
    LOGS,
    LOGS_BY_ADDRESS,
    LOGS_BY_ADDRESS_TOPIC,
    LOGS_BY_TOPIC,
    RECEIPTS,
    SENDERS,
    TRANSACTION_HASHES,
    TRANSACTIONS,
    VALIDATORS,
)
from tests.network.comet.four_nodes import PATIENCE_S, STEP_S, Network, Node, make_network
from tests.network.comet.small_network import Home, free_ports, public_key, require_cometbft, seed

pytestmark = [pytest.mark.cometbft, pytest.mark.slow, pytest.mark.network]
JOINER = 3
BY_HEIGHT = (BLOCKS, HEADERS, COMMITS, TRANSACTIONS, RECEIPTS, LOGS)
OTHERS = (
    VALIDATORS, BLOCK_HASHES, TRANSACTION_HASHES, SENDERS, LOGS_BY_ADDRESS, LOGS_BY_TOPIC,
    LOGS_BY_ADDRESS_TOPIC,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cometbft() -> None:
    require_cometbft()


@contextmanager
def load(network: Network, node: Node) -> Iterator[None]:
    """Transactions at a node, one after the other, until the block ends."""
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            node.send(network.transaction(1))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def first_block(node: Node) -> int:
    return int(node.call("shelian_status")["firstBlock"], 16)


def rows(path: Path, up_to: int) -> dict[bytes, object]:
    """Everything that is not state, of the blocks up to a height."""
    found: dict[bytes, object] = {}
    with Database.open(path) as database, database.snapshot() as reads:
        for key, row in reads.rows():
            if key[:1] in {table.prefix for table in BY_HEIGHT} and int.from_bytes(key[1:9], "big") <= up_to:
                receipt = key[:1] == RECEIPTS.prefix
                found[key] = replace(decode_receipt(row), output=None) if receipt else row
            elif key[:1] in {table.prefix for table in OTHERS}:
                height = row[:8] if key[:1] in (BLOCK_HASHES.prefix, TRANSACTION_HASHES.prefix) else None
                if height is None:
                    height = key[1:9] if key[:1] == VALIDATORS.prefix else key[-16:-8]
                    height = key[-12:-4] if key[:1] == SENDERS.prefix else height
                if int.from_bytes(height, "big") <= up_to:
                    found[key] = row
    return found


def test_a_node_that_began_at_a_snapshot_gets_all_blocks(tmp_path: Path) -> None:
    network = make_network(tmp_path, 2, options=("--snapshot-every", "40"))
    joiner_id = node_id(public_key(seed(f"node {JOINER}")))
    p2p, rpc, metrics, port = free_ports(4)
    for node in network.nodes:  # it stands on their lists
        bootstrap = (*node.home.settings.bootstrap, f"{joiner_id}@127.0.0.1:{p2p}")
        node.home = replace(node.home, settings=replace(node.home.settings, bootstrap=bootstrap))
        node.home.write()
    layout = Layout(tmp_path / "joiner")
    layout.node.mkdir(parents=True)
    layout.genesis.write_bytes(encode_genesis(network.genesis))
    Ledger.create(layout.ledger, network.genesis).close()
    joiner: Node | None = None
    try:
        network.start()
        network.wait_height(1)
        shelves = [node.layout.node / "snapshots" for node in network.nodes]
        while network.nodes[0].height < 45 or not all(any(shelf.glob("*0")) for shelf in shelves):
            network.nodes[0].send(network.transaction(1))
        trusted = network.nodes[1].call("shelian_getHeader", "0x5")
        settings = replace(
            network.nodes[0].home.settings,
            p2p_address=f"127.0.0.1:{p2p}",
            rpc_address=f"127.0.0.1:{rpc}",
            metrics_address=f"127.0.0.1:{metrics}",
            name="joiner",
            state_sync=StateSync(
                tuple(f"http://{node.home.settings.rpc_address}" for node in network.nodes),
                5,
                bytes.fromhex(trusted["hash"][2:]),
            ),
        )
        home = Home(JOINER, CometPlace(layout.comet), settings, network.genesis)
        home.write()
        sources = [part for node in network.nodes for part in ("--history-from", node.url)]
        joiner = Node(JOINER, layout, home, port, tuple(sources))
        joiner.start()
        network.wait(lambda node: node.height >= 40, "the snapshot", [joiner])
        with load(network, network.nodes[0]):
            network.wait_height(network.nodes[0].height, [joiner])
            network.wait(lambda node: first_block(node) == 0, "all blocks", [joiner])
        target = network.nodes[0].height
        network.wait_height(target, [joiner])
        network.wait(lambda node: "error" not in node.ask("shelian_getHeader", "latest"), "headers", [joiner])
        joiner.stop()
        for node in network.nodes:
            node.stop()
        report = check_ledger(layout.ledger, network.genesis)
        assert (report.findings, report.unverified) == ([], [])
        assert report.base >= 40
        whole, filled = (rows(one.layout.ledger, target - 2) for one in (network.nodes[0], joiner))
        assert filled.keys() == whole.keys()
        assert {key[:1] for key in whole} >= {one.prefix for one in (*BY_HEIGHT, *OTHERS)} - {
            one.prefix for one in (LOGS, LOGS_BY_ADDRESS, LOGS_BY_TOPIC, LOGS_BY_ADDRESS_TOPIC)
        }
        assert [key for key in whole if whole[key] != filled[key]] == []
    finally:
        if joiner is not None:
            print(joiner.log[-6_000:])
            joiner.kill()
            joiner.close()
        network.close()


def shelian(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_validator_comes_back_from_its_backup_with_a_new_key(tmp_path: Path) -> None:
    network = make_network(tmp_path, 4, options=("--snapshot-every", "10"))
    first, lost = network.nodes[0], network.nodes[3]
    try:
        network.start()
        network.wait_height(1)
        with load(network, first):
            network.wait_height(6)
            shelian("node", "backup", "--data", lost.layout.data, "--to", tmp_path / "backup")
            made = verify_backup(tmp_path / "backup")
            network.wait_height(made.height + 3)
        old_key = load_validator_key(lost.home.place)
        lost.kill()
        shutil.rmtree(lost.layout.data)
        with load(network, first):
            network.wait_height(made.height + 6, network.nodes[:3])
            began = time.monotonic()
            shelian(
                "node", "restore", "--backup", tmp_path / "backup", "--data", lost.layout.data,
                "--history-from", first.url,
            )  # fmt: skip
            lost.start()
            network.wait(lambda node: node.height >= first.height - 1, "in step", [lost])
            print(f"restored and in step after {time.monotonic() - began:.1f} s")
        assert load_validator_key(lost.home.place) != old_key
        in_step(network, lost)
        assert not (lost.layout.comet / "retracing.json").exists()

        # Its CometBFT loses everything but what it signed; it comes back behind a snapshot of the others.
        lost.stop()
        signed = lost.home.place.validator_state_file.read_bytes()
        shutil.rmtree(lost.home.place.validator_state_file.parent)
        lost.home.place.validator_state_file.parent.mkdir(mode=0o700)
        lost.home.place.validator_state_file.write_bytes(signed)
        lost.home.place.validator_state_file.chmod(0o600)
        trusted = first.call("shelian_getHeader", "0x5")
        state_sync = StateSync(
            tuple(f"http://{node.home.settings.rpc_address}" for node in network.nodes[:3]),
            5,
            bytes.fromhex(trusted["hash"][2:]),
        )
        save_settings(lost.home.place, replace(lost.home.settings, state_sync=state_sync))
        first.send(network.transaction(1))
        lost.start()
        network.wait(lambda node: node.height >= first.height - 1, "in step again", [lost])
        in_step(network, lost)
        assert "Snapshot restored" in lost.log
        network.close()
        report = check_ledger(lost.layout.ledger, network.genesis)
        assert (report.findings, report.unverified, report.base) == ([], [], 0)
    finally:
        print(lost.log[-8_000:])
        network.close()


def in_step(network: Network, node: Node) -> None:
    """It takes part again: what is sent to it is committed, and it has the same state."""
    answer = node.send(network.transaction(2))
    height = int(answer["blockNumber"], 16)
    deadline = time.monotonic() + PATIENCE_S
    while network.nodes[0].height < height:
        assert time.monotonic() < deadline
        time.sleep(STEP_S)
    assert node.block(height)["stateRoot"] == network.nodes[0].block(height)["stateRoot"]
