"""What is measured, and measuring it against one chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from bench.client import Client
from bench.documents import sign_documents
from bench.erc20 import TokenHolders
from bench.load import Latency, Throughput, measure_latency, measure_throughput, with_failures
from bench.orders import STEPS, sign_orders
from bench.stages import Spent, spent_between

ERC20, DOCUMENTS, ORDERS = "erc20", "documents", "orders"
CONNECTIONS = 4
LATENCY_CONNECTIONS = 16
_WARM_UP = 100
"""Operations before each measure: caches fill, code is loaded, as in a node that has run for a second."""


class Chain(Protocol):
    """What is measured: one node, or a network of them."""

    @property
    def name(self) -> str: ...
    @property
    def transport(self) -> str:
        """`http` or `ws`."""

    def client(self, connections: int) -> Client:
        """For the load; `connections` to each node."""

    def cpu_seconds(self) -> float | None:
        """CPU time it has used so far; None of a chain elsewhere."""

    async def stages(self) -> Spent:
        """Its stages' clocks so far; empty where it has none."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the report.

    Attributes:
        name: as `--scenario` takes it.
        zh, en: what people read.
        workload: who makes the transactions.
        count: transactions; of orders: orders.
        quick_count: the same for `--quick`.
        batch: transactions in one request.
        each: operations (documents, order steps) in one transaction.
        rate: transactions a second of a latency measure; None measures throughput.
    """

    name: str
    zh: str
    en: str
    workload: str
    count: int
    quick_count: int
    batch: int = 1
    each: int = 1
    rate: float | None = None

    @property
    def operations(self) -> int:
        """Of one of `count`: of a transaction, or of an order."""
        return STEPS if self.workload == ORDERS else self.each

    def quick(self) -> Scenario:
        return replace(self, count=self.quick_count)


SCENARIOS = (
    Scenario(
        "erc20-batch",
        "ERC-20 转账，100 笔一批",
        "ERC-20 transfers, 100 a request",
        ERC20,
        6_000,
        200,
        batch=100,
    ),
    Scenario("erc20-single", "ERC-20 转账，逐笔", "ERC-20 transfers, one a request", ERC20, 3_000, 100),
    Scenario("document", "文书签发，逐份", "document issue, one a transaction", DOCUMENTS, 1_500, 40),
    Scenario(
        "document-20", "文书签发，20 份一签", "document issue, 20 a transaction", DOCUMENTS, 75, 2, each=20
    ),
    Scenario("order", "订单步骤，逐步", "order steps, one a transaction", ORDERS, 150, 8),
    Scenario("order-20", "订单步骤，20 步一签", "order steps, 20 a transaction", ORDERS, 640, 40, each=20),
    Scenario(
        "erc20-latency", "ERC-20 转账延迟", "ERC-20 transfer, submit to receipt", ERC20, 300, 20, rate=20.0
    ),
    Scenario(
        "document-latency", "文书签发延迟", "document issue, submit to receipt", DOCUMENTS, 300, 20, rate=20.0
    ),
    Scenario(
        "order-latency", "订单发布延迟", "order publication, submit to receipt", ORDERS, 300, 20, rate=20.0
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one scenario on one chain.

    `transport` is `http` or `ws`; `operations` how many transfers, documents or order steps were sent;
    `cpu_s` the CPU time of the chain's process; `stages` what it spent in each of `bench.stages`.
    """

    scenario: Scenario
    target: str
    transport: str
    figures: Throughput | Latency
    operations: int
    cpu_s: float | None
    stages: Spent

    @property
    def operations_per_s(self) -> float | None:
        """Operations included with success a second; None of a latency measure."""
        if isinstance(self.figures, Latency):
            return None
        return self.figures.per_s * self.operations / self.figures.transactions


async def measure(
    target: Chain,
    scenarios: Iterable[Scenario],
    say: Callable[[str], None],
    done: Callable[[Measured], None],
    warm_up: bool,
) -> None:
    """Run the scenarios one after the other; each is `done` when it is measured. Raises LoadError."""
    async with target.client(CONNECTIONS + 1) as client:
        holders: TokenHolders | None = None
        for scenario in scenarios:
            if scenario.workload == ERC20 and holders is None:
                say(f"{target.name}: deploying the token")
                holders = await TokenHolders.create(client)
            if warm_up:
                ahead = replace(scenario, count=max(scenario.each, _WARM_UP // scenario.operations))
                raws = await sign(client, ahead, holders, f"warm-up {target.transport}")
                await measure_throughput(client, raws, 1, CONNECTIONS)
            name = f"{target.name} over {target.transport}: {scenario.en}"
            say(f"{name}: signing {scenario.count:,}")
            stages = await sign(client, scenario, holders, f"measured {target.transport}")
            say(f"{name}: sending")
            done(await _measure_one(target, client, scenario, stages))


async def sign(
    client: Client, scenario: Scenario, holders: TokenHolders | None, tag: str
) -> list[list[bytes]]:
    """Its transactions in stages, each to be sent after the one before it was included; `tag` keeps runs
    apart. `holders` where it transfers tokens. Raises LoadError.
    """
    tag = f"{scenario.name} {tag}"
    if scenario.workload == DOCUMENTS:
        return [await sign_documents(client, tag, scenario.count, scenario.each)]
    if scenario.workload == ORDERS:
        stages = await sign_orders(client, tag, scenario.count, scenario.each)
        return stages if scenario.rate is None else stages[:1]
    assert holders is not None  # noqa: S101 - made before the first ERC-20 scenario
    return [await holders.sign_transfers(tag, scenario.count)]


async def _measure_one(
    target: Chain, client: Client, scenario: Scenario, stages: list[list[bytes]]
) -> Measured:
    cpu_before, spent_before = target.cpu_seconds(), await target.stages()
    figures: Throughput | Latency
    if scenario.rate is None:
        figures = await measure_throughput(client, stages, scenario.batch, CONNECTIONS)
    else:
        async with target.client(LATENCY_CONNECTIONS) as many:
            figures = await measure_latency(many, stages[0], scenario.rate)
    cpu_after, spent_after = target.cpu_seconds(), await target.stages()
    if isinstance(figures, Throughput):
        figures = await with_failures(client, figures, stages)
    cpu_s = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    spent = spent_between(spent_before, spent_after)
    operations = sum(map(len, stages)) * scenario.each
    return Measured(scenario, target.name, target.transport, figures, operations, cpu_s, spent)
