"""`shelian check DIR`: verify a stopped data directory from its first block to its last."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.layout import Layout
from cli.node import load_genesis
from cli.output import AsJson, console, result
from node.ledger.check import check_ledger


def check(
    data: Annotated[Path, typer.Argument(help="数据目录 data directory, not in use")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Verify hashes, commits, roots and receipts by executing every block again, and every index row.

    A directory of `shelian consortium up` holds several agencies' ledgers: each of them.
    """
    layout = Layout(data.resolve())
    if not layout.members.is_dir():
        outcome, text = _check(layout, as_json)
        result(outcome, as_json=as_json, text=text)
    else:
        members = {path.name: _check(Layout(path / "data"), as_json) for path in _members(layout)}
        outcome = {
            "ok": all(told["ok"] for told, _ in members.values()),
            "members": {agency: told for agency, (told, _) in members.items()},
        }
        text = "\n".join(f"{agency}: {said}" for agency, (_, said) in members.items())
        result(outcome, as_json=as_json, text=text)
    if not outcome["ok"]:
        raise typer.Exit(1)


def _members(layout: Layout) -> list[Path]:
    return sorted(path for path in layout.members.iterdir() if path.is_dir())


def _check(layout: Layout, as_json: bool) -> tuple[dict[str, Any], str]:
    """One ledger: the report as data, and in words."""
    genesis = load_genesis(layout)
    started = time.monotonic()
    columns = (TextColumn("重放 replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json, transient=True) as progress:
        task = progress.add_task("blocks", total=None)
        report = check_ledger(
            layout.ledger,
            genesis,
            lambda done, total: progress.update(task, completed=done, total=total),
            headers_come_later=layout.comet.is_dir(),
        )
    seconds = time.monotonic() - started
    lines = [
        f"{'通过 passed' if report.ok else '失败 FAILED'}: {report.height} blocks, "
        f"{report.transactions} transactions, {report.rows} rows, {report.headers} headers, "
        f"{report.commits} commits, {report.garbage} rows of garbage, {seconds:.1f} s"
    ]
    if report.headers_to_come:
        lines.append(
            f"  最新 {report.headers_to_come} 个区块的签名待补 headers of the newest blocks, "
            "to be fetched when the node runs"
        )
    lines += [f"  未核对 not verified: {one}" for one in report.unverified]
    lines += [
        f"  {finding.code} at height {finding.height}: {finding.message}; "
        f"got {finding.got}, expected {finding.expected}"
        for finding in report.findings
    ]
    return {"ok": report.ok, "seconds": seconds, **asdict(report)}, "\n".join(lines)
