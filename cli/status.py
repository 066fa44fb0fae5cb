"""`shelian status`: is the system there, how high is its chain, is every program well?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from cli.output import AsJson, result
from cli.system import OFFSETS, RunFile, SystemFault, find, url_of
from identity.errors import NodeError
from identity.node import NodeClient

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


def status(
    data: Annotated[Path | None, typer.Option("--data", help="the system with this data directory")] = None,
    port_base: Annotated[int | None, typer.Option("--port-base", help="the system at these ports")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the running system: programs, height, block time, pool. Fails if anything is not well."""
    run = find(data, port_base)
    services = {name: healthy(name, run.port_base) for name in OFFSETS}
    node = _node(run)
    well = all(services.values()) and node is not None and bool(node["running"])
    lines = [f"{run.data}  {run.purpose}  pid {run.pid}"]
    lines += [
        f"  {'●' if ok else '○'} {name:<14} {url_of(name, run.port_base)}" for name, ok in services.items()
    ]
    if node is not None:
        lines.append(
            f"  高度 height {int(node['height'], 16)} · 空闲 idle {node['idleSeconds']} s · "
            f"待处理 pool {int(node['pool']['ready'], 16)} · 规则 rules v{int(node['rulesVersion'], 16)}"
        )
    result(
        {"ok": well, "data": run.data, "port_base": run.port_base, "services": services, "node": node},
        as_json=as_json,
        text="\n".join(lines),
    )
    if not well:
        raise typer.Exit(1)


def healthy(name: str, port_base: int) -> bool:
    """Whether a program of the system answers that it is well."""
    try:
        if name == "node":
            client = NodeClient(url_of(name, port_base), timeout=3)
            try:
                return bool(client.request("shelian_health")["ok"])
            finally:
                client.close()
        return (
            httpx.get(url_of(name, port_base) + HEALTH[name], timeout=3, trust_env=False).status_code == 200
        )
    except (httpx.HTTPError, NodeError):
        return False


def _node(run: RunFile) -> dict[str, Any] | None:
    client = NodeClient(url_of("node", run.port_base), timeout=3)
    try:
        answer: dict[str, Any] = client.request("shelian_status")
        return answer
    except (NodeError, SystemFault):
        return None
    finally:
        client.close()
