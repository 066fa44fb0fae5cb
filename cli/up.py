"""`shelian up`: everything on one machine, as child processes; the first start makes a demo and fills it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.demo_consortium import create_demo
from cli.layout import Layout, require_one_node
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.nodes import ask_status, is_in_step
from cli.output import AsJson, result, say
from cli.processes import Child, StopRequest, Supervisor
from cli.seed import seed_demo
from cli.status import service_is_healthy
from cli.system import (
    AGENCIES,
    DEFAULT_PORT_BASE,
    OFFSETS,
    RunFile,
    SystemFault,
    node_of,
    require_free_ports,
    url_of,
)
from node.chain.genesis import Genesis

NODE_OWNER = "data-bureau"
"""Whose the one node is."""
WATCH_S = 0.5


def up(
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory")] = Path("data"),
    port_base: Annotated[
        int, typer.Option("--port-base", help="ports are offsets from this")
    ] = DEFAULT_PORT_BASE,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine; Ctrl-C stops it cleanly; the next start continues."""
    configure_logs(as_json=False)
    started = time.monotonic()
    layout = Layout(data.resolve())
    require_one_node(layout)
    require_free_ports({name: port_base + offset for name, offset in OFFSETS.items()})
    genesis = _open_or_create(layout)
    nodes = {NODE_OWNER: url_of("node", port_base)}
    run = RunFile(str(layout.data), port_base, os.getpid(), genesis.purpose, nodes)
    stop = StopRequest()
    supervisor = Supervisor(layout.logs, lambda child: _is_ready(child, run))
    run.save()
    try:
        for wave in _children(layout, port_base):
            supervisor.start(wave, lambda child: say(f"  ● {child.name:<14} {url_of(child.name, port_base)}"))
        seed_demo(layout, genesis, run, say)
        stop.started()
        seconds = time.monotonic() - started
        portal = url_of("portal", port_base)
        result(
            {"ok": True, "portal": portal, "data": layout.data, "seconds": round(seconds, 1)},
            as_json=as_json,
            text=f"\n  社链已启动 Shelian is up ({seconds:.1f} s)\n\n  入口 portal   {portal}\n\n"
            "  Ctrl-C 停止 stops it\n",
        )
        while not stop.asked:
            time.sleep(WATCH_S)
            dead = supervisor.dead()
            if dead is not None:
                raise SystemFault(
                    "system.child_died", f"{dead} stopped", supervisor.tail(dead), "a running process"
                )
    finally:
        say("正在停止 stopping…")
        supervisor.stop()
        (layout.data / "run.json").unlink(missing_ok=True)
        say("已停止 stopped")


def _open_or_create(layout: Layout) -> Genesis:
    if layout.genesis.exists():
        genesis = load_genesis(layout)
        say(f"继续 continuing {genesis.chain_name}")
        return genesis
    say(f"第一次启动:建立示范联盟 first start: making a demo consortium in {layout.data}")
    return create_demo(layout, time.time_ns(), lambda text: say(f"  {text}"))


def _children(layout: Layout, port_base: int) -> list[list[Child]]:
    """In waves: the node first, then what asks the node, then what asks those."""
    node = Child("node", ("node", "--data", str(layout.data), "--port", str(port_base + OFFSETS["node"])))
    return [[node], *service_waves(layout, port_base, {})]


def service_waves(layout: Layout, port_base: int, nodes: Mapping[str, str]) -> list[list[Child]]:
    """Identity first, then what asks it. `nodes`: each agency's JSON-RPC where there is more than the one."""
    place = ("--data", str(layout.data), "--port-base", str(port_base))

    def asking(service: str, *arguments: str) -> Child:
        node = ("--node", nodes[node_of(service, nodes)]) if nodes else ()
        return Child(service, (*arguments, *place, *node))

    agencies = [asking(agency, "correction", "--agency", agency) for agency in AGENCIES]
    plain = [Child(name, (name, *place)) for name in ("signer", "portal")]
    return [[asking("identity", "identity")], [*plain, asking("points", "points"), *agencies]]


def _is_ready(child: Child, run: RunFile) -> bool:
    if child.name == "node":
        return is_in_step(ask_status(run.nodes[NODE_OWNER]))
    return service_is_healthy(child.name, run.port_base)
