"""`shelian node backup` and `shelian node restore`: a node's ledger and identity, kept and brought back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from cli.layout import Layout
from cli.node import load_genesis
from cli.output import AsJson, console, result, say
from cli.system import SystemFault
from network.backup import Backup, check_backup, make_backup, verify_backup
from network.control import ControlRefused, ask, control_socket
from network.history_source import HistorySource
from network.operations.saved import note_backup
from network.restoring import restore_backup
from node.chain.errors import LedgerError
from node.ledger import Ledger
from node.ledger.findings import Report
from node.ledger.restore import finish_restore

NEVER = (
    "其中没有验证者私钥，也没有其签名记录：私钥请另行妥善保存 "
    "the validator's key and what it signed last are not in it: keep the key elsewhere"
)


def backup(
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory")] = Path("data"),
    to: Annotated[Path | None, typer.Option("--to", help="备份到此新目录 new directory to make")] = None,
    verify: Annotated[Path | None, typer.Option("--verify", help="核对一份备份 verify this backup")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="with --verify: 重新执行每个区块 execute every block again")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up a node while it runs, or stopped; or verify a backup."""
    if (to is None) == (verify is None):
        raise SystemFault("backup.option", "give --to to make a backup, or --verify to look at one", None)
    if verify is not None:
        _verify(verify.resolve(), full=full, as_json=as_json)
        return
    assert to is not None  # noqa: S101 (for the type checker)
    made = _make(Layout(data.resolve()), to.absolute(), as_json=as_json)
    lines = [
        f"已备份 backed up: {to}",
        f"  高度 height {made['height']}, {made['chain_name']}, {made['bytes']} bytes",
        f"  状态根 app_hash {made['app_hash']}",
        f"  {NEVER}",
    ]
    result({"ok": True, **made}, as_json=as_json, text="\n".join(lines))


def _make(layout: Layout, to: Path, *, as_json: bool) -> Mapping[str, Any]:
    try:
        return _of_running(layout, to, as_json=as_json)
    except ControlRefused as error:
        if error.code != "control.no_node":
            raise
    try:
        finish_restore(layout.ledger)
        with Ledger.open(layout.ledger, load_genesis(layout)) as ledger, ledger.snapshot() as snapshot:
            say("节点未运行，直接备份 the node does not run: its directory is copied")
            made = make_backup(snapshot, ledger.genesis, layout.data, to)
        note_backup(layout.node, made.height, time.time_ns())
        return {"to": str(to)} | made.as_dict()
    except LedgerError as error:
        if error.code == "state.locked":
            raise SystemFault(
                "backup.no_control",
                "a process has this ledger open, but does not listen on its control socket",
                str(control_socket(layout.node)),
            ) from error
        raise


def _of_running(layout: Layout, to: Path, *, as_json: bool) -> Mapping[str, Any]:
    columns = (SpinnerColumn(), TextColumn("备份 backing up {task.completed:,.0f} bytes"))
    with Progress(*columns, console=console, disable=as_json, transient=True) as bar:
        task = bar.add_task("", total=None)
        for line in ask(control_socket(layout.node), {"command": "backup", "to": str(to)}):
            if "result" in line:
                made: Mapping[str, Any] = line["result"]
                return made
            bar.update(task, completed=line["progress"]["bytes"])
    raise AssertionError("the last line is the result")


def _verify(directory: Path, *, full: bool, as_json: bool) -> None:
    found = verify_backup(directory)
    said = ["每个文件、账本每一行都与清单相符 every file and every row of the ledger is what the list says"]
    report = None
    if full:
        columns = (TextColumn("重新执行 executing"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, disable=as_json, transient=True) as bar:
            task = bar.add_task("")
            report = check_backup(
                directory, lambda done, total: bar.update(task, completed=done, total=total)
            )
        said += [f"未核对 not verified: {one}" for one in report.unverified]
        said += [f"错误 wrong: {one.code} {one.message} (height {one.height})" for one in report.findings]
    else:
        said.append("未重新执行区块 blocks were not executed again (--full)")
    ok = report is None or report.ok
    lines = [
        f"{'完好 sound' if ok else '有误 not sound'}: {directory}",
        *_lines(found),
        *(f"  {one}" for one in said),
    ]
    result({"ok": ok, **found.as_dict(), **_report(report)}, as_json=as_json, text="\n".join(lines))
    if not ok:
        raise typer.Exit(1)


def _report(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"executed": False}
    findings = [{"code": one.code, "message": one.message, "height": one.height} for one in report.findings]
    return {"executed": True, "unverified": report.unverified, "findings": findings}


def _lines(found: Backup) -> list[str]:
    return [
        f"  高度 height {found.height}, {found.chain_name}",
        f"  状态根 app_hash 0x{found.app_hash.hex()}",
    ]


def restore(
    backup: Annotated[Path, typer.Option("--backup", help="备份目录 the backup's directory")],
    data: Annotated[Path, typer.Option("--data", help="新数据目录 new data directory")],
    history_from: Annotated[
        list[str] | None,
        typer.Option(help="联盟：先从此节点追赶 consortium: node (URL) to catch up from first, repeatable"),
    ] = None,
    history_token_file: Annotated[
        Path | None, typer.Option(help="file with the bearer token that those nodes ask for")
    ] = None,
    history_ca: Annotated[Path | None, typer.Option(help="certificates (PEM) for their TLS")] = None,
    comet_rpc: Annotated[
        list[str] | None,
        typer.Option(help="联盟：成员的 CometBFT RPC, two at least: begin behind a snapshot of theirs"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data directory of a backup, that a node can be started with."""
    token = "" if history_token_file is None else history_token_file.read_text().strip()
    sources = [HistorySource(url, token, history_ca) for url in history_from or ()]
    restored = restore_backup(backup.resolve(), data.resolve(), sources, tuple(comet_rpc or ()), say)
    key = None if restored.validator_key is None else restored.validator_key.hex()
    lines = [f"已恢复 restored: {data}", f"  高度 height {restored.height}"]
    if key is None:
        lines.append(f"  请将验证者私钥放到 put the validator's key at {Layout(data).validator_key}")
    else:
        lines += [
            f"  新验证者公钥 new validator key: {key}",
            "  节点先追赶，不签块；请成员投票换钥 it has no vote until the members have voted the key in:",
            "  shelian consortium rotate validator",
        ]
    document = {
        "ok": True,
        "data": data,
        "height": restored.height,
        "app_hash": restored.app_hash,
        "validator_key": key,
    }
    result(document, as_json=as_json, text="\n".join(lines))
