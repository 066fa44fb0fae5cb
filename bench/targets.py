"""The chains that are measured, each a process of its own: our node, and anvil.

They are in sessions of their own: Ctrl-C is for the benchmark, which then stops them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.cast import DEPLOYER
from bench.client import Client, LoadError
from bench.npm import installed_modules
from bench.stages import Spent

_HERE = Path(__file__).parent
_START_S = 120.0
_ANVIL_BLOCK_S = "0.2"


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process: now, of these without the pages of files, and at its worst so far."""

    total: int
    anonymous: int
    peak: int


def decode_memory(status: str) -> Memory:
    """Of the text of /proc/PID/status (proc_pid_status(5))."""
    fields = dict(re.findall(r"^(VmRSS|RssAnon|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    total, anonymous, peak = (1024 * int(fields[name]) for name in ("VmRSS", "RssAnon", "VmHWM"))
    return Memory(total, anonymous, peak)


def cpu_seconds_of(pid: int) -> float:
    """CPU time of a process, user and system, all threads (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """A chain at `url`; `process` where the benchmark started it.

    `open_s`: seconds our node took from opening its ledger to listening, without Python's own start.
    """

    name: str
    url: str
    process: asyncio.subprocess.Process | None = None
    has_stages: bool = False
    open_s: float | None = None

    @property
    def websocket(self) -> Target:
        """The same chain over WebSocket, on the same port."""
        return replace(self, url=re.sub("^http", "ws", self.url))

    @property
    def transport(self) -> str:
        """`http` or `ws`."""
        return "ws" if self.url.startswith("ws") else "http"

    def client(self, connections: int) -> Client:
        return Client(self.url, connections)

    def cpu_seconds(self) -> float | None:
        """CPU time the process has used, user and system, all threads; None for a chain elsewhere."""
        return None if self.process is None else cpu_seconds_of(self.process.pid)

    def memory(self) -> Memory:
        """What the process, which the benchmark started, holds now."""
        assert self.process is not None  # noqa: S101 - for the type checker
        return decode_memory(Path(f"/proc/{self.process.pid}/status").read_text())

    async def stages(self) -> Spent:
        """The node's `bench.stage_clock` totals so far; empty unless it was started with its clocks."""
        if self.process is None or not self.has_stages:
            return {}
        self.process.send_signal(signal.SIGUSR1)
        totals: Spent = await _line_of(self.process)
        return totals


@contextlib.asynccontextmanager
async def our_node(
    directory: Path, *, stages: bool = False, profile: str | None = None, history: str = "archive"
) -> AsyncIterator[Target]:
    """Our node on the chain in `directory`, a new one if there is none; options as `bench.node` has them."""
    options = ["--history", history]
    options += ["--stages"] if stages else []
    options += ["--profile", profile] if profile else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.node", str(directory), *options,
        stdout=asyncio.subprocess.PIPE, cwd=_HERE.parent, start_new_session=True,
    )  # fmt: skip
    async with _stopped_at_the_end(process):
        ready = await _line_of(process)
        yield Target("shelian", ready["url"], process, stages, ready["open_s"])


@contextlib.asynccontextmanager
async def anvil(binary: Path) -> AsyncIterator[Target]:
    """Anvil, everything in memory, a block every `_ANVIL_BLOCK_S`.

    Not its instant mining: under load that stops with transactions still pending (1.7.1, most runs of some
    thousands). So its latency is mostly the wait for the next block.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(binary), "--port", str(port), "--silent",
        "--block-time", _ANVIL_BLOCK_S, "--max-transactions", "100000", "--disable-block-gas-limit",
        stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    async with _stopped_at_the_end(process):
        url = f"http://127.0.0.1:{port}"
        await _wait_until_listening(port)
        async with Client(url, 1) as client:
            await client.call("anvil_setBalance", "0x" + DEPLOYER.address.hex(), hex(10**24))
        yield Target("anvil", url, process)


def find_anvil() -> Path | None:
    """Anvil's binary, installed from the lock file first if npm is here; None, and why is printed, if not."""
    modules = installed_modules(_HERE, "anvil")
    if modules is None:
        return None
    found = next(modules.glob("@foundry-rs/anvil-*/bin/anvil"), None)
    if found is None:
        print("optional part missing: anvil (no binary for this machine)")
    return found


async def _line_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise LoadError("the node did not answer; its errors are above")
    message: dict[str, Any] = json.loads(line)
    return message


async def _wait_until_listening(port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _START_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if asyncio.get_running_loop().time() > deadline:
                raise LoadError("anvil does not listen") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@contextlib.asynccontextmanager
async def _stopped_at_the_end(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
