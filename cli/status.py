"""`shelian status`: is the system there, how high is its chain, is every program well?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.nodes import ask_all, is_in_step, is_well
from cli.output import AsJson, result
from cli.system import find, node_of, url_of
from identity.demo.cast import ORGANISATIONS

HEALTH = {
    "portal": "/health",
    "identity": "/health",
    "signer": "/health",
    "points": "/healthz",
    "court": "/healthz",
    "procuratorate": "/healthz",
    "police": "/healthz",
    "justice": "/healthz",
}
SERVED = tuple(name for name in HEALTH if name not in ("portal", "signer"))
"""Services that ask a node."""
_NAMES = {one.key: f"{one.short} {one.key}" for one in ORGANISATIONS}


def status(
    data: Annotated[Path | None, typer.Option("--data", help="the system with this data directory")] = None,
    port_base: Annotated[int | None, typer.Option("--port-base", help="the system at these ports")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the running system: programs, nodes, heights, block time, pool. Fails if anything is not well."""
    run = find(data, port_base)
    services = {name: service_is_healthy(name, run.port_base) for name in HEALTH}
    nodes = ask_all(run.nodes)
    top = max((int(one["height"], 16) for one in nodes.values() if one is not None), default=0)
    well = all(services.values()) and all(is_in_step(one) for one in nodes.values())
    lines = [f"{run.data}  {run.purpose}  pid {run.pid}"]
    lines += [
        f"  {_dot(ok)} {name:<14} {url_of(name, run.port_base)}"
        + (f"  → {node_of(name, nodes)}" if len(nodes) > 1 and name in SERVED else "")
        for name, ok in services.items()
    ]
    lines += ["节点 nodes"] + [
        f"  {_dot(is_in_step(one))} {_NAMES[agency]:<14} {run.nodes[agency]}  {_words(one, top)}"
        for agency, one in nodes.items()
    ]
    result(
        {
            "ok": well,
            "data": run.data,
            "port_base": run.port_base,
            "services": services,
            "nodes": {
                agency: {
                    "url": run.nodes[agency],
                    "in_step": is_in_step(one),
                    "lag": None if one is None else top - int(one["height"], 16),
                    "status": one,
                }
                for agency, one in nodes.items()
            },
        },
        as_json=as_json,
        text="\n".join(lines),
    )
    if not well:
        raise typer.Exit(1)


def service_is_healthy(name: str, port_base: int) -> bool:
    """Whether a program of the system, other than a node, answers that it is well."""
    return is_well(url_of(name, port_base) + HEALTH[name])


def _dot(well: bool) -> str:
    return "●" if well else "○"


def _words(status: Mapping[str, Any] | None, top: int) -> str:
    if status is None:
        return "不应答 does not answer"
    height = int(status["height"], 16)
    words = [
        f"高度 height {height}",
        f"落后 lag {top - height}",
        f"空闲 idle {status['idleSeconds']} s",
        f"待处理 pool {int(status['pool']['ready'], 16)}",
        f"规则 rules v{int(status['rulesVersion'], 16)}",
    ]
    if status["engine"] != "embedded":
        words.insert(2, f"对等节点 peers {int(status['peers'], 16)}")
    for trouble in (status["failure"], status["alarm"]):
        if trouble is not None:
            words.append(f"注意 attention: {trouble}")
    return " · ".join(words)
