"""`python -m bench [scale | network | caliper | document | page]`: see `bench.figures` and their --help."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "scale": "bench.scale_command",
    "network": "bench.network_command",
    "caliper": "bench.caliper.round",
    "document": "bench.document",
    "page": "bench.page",
}
"""Modules whose `main(arguments)` is the command; without a command `bench.figures` is run."""


def main(arguments: list[str]) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name not in COMMANDS:
        name, rest = "", arguments
    status: int = importlib.import_module(COMMANDS.get(name, "bench.figures")).main(rest)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
