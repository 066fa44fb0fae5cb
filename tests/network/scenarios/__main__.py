"""Runs scenarios: ``python -m tests.network.scenarios FILE.scenario …`` (without a file: all of them).

Each runs in a world of its own (`worlds`), which a second process of this program is put into; what it says
comes out as it is said, and its report stands in DIRECTORY/report.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.network.scenarios import commands
from tests.network.scenarios.language import Scenario, parse
from tests.network.scenarios.whole import require_whole
from tests.network.scenarios.worlds import end_with_parent, enter_world, why_no_worlds

HERE = Path(__file__).parent
LONGEST_S = 1_500


@dataclass(frozen=True)
class Report:
    """Of one scenario. `failure`: empty if it went well, else what was not as it should be; `details`: where,
    and the ends of the nodes' logs.
    """

    name: str
    title: str
    seconds: float
    height: int
    acknowledged: int
    slowest_s: float
    recoveries: list[dict[str, Any]]
    notes: list[str]
    failure: str
    details: str = ""


def scenario_files(suite: str = "") -> list[Path]:
    """All of them, or those of a suite."""
    files = sorted(HERE.glob("*.scenario"))
    return [one for one in files if not suite or read(one).suite == suite]


def read(file: Path) -> Scenario:
    """Raises ScenarioFault."""
    return parse(file.name, file.read_text().splitlines())


def run(file: Path, directory: Path) -> Report:
    """In a world of its own. Never raises for what happens in it."""
    world = enter_world(["tests.network.scenarios", "--inside", str(file), str(directory)])
    try:
        world.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if world.stdin is not None:
            world.stdin.close()
        world.kill()
        world.wait()
    report = directory / "report.json"
    if not report.exists():
        return Report(file.stem, "", 0, 0, 0, 0, [], [], f"no report; exit status {world.returncode}")
    return Report(**json.loads(report.read_text()))


def inside(file: Path, directory: Path) -> None:
    """In the world: run it, report, and end, with all that is left in the world."""
    end_with_parent()
    scenario = read(file)
    began = time.monotonic()
    state = commands.Run(directory)
    failure = details = ""

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    say(f"{scenario.name}: {scenario.title}")
    height = 0
    try:
        for step in scenario.steps:
            say(step.text)
            shown = len(state.made.recoveries) if state.made else 0
            try:
                step.command.run(state, **step.arguments)
            except AssertionError as fault:
                raise AssertionError(f"{file.name}:{step.line}: {step.text}: {fault}") from fault
            for one in state.network.recoveries[shown:]:
                say(f"    {one.after}: recovered after {one.seconds:.1f} s")
        height = _finish(state, say)
    except BaseException as fault:
        failure = str(fault) or type(fault).__name__
        details = traceback.format_exc()
        if state.made is not None:
            logs = (f"-- {one.number}\n{one.log[-3_000:]}" for one in state.made.members.values())
            details += "\n".join(logs)
        say(f"FAILED {details}")
    network = state.made
    report = Report(
        scenario.name,
        scenario.title,
        round(time.monotonic() - began, 1),
        height,
        len(network.acknowledged()) if network else 0,
        round(network.load.slowest_s, 1) if network else 0,
        [asdict(one) for one in network.recoveries] if network else [],
        network.notes if network else [],
        failure,
        details,
    )
    (directory / "report.json").write_text(json.dumps(report.__dict__, ensure_ascii=False, indent=1))
    sys.stdout.flush()
    os._exit(1 if failure else 0)


def _finish(state: commands.Run, say: Callable[[str], None]) -> int:
    """End the load, let all come to the same height, stop them, and look at what they have."""
    network = state.network
    network.load.stop()
    say("the load has ended")
    target = network.highest()
    to_the_end = {member.number for member in network.serving}
    network.wait(lambda: all(one.height >= target for one in network.serving), f"all at {target}")
    for member in network.members.values():
        member.stop()
    say("all are stopped; what they hold is checked")
    ledgers = {one.layout.ledger: one.number in to_the_end for one in network.members.values()}
    found = require_whole(ledgers, network.genesis, network.acknowledged())
    say(
        f"whole: {len(ledgers)} machines alike in {found.compared} blocks; {len(network.acknowledged())}"
        f" acknowledged kept, {network.load.refused} refused; slowest {network.load.slowest_s:.1f} s"
    )
    return found.common_height


def table(reports: list[Report]) -> str:
    """As in docs/SCENARIOS.md."""
    lines = ["| scenario | seconds | blocks | acknowledged | recovered after |", "|---|---:|---:|---:|---|"]
    for one in reports:
        recovered = "; ".join(f"{each['after']} {each['seconds']:.1f} s" for each in one.recoveries)
        outcome = f"**FAILED** {one.failure.splitlines()[0]}" if one.failure else recovered
        lines.append(f"| {one.name} | {one.seconds:.0f} | {one.height} | {one.acknowledged} | {outcome} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--inside"]:
        inside(Path(arguments[1]), Path(arguments[2]))
    missing = why_no_worlds()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 2
    files = [Path(one) for one in arguments] or scenario_files()
    for file in files:
        read(file)
    reports = []
    for file in files:
        with tempfile.TemporaryDirectory(prefix="shelian-scenario-") as directory:
            reports.append(run(file, Path(directory)))
    print(table(reports))
    return any(one.failure for one in reports)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
