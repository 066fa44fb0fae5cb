"""`shelian node status`: how one node is, in a terminal; exit status 1 if something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.findings import finding_lines
from cli.layout import Layout
from cli.output import AsJson, result, visible
from cli.system import SystemFault
from network.operations.card import is_running, load_card
from network.operations.page import format_age, format_offset, format_size
from network.operations.remote import fetch_status, finding_of

_BAR = 20


def status(
    url: Annotated[
        str | None, typer.Option(help="运维端口 operations port of any node, http://localhost:8581")
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="本机节点的数据目录 of a node on this machine")] = Path(
        "data"
    ),
    token_file: Annotated[
        Path | None, typer.Option(help="文件里的令牌 a bearer token, where the port wants one")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show height, lag, peers, validators, disk, certificates of one node, and what is wrong with it."""
    token = None if token_file is None else token_file.read_text().strip()
    document = fetch_status(url or _url_of(data), token)
    text = "\n".join(_lines(document))
    result(document, as_json=as_json, text=text)
    if not document["ok"] or not document["ready"]:
        raise typer.Exit(1)


def _url_of(data: Path) -> str:
    """Raises SystemFault node.not_running, node.no_operations."""
    card = load_card(Layout(data.resolve()).node)
    if not is_running(card) or card is None:
        raise SystemFault(
            "node.not_running",
            "no node of this directory runs",
            str(data),
            f"shelian doctor --data {data} says why",
        )
    if card.operations_url is None:
        raise SystemFault(
            "node.no_operations", "this node runs without its operations port", str(data), "--operations"
        )
    return card.operations_url


def _lines(document: dict[str, Any]) -> list[str]:
    facts = document["facts"]
    sign = "✔ 正常 well" if document["ok"] and document["ready"] else "✖ 有故障 not well"
    lines: list[str] = []
    if facts is not None:
        chain = facts["chain"]
        lines.append(f"{sign}  {visible(chain['name'])} ({chain['purpose']})")
    else:
        lines.append(sign)
    for one in document["findings"]:
        lines += finding_lines(finding_of(one))
    if facts is not None:
        lines += [*_block(facts), *_validators(facts), *_nodes(facts), *_machine(facts)]
    return lines


def _block(facts: dict[str, Any]) -> list[str]:
    block, pool, quorum = facts["block"], facts["pool"], facts["quorum"]
    lag = f"落后 behind {block['lag']}" if block["lag"] else "同步 in step"
    minute = block["minutes"][-1] if block["minutes"] else None
    pace = "–" if minute is None else f"{minute['blocks']} 块 blocks, {minute['transactions']} 笔 txs"
    return [
        f"高度 height      {block['height']}，{lag}；最新块 newest {format_age(block['age_s'])} 前 ago",
        f"上一分钟 minute  {pace}；待处理 pool {pool['ready']} + {pool['waiting']}",
        f"还可停 may fail  {quorum['may_fail_now']} / {len(facts['validators'])}",
    ]


def _validators(facts: dict[str, Any]) -> list[str]:
    lines = ["验证者 validators（最近 100 块漏签 missed of the last 100）"]
    for one in facts["validators"]:
        counted = one["counted"]
        filled = round(_BAR * one["missed"] / counted) if counted else 0
        bar = "█" * filled + "·" * (_BAR - filled)
        clock = "" if one["clock_s"] is None else f"  {format_offset(one['clock_s'])}"
        state = "✖ 不作声 silent" if one["silent"] else "✔"
        own = " ← 本机 this node" if one["is_own"] else ""
        name = visible(one["organisation_name"] or one["address"][:8])
        lines.append(f"  {bar} {one['missed']:>3}/{counted:<3} {state} {name}{clock}{own}")
    return lines


def _nodes(facts: dict[str, Any]) -> list[str]:
    if facts["engine"]["name"] == "embedded":
        return []
    lines = [f"节点 nodes（已连 connected {len(facts['peers'])}）"]
    for one in facts["missing"]:
        lines.append(f"  ✖ 未连 missing  {visible(one['organisation_name'])}  {one['id'][:12]}")
    for one in facts["peers"]:
        name = visible(one["organisation_name"]) or "名单外 not in the contract"
        way = "→" if one["is_outbound"] else "←"
        since = format_age(one["connected_s"])
        lines.append(f"  ✔ {way} {name}  {visible(one['address'])}  {since}  {one['id'][:12]}")
    return lines


def _machine(facts: dict[str, Any]) -> list[str]:
    disk, versions, clock = facts["disk"], facts["versions"], facts["clock"]
    left = "" if disk["days_left"] is None else f"，约 {disk['days_left']} 天 days left"
    ahead = "无从比较 nobody to compare with" if clock["ahead_s"] is None else format_offset(clock["ahead_s"])
    lines = [
        f"磁盘 disk        剩 free {format_size(disk['free_bytes'])}{left}；"
        f"账本 ledger {format_size(disk['ledger_bytes'])}，CometBFT {format_size(disk['comet_bytes'])}",
        f"时钟 clock       {ahead}",
    ]
    days = [one for one in facts["certificates"] if one["days_left"] is not None]
    if days:
        first = min(days, key=lambda one: one["days_left"])
        lines.append(
            f"证书 certificate 最早 first ends in {first['days_left']} 天 days（{visible(first['name'])}）"
        )
    for key, name in (("snapshot", "快照 snapshot   "), ("backup", "备份 backup     ")):
        saved = facts[key]
        text = "没有 none" if saved is None else f"{saved['height']}，{format_age(saved['age_s'])} 前 ago"
        lines.append(f"{name} {text}")
    for one in facts["processes"]:
        lines.append(
            f"进程 process     {one['name']} {one['pid']}：{format_size(one['memory_bytes'])}，"
            f"{one['open_files']}/{one['open_files_limit']} 文件 files，{format_age(one['running_s'])}"
        )
    comet = f"，CometBFT {versions['cometbft']}" if versions["cometbft"] else ""
    lines.append(
        f"版本 versions    社链 {versions['shelian']}，Python {versions['python']}{comet}，"
        f"规则 rules v{versions['rules']}"
    )
    return lines
