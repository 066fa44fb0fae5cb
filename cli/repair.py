"""`shelian node repair`: make a whole ledger of a damaged one, and say what was done."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.layout import Layout
from cli.node import load_genesis
from cli.output import AsJson, console, result, say
from node.ledger.repair import FROM_STATE, Repair, repair_ledger
from node.ledger.salvaged import Dropped

_WARNING = """[bold red]警告 WARNING[/]
  继续将丢弃 {blocks} 个区块、{transactions} 笔已经确认过的交易。此后的链是另一段历史：
  别人手里的回执、证明和副本若在高度 {height} 之后，将不再有效。先试备份。
  To go on drops {blocks} blocks with {transactions} transactions that were acknowledged. What follows is
  another history: receipts, proofs and copies that others hold from above height {height} are void.
  Try a backup first."""


def repair(
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory, not in use")] = Path("data"),
    to: Annotated[int | None, typer.Option("--to", min=0, help="keep no block above this height")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只报告 report only")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="do it without asking, even if blocks are dropped")
    ] = False,
    keep_states: Annotated[
        bool, typer.Option("--keep-states", help="execute all blocks: slower, older states stay readable")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="verify the repaired ledger by executing all blocks before it is used")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Make a whole ledger of a damaged one, beside it; the damaged one is kept under another name.

    Truncates to the last whole block and says what was damaged, kept and dropped. Without --yes it asks.
    """
    layout = Layout(data.resolve())
    genesis = load_genesis(layout)
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%d-%H%M%S")
    dropped_file = layout.ledger.with_name(f"{layout.ledger.name}.dropped-{stamp}.jsonl")
    columns = (TextColumn("修复 repairing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json, transient=True) as bar:
        task = bar.add_task("blocks", total=None)

        def agree(found: Repair) -> bool:
            bar.stop()
            if not as_json:
                say("\n".join(_findings(found)))
            agreed = _agreed(found, dry_run=dry_run, yes=yes, as_json=as_json)
            if agreed and found.dropped:
                _save_dropped(found.dropped, dropped_file)
            return agreed

        done = repair_ledger(
            layout.ledger,
            genesis,
            agree,
            stamp=stamp,
            to=to,
            keep_states=keep_states,
            check=check,
            progress=lambda made, total: bar.update(task, completed=made, total=total),
        )
    saved = dropped_file if done.damaged is not None and done.dropped else None
    result(_document(done, saved), as_json=as_json, text="\n".join(_outcome(done, saved, check)))
    if done.needed and done.damaged is None:
        raise typer.Exit(1)


def _agreed(found: Repair, *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    if dry_run or yes:
        return not dry_run
    if as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("替换损坏的账本？ Put the repaired ledger in its place?", default=False, err=True)


def _findings(found: Repair) -> list[str]:
    """What is damaged, and what would be lost."""
    lines = ["[bold]发现 found[/]"]
    for damage in found.damage:
        where = damage.table or (f"block {damage.height}" if damage.height is not None else "")
        rows = f" ×{damage.rows}" if damage.rows else ""
        lines.append(f"  {damage.code} {where}{rows}: {damage.message}")
    for block in found.dropped:
        lines.append(
            f"  丢弃 dropped: block {block.height}, {_time(block.time_ns)}, {len(block.transactions)} tx"
        )
    if found.dropped:
        transactions = sum(len(block.transactions) for block in found.dropped)
        lines.append(
            _WARNING.format(blocks=len(found.dropped), transactions=transactions, height=found.height)
        )
    return lines


def _outcome(done: Repair, saved: Path | None, checked: bool) -> list[str]:
    kept = f"height {done.height}, {_time(done.time_ns)}, {done.transactions} tx"
    if not done.needed:
        return [f"无需修复 nothing to repair: {kept}"]
    if done.damaged is None:
        return [
            f"未改动 nothing was changed. 可修复至 can be repaired to: {kept}",
            "  下一步 next: shelian node repair --data DATA --yes",
        ]
    lines = [f"已修复 repaired: {kept}", f"  损坏的目录 the damaged directory: {done.damaged}"]
    if done.way == FROM_STATE:
        lines.append(
            f"  {done.oldest} 之前的旧状态不再可读（区块、回执都在）"
            f" states before height {done.oldest} cannot be read any more (blocks and receipts can)"
        )
    if saved is not None:
        lines.append(f"  被丢弃的交易，可再次发送 dropped transactions, to be sent again: {saved}")
    lines.append("  下一步 next:")
    if not checked:
        lines.append("    shelian check DATA")
    lines.append("    查磁盘：smartctl、dmesg；换盘后再用 look at the disk; replace it before you trust it")
    lines.append(
        "    shelian node --data DATA；正常后再删损坏的目录 delete the damaged one only when all is well"
    )
    return lines


def _save_dropped(dropped: tuple[Dropped, ...], path: Path) -> None:
    """One JSON object a transaction, in order: height, index, hash, the bytes to send again."""
    with path.open("w") as file:
        for block in dropped:
            for (index, raw), transaction_hash in zip(block.transactions, block.hashes, strict=True):
                row = {
                    "height": block.height,
                    "index": index,
                    "hash": "0x" + transaction_hash.hex(),
                    "raw": "0x" + raw.hex(),
                }
                file.write(json.dumps(row) + "\n")


def _document(done: Repair, saved: Path | None) -> dict[str, Any]:
    return {
        "ok": not done.needed or done.damaged is not None,
        "needed": done.needed,
        "repaired": done.damaged is not None,
        "recorded": done.recorded,
        "height": done.height,
        "time": _time(done.time_ns),
        "transactions": done.transactions,
        "way": done.way,
        "oldest_state": done.oldest,
        "checked": done.report is not None,
        "damage": [
            {
                "code": damage.code,
                "message": damage.message,
                "table": damage.table,
                "rows": damage.rows,
                "height": damage.height,
            }
            for damage in done.damage
        ],
        "dropped": [
            {
                "height": block.height,
                "time": _time(block.time_ns),
                "transactions": ["0x" + one.hex() for one in block.hashes],
            }
            for block in done.dropped
        ],
        "damaged_directory": None if done.damaged is None else str(done.damaged),
        "dropped_file": None if saved is None else str(saved),
    }


def _time(time_ns: int | None) -> str:
    if time_ns is None:
        return "?"
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
