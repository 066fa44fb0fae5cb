"""cast of foundry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import CAST, Chain
from tests.helpers.rpc_node import DEPLOYER, OTHER, PERSON, SAMPLE

KEY = "0x" + bytes(DEPLOYER.key).hex()


def cast(chain: Chain, command: str, *arguments: str, fails: bool = False) -> str:
    result = subprocess.run(
        [str(CAST), command, "--rpc-url", chain.node.url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return (result.stderr if fails else result.stdout).strip()


def cast_json(chain: Chain, command: str, *arguments: str) -> Any:
    return json.loads(cast(chain, command, "--json", *arguments))


@pytest.fixture(autouse=True)
def _cast_is_there(npm_packages: Path) -> None:
    if not CAST.is_file():
        pytest.skip("cast has no binary for this machine")


@pytest.mark.parametrize("form", [[], ["--legacy"]])
def test_it_deploys_sends_and_reads_receipts(chain: Chain, form: list[str]) -> None:
    receipt = cast_json(chain, "send", *form, "--private-key", KEY, "--create", SAMPLE["bytecode"])
    assert receipt["status"] == "0x1"
    address = receipt["contractAddress"]
    sent = cast_json(
        chain, "send", *form, "--private-key", KEY, address, "transfer(address,uint256)", OTHER.address, "9"
    )
    assert sent["status"] == "0x1"
    assert cast_json(chain, "receipt", sent["transactionHash"])["blockHash"] == sent["blockHash"]
    balance = cast(chain, "call", address, "balanceOf(address)(uint256)", OTHER.address)
    assert balance == "9"
    logs = cast_json(
        chain, "logs", "--from-block", "0", "--address", address, "Transfer(address,address,uint256)"
    )
    assert len(logs) == 2
    assert cast(chain, "estimate", address, "mint(uint256)", "1").isdigit()


def test_it_shows_why_a_call_reverts(chain: Chain) -> None:
    zero = "0x" + "00" * 20
    text = cast(chain, "call", chain.sample, "transfer(address,uint256)", zero, "1", fails=True)
    assert "no such address" in text
    sent = cast(chain, "send", "--private-key", KEY, chain.sample, "fail()", fails=True)
    assert "execution reverted" in sent


def test_it_reads_the_chain(chain: Chain) -> None:
    assert cast(chain, "chain-id") == str(chain.node.chain_id)
    assert int(cast(chain, "block-number")) >= chain.imi_block
    assert cast(chain, "client").startswith("Shelian/")
    assert cast(chain, "gas-price") == "0"
    assert cast(chain, "nonce", "0x" + PERSON.address.hex()) == "1"
    assert cast(chain, "storage", chain.sample, "0") == "0x" + "00" * 32
    assert cast_json(chain, "proof", chain.sample, "0x0")["address"] == chain.sample


def test_it_reads_blocks_of_imi_transactions(chain: Chain) -> None:
    block = cast_json(chain, "block", str(chain.imi_block), "--full")
    assert [one["hash"] for one in block["transactions"]] == [chain.imi_hash]
    assert cast_json(chain, "tx", chain.imi_hash)["type"] == "0x49"
    assert cast_json(chain, "receipt", chain.imi_hash)["type"] == "0x49"
