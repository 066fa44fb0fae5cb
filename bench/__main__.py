"""`python -m bench`: figures of our node and, where it can be had, of anvil, in one run.

The node, anvil and the load generator are processes of their own; everything is signed before its clock
starts. A run passes or fails nothing: it tells what it found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.load import LoadError
from bench.machine import machine_facts
from bench.report import as_document, as_html, latency_table, stage_table, throughput_table
from bench.scenarios import ERC20, SCENARIOS, Measured, Scenario, measure
from bench.targets import Target, anvil, find_anvil, our_node

_REPORTS = Path(__file__).parent / "reports"
_WIDTH = 130


def main() -> int:
    """0 when there are figures, 1 when a chain did not do what was asked of it."""
    options = _parse()
    facts = machine_facts()
    made_at = datetime.now(UTC)
    try:
        measured = asyncio.run(_run(options))
    except LoadError as error:
        print(f"没有结果 no figures: {error}", file=sys.stderr)
        return 1
    document = as_document(measured, facts, made_at.isoformat(timespec="seconds"))
    report = options.reports / f"{made_at:%Y%m%dT%H%M%SZ}.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(document, ensure_ascii=False, indent=1))
    report.with_suffix(".html").write_text(as_html(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, ensure_ascii=False, indent=1))
    console = Console(width=max(_WIDTH, shutil.get_terminal_size().columns))
    for table in (throughput_table(measured), latency_table(measured)):
        if table.row_count:
            console.print(table)
    for one in measured:
        if one.stages:
            console.print(stage_table(one))
    console.print(f"{report.with_suffix('.html')}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small counts: does it run at all")
    parser.add_argument("--url", help="measure this Ethereum JSON-RPC URL instead, ERC-20 only")
    parser.add_argument("--no-anvil", action="store_true", help="our node only")
    parser.add_argument("--stages", action="store_true", help="our node's time by stage; slows it a little")
    parser.add_argument(
        "--profile",
        choices=("engine", "rpc"),
        help="cProfile of this thread of our node, kept with the report",
    )
    parser.add_argument("--json", type=Path, help="also write the report here")
    parser.add_argument("--reports", type=Path, default=_REPORTS, help="where reports go")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> list[Measured]:
    chosen = [one for one in SCENARIOS if options.scenario is None or one.name in options.scenario]
    scenarios = [one.quick() for one in chosen] if options.quick else chosen
    ethereum = [one for one in scenarios if one.workload == ERC20]

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    async def on(target: Target, wanted: list[Scenario]) -> list[Measured]:
        return await measure(target, wanted, say, warm_up=not options.quick)

    if options.url is not None:
        return await on(Target(options.url, options.url), ethereum)
    with tempfile.TemporaryDirectory(prefix="shelian-bench-") as directory:
        async with our_node(Path(directory), stages=options.stages, profile=options.profile) as target:
            measured = await on(target, scenarios)
        for profile in Path(directory).glob("*.prof"):
            options.reports.mkdir(parents=True, exist_ok=True)
            shutil.copy(profile, options.reports)
            say(f"profile: {options.reports / profile.name}")
    binary = None if options.no_anvil or not ethereum else find_anvil()
    if binary is not None:
        async with anvil(binary) as target:
            try:
                measured += await on(target, ethereum)
            except LoadError as error:
                say(f"anvil: 没有结果 no figures: {error}")
    return measured


if __name__ == "__main__":
    sys.exit(main())
