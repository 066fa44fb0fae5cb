"""`shelian up`: everything on one machine, as child processes; the first start makes a demo and fills it."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli.demo_consortium import Layout, create_demo
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.output import AsJson, result, say
from cli.processes import Child, Supervisor
from cli.seed import seed_demo
from cli.status import healthy
from cli.system import AGENCIES, DEFAULT_PORT_BASE, OFFSETS, RunFile, SystemFault, url_of
from node.chain.genesis import Genesis

_WATCH_S = 0.5


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
    _require_free_ports(port_base)
    genesis = _open_or_create(layout)
    run = RunFile(str(layout.data), port_base, os.getpid(), genesis.purpose)
    stop = _Stop()
    supervisor = Supervisor(layout.logs, lambda child: healthy(child.name, port_base))
    run.save()
    try:
        for wave in _children(layout, port_base):
            supervisor.start(wave, lambda child: say(f"  ● {child.name:<14} {url_of(child.name, port_base)}"))
        seed_demo(layout, genesis, port_base, say)
        seconds = time.monotonic() - started
        portal = url_of("portal", port_base)
        result(
            {"ok": True, "portal": portal, "data": layout.data, "seconds": round(seconds, 1)},
            as_json=as_json,
            text=f"\n  社链已启动 Shelian is up ({seconds:.1f} s)\n\n  入口 portal   {portal}\n\n"
            "  Ctrl-C 停止 stops it\n",
        )
        while not stop.asked:
            time.sleep(_WATCH_S)
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


class _Stop:
    """SIGINT and SIGTERM ask for a clean stop; while starting they end the start at once."""

    def __init__(self) -> None:
        self.asked = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def _open_or_create(layout: Layout) -> Genesis:
    if layout.genesis.exists():
        genesis = load_genesis(layout)
        say(f"继续 continuing {genesis.chain_name}")
        return genesis
    say(f"第一次启动:建立示范联盟 first start: making a demo consortium in {layout.data}")
    return create_demo(layout, time.time_ns(), lambda text: say(f"  {text}"))


def _require_free_ports(port_base: int) -> None:
    for name, offset in OFFSETS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port_base + offset))
            except OSError as error:
                raise SystemFault(
                    "system.port_in_use",
                    f"the port of {name} is taken; choose another --port-base or stop what uses it",
                    port_base + offset,
                    str(error),
                ) from None


def _children(layout: Layout, port_base: int) -> list[list[Child]]:
    """In waves: the node first, then what asks the node, then what asks those."""
    place = ("--data", str(layout.data), "--port-base", str(port_base))
    node = Child("node", ("node", "--data", str(layout.data), "--port", str(port_base + OFFSETS["node"])))
    simple = [Child(name, (name, *place)) for name in ("identity", "signer", "points", "portal")]
    agencies = [Child(agency, ("correction", "--agency", agency, *place)) for agency in AGENCIES]
    return [[node], [simple[0]], [*simple[1:], *agencies]]
