"""`python -m bench`: figures of our node and, where it can be had, of anvil, in one run.

The node, anvil and the load generator are processes of their own; everything is signed before its clock
starts. A run passes or fails nothing: it tells what it found. Other commands: `python -m bench scale`,
`caliper`, `document` and `page`, each with --help. Other measures: `python -m bench.work`,
`python -m bench.signatures`, `python -m bench.responsiveness`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.client import LoadError
from bench.output import Output, add_output_options, command_line
from bench.report import result_of
from bench.scenarios import ERC20, SCENARIOS, Measured, Scenario, measure
from bench.targets import Target, anvil, find_anvil, our_node


def main(arguments: list[str]) -> int:
    """0 when there are figures, 1 when a chain did not do what was asked of it."""
    options = _parse(arguments)
    names = ("scenario", "quick", "ws", "no_anvil", "stages", "profile")
    command = command_line("", {name: getattr(options, name) for name in names})
    if options.url is not None:
        command += " --url URL"
    output = Output("", command, options.reports, options.json)
    try:
        asyncio.run(_run(options, output))
    except LoadError as error:
        print(f"没有结果 no figures: {error}", file=sys.stderr)
        return 1
    output.save()
    output.print()
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small counts: does it run at all")
    parser.add_argument("--ws", action="store_true", help="over WebSocket too, after HTTP")
    parser.add_argument("--url", help="measure this Ethereum JSON-RPC URL (http or ws) instead, ERC-20 only")
    parser.add_argument("--no-anvil", action="store_true", help="our node only")
    parser.add_argument("--stages", action="store_true", help="our node's time by stage; slows it a little")
    parser.add_argument(
        "--profile",
        choices=("engine", "rpc"),
        help="cProfile of this thread of our node, kept with the report",
    )
    add_output_options(parser)
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _signatures(quick: bool) -> list[dict[str, Any]]:
    """The figures of `bench.signatures`, in a process that does nothing else; none if it fails."""
    counts = ["--count", "20", "--rounds", "1"] if quick else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.signatures", "--json", *counts,
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        _say("signatures: 没有结果 no figures: python -m bench.signatures failed")
        return []
    figures: list[dict[str, Any]] = json.loads(out)
    return figures


async def _run(options: argparse.Namespace, output: Output) -> None:
    chosen = [one for one in SCENARIOS if options.scenario is None or one.name in options.scenario]
    scenarios = [one.quick() for one in chosen] if options.quick else chosen
    ethereum = [one for one in scenarios if one.workload == ERC20]
    results = output.report["results"]

    async def on(target: Target, wanted: Sequence[Scenario]) -> None:
        def done(measured: Measured) -> None:
            results.append(result_of(measured))

        targets = [target, target.websocket] if options.ws and target.transport == "http" else [target]
        for one in targets:
            await measure(one, wanted, _say, done, warm_up=not options.quick)

    if options.url is None and options.scenario is None:
        _say("signatures: the cost of verifying one, by scheme")
        output.report["signatures"] = await _signatures(options.quick)
    if options.url is not None:
        await on(Target("url", options.url), ethereum)
        return
    with tempfile.TemporaryDirectory(prefix="shelian-bench-") as directory:
        async with our_node(Path(directory), stages=options.stages, profile=options.profile) as target:
            await on(target, scenarios)
        for profile in Path(directory).glob("*.prof"):
            options.reports.mkdir(parents=True, exist_ok=True)
            shutil.copy(profile, options.reports)
            _say(f"profile: {options.reports / profile.name}")
    binary = None if options.no_anvil or not ethereum else find_anvil()
    if binary is not None:
        async with anvil(binary) as target:
            try:
                await on(target, ethereum)
            except LoadError as error:
                _say(f"anvil: 没有结果 no figures: {error}")
