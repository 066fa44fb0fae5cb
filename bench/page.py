"""`python -m bench page REPORT.json… -o FILE.html`: one page of several reports."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.report import as_html, joined, load_report


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench page", description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT.json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.output.write_text(as_html(joined([load_report(path) for path in options.reports])))
    return 0
