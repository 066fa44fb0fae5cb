"""One validator of a network's benchmark: a ledger and CometBFT in `DIRECTORY`, until it is told to stop.

    python -m bench.network_node DIRECTORY [--stages]

`DIRECTORY` holds genesis.json, ledger and comet (`bench.validators` makes them). Talks to the program that
started it by lines: on standard output `{"url": …, "open_s": …}` when it listens; then a line of JSON for
each word on standard input:

    stages      the totals of `bench.stage_clock`; with --stages only
    moments     when the blocks since the last such word went through this node, see `Moments`; likewise
    snapshot    makes a snapshot of the tip, and tells what it is and what it took

SIGTERM ends it, and so does the end of standard input.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.disable()  # while importing, as `shelian` does

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from bench.moments import Moments
from bench.stage_clock import StageClock
from network.runner import CometConfig, Node, NodeConfig, run_node
from node.chain.genesis import decode_genesis
from node.ledger.shelf import Shelf
from node.rpc.config import RpcConfig


def main() -> None:
    gc.enable()
    parser = argparse.ArgumentParser(prog="python -m bench.network_node")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--stages", action="store_true")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    config = NodeConfig(
        options.directory / "ledger",
        CometConfig(options.directory / "comet"),
        RpcConfig(port=0),
        decode_genesis((options.directory / "genesis.json").read_bytes()),
    )
    words: dict[str, Callable[[], Any]] = {}
    if options.stages:
        clock, moments = StageClock(), Moments()
        words = {"stages": clock.totals, "moments": moments.take}
    opening = time.perf_counter()

    def started(node: Node) -> None:
        _say({"url": node.url, "open_s": time.perf_counter() - opening})
        loop = asyncio.get_running_loop()

        def heard() -> None:
            line = sys.stdin.readline()
            if not line:  # whoever started us is gone
                loop.remove_reader(sys.stdin.fileno())
                signal.raise_signal(signal.SIGTERM)
            for word in line.split():
                if word == "snapshot":
                    loop.run_in_executor(None, lambda: _say(make_snapshot(node, config.shelf)))
                else:  # the clock counts the thread that asks as JSON-RPC's
                    _say(words[word]())

        loop.add_reader(sys.stdin.fileno(), heard)

    run_node(config, started)


def make_snapshot(node: Node, directory: Path) -> dict[str, Any]:
    """Without the rests that a node's own making takes: what it costs."""
    began, cpu = time.perf_counter(), time.thread_time()
    with node.ledger.snapshot() as view:
        saved = Shelf(directory).create(view, node.genesis)
    return {
        "height": saved.manifest.height,
        "chunks": len(saved.manifest.chunks),
        "bytes": saved.stored_bytes,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.thread_time() - cpu,
    }


def _say(message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
