"""A real CometBFT on our socket: its handshake, a block, a query, and its end after an exception."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest

from network.comet import abci_pb2 as pb
from network.comet.binary import find_binary
from network.comet.faults import CometFault
from node.chain.errors import LedgerError
from tests.network.comet.lone_cometbft import running

pytestmark = [pytest.mark.cometbft, pytest.mark.slow]

GUARD_S = 60
"""Only against waiting for ever."""


@pytest.fixture(scope="module")
def cometbft() -> Path:
    try:
        return find_binary().path
    except CometFault as fault:
        if os.environ.get("CI") == "true":
            pytest.fail(str(fault))
        pytest.skip(str(fault))


def test_a_real_cometbft_is_understood(cometbft: Path, tmp_path: Path) -> None:
    transaction = b"a transaction"

    async def scenario() -> list[tuple[str, str]]:
        async with asyncio.timeout(GUARD_S), running(cometbft, tmp_path) as node:
            await node.call("broadcast_tx_sync", tx="0x" + transaction.hex())
            await node.until(lambda: any(list(r.txs) == [transaction] for r in node.asked("finalize_block")))
            answer = await node.call("abci_query", path='"/here"', data="0x0102", height="0")
            assert base64.b64decode(answer["response"]["value"]) == b"\1\2"

            info = node.asked("info")[0]
            assert (info.block_version, info.p2p_version) == (11, 8)
            assert info.abci_version.startswith("2.")
            genesis, start = node.genesis, node.asked("init_chain")[0]
            assert start.chain_id == genesis["chain_id"]
            assert start.initial_height == 1
            assert json.loads(start.app_state_bytes or b"{}") == genesis.get("app_state", {})
            (validator,) = genesis["validators"]
            assert [(v.pub_key.ed25519, v.power) for v in start.validators] == [
                (base64.b64decode(validator["pub_key"]["value"]), int(validator["power"]))
            ]
            wanted = genesis["consensus_params"]
            assert start.consensus_params.block.max_bytes == int(wanted["block"]["max_bytes"])
            assert start.consensus_params.block.max_gas == int(wanted["block"]["max_gas"])
            evidence = start.consensus_params.evidence
            assert evidence.max_age_duration.ToNanoseconds() == int(wanted["evidence"]["max_age_duration"])
            assert evidence.max_age_num_blocks == int(wanted["evidence"]["max_age_num_blocks"])
            assert list(start.consensus_params.validator.pub_key_types) == ["ed25519"]

            assert next(r.tx for batch in node.asked("check_tx") for r in batch) == transaction
            assert list(node.asked("prepare_proposal")[0].txs) == [transaction]
            judged, decided = node.asked("process_proposal")[0], node.asked("finalize_block")[0]
            assert (judged.hash, judged.height) == (decided.hash, decided.height)
            assert len(decided.hash) == 32
            assert decided.proposer_address.hex() == validator["address"].lower()
            assert decided.time.ToNanoseconds() > 1_500_000_000 * 10**9
            assert node.asked("query")[-1] == pb.RequestQuery(path="/here", data=b"\1\2")
            return node.served.application.fault_codes()

    assert asyncio.run(scenario()) == []


def test_cometbft_ends_after_an_exception_and_says_which(cometbft: Path, tmp_path: Path) -> None:
    async def scenario() -> list[tuple[str, str]]:
        async with asyncio.timeout(GUARD_S), running(cometbft, tmp_path) as node:
            application = node.served.application
            application.failures["finalize_block"] = LedgerError("ledger.disk_full", "the disk is full")
            await node.call("broadcast_tx_sync", tx="0x01")
            await node.process.wait()
            return application.fault_codes()

    assert asyncio.run(scenario())[0] == ("finalize_block", "ledger.disk_full")
