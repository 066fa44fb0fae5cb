"""`python -m bench.responsiveness`: how fast our node answers readers while others make it work.

A node process of its own is put under one load after the other. Meanwhile four readers, each on a connection
of its own, ask one small question every few milliseconds, and a court handler issues a document now and then.
Told are the times of the answers, of the documents until their receipt, and the most memory the process had.

Readers and load share this process; they do next to nothing with the answers. Nothing passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bench.cast import DEPLOYER, SENDERS
from bench.client import Client, LoadError
from bench.documents import sign_documents
from bench.erc20 import TokenHolders
from bench.machine import machine_facts
from bench.sending import Sender
from bench.targets import our_node
from contracts.system import SYSTEM_CONTRACTS
from node.chain.encoding import keccak256

LOADS: Final = ("nothing", "transfers", "calls", "blocks", "logs")
"""Nothing; 800 transfers a second; 8 clients with endless calls; full blocks of endless transactions; 8
clients that search all logs.
"""
READERS: Final = ("eth_blockNumber", "eth_getTransactionReceipt", "eth_call", "shelian_status")
_READ_EVERY_S: Final = 0.02
_DOCUMENT_EVERY_S: Final = 0.25
_TRANSFERS_PER_S: Final = 800
_TRANSFERS_A_REQUEST: Final = 8
_HOSTILE_CLIENTS: Final = 8
_ENDLESS: Final = bytes.fromhex("5b600056")
"""JUMPDEST PUSH1 0 JUMP: the most opcodes a unit of gas buys."""
_HUNDRED_LOGS: Final = bytes.fromhex("60645b5f5f5f5f60205fa460019003806002570000")
"""A hundred times LOG4 of four zero topics and 32 bytes."""
_LOG_TRANSACTIONS: Final = 96
_LOG_GAS: Final = 300_000
_ZERO_TOPIC: Final = "0x" + "00" * 32
_BALANCE_OF: Final = keccak256(b"balanceOf(address)")[:4]
_LOVE_BANK: Final = next(one.address for one in SYSTEM_CONTRACTS if one.name == "LoveBank")


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds."""

    count: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Phase:
    """One load. `reads` by method, `refused` of them errors; `rss_mb`: peak since the process started."""

    name: str
    seconds: float
    reads: dict[str, Times]
    documents: Times
    blocks: int
    transactions: int
    rss_mb: float
    refused: int


def main() -> int:
    """0 when there are figures, 1 when the node did not do what was asked of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.responsiveness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--gas", type=int, default=30_000_000, help="of a worst-case transaction or call")
    parser.add_argument("--load", action="append", choices=LOADS, help="only this one; may be repeated")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    chosen = [name for name in LOADS if options.load is None or name in options.load]
    try:
        phases = uvloop.run(_run(chosen, options.seconds, options.gas))
    except LoadError as error:
        print(f"没有结果 no figures: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        document = {"machine": machine_facts(), "phases": [asdict(phase) for phase in phases]}
        options.json.write_text(json.dumps(document, ensure_ascii=False, indent=1))
    Console(width=150).print(_table(phases))
    return 0


async def _run(names: Sequence[str], seconds: float, gas: int) -> list[Phase]:
    phases = []
    with tempfile.TemporaryDirectory(prefix="shelian-bench-") as directory:
        async with our_node(Path(directory)) as target, Client(target.url, 4) as client:
            if target.process is None:
                raise LoadError("there is no process to look at")
            stage = await _Stage.create(client, target.url, target.process.pid, gas)
            for name in names:
                print(f"{name}: {seconds} s", file=sys.stderr)
                phases.append(await stage.measure(name, seconds))
    return phases


class _Stage:
    """A node with a token, a contract that never ends and one that makes logs."""

    def __init__(
        self, client: Client, url: str, pid: int, gas: int, chain_id: int, holders: TokenHolders
    ) -> None:
        self._client = client
        self._url = url
        self._pid = pid
        self._gas = gas
        self._chain_id = chain_id
        self._holders = holders
        self._endless = b""
        self._known = ""
        self._refused = 0

    @classmethod
    async def create(cls, client: Client, url: str, pid: int, gas: int) -> _Stage:
        chain_id = int(await client.call("eth_chainId"), 16)
        stage = cls(client, url, pid, gas, chain_id, await TokenHolders.create(client))
        stage._endless = await stage._deploy(_ENDLESS)
        logger = await stage._deploy(_HUNDRED_LOGS)
        senders = await stage._senders()
        raws = [
            senders[number % len(senders)].sign_type_2(logger, b"", _LOG_GAS, 0, 0)
            for number in range(_LOG_TRANSACTIONS)
        ]
        await client.include_all(raws)
        return stage

    async def measure(self, name: str, seconds: float) -> Phase:
        documents = await sign_documents(self._client, f"{name} document", int(seconds / _DOCUMENT_EVERY_S))
        load = await self._load(name, seconds)
        first = int(await self._client.call("eth_blockNumber"), 16)
        self._refused = 0
        began = time.perf_counter()
        running = [asyncio.create_task(one) for one in load]
        try:
            async with asyncio.timeout(seconds * 6 + 60):
                issued, *reads = await asyncio.gather(
                    self._issue(documents),
                    *(self._read(method, began + seconds) for method in READERS),
                )
        except TimeoutError:
            raise LoadError(f"the node does not come through {name}") from None
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        taken = time.perf_counter() - began
        last = int(await self._client.call("eth_blockNumber"), 16)
        transactions = 0
        for height in range(first + 1, last + 1):
            transactions += int(
                await self._client.call("eth_getBlockTransactionCountByNumber", hex(height)), 16
            )
        await self._drained()
        return Phase(
            name, taken, {method: _times(read) for method, read in zip(READERS, reads, strict=True)},
            _times(issued), last - first, transactions, _peak_mb(self._pid), self._refused,
        )  # fmt: skip

    async def _read(self, method: str, until: float) -> list[float]:
        """Times of answers to a question asked every few milliseconds, or when the last one was answered."""
        parameters: dict[str, list[Any]] = {
            "eth_getTransactionReceipt": [self._known],
            "eth_call": [{"to": _hex(_LOVE_BANK), "data": _hex(_BALANCE_OF + bytes(32))}],
        }
        taken = []
        async with _session() as session:
            while (asked := time.perf_counter()) < until:
                answer = await _ask(session, self._url, method, *parameters.get(method, []))
                taken.append((time.perf_counter() - asked) * 1_000)
                self._refused += b'"error"' in answer
                await asyncio.sleep(max(0.0, asked + _READ_EVERY_S - time.perf_counter()))
        return taken

    async def _issue(self, documents: Sequence[bytes]) -> list[float]:
        start = time.perf_counter()

        async def one(number: int, raw: bytes) -> float:
            due = start + number * _DOCUMENT_EVERY_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = orjson.loads(await _ask(session, self._url, "eth_sendRawTransactionSync", _hex(raw)))
            if answer.get("result", {}).get("status") != "0x1":
                raise LoadError(f"a document was not issued: {answer}")
            return (time.perf_counter() - due) * 1_000

        async with _session() as session:
            return await asyncio.gather(*(one(number, raw) for number, raw in enumerate(documents)))

    async def _load(self, name: str, seconds: float) -> list[Coroutine[Any, Any, None]]:
        """What makes the node work, each to be run beside the others until it is cancelled."""
        if name == "transfers":
            raws = await self._holders.sign_transfers(name, int(seconds * _TRANSFERS_PER_S))
            return [self._send_paced(raws)]
        if name == "calls":
            call = {"to": _hex(self._endless), "gas": hex(self._gas)}
            return [self._repeat("eth_call", call) for _ in range(_HOSTILE_CLIENTS)]
        if name == "blocks":
            return [self._fill_blocks()]
        if name == "logs":
            others = [_hex(keccak256(bytes((number,)))) for number in range(255)]
            searches = (
                {"fromBlock": "0x0", "topics": [[_ZERO_TOPIC, *others]]},
                {"fromBlock": "0x0", "topics": [[_ZERO_TOPIC, *others]] * 3 + [others]},
            )
            return [self._repeat("eth_getLogs", searches[i % 2]) for i in range(_HOSTILE_CLIENTS)]
        return []

    async def _send_paced(self, raws: Sequence[bytes]) -> None:
        start = time.perf_counter()

        async def one(number: int, some: Sequence[bytes]) -> None:
            await asyncio.sleep(max(0.0, start + number / _TRANSFERS_PER_S - time.perf_counter()))
            await self._client.send(some)

        await asyncio.gather(
            *(
                one(number, raws[number : number + _TRANSFERS_A_REQUEST])
                for number in range(0, len(raws), _TRANSFERS_A_REQUEST)
            )
        )

    async def _repeat(self, method: str, parameter: object) -> None:
        async with _session() as session:
            while True:
                await _ask(session, self._url, method, parameter)

    async def _fill_blocks(self) -> None:
        """Keep an endless transaction of each of some services waiting."""
        senders = (await self._senders())[:4]
        while True:
            if int((await self._client.call("shelian_getPool"))["ready"], 16) < len(senders):
                for sender in senders:
                    await self._client.send([sender.sign_type_2(self._endless, b"", self._gas, 0, 0)])
            await asyncio.sleep(0.02)

    async def _deploy(self, code: bytes) -> bytes:
        """The address of a new contract with this code."""
        copy = bytes((0x60, len(code), 0x60, 10, 0x5F, 0x39, 0x60, len(code), 0x5F, 0xF3))
        root = Sender(DEPLOYER, self._chain_id, await self._client.nonce(DEPLOYER.address))
        deployed = await self._client.include(root.sign_type_2(None, copy + code, 300_000, 0, 0))
        self._known = deployed["transactionHash"]
        return bytes.fromhex(deployed["contractAddress"][2:])

    async def _senders(self) -> list[Sender]:
        senders = [Sender(key, self._chain_id, 0) for key in SENDERS]
        await self._client.load_nonces(senders)
        return senders

    async def _drained(self) -> None:
        """Until nothing waits for a block: the next load starts from rest."""
        deadline = time.monotonic() + 120
        while (await self._client.call("shelian_getPool"))["ready"] != "0x0":
            if time.monotonic() > deadline:
                raise LoadError("the pool does not empty")
            await asyncio.sleep(0.05)


def _session() -> aiohttp.ClientSession:
    """One connection of its own."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))


async def _ask(session: aiohttp.ClientSession, url: str, method: str, *parameters: object) -> bytes:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
        return await response.read()


def _times(milliseconds: Sequence[float]) -> Times:
    ordered = sorted(milliseconds)
    count = len(ordered)
    return Times(count, ordered[count // 2], ordered[count * 99 // 100], ordered[-1])


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1_000


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _table(phases: Sequence[Phase]) -> Table:
    table = Table(title="应答时间 times to answer, ms: p50 / p99 / max", title_justify="left")
    names = (method.partition("_")[2] for method in READERS)
    for heading in ("load", *names, "document", "tx/s", "blocks", "errors", "RSS peak MB"):
        table.add_column(heading, justify="left" if heading == "load" else "right")
    for phase in phases:
        times = (*(phase.reads[method] for method in READERS), phase.documents)
        table.add_row(
            phase.name,
            *(f"{one.p50:.1f} / {one.p99:.0f} / {one.max:.0f}" for one in times),
            f"{phase.transactions / phase.seconds:.0f}",
            str(phase.blocks),
            str(phase.refused),
            f"{phase.rss_mb:.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
