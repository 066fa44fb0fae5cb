"""`shelian`: one thin file per command group; this one says where they are.

Every command has ``--json`` and exits with a non-zero status when it fails. A group's module is imported when
one of its commands runs (`cli.lazy`).
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

import typer

from cli.lazy import lazy_group
from cli.output import fail
from cli.processes import follow_supervisor
from node.chain.errors import ShelianError

_COMMANDS = {
    "init": "cli.init:init",
    "node": "cli.node:app",
    "up": "cli.up:up",
    "status": "cli.status:status",
    "demo": "cli.demo:demo",
    "check": "cli.check:check",
    "doctor": "cli.doctor:doctor",
    "refold": "cli.refold:refold",
    "accounts": "cli.accounts:app",
    "consortium": "cli.consortium:app",
    "signer": "cli.services:signer",
    "identity": "cli.services:identity",
    "correction": "cli.services:correction",
    "points": "cli.services:points",
    "portal": "cli.services:portal",
}

app = typer.Typer(name="shelian", cls=lazy_group(_COMMANDS), no_args_is_help=True, add_completion=False)


@app.callback()
def shelian() -> None:
    """社链 Shelian: a permissioned ledger node suite"""


def main() -> None:
    """Entry point of the console script. A typed error becomes a message and exit status 1, never a
    traceback."""
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        sys.exit(f"shelian needs Python 3.11 or 3.12, this is {sys.version_info[0]}.{sys.version_info[1]}")
    follow_supervisor()
    try:
        app()
    except ShelianError as error:
        fail(error, as_json="--json" in sys.argv)


if __name__ == "__main__":
    main()
