"""Figures of networks as rows of text, for the terminal, the page and the document alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.goals import bytes_each
from bench.network_latency import PHASES

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """One table: its title, headings, rows; the first `left` columns are words."""

    name: str
    zh: str
    en: str
    headings: tuple[str, ...]
    rows: list[list[str]]
    left: int = 1


def network_rows(entry: Entry) -> list[Rows]:
    """The tables of what was measured of one network, in the order of a reader's questions."""
    makers = (_throughput, _latency, _disk, _restart, _join, _phases, _proposer)
    return [table for table in (make(entry) for make in makers) if table.rows]


def network_title(entry: Entry) -> tuple[str, str]:
    """Chinese and English."""
    count = entry["validators"]
    spread = entry["spread"]
    return (
        f"{count} 个验证者，负载{'分到各节点' if spread else '全到第一个节点'}",
        f"{count} validators, load {'spread over their nodes' if spread else 'on the first node'}",
    )


def _throughput(entry: Entry) -> Rows:
    late = entry.get("late_rounds") or {"blocks": 0, "late": 0}
    rows = [
        [
            f"{one['title']['zh']} {one['title']['en']}",
            f"**{one['operations_per_s']:,.0f}** /s",
            f"{one['transactions']:,}",
            f"{one['blocks']:,}",
            str(one["failed"] + one["refused"]),
            *_cpu(one),
            f"{one['generator_share']:.0%}",
        ]
        for one in entry.get("throughput", ())
    ]
    words = f", {late['late']} of {late['blocks']} blocks after a second round" if late["blocks"] else ""
    headings = ("", "operations", "tx", "blocks", "failed", *_CPU, "generator")
    return Rows("throughput", "吞吐", f"throughput{words}", headings, rows)


def _latency(entry: Entry) -> Rows:
    return Rows(
        "latency",
        "延迟",
        "submit to final at 20 tx/s, ms: on the node it was sent to, and until the last node has it",
        ("", "p50", "p95", "p99", "max", "last node p50", "p99", "blocks", "failed", *_CPU),
        [
            [
                f"{one['title']['zh']} {one['title']['en']}",
                f"**{one['p50_ms']:.0f}**",
                f"{one['p95_ms']:.0f}",
                f"**{one['p99_ms']:.0f}**",
                f"{one['max_ms']:.0f}",
                f"{one['everywhere']['p50_ms']:.0f}",
                f"{one['everywhere']['p99_ms']:.0f}",
                str(one["blocks"]),
                str(one["failed"]),
                *_cpu(one),
            ]
            for one in entry.get("latency", ())
        ],
    )


def _disk(entry: Entry) -> Rows:
    rows = []
    growth = entry.get("growth")
    if growth is not None:
        parts = list(growth["points"][0]["nodes"][0])
        for last in growth["points"][1:]:
            each = bytes_each({"points": [growth["points"][0], last]})
            rows.append(
                [
                    f"{last['transfers']:,}",
                    f"{last['blocks']:,}",
                    *(f"{each[part]:,.0f}" for part in parts),
                    f"**{each['together']:,.0f}**",
                    f"{max(node['wal'] for node in last['nodes']) / 1e6:,.1f}",
                ]
            )
        whole = f", grown at {growth['transfers'] / growth['seconds']:,.0f} /s"
        headings = ("transfers", "blocks", *parts, "together", "WAL now, MB")
        return Rows("disk", "磁盘", f"disk: bytes a transfer and node{whole}", headings, rows, left=0)
    return Rows("disk", "", "", (), rows)


def _restart(entry: Entry) -> Rows:
    return Rows(
        "restart",
        "被杀的验证者",
        "a killed validator: seconds since the start of its process",
        ("", "its JSON-RPC answers", "its CometBFT answers", "first peer", "in step", "blocks behind"),
        [
            [
                str(number),
                *(f"{one[name]:.2f}" for name in ("listens_s", "comet_s", "peer_s")),
                f"**{one['in_step_s']:.2f}**",
                str(one["behind"]),
            ]
            for number, one in enumerate(entry.get("restart", ()), 1)
        ],
    )


def _join(entry: Entry) -> Rows:
    one, made = entry.get("join"), entry.get("snapshot")
    rows = []
    if one is not None and made is not None:
        rows.append(
            [
                f"{one['transactions']:,}",
                f"{made['bytes'] / 1e6:,.1f}",
                str(made["chunks"]),
                f"{made['seconds']:.1f} ({made['cpu_s']:.1f})",
                *(f"{one[name]:.1f}" for name in ("listens_s", "peer_s", "begins_s")),
                f"**{one['in_step_s']:.1f}**",
            ]
        )
    return Rows(
        "join",
        "以状态同步加入",
        "a node joins by state sync: the snapshot, and seconds since the start of its process",
        (
            "transfers", "snapshot MB", "chunks", "to make it, s (CPU)", "JSON-RPC answers", "first peer",
            "state in place", "in step",
        ),
        rows,
        left=0,
    )  # fmt: skip


def _phases(entry: Entry) -> Rows:
    return Rows(
        "phases",
        "一笔交易的时间",
        "what a latency is made of, mean ms, with the clocks on",
        ("", *(f"{zh} {name}" for name, (zh, _) in PHASES.items()), "together"),
        [
            [
                f"{one['title']['zh']} {one['title']['en']}",
                *(f"{one['phases'][name]:.1f}" for name in PHASES),
                f"**{sum(one['phases'].values()):.1f}**",
            ]
            for one in entry.get("phases", ())
            if one["phases"]
        ],
    )


def _proposer(entry: Entry) -> Rows:
    return Rows(
        "proposer",
        "一个验证者停了",
        "one of them dead: ms by timeout_propose; and blocks after a second round under full load, all alive",
        (
            "timeout_propose ms",
            "p50",
            "p95",
            "p99",
            "max",
            "late rounds, all alive",
            "transfers/s, all alive",
        ),
        [
            [
                f"{one['timeout_propose_ms']:,}",
                f"**{one['p50_ms']:,.0f}**",
                f"{one['p95_ms']:,.0f}",
                f"**{one['p99_ms']:,.0f}**",
                f"{one['max_ms']:,.0f}",
                f"{one['late_rounds']['late']} of {one['late_rounds']['blocks']}",
                f"{one['per_s']:,.0f}",
            ]
            for one in entry.get("proposer", ())
        ],
        left=0,
    )


_CPU = ("nodes' CPU ms/tx", "CometBFTs' CPU ms/tx")


def _cpu(one: Entry) -> tuple[str, str]:
    """Of all nodes together."""
    node, comet = (1000 * one["cpu"][name] / one["transactions"] for name in ("node_s", "comet_s"))
    return f"{node:.2f}", f"{comet:.2f}"


def plain(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Without the marks of Markdown."""
    return [[cell.replace("**", "") for cell in row] for row in rows]
