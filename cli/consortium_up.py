"""`shelian consortium up`: a network of several agencies on one machine, each with its node, as child
processes.

The applications are those of `shelian up`, each attached to its own agency's node. A program that dies is
named and started again, as systemd does on an agency's own machine; the others go on without it, and the
chain does as long as more than two thirds of the nodes run. One that keeps dying stays stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from cli.demo_members import (
    agencies_of,
    create_members,
    first_agencies,
    move_to_ports,
    node_layout,
    ports_of,
)
from cli.layout import Layout, require_members
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.nodes import ask_status, is_in_step
from cli.output import AsJson, console, result, say
from cli.processes import Change, Child, StopRequest, Supervisor
from cli.seed import seed_demo
from cli.status import SERVED, service_is_healthy
from cli.system import (
    DEFAULT_PORT_BASE,
    NODE_SUFFIX,
    OFFSETS,
    NodePorts,
    RunFile,
    SystemFault,
    may_fail,
    node_of,
    require_free_ports,
    url_of,
)
from cli.up import WATCH_S, service_waves
from identity.demo.cast import ORGANISATIONS
from network.comet.binary import find_binary
from node.chain.genesis import Genesis

DEFAULT_VALIDATORS: Final = 4
START_TIMEOUT_S: Final = 300.0
"""Seven nodes on two cores take their time."""
_SHORT: Final = {one.key: one.short for one in ORGANISATIONS}


def up(
    validators: Annotated[
        int | None,
        typer.Option(help="节点数 nodes, 1 to 7, each another agency's; default 4, or what is there"),
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory")] = Path("data-consortium"),
    port_base: Annotated[
        int, typer.Option("--port-base", help="ports are offsets from this")
    ] = DEFAULT_PORT_BASE,
    as_json: AsJson = False,
) -> None:
    """Start a demo network of several agencies on this machine; Ctrl-C stops it; the next start continues."""
    configure_logs(as_json=False)
    started = time.monotonic()
    layout = Layout(data.resolve())
    find_binary()
    require_members(layout)
    agencies = _agencies(layout, validators)
    ports = {agency: ports_of(agencies, agency, port_base) for agency in agencies}
    _require_free_ports(agencies, port_base)
    genesis = _open_or_create(layout, agencies, port_base)
    nodes = {agency: one.url for agency, one in ports.items()}
    run = RunFile(str(layout.data), port_base, os.getpid(), genesis.purpose, nodes)
    stop = StopRequest()
    supervisor = Supervisor(layout.logs, lambda child: _is_ready(child, run), start_timeout_s=START_TIMEOUT_S)
    run.save()
    try:
        for wave in (_nodes(layout, agencies, port_base), *service_waves(layout, port_base, nodes)):
            supervisor.start(wave, lambda child: say(f"  ● {child.name:<20} {_url(child, run)}"))
        seed_demo(layout, genesis, run, say)
        run = _save_pids(run, supervisor)
        stop.started()
        _tell(run, time.monotonic() - started, as_json)
        while not stop.asked:
            time.sleep(WATCH_S)
            changes = supervisor.revive()
            for change in changes:
                say(_sentence(change, supervisor))
            if changes:
                run = _save_pids(run, supervisor)
    finally:
        say("正在停止 stopping…")
        supervisor.stop()
        (layout.data / "run.json").unlink(missing_ok=True)
        say("已停止 stopped")


def _agencies(layout: Layout, validators: int | None) -> tuple[str, ...]:
    """Who has a node: as the directory says, else the first ones.

    Raises SystemFault `consortium.validators`, `consortium.other_number`.
    """
    if not layout.genesis.exists():
        return first_agencies(DEFAULT_VALIDATORS if validators is None else validators)
    agencies = agencies_of(load_genesis(layout))
    if validators not in (None, len(agencies)):
        raise SystemFault(
            "consortium.other_number",
            "the nodes of a consortium are in its genesis; later ones come by vote",
            validators,
            f"{len(agencies)}, as in {layout.data}, or another --data",
        )
    return agencies


def _require_free_ports(agencies: Sequence[str], port_base: int) -> None:
    ports = {name: port_base + offset for name, offset in OFFSETS.items() if name != "node"}
    for agency in agencies:
        ports |= ports_of(agencies, agency, port_base).named(f"{_SHORT[agency]} {agency}{NODE_SUFFIX}")
    require_free_ports(ports)


def _open_or_create(layout: Layout, agencies: Sequence[str], port_base: int) -> Genesis:
    number = len(agencies)
    names = "、".join(_SHORT[agency] for agency in agencies)
    say(f"{number} 个节点 nodes: {names} ({', '.join(agencies)})")
    say(_tolerance(number))
    if layout.genesis.exists():
        genesis = load_genesis(layout)
        say(f"继续 continuing {genesis.chain_name}")
        move_to_ports(layout, agencies, port_base)
        return genesis
    say(f"第一次启动:建立示范联盟 first start: making a demo consortium in {layout.data}")
    return create_members(layout, agencies, port_base, time.time_ns(), lambda text: say(f"  {text}"))


def _tolerance(validators: int) -> str:
    spare = may_fail(validators)
    if not spare:
        return (
            f"{validators} 个节点:一个都不能停,停一个就不出块;能容错至少要 4 个\n"
            f"{validators} node(s): none may fail, or no block is made; it takes 4 to tolerate one"
        )
    return (
        f"{validators} 个节点:任意 {spare} 个停机或作恶,其余照常出块\n"
        f"{validators} nodes: any {spare} may stop or cheat, the others go on"
    )


def _save_pids(run: RunFile, supervisor: Supervisor) -> RunFile:
    run = replace(run, pids=supervisor.pids())
    run.save()
    return run


def _nodes(layout: Layout, agencies: Sequence[str], port_base: int) -> list[Child]:
    return [
        Child(
            agency + NODE_SUFFIX,
            (
                *("node", "--data", str(node_layout(layout, agency).data)),
                *("--port", str(ports_of(agencies, agency, port_base).json_rpc)),
            ),
        )
        for agency in agencies
    ]


def _is_ready(child: Child, run: RunFile) -> bool:
    agency = child.name.removesuffix(NODE_SUFFIX)
    if agency != child.name:
        return is_in_step(ask_status(run.nodes[agency]))
    return service_is_healthy(child.name, run.port_base)


def _url(child: Child, run: RunFile) -> str:
    agency = child.name.removesuffix(NODE_SUFFIX)
    return run.nodes[agency] if agency != child.name else url_of(child.name, run.port_base)


def _sentence(change: Change, supervisor: Supervisor) -> str:
    log = supervisor.log_of(change.child)
    if change.what == "started":
        return f"  ● {change.child} 已重新启动 started again"
    if change.what == "died":
        return (
            f"  ○ {change.child} 停了 stopped (status {change.status}); "
            f"{change.pause:.0f} 秒后重新启动 again in {change.pause:.0f} s"
        )
    return (
        f"  ✗ {change.child} 反复停止,不再启动 keeps stopping and is given up (status {change.status})\n"
        f"    日志 log {log}\n{escape(supervisor.tail(change.child))}"
    )


def _tell(run: RunFile, seconds: float, as_json: bool) -> None:
    portal = url_of("portal", run.port_base)
    served = {name: node_of(name, run.nodes) for name in SERVED}
    if not as_json:
        console.print(_table(run, served))
    result(
        {
            "ok": True,
            "portal": portal,
            "data": run.data,
            "seconds": round(seconds, 1),
            "nodes": run.nodes,
            "services": {
                name: {"url": url_of(name, run.port_base), "node": agency} for name, agency in served.items()
            },
            "may_fail": may_fail(len(run.nodes)),
        },
        as_json=as_json,
        text=f"\n  联盟已启动 The consortium is up ({seconds:.1f} s)\n\n  入口 portal   {portal}\n\n"
        + "".join(f"  {what}\n" for what in _to_try(run))
        + "\n  Ctrl-C 停止 stops it\n",
    )


def _table(run: RunFile, served: Mapping[str, str]) -> Table:
    table = Table(title="社链联盟 Shelian consortium", header_style="bold")
    columns = ("机构 agency", "节点 node", "状态页 status", "接在这里的服务 services")
    for name in columns:
        table.add_column(name, overflow="fold")
    for number, (agency, url) in enumerate(run.nodes.items(), 1):
        pages = [f"{name} {url_of(name, run.port_base)}" for name, whose in served.items() if whose == agency]
        status = NodePorts.of(number, run.port_base).status_page
        table.add_row(f"{_SHORT[agency]} {agency}", url, status, "\n".join(pages))
    return table


def _to_try(run: RunFile) -> list[str]:
    """Commands that can be copied."""
    where = f"--data {run.data}"
    tried = [
        f"试一试 try      shelian demo {where}",
        f"看一看 look     shelian status {where}",
    ]
    if may_fail(len(run.nodes)):
        first = next(iter(run.nodes))
        pid = run.pids[first + NODE_SUFFIX]
        tried += [
            f"停一个 kill     kill -9 {pid}    # {_SHORT[first]}的节点 the node of {first}",
            "               其余照常办事,它会自己回来 the others go on, and it comes back by itself",
            f"边停边办 both   shelian demo --kill-one {where}",
        ]
    return tried
