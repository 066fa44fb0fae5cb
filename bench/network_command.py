"""`python -m bench network`: figures of a network of validators, all on this machine, each with its CometBFT.

The scenarios and the load are those of `python -m bench`; beside them: latency until the last node has it,
disk, where the time goes, a validator that is killed, a node that joins a long chain, a dead proposer. The
whole of it takes about a quarter of an hour; the report is written after each part.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from bench.client import LoadError
from bench.network_parts import NAMES, QUICK, Amounts, Entry, Parts
from bench.output import Output, add_output_options, command_line
from bench.validators import make_network


def main(arguments: list[str]) -> int:
    """0 when all that was asked for was measured, 1 when something is missing."""
    options = _parse(arguments)
    names = ("only", "validators", "to", "quick", "one_entry")
    shown = {name: getattr(options, name) for name in names if getattr(options, name) != _DEFAULTS.get(name)}
    output = Output("-network", command_line("network", shown), options.reports, options.json)
    fault = None
    try:
        asyncio.run(_run(options, output))
    except LoadError as error:
        fault = str(error)
    except KeyboardInterrupt:
        fault = "Ctrl-C"
    if output.report["networks"]:
        output.save()
        output.print()
    if fault is not None:
        print(f"不完整 incomplete: {fault}", file=sys.stderr)
    return 0 if fault is None else 1


_DEFAULTS = {"validators": 4, "to": Amounts().growth}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench network", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="only this part; may be repeated")
    parser.add_argument("--stages", action="store_true", help="the same as --only stages")
    parser.add_argument("--validators", type=int, choices=range(1, 8), default=_DEFAULTS["validators"])
    parser.add_argument("--to", type=int, default=_DEFAULTS["to"], help="transfers that the chain grows by")
    parser.add_argument("--one-entry", action="store_true", help="all load to the first node, not spread")
    parser.add_argument("--quick", action="store_true", help="small counts: does it run at all")
    parser.add_argument("--keep", type=Path, help="make the nodes' directories here, and leave them")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.stages:
        options.only = [*(options.only or ()), "stages"]
    return options


async def _run(options: argparse.Namespace, output: Output) -> None:
    amounts = QUICK if options.quick else replace(Amounts(), growth=options.to)

    def say(line: str) -> None:
        output.console.print(line, highlight=False)

    with tempfile.TemporaryDirectory(prefix="shelian-network-") as name:
        directory = Path(name) if options.keep is None else options.keep
        network = make_network(directory, options.validators, spread=not options.one_entry)
        entry: Entry = {
            "validators": options.validators,
            "spread": not options.one_entry,
            "settings": asdict(network.validators[0].settings) | {"bootstrap": None, "state_sync": None},
        }
        output.report["networks"].append(entry)
        parts = Parts(network, amounts, entry, say)
        for part in NAMES:
            if options.only is None or part in options.only:
                await parts.run(part)
                output.save()
