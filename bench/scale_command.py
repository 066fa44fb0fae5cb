"""`python -m bench scale`: speed, latency, memory, disk and reopening of one node while its chain grows.

Grows a chain of its own through JSON-RPC and looks at it at 10³, 10⁴, 3·10⁴ … up to `--to`. The report is
written after each point; Ctrl-C ends with the points there are. To 10⁶ token holders it takes about half an
hour, to 10⁶ accounts or 10⁵ identities some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from bench.client import LoadError
from bench.growth import KINDS
from bench.output import Output, add_output_options, command_line
from bench.scale import Curve, Probe, grow, sizes_up_to

_QUICK = Probe(transfers=200, latency_transfers=20, stage_transfers=100)


def main(arguments: list[str]) -> int:
    """0 when every point is there, 1 when some or all are missing."""
    options = _parse(arguments)
    names = ("grow", "to", "history", "quick")
    command = command_line("scale", {name: getattr(options, name) for name in names})
    output = Output(f"-scale-{options.grow}", command, options.reports, options.json)
    probe = _QUICK if options.quick else Probe()
    curve = Curve(KINDS[options.grow], probe, sizes_up_to(options.to), options.history)

    def save() -> None:
        output.report["curves"] = [curve.as_dict()]
        output.save()

    fault = None
    try:
        asyncio.run(grow(curve, output.console, save))
    except LoadError as error:
        fault = str(error)
    except KeyboardInterrupt:
        fault = "Ctrl-C"
    save()
    output.print()
    if fault is not None:
        print(
            f"不完整 incomplete, {len(curve.points)} of {len(curve.wanted)} points: {fault}", file=sys.stderr
        )
    return 0 if fault is None else 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--grow", choices=tuple(KINDS), default="holders", help="what grows")
    parser.add_argument("--to", type=int, default=1_000_000, help="how many of it")
    parser.add_argument("--history", default="archive", help="old states that stay, as of shelian node")
    parser.add_argument("--quick", action="store_true", help="small probes: does it run at all")
    add_output_options(parser)
    return parser.parse_args(arguments)
