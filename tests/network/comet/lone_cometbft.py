"""A real CometBFT of one validator, with the noting application of `abci_peers` behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.network.comet.abci_peers import Served, served


@dataclass
class Node:
    """A CometBFT of one validator, and what serves it."""

    home: Path
    process: asyncio.subprocess.Process
    served: Served
    rpc: httpx.AsyncClient

    @property
    def genesis(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / "config/genesis.json").read_text())
        return document

    def asked(self, method: str) -> list[Any]:
        return [request for name, request in self.served.application.asked if name == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.process.returncode is None, "CometBFT has stopped"
            await asyncio.sleep(0.02)

    async def call(self, method: str, **parameters: str) -> dict[str, Any]:
        """One call of CometBFT's own RPC, as soon as that answers."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = (await self.rpc.get(f"/{method}", params=parameters)).json()
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            await self.until(lambda: True)
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(
    cometbft: Path, directory: Path, change_genesis: Callable[[dict[str, Any]], None] = lambda _: None
) -> AsyncIterator[Node]:
    home = directory / "home"
    quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    made = await asyncio.create_subprocess_exec(cometbft, "init", "--home", home, **quiet)
    assert await made.wait() == 0
    genesis = json.loads((home / "config/genesis.json").read_text())
    change_genesis(genesis)
    (home / "config/genesis.json").write_text(json.dumps(genesis))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with served(directory / "abci.sock") as node:
        process = await asyncio.create_subprocess_exec(
            *(cometbft, "start", "--home", home, f"--proxy_app=unix://{node.path}"),
            *(f"--rpc.laddr=tcp://127.0.0.1:{port}", "--p2p.laddr=tcp://127.0.0.1:0"),
            "--consensus.create_empty_blocks=false",
            **quiet,
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as rpc:
                yield Node(home, process, node, rpc)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
