"""The node of a benchmark: a chain of its own in a temporary directory, served until it is told to stop.

    python -m bench.node DIRECTORY [--stages] [--profile engine|rpc]

Talks to the program that started it by lines of JSON on standard output: `{"url": …}` when it listens, and
with `--stages` the totals of `bench.stages` at each SIGUSR1. `--profile` writes `DIRECTORY/<thread>.prof` at
the end. SIGTERM ends it.
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
from bench.stages import StageClock
from network.embedded import EmbeddedEngine, ValidatorKey
from network.runner import Node, NodeConfig, run_node
from node.ledger import Ledger
from node.rpc.config import RpcConfig

_GENESIS_AGE_NS = 10_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.node")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--profile", choices=("engine", "rpc"))
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    clock = StageClock() if options.stages else None
    genesis = bench_genesis(time.time_ns() - _GENESIS_AGE_NS)
    Ledger.create(options.directory / "ledger", genesis).close()
    signing_key = SigningKey(VALIDATOR.secret)
    key = ValidatorKey(VALIDATOR.public_key, lambda message: signing_key.sign(message).signature)
    config = NodeConfig(options.directory / "ledger", key, RpcConfig(port=0), genesis)

    def started(node: Node) -> None:
        _say({"url": node.url})
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
