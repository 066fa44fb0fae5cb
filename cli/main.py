"""`shelian`: one thin file per command group; this one puts them together.

Every command has ``--json`` and exits with a non-zero status when it fails. Modules of a group are imported
when the group runs, so that `shelian --help` is quick.
"""

from __future__ import annotations

import gc
import os
import sys

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

import typer

import cli.importing  # noqa: F401
from cli import (
    accounts,
    backup,
    check,
    consortium,
    consortium_up,
    demo,
    doctor,
    init,
    node,
    node_status,
    refold,
    repair,
    services,
    snapshot,
    status,
    up,
)
from cli.output import fail
from cli.processes import follow_supervisor
from node.chain.errors import ShelianError

gc.enable()

app = typer.Typer(
    name="shelian",
    no_args_is_help=True,
    add_completion=False,
    help="社链 Shelian: a permissioned ledger node suite",
)
app.command("init")(init.init)
node.app.command("repair")(repair.repair)
node.app.command("backup")(backup.backup)
node.app.command("restore")(backup.restore)
node.app.add_typer(snapshot.app, name="snapshot")
node.app.command("status")(node_status.status)
app.add_typer(node.app, name="node")
app.command("up")(up.up)
app.command("status")(status.status)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("refold")(refold.refold)
app.add_typer(accounts.app, name="accounts")
consortium.app.command("up")(consortium_up.up)
app.add_typer(consortium.app, name="consortium")
app.command("signer")(services.signer)
app.command("identity")(services.identity)
app.command("correction")(services.correction)
app.command("points")(services.points)
app.command("portal")(services.portal)


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
