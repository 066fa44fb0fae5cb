"""The node of a benchmark: a chain of its own in `DIRECTORY`, served until it is told to stop.

    python -m bench.node DIRECTORY [--history HISTORY] [--stages] [--profile engine|rpc]

The chain is made when there is none, else opened as it is. Talks to the program that started it by lines of
JSON on standard output: `{"url": …, "open_s": …}` when it listens, with `--stages` the totals of
`bench.stage_clock` at each SIGUSR1. `--profile` writes `DIRECTORY/<thread>.prof` at the end. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import signal
import time
from pathlib import Path
from typing import Any

import structlog
from nacl.signing import SigningKey

from bench.cast import VALIDATOR, bench_genesis
from bench.stage_clock import StageClock
from network.embedded import EmbeddedEngine, ValidatorKey
from network.runner import EmbeddedConfig, Node, NodeConfig, run_node
from node.chain.genesis import Genesis, decode_genesis, encode_genesis
from node.ledger import Ledger
from node.ledger.retention import ARCHIVE, Retention
from node.rpc.config import RpcConfig

_GENESIS_AGE_NS = 10_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.node")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--history", type=Retention.parse, default=ARCHIVE, help="as of shelian node")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--profile", choices=("engine", "rpc"))
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    clock = StageClock() if options.stages else None
    genesis = _genesis(options.directory)
    signing_key = SigningKey(VALIDATOR.secret)
    key = ValidatorKey(VALIDATOR.public_key, lambda message: signing_key.sign(message).signature)
    config = NodeConfig(
        options.directory / "ledger",
        EmbeddedConfig(key),
        RpcConfig(port=0),
        genesis,
        retention=options.history,
    )

    opening = time.perf_counter()

    def started(node: Node) -> None:
        _say({"url": node.url, "open_s": time.perf_counter() - opening})
        if clock is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: _say(clock.totals()))

    if options.profile is None:
        run_node(config, started)
        return
    profile = cProfile.Profile()
    if options.profile == "engine":
        _profile_engine(profile)
        run_node(config, started)
    else:
        profile.runcall(run_node, config, started)
    profile.dump_stats(options.directory / f"{options.profile}.prof")


def _genesis(directory: Path) -> Genesis:
    """That of the chain in the directory; a new chain's if there is none."""
    file = directory / "genesis.json"
    if file.exists():
        return decode_genesis(file.read_bytes())
    genesis = bench_genesis(time.time_ns() - _GENESIS_AGE_NS)
    Ledger.create(directory / "ledger", genesis).close()
    file.write_bytes(encode_genesis(genesis))
    return genesis


def _profile_engine(profile: cProfile.Profile) -> None:
    """Profile what the engine's thread does."""
    run = EmbeddedEngine._run

    def profiled(self: EmbeddedEngine) -> None:
        profile.runcall(run, self)

    EmbeddedEngine._run = profiled  # type: ignore[method-assign]


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
