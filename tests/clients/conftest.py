"""Public clients, unmodified, against a real node whose chain holds blocks of 0x49 transactions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.chain.encoding import keccak256
from tests.helpers.rpc_node import DEPLOYER, PERSON, SAMPLE, RunningNode, running_node

HERE = Path(__file__).parent
CAST = HERE / "node_modules" / "@foundry-rs" / "cast-linux-amd64" / "bin" / "cast"


@dataclass(frozen=True)
class Chain:
    """A node with a Sample contract and a block that holds a 0x49 transaction."""

    node: RunningNode
    sample: str
    imi_hash: str
    imi_block: int

    @property
    def websocket_url(self) -> str:
        return self.node.url.replace("http", "ws")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.clients)


@pytest.fixture(scope="session")
def npm_packages() -> Path:
    """Skips where they are not installed; on a build machine that is a failure."""
    installed = HERE / "node_modules"
    if not installed.is_dir():
        message = "npm packages missing: npm ci --prefix tests/clients"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return installed


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_node(tmp_path_factory.mktemp("node")) as node:
        sample = node.deploy()
        mint = keccak256(b"mint(uint256)")[:4]
        calls = [(sample, mint + value.to_bytes(32, "big")) for value in (3, 4)]
        receipt = node.send(node.sign_imi(calls))
        assert receipt["type"] == "0x49"
        yield Chain(node, sample, receipt["transactionHash"], int(receipt["blockNumber"], 16))


@pytest.fixture
def run_script(npm_packages: Path, chain: Chain) -> Callable[[str], dict[str, Any]]:
    """Run a JavaScript test; what it reports. Its own assertions fail the test."""

    def run(name: str) -> dict[str, Any]:
        settings = {
            "http": chain.node.url,
            "ws": chain.websocket_url,
            "chainId": chain.node.chain_id,
            "key": "0x" + bytes(DEPLOYER.key).hex(),
            "sample": chain.sample,
            "imiHash": chain.imi_hash,
            "imiBlock": chain.imi_block,
            "imiSender": "0x" + PERSON.address.hex(),
        } | SAMPLE
        result = subprocess.run(
            ["node", str(HERE / name)],
            input=json.dumps(settings),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return report

    return run
