"""`shelian doctor`: names what keeps a node from running well, and the remedy; the node may run or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.findings import finding_lines
from cli.layout import Layout
from cli.output import AsJson, result
from cli.system import DEFAULT_PORT_BASE, OFFSETS
from network.operations.config import PORT_ABOVE_RPC
from network.operations.doctor.checks import Check, run_checks
from network.operations.doctor.examine import Place, examine
from network.operations.findings import FAULT


def doctor(
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory of a node")] = Path("data"),
    host: Annotated[str, typer.Option(help="where it would listen, if it has not run yet")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="its JSON-RPC port, if it has not run yet")] = DEFAULT_PORT_BASE
    + OFFSETS["node"],
    certificate: Annotated[
        Path | None, typer.Option(help="TLS certificate that the node shows its callers")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at a node's files, ports, clock, disk, keys and peers. Changes nothing. Fails on a fault."""
    layout = Layout(data.resolve())
    seen = examine(
        Place(
            data=layout.data,
            genesis=layout.genesis,
            ledger=layout.ledger,
            comet=layout.comet,
            validator_key=layout.validator_key,
            unfinished=layout.marker,
            rpc_address=f"{host}:{port}",
            operations_address=f"127.0.0.1:{port + PORT_ABOVE_RPC}",
            tls_certificate=certificate,
        )
    )
    checks = run_checks(seen)
    faults = sum(one.level == FAULT for check in checks for one in check.findings)
    warnings = sum(len(check.findings) for check in checks) - faults
    result(
        {
            "ok": not faults,
            "running": seen.is_running,
            "faults": faults,
            "warnings": warnings,
            "checks": [check.as_dict() for check in checks],
        },
        as_json=as_json,
        text="\n".join([*_lines(checks), _verdict(faults, warnings)]),
    )
    if faults:
        raise typer.Exit(1)


def _lines(checks: tuple[Check, ...]) -> list[str]:
    lines = []
    for check in checks:
        sign = {"ok": "✔", "warning": "!", "fault": "✖"}[check.level]
        lines.append(f"{sign} {check.title.zh} {check.title.en}")
        for finding in check.findings:
            lines += finding_lines(finding, "    ")
    return lines


def _verdict(faults: int, warnings: int) -> str:
    if not faults and not warnings:
        return "\n没有发现问题 nothing is wrong"
    return f"\n{faults} 项故障 faults，{warnings} 项注意 warnings；代码见 codes: docs/errors/operations.md"
