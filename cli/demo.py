"""`shelian demo`: drive the main job of a running demo through public interfaces, and prove what happened."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.demo_consortium import Layout
from cli.demo_signer import DemoSigner
from cli.demonstration.chain import Chain
from cli.demonstration.correction import Offices, exchange_judgment, sign_twenty
from cli.demonstration.points import serve_order
from cli.demonstration.run import Run, Step
from cli.demonstration.verify import verify_all
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.output import AsJson, console, result, say
from cli.system import find, url_of


def demo(
    data: Annotated[Path | None, typer.Option("--data", help="the system with this data directory")] = None,
    port_base: Annotated[int | None, typer.Option("--port-base", help="the system at these ports")] = None,
    as_json: AsJson = False,
) -> None:
    """Exchange a judgment, sign twenty documents at once, serve an order; verify all of it from the chain."""
    configure_logs(as_json=False)
    started, now = time.perf_counter(), time.time()
    system = find(data, port_base)
    layout = Layout(Path(system.data))
    genesis = load_genesis(layout)
    signer = DemoSigner(layout, system.port_base)
    run = Run(lambda step: say(_line(step)))
    chain = Chain(url_of("node", system.port_base), signer)
    offices = Offices(system.port_base, signer)
    try:
        exchanged = exchange_judgment(run, offices, chain, now)
        batch = sign_twenty(run, offices, now)
        served = serve_order(run, system.port_base, signer, now)
        proven = verify_all(run, chain, genesis, exchanged, served, [done.transaction for done in batch])
    finally:
        offices.close()
        chain.node.close()
    seconds = time.perf_counter() - started
    if not as_json:
        console.print(_table(run.steps))
    result(
        {
            "ok": True,
            "seconds": round(seconds, 2),
            "proven": proven,
            "steps": [asdict(step) for step in run.steps],
        },
        as_json=as_json,
        text=f"全部通过 all {len(run.steps)} steps passed in {seconds:.1f} s; "
        f"{proven} transactions proved from chain data",
    )


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
