"""Where a command's report goes, and what it says on the terminal at the end."""

from __future__ import annotations

import argparse
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.goals import goals, network_goals
from bench.machine import machine_facts
from bench.network_tables import network_rows
from bench.report import new_report, save_report
from bench.tables import (
    caliper_table,
    curve_table,
    goal_table,
    latency_table,
    rows_table,
    stage_table,
    throughput_table,
)

REPORTS = Path(__file__).parent / "reports"
_WIDTH = 140


class Output:
    """One report under way. It may be saved as often as there is something new in it."""

    def __init__(self, name: str, command: str, directory: Path, copy: Path | None) -> None:
        """`name` ends the file's name; `command` is what a reader repeats."""
        self.report = new_report(command, machine_facts())
        self.console = Console(width=max(_WIDTH, shutil.get_terminal_size().columns))
        self._path = directory / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{name}.json"
        self._copy = copy

    def save(self) -> None:
        save_report(self.report, self._path)
        if self._copy is not None:
            save_report(self.report, self._copy)

    def save_beside(self, ending: str, text: str) -> None:
        """Keep what another program wrote, under the report's name."""
        self._path.with_name(self._path.stem + ending).write_text(text)

    def print(self) -> None:
        """The tables, and where the page is."""
        report = self.report
        for table in (throughput_table(report["results"]), latency_table(report["results"])):
            if table.row_count:
                self.console.print(table)
        timed = [*report["results"], *(one for net in report["networks"] for one in net.get("stages", ()))]
        for one in timed:
            if one["stages"]:
                self.console.print(stage_table(one))
        for curve in report["curves"]:
            self.console.print(curve_table(curve))
        if report["caliper"]:
            self.console.print(caliper_table(report["caliper"]))
        for entry in report["networks"]:
            for rows in network_rows(entry):
                self.console.print(rows_table(rows))
        if report["networks"]:
            self.console.print(goal_table(network_goals(report["networks"]), ", four validators"))
        else:
            self.console.print(goal_table(goals(report["results"], report["curves"], report["signatures"])))
        self.console.print(str(self._path.with_suffix(".html")), soft_wrap=True)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, help="also write the report here, and its page beside it")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where reports go")


def command_line(name: str, arguments: dict[str, Any]) -> str:
    """What a reader repeats: only options that were set, no addresses and no files of this machine."""
    words = ["python -m bench", name]
    for option, value in arguments.items():
        flag = f"--{option.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [f"{flag} {item}" for item in value]
        elif value not in (None, False):
            words.append(f"{flag} {value}")
    return " ".join(filter(None, words))
