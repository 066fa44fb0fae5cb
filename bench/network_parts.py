"""What `python -m bench network` measures, part by part, on one network.

Each part begins with all validators stopped, starts what it needs, and adds its figures to the report's
entry. Only `growth` leaves something to the parts after it: the long chain that a node is killed on and one
joins.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.client import LoadError, hash_of
from bench.erc20 import Terms, TokenHolders
from bench.growth import KINDS, signed_chunks
from bench.load import measure_throughput
from bench.network_latency import measure_waits, phases_of
from bench.recovery import watch_recovery
from bench.report import result_of
from bench.scenarios import CONNECTIONS, ERC20, SCENARIOS, Measured, Scenario, measure, sign
from bench.spread import SpreadClient
from bench.validators import Network, cpu_between
from network.comet.client import CometClient

RATE_PER_S = 20.0
_WAIT_CONNECTIONS = 64
_TRICKLE_TRANSFERS = 600
_SAMPLE = 20
_DOWN_S = 2.0
_FAULT_TOLERANT = 4
"""So many validators stand one that is dead."""
_SCENARIOS = {scenario.name: scenario for scenario in SCENARIOS}
_STAGE_SCENARIOS = (("erc20-batch", 2_000), ("document", 500), ("order", 50))
_NETWORK_WAITS = ("erc20-latency", "document-latency", "order-latency")

Entry = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything.

    Attributes:
        quick: the scenarios' own small counts.
        growth: transfers that the chain grows by.
        growth_points: where its disk is looked at, besides the end.
        restarts: how often a validator is killed.
        proposer_ms: values of timeout_propose to try with one validator dead.
        proposer_transfers: sent for each.
        round_transfers: sent for each with all alive, as fast as they go, to count late rounds.
    """

    quick: bool = False
    growth: int = 100_000
    growth_points: tuple[int, ...] = (10_000, 30_000)
    restarts: int = 5
    proposer_ms: tuple[int, ...] = (3_000, 1_000, 500, 300)
    proposer_transfers: int = 200
    round_transfers: int = 2_000

    def scenario(self, name: str) -> Scenario:
        return _SCENARIOS[name].quick() if self.quick else _SCENARIOS[name]


QUICK = Amounts(True, 300, (100,), 1, (500,), 20, 100)


class Parts:
    """The parts, in the order of NAMES; `holders` of one token last from the first that needs it."""

    def __init__(self, network: Network, amounts: Amounts, entry: Entry, say: Say) -> None:
        self._network = network
        self._amounts = amounts
        self._entry = entry
        self._say = say
        self._terms: Terms | None = None

    async def run(self, name: str) -> None:
        """Raises LoadError."""
        try:
            await getattr(self, name)()
        finally:
            await self._network.stop()

    async def throughput(self) -> None:
        """Every scenario of one node that asks how many, as fast as they go."""
        network = self._network
        await network.start()
        rows = self._entry["throughput"] = []
        first_height = await self._height()

        def done(measured: Measured) -> None:
            rows.append(result_of(measured) | {"cpu": network.cpu_between_looks()})

        wanted = [self._amounts.scenario(one.name) for one in SCENARIOS if one.rate is None]
        await measure(network, wanted, self._say, done, warm_up=not self._amounts.quick)
        self._entry["late_rounds"] = await self._late_rounds(first_height)

    async def latency(self) -> None:
        """Submit to final at a fixed rate."""
        await self._network.start()
        self._entry["latency"] = [await self._waits(name) for name in _NETWORK_WAITS]

    async def stages(self) -> None:
        """Where the time goes: the stages of all nodes together, and the phases of a transfer's latency."""
        network, rows = self._network, self._entry.setdefault("stages", [])
        await network.start(stages=True)

        def done(measured: Measured) -> None:
            rows.append(result_of(measured) | {"cpu": network.cpu_between_looks()})

        wanted = [self._amounts.scenario(name) for name, _ in _STAGE_SCENARIOS]
        if not self._amounts.quick:
            counts = dict(_STAGE_SCENARIOS)
            wanted = [replace(one, count=counts[one.name]) for one in wanted]
        await measure(network, wanted, self._say, done, warm_up=not self._amounts.quick)
        self._entry["phases"] = [await self._waits(name) for name in _NETWORK_WAITS[:2]]

    async def growth(self) -> None:
        """A long chain: what it takes on the disk, how fast it grows; and a snapshot of it."""
        network, amounts, kind = self._network, self._amounts, KINDS["holders"]
        await network.start()
        async with self._client() as client:
            terms = await self._terms_of(client)
            nonces = [await client.nonce(key.address) for key in kind.senders]
            grown, seconds = 0, 0.0
            cpu_before, height_before = network.cpu_of_each(), await self._height()
            points = [{"transfers": 0, "blocks": 0, "nodes": [one.disk() for one in network.validators]}]
            tag = f"grow {time.time_ns()}"
            async for raws in signed_chunks(kind, terms, nonces, tag, amounts.growth):
                figures = await measure_throughput(client, [raws], kind.batch, CONNECTIONS)
                seconds += figures.seconds
                failed = await client.count_failed([hash_of(raw) for raw in raws[::_SAMPLE]])
                if failed or figures.refused:
                    raise LoadError(f"growing transfers: {failed} failed, {figures.refused} refused")
                passed = [point for point in amounts.growth_points if grown < point <= grown + len(raws)]
                grown += len(raws)
                if passed or grown == amounts.growth:
                    blocks = await self._height() - height_before
                    nodes = [one.disk() for one in network.validators]
                    points.append({"transfers": grown, "blocks": blocks, "nodes": nodes})
                self._say(f"{network.name}: grown to {grown:,} at {figures.per_s:,.0f} a second")
            self._entry["growth"] = {
                "transfers": grown,
                "seconds": seconds,
                "cpu": cpu_between(cpu_before, network.cpu_of_each()),
                "points": points,
            }
        self._say(f"{network.name}: making snapshots")
        async with self._trickle():
            made = [await one.ask("snapshot") for one in network.validators[:2]]
        self._entry["snapshot"] = made[0]

    async def restart(self) -> None:
        """A validator is killed and comes back while the others go on."""
        network = self._network
        await network.start()
        victim, rows = network.validators[-1], self._entry.setdefault("restart", [])
        async with self._client() as client:
            await self._terms_of(client)
        for _ in range(self._amounts.restarts):
            await victim.kill()
            async with self._trickle():
                await asyncio.sleep(_DOWN_S)
                rows.append(asdict(await watch_recovery(victim, network.validators[0])))
            self._say(f"{network.name}: back in step after {rows[-1]['in_step_s']:.2f} s")

    async def join(self) -> None:
        """A further node joins the chain by state sync while transfers go on."""
        network = self._network
        await network.start()
        trusted = await self._trusted_header()
        transactions = self._entry.get("growth", {}).get("transfers", 0)
        if self._entry.get("snapshot") is None:  # without `growth` before it
            made = [await one.ask("snapshot") for one in network.validators[:2]]
            self._entry["snapshot"] = made[0]
        await network.stop()
        observer = network.add_observer(trusted)
        await network.start()
        try:
            async with self._trickle():
                self._say(f"{network.name}: a node joins")
                recovery = await watch_recovery(observer, network.validators[0])
        finally:
            await observer.stop()
        self._entry["join"] = asdict(recovery) | {"transactions": transactions}
        self._say(f"{network.name}: joined after {recovery.in_step_s:.1f} s")

    async def proposer(self) -> None:
        """One of the validators is dead: what its turns cost, by timeout_propose; and how often the others
        lose patience with a proposer that lives, under full load.
        """
        network, amounts = self._network, self._amounts
        if len(network.validators) < _FAULT_TOLERANT:
            self._say(f"{network.name}: nothing goes on without one of them")
            return
        usual = network.validators[0].settings.timeout_propose_ms
        rows = self._entry.setdefault("proposer", [])
        for timeout_ms in amounts.proposer_ms:
            network.configure(timeout_propose_ms=timeout_ms)
            await network.start()
            async with self._client() as client:
                holders = TokenHolders(client, await self._terms_of(client))
                height = await self._height()
                raws = await holders.sign_transfers(f"rounds {timeout_ms}", amounts.round_transfers)
                busy = await measure_throughput(client, [raws], 100, CONNECTIONS)
                late = await self._late_rounds(height)
            await network.validators[-1].kill()
            name = "erc20-latency"
            waits = await self._waits(name, count=amounts.proposer_transfers, tag=f"proposer {timeout_ms}")
            rows.append(waits | {"timeout_propose_ms": timeout_ms, "per_s": busy.per_s, "late_rounds": late})
            await network.stop()
        network.configure(timeout_propose_ms=usual)

    # ---- what they share

    def _client(self) -> SpreadClient:
        client = self._network.client(CONNECTIONS + 1)
        assert isinstance(client, SpreadClient)  # noqa: S101 - for the type checker
        return client

    async def _terms_of(self, client: SpreadClient) -> Terms:
        if self._terms is None:
            self._say(f"{self._network.name}: deploying the token")
            self._terms = (await TokenHolders.create(client)).terms
        return self._terms

    async def _height(self) -> int:
        async with self._client() as client:
            return int(await client.call("eth_blockNumber"), 16)

    async def _waits(self, name: str, count: int | None = None, tag: str = "waits") -> dict[str, Any]:
        """Figures of one latency scenario, and its phases where the nodes note their moments."""
        network = self._network
        scenario = self._amounts.scenario(name)
        if count is not None:
            scenario = replace(scenario, count=count)
        urls = [one.url for one in network.running]
        async with SpreadClient([one.url for one in network.entries], _WAIT_CONNECTIONS) as client:
            holders = None
            if scenario.workload == ERC20:
                holders = TokenHolders(client, await self._terms_of(client))
            self._say(f"{network.name}: {scenario.en}, {scenario.count} at {RATE_PER_S:.0f} a second")
            (raws,) = await sign(client, scenario, holders, f"{tag} {time.time_ns()}")
            if network.has_stages:
                for one in network.running:
                    await one.ask("moments")
            before = network.cpu_of_each()
            waits = await measure_waits(client, urls, raws, RATE_PER_S)
            cpu = cpu_between(before, network.cpu_of_each())
            phases = {}
            if network.has_stages:
                moments = [await one.ask("moments") for one in network.running]
                phases = phases_of(waits.sent, moments)
        title = {"zh": scenario.zh, "en": scenario.en}
        figures = {"scenario": name, "title": title, "rate_per_s": RATE_PER_S, **waits.as_dict()}
        return figures | {"cpu": cpu, "phases": phases}

    @contextlib.asynccontextmanager
    async def _trickle(self) -> AsyncIterator[None]:
        """Transfers at RATE_PER_S go to the nodes that run now, as long as this lasts."""
        async with self._client() as client:
            holders = TokenHolders(client, await self._terms_of(client))
            raws = await holders.sign_transfers(f"trickle {time.time_ns()}", _TRICKLE_TRANSFERS)

            async def send() -> None:
                start = time.monotonic()
                for number, raw in enumerate(raws):
                    await asyncio.sleep(max(0.0, start + number / RATE_PER_S - time.monotonic()))
                    if errors := await client.send([raw]):
                        raise LoadError(f"a transfer beside the measure was refused: {errors[0]}")

            sending = asyncio.create_task(send())
            try:
                yield
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sending
            # What was sent is included before anybody counts nonces.
            await self._settle(client)

    async def _settle(self, client: SpreadClient) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            held = [(await node.call("shelian_status"))["pool"] for node in client.nodes]
            if not any(int(one["ready"], 16) for one in held):
                return
            await asyncio.sleep(0.05)
        raise LoadError("transfers beside the measure were never included")

    async def _trusted_header(self) -> tuple[int, bytes]:
        """A header of the chain, as the operator of a new node would be told it."""
        async with self._client() as client:
            height = max(1, int(await client.call("eth_blockNumber"), 16) - 2)
            header = await client.call("shelian_getHeader", hex(height))
        return height, bytes.fromhex(header["hash"][2:])

    async def _late_rounds(self, first_height: int) -> dict[str, int]:
        """Of the blocks since: how many there are, and how many were not decided in their first round."""
        last = await self._height() - 1
        heights = range(first_height + 1, last + 1)
        async with CometClient(self._network.validators[0].settings.rpc_address) as comet:
            rounds = [(await comet.commit(height))[1].round for height in heights]
        return {"blocks": len(rounds), "late": sum(number > 0 for number in rounds)}


NAMES = ("throughput", "latency", "stages", "growth", "restart", "join", "proposer")
