"""`shelian demo`: drive the main job of a running demo through public interfaces, and prove what happened."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.demo_signer import DemoSigner
from cli.demonstration.consortium import Outage, agree
from cli.demonstration.correction import Offices, exchange_judgment, sign_twenty
from cli.demonstration.network import Network
from cli.demonstration.points import serve_order
from cli.demonstration.run import Run, Step
from cli.demonstration.verify import verify_all
from cli.layout import Layout
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.output import AsJson, console, result, say
from cli.system import NODE_SUFFIX, RunFile, SystemFault, find, may_fail
from identity.demo.files import load_cast

_VICTIM = "police"


def demo(
    data: Annotated[Path | None, typer.Option("--data", help="the system with this data directory")] = None,
    port_base: Annotated[int | None, typer.Option("--port-base", help="the system at these ports")] = None,
    kill_one: Annotated[
        bool,
        typer.Option("--kill-one", help="中途断掉一家的节点 kill -9 one agency's node in the middle"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Exchange a judgment, sign twenty documents at once, serve an order; verify all of it from the chain.

    In a consortium each agency acts through its own node, and the proofs come from another's.
    """
    configure_logs(as_json=False)
    started, now = time.perf_counter(), time.time()
    system = find(data, port_base)
    layout = Layout(Path(system.data))
    genesis = load_genesis(layout)
    signer = DemoSigner(layout, system.port_base)
    run = Run(lambda step: say(_line(step)))
    outage = _outage(RunFile.load(layout.data)) if kill_one else None
    network = Network(system.nodes, load_cast(layout.demo), signer)
    offices = Offices(system.port_base, signer)
    seconds_out = None
    try:
        interlude = (lambda: None) if outage is None else (lambda: outage.begin(run))
        exchanged = exchange_judgment(run, offices, network, now, interlude)
        batch = sign_twenty(run, offices, now)
        served = serve_order(run, system.port_base, signer, now)
        if outage is not None:
            seconds_out = outage.end(run)
        proven = verify_all(run, network, genesis, exchanged, served, [done.transaction for done in batch])
        if len(network.chains) > 1:
            agree(run, network, genesis, exchanged)
    finally:
        offices.close()
        network.close()
        if outage is not None:
            outage.close()
    seconds = time.perf_counter() - started
    if not as_json:
        console.print(_table(run.steps))
    outcome = {
        "ok": True,
        "seconds": round(seconds, 2),
        "proven": proven,
        "nodes": len(network.chains),
        "steps": [asdict(step) for step in run.steps],
    }
    text = (
        f"全部通过 all {len(run.steps)} steps passed in {seconds:.1f} s; "
        f"{proven} transactions proved from chain data"
    )
    if outage is not None and seconds_out is not None:
        outcome["outage"] = {"agency": outage.agency, "seconds": round(seconds_out, 2)}
        text += (
            f"\n{outage.agency} 的节点断电后 {seconds_out:.1f} 秒回到同步,其间其余照常 "
            f"its node was back in step {seconds_out:.1f} s after kill -9; the others went on"
        )
    result(outcome, as_json=as_json, text=text)


def _outage(system: RunFile) -> Outage:
    """The police's node: nobody needs it in the steps that follow but the police, who come last.

    Raises SystemFault `demo.cannot_kill`.
    """
    if not may_fail(len(system.nodes)) or _VICTIM not in system.nodes:
        raise SystemFault(
            "demo.cannot_kill",
            "with so few nodes none may fail: the chain would stand still",
            len(system.nodes),
            "shelian consortium up --validators 4, or more",
        )
    other = system.node_for("court")
    return Outage(_VICTIM, system.nodes[_VICTIM], other, system.pids[f"{_VICTIM}{NODE_SUFFIX}"])


def _line(step: Step) -> str:
    return f"  ✓ {step.part}  {step.what}  [dim]{step.who}  {step.milliseconds:.0f} ms[/]"


def _table(steps: list[Step]) -> Table:
    table = Table(title="社链演示 Shelian demo", header_style="bold")
    for name in ("部分 part", "步骤 step", "谁 who", "交易 transaction"):
        table.add_column(name)
    table.add_column("区块 block", justify="right")
    table.add_column("毫秒 ms", justify="right")
    for step in steps:
        shortened = f"{step.transaction[:12]}…" if step.transaction else ""
        block = str(step.block) if step.block else ""
        table.add_row(step.part, step.what, step.who, shortened, block, f"{step.milliseconds:.0f}")
    return table
