"""The facts as Prometheus metrics, beside the histograms of `timings`.

Names begin with ``shelian_``; units stand in the name. Labels hold nothing but a validator's address, an
organisation's number, a program's name or a code: all bounded, none about a person. What is not known has no
sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from network.operations.facts import NodeFacts
from network.operations.findings import FAULT, WARNING, Finding
from network.operations.source import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Given(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def render_metrics(report: Report, timings: CollectorRegistry) -> bytes:
    """The exposition; `timings`: the registry of the histograms."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(_metrics(report)))
    return generate_latest(registry) + generate_latest(timings)


def _metrics(report: Report) -> Iterator[Metric]:
    yield _gauge("shelian_facts_age_seconds", "这些数据多旧 how old these figures are", report.age_s)
    yield _gauge("shelian_facts_gather_seconds", "采集耗时 how long gathering them took", report.took_s)
    yield _findings(report.findings)
    if report.facts is not None:
        yield from _node(report.facts)
        yield from _consortium(report.facts)
        yield from _machine(report.facts)


def _findings(findings: tuple[Finding, ...]) -> Metric:
    family = GaugeMetricFamily(
        "shelian_findings", "有多少问题 how many things are wrong, by level", labels=["level"]
    )
    for level in (FAULT, WARNING):
        family.add_metric([level], sum(one.level == level for one in findings))
    return family


def _node(facts: NodeFacts) -> Iterator[Metric]:
    block, engine, versions = facts.block, facts.engine, facts.versions
    info = InfoMetricFamily("shelian_node", "版本与链 versions and chain")
    info.add_metric(
        [],
        {
            "chain": facts.chain.name,
            "purpose": facts.chain.purpose,
            "genesis": facts.chain.genesis_hash,
            "engine": engine.name,
            "shelian": versions.shelian,
            "python": versions.python,
            "cometbft": versions.cometbft,
        },
    )
    yield info
    yield _gauge("shelian_height", "最新区块 height of the newest block", block.height)
    yield _gauge("shelian_block_age_seconds", "最新区块多旧 age of the newest block", block.age_s)
    yield _gauge("shelian_heartbeat_seconds", "至少多久一块 longest time between blocks", block.heartbeat_s)
    yield _gauge("shelian_lag_blocks", "落后的块数 blocks behind the best height known", block.lag)
    yield _gauge("shelian_first_block", "最早的区块 oldest block held, 0 from genesis", block.first_block)
    yield _counter("shelian_blocks", "启动以来的区块 blocks committed since the start", block.blocks)
    yield _counter("shelian_transactions", "启动以来的交易 transactions since the start", block.transactions)
    yield _gauge("shelian_engine_running", "能否出块 1: it makes or follows blocks", engine.running)
    yield _gauge("shelian_catching_up", "正在追赶 1: it fetches blocks of others", engine.catching_up)
    yield _coded("shelian_engine_failure", "停止的原因 why it stopped, by code", engine.failure_code)
    yield _coded("shelian_alarm", "警报 what somebody must look at, by code", engine.alarm_code)
    yield _gauge("shelian_misbehaviour", "已证明的作恶 proved since the start", len(engine.misbehaviour))
    yield _gauge("shelian_rules_version", "生效的规则 rules in force for the next block", versions.rules)
    yield _gauge("shelian_pool_ready", "可入块的交易 transactions ready for a block", facts.pool.ready)
    yield _gauge("shelian_pool_waiting", "缺前序的交易 transactions that miss a nonce", facts.pool.waiting)
    yield _gauge("shelian_pool_bytes", "交易池大小 size of the pool", facts.pool.bytes)


def _consortium(facts: NodeFacts) -> Iterator[Metric]:
    yield _gauge("shelian_peers", "已连接的节点 connected nodes", len(facts.peers))
    yield _gauge("shelian_members_missing", "未连上的成员节点 listed nodes not connected", len(facts.missing))
    yield _gauge(
        "shelian_quorum_may_fail", "还可停几个 validators that may fail now", facts.quorum.may_fail_now
    )
    for name, help, value in (
        ("shelian_validator_power", "票权 voting power", "power"),
        ("shelian_validator_missed_blocks", "最近 100 块漏签 missed of the last 100", "missed"),
        ("shelian_validator_proposed_blocks", "最近 100 块提议 proposed of the last 100", "proposed"),
        ("shelian_validator_clock_seconds", "时钟偏差 clock ahead of the others", "clock_s"),
        ("shelian_validator_is_own", "1：本节点 this node signs with it", "is_own"),
    ):
        family = GaugeMetricFamily(name, help, labels=["organisation", "validator"])
        for one in facts.validators:
            number = getattr(one, value)
            if number is not None:
                family.add_metric([str(one.organisation), one.address], float(number))
        yield family
    days = GaugeMetricFamily(
        "shelian_certificate_days", "证书剩余天数 days left", labels=["kind", "organisation"]
    )
    for certificate in facts.certificates:
        if certificate.days_left is not None:
            days.add_metric([certificate.kind, str(certificate.organisation)], certificate.days_left)
    yield days


def _machine(facts: NodeFacts) -> Iterator[Metric]:
    disk = facts.disk
    yield _gauge("shelian_disk_free_bytes", "磁盘剩余 free for this node", disk.free_bytes)
    yield _gauge("shelian_disk_total_bytes", "磁盘大小 size of the file system", disk.total_bytes)
    yield _gauge("shelian_ledger_bytes", "账本 the ledger on the disk", disk.ledger_bytes)
    yield _gauge("shelian_cometbft_bytes", "CometBFT 的数据 its data on the disk", disk.comet_bytes)
    yield _gauge("shelian_disk_growth_bytes_per_day", "每天增长 growth a day", disk.growth_per_day)
    yield _gauge("shelian_disk_days_left", "磁盘还能用几天 days until it is full", disk.days_left)
    yield _gauge("shelian_clock_ahead_seconds", "本机时钟快多少 this clock, ahead", facts.clock.ahead_s)
    for name, saved in (("snapshot", facts.snapshot), ("backup", facts.backup)):
        age_s = None if saved is None else saved.age_s
        yield _gauge(f"shelian_{name}_age_seconds", f"最近的 {name} age of the last one", age_s)
    for name, help, value in (
        ("shelian_process_memory_bytes", "内存 resident memory", "memory_bytes"),
        ("shelian_process_open_files", "打开的文件 open files", "open_files"),
        ("shelian_process_open_files_limit", "上限 how many it may open", "open_files_limit"),
        ("shelian_process_running_seconds", "已运行 time since its start", "running_s"),
        ("shelian_process_restarts", "自行退出次数 how often it ended by itself", "restarts"),
    ):
        family = GaugeMetricFamily(name, help, labels=["process"])
        for one in facts.processes:
            family.add_metric([one.name], float(getattr(one, value)))
        yield family


def _gauge(name: str, help: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, help)
    if value is not None:
        family.add_metric([], float(value))
    return family


def _counter(name: str, help: str, value: int) -> Metric:
    return CounterMetricFamily(name, help, value=value)


def _coded(name: str, help: str, code: str | None) -> Metric:
    family = GaugeMetricFamily(name, help, labels=["code"])
    if code is not None:
        family.add_metric([code], 1)
    return family
