"""What is measured, and measuring it against one chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bench.documents import sign_documents
from bench.erc20 import TokenHolders
from bench.load import Client, Latency, Throughput, measure_latency, measure_throughput, with_failures
from bench.orders import STEPS, sign_orders
from bench.targets import Target

ERC20, DOCUMENTS, ORDERS = "erc20", "documents", "orders"
CONNECTIONS = 4
_LATENCY_CONNECTIONS = 16
_WARM_UP = 100
"""Operations before each measure: caches fill, code is loaded, as in a node that has run for a second."""


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
        each: operations (documents) in one transaction.
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
        """Of one transaction, or of one order."""
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
    Scenario("order", "订单全程 7 步", "order steps, 7 an order", ORDERS, 150, 8),
    Scenario(
        "erc20-latency", "ERC-20 转账延迟", "ERC-20 transfer, submit to receipt", ERC20, 300, 20, rate=20.0
    ),
    Scenario(
        "document-latency", "文书签发延迟", "document issue, submit to receipt", DOCUMENTS, 300, 20, rate=20.0
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one scenario on one chain.

    `operations` is how many transfers, documents or order steps were sent; `cpu_s` the CPU time of the
    chain's process; `stages` seconds by stage of `bench.stages`, `{stage: {"cpu": …, "wall": …}}`.
    """

    scenario: Scenario
    target: str
    figures: Throughput | Latency
    operations: int
    cpu_s: float | None
    stages: dict[str, dict[str, float]]

    @property
    def operations_per_s(self) -> float | None:
        """Operations included with success a second; None of a latency measure."""
        if isinstance(self.figures, Latency):
            return None
        return self.figures.per_s * self.operations / self.figures.transactions


async def measure(
    target: Target, scenarios: Iterable[Scenario], say: Callable[[str], None], warm_up: bool
) -> list[Measured]:
    """Run the scenarios one after the other. Raises LoadError."""
    measured = []
    async with Client(target.url, CONNECTIONS + 1) as client:
        holders: TokenHolders | None = None
        for scenario in scenarios:
            if scenario.workload == ERC20 and holders is None:
                say(f"{target.name}: deploying the token")
                holders = await TokenHolders.create(client)
            if warm_up:
                ahead = replace(scenario, count=max(1, _WARM_UP // scenario.operations))
                raws = await _sign(client, ahead, holders, "warm-up")
                await measure_throughput(client, raws, 1, CONNECTIONS)
            say(f"{target.name}: {scenario.en}: signing {scenario.count}")
            stages = await _sign(client, scenario, holders, "measured")
            say(f"{target.name}: {scenario.en}: sending")
            measured.append(await _measure_one(target, client, scenario, stages))
    return measured


async def _sign(
    client: Client, scenario: Scenario, holders: TokenHolders | None, tag: str
) -> list[list[bytes]]:
    tag = f"{scenario.name} {tag}"
    if scenario.workload == DOCUMENTS:
        return [await sign_documents(client, tag, scenario.count, scenario.each)]
    if scenario.workload == ORDERS:
        return await sign_orders(client, tag, scenario.count)
    assert holders is not None  # noqa: S101 - made before the first ERC-20 scenario
    return [await holders.sign_transfers(tag, scenario.count)]


async def _measure_one(
    target: Target, client: Client, scenario: Scenario, stages: list[list[bytes]]
) -> Measured:
    cpu_before, spent_before = target.cpu_seconds(), await target.stages()
    figures: Throughput | Latency
    if scenario.rate is None:
        figures = await measure_throughput(client, stages, scenario.batch, CONNECTIONS)
    else:
        async with Client(target.url, _LATENCY_CONNECTIONS) as many:
            figures = await measure_latency(many, stages[0], scenario.rate)
    cpu_after, spent_after = target.cpu_seconds(), await target.stages()
    if isinstance(figures, Throughput):
        figures = await with_failures(client, figures, stages)
    cpu_s = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    spent = {
        stage: {clock: total - spent_before.get(stage, {}).get(clock, 0.0) for clock, total in totals.items()}
        for stage, totals in spent_after.items()
    }
    operations = sum(map(len, stages)) * scenario.each
    return Measured(scenario, target.name, figures, operations, cpu_s, spent)
