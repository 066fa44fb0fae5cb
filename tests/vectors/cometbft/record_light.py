"""Records light.json: a real network of CometBFT processes whose validators come and go.

    python tests/vectors/cometbft/record_light.py COMETBFT GO SOURCE > light.json

COMETBFT is the binary, GO the compiler, SOURCE the source tree of the same CometBFT version; light.go.txt is
built in a copy of it. Nine nodes with the kvstore application on loopback, all keys made for the run and
thrown away with it. It takes about two minutes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

BASE_PORT = 36_600
VALIDATORS, OTHERS = 4, 5
NODES = range(VALIDATORS + OTHERS)
LAST_HEIGHT = 96


class Network:
    def __init__(self, cometbft: Path, directory: Path) -> None:
        self.cometbft, self.directory = cometbft, directory
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.sent: list[tuple[int, int]] = []
        counts = [f"--v={VALIDATORS}", f"--n={OTHERS}", f"--o={directory}"]
        subprocess.run([cometbft, "testnet", *counts], check=True, capture_output=True)
        genesis = json.loads((self.home(0) / "config/genesis.json").read_text())
        genesis["chain_id"] = "shelian-light-1"
        for validator in genesis["validators"]:
            validator["power"] = "10"
        peers = ",".join(f"{self.node_id(n)}@127.0.0.1:{BASE_PORT + 2 * n}" for n in NODES)
        for node in NODES:
            (self.home(node) / "config/genesis.json").write_text(json.dumps(genesis))
            self.configure(
                node,
                proxy_app="kvstore",
                persistent_peers=peers,
                timeout_propose="400ms",
                timeout_commit="150ms",
                pex="false",
                addr_book_strict="false",
                allow_duplicate_ip="true",
            )
            config = self.home(node) / "config/config.toml"
            text = config.read_text().replace("tcp://127.0.0.1:26657", f"tcp://127.0.0.1:{self.rpc(node)}")
            config.write_text(text.replace("tcp://0.0.0.0:26656", f"tcp://127.0.0.1:{BASE_PORT + 2 * node}"))

    def home(self, node: int) -> Path:
        return self.directory / f"node{node}"

    def rpc(self, node: int) -> int:
        return BASE_PORT + 2 * node + 1

    def node_id(self, node: int) -> str:
        command = [self.cometbft, "show-node-id", "--home", str(self.home(node))]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def configure(self, node: int, **settings: str) -> None:
        config = self.home(node) / "config/config.toml"
        text = config.read_text()
        for name, value in settings.items():
            written = value if value in ("true", "false") else f'"{value}"'
            text, count = re.subn(rf"^{name} = .*$", f"{name} = {written}", text, flags=re.MULTILINE)
            assert count == 1, name
        config.write_text(text)

    def start(self, node: int) -> None:
        log = (self.home(node) / "log").open("ab")
        command = [self.cometbft, "start", "--home", str(self.home(node)), "--log_level", "error"]
        self.running[node] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self, node: int) -> None:
        process = self.running.pop(node)
        process.terminate()
        process.wait(20)

    def ask(self, path: str, node: int = 0) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rpc(node)}/{path}", timeout=10) as answer:
            return json.load(answer)["result"]

    def height(self) -> int:
        return int(self.ask("status")["sync_info"]["latest_block_height"])

    def wait_for(self, height: int) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                if self.height() >= height:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit(f"height {height} was not reached: {self.directory}")

    def set_power(self, node: int, power: int) -> None:
        key_file = json.loads((self.home(node) / "config/priv_validator_key.json").read_text())
        key = base64.b64encode(base64.b64decode(key_file["pub_key"]["value"])).decode()
        # The mempool takes no transaction twice; leading zeros make it another one.
        zeros = "0" * sum(sent == (node, power) for sent in self.sent)
        self.sent.append((node, power))
        text = f"val=ed25519!{key}!{zeros}{power}"
        transaction = urllib.parse.quote(f'"{text}"', safe="")
        answer = self.ask(f"broadcast_tx_sync?tx={transaction}")
        assert answer["code"] == 0, answer


def run(network: Network) -> None:
    """Power changed, joined, left, absent, voting for nothing, several at once, all the first ones gone."""
    for node in NODES:
        network.start(node)
    network.wait_for(8)
    network.set_power(1, 13)
    network.wait_for(14)
    network.set_power(4, 10)
    network.wait_for(20)
    network.set_power(2, 0)
    network.wait_for(26)
    network.stop(3)
    network.wait_for(36)
    network.start(3)
    network.wait_for(42)
    # A validator that does not wait for proposals or for the others' votes often votes for nothing.
    network.stop(4)
    network.configure(4, timeout_propose="1ms", timeout_prevote="1ms")
    network.start(4)
    network.wait_for(54)
    network.set_power(5, 20)
    network.set_power(6, 15)
    network.wait_for(60)
    network.set_power(0, 0)
    network.set_power(1, 0)
    network.wait_for(66)
    network.set_power(3, 0)
    network.wait_for(72)
    for node, power in ((2, 7), (5, 9), (7, 12), (8, 11)):
        network.set_power(node, power)
    network.wait_for(80)
    for node in (2, 4, 5, 6):
        network.set_power(node, 0)
    network.wait_for(88)
    network.set_power(7, 13)
    network.wait_for(LAST_HEIGHT + 1)


def main(cometbft: str, go: str, source: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "source"
        shutil.copytree(source, tree)
        subprocess.run(["chmod", "-R", "u+w", str(tree)], check=True)
        command = tree / "cmd" / "light"
        command.mkdir()
        shutil.copy(Path(__file__).with_name("light.go.txt"), command / "main.go")
        program = Path(work) / "light"
        build = [go, "build", "-o", str(program), "./cmd/light"]
        subprocess.run(build, cwd=tree, check=True, env={**os.environ, "GOFLAGS": "-mod=readonly"})
        network = Network(Path(cometbft), Path(work) / "network")
        try:
            run(network)
            subprocess.run([program, f"http://127.0.0.1:{network.rpc(0)}", str(LAST_HEIGHT)], check=True)
        finally:
            for node in list(network.running):
                network.stop(node)


if __name__ == "__main__":
    main(*sys.argv[1:])
