"""`python -m bench caliper`: Hyperledger Caliper 0.6 and its Ethereum connector, unmodified, on our node.

Caliper is installed by npm from `bench/caliper/package-lock.json`. It talks to the node over WebSocket (its
connector refuses http), deploys the token itself and has workers that count their own nonces. `network.json`,
`benchmark.json` and `transfers.js` are what anyone would write for it; the address and the keys of this run
are filled in. Its own report is kept, and its figures go into ours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import shutil
import sys
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

from bench.cast import CALIPER_SEED, CALIPER_WORKERS, DEPLOYER, caliper_workers
from bench.client import LoadError
from bench.npm import installed_modules
from bench.output import Output, add_output_options, command_line
from bench.targets import our_node

_HERE = Path(__file__).parent
_TOKEN = _HERE.parent / "contracts" / "Token.json"
_DEPLOY_GAS = 3_000_000
_ROUND_S = 600.0
_LAST_LINES = 30
_COLUMNS = {
    "Succ": "succeeded",
    "Fail": "failed",
    "Send Rate (TPS)": "send_per_s",
    "Throughput (TPS)": "per_s",
    "Min Latency (s)": "min_s",
    "Avg Latency (s)": "average_s",
    "Max Latency (s)": "max_s",
}


def main(arguments: list[str]) -> int:
    """0 when there are figures, 1 when Caliper cannot be had or did not finish."""
    options = _parse(arguments)
    command = command_line("caliper", {"workers": options.workers, "transactions": options.transactions})
    modules = installed_modules(_HERE, "Caliper")
    if modules is None:
        return 1
    output = Output("-caliper", command, options.reports, options.json)
    try:
        rounds, page = asyncio.run(_run(modules, options.workers, options.transactions))
    except LoadError as error:
        print(f"没有结果 no figures: {error}", file=sys.stderr)
        return 1
    output.report["caliper"] = rounds
    output.save()
    output.save_beside("-own.html", page)
    output.print()
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench caliper", description=__doc__)
    parser.add_argument("--workers", type=int, choices=range(1, CALIPER_WORKERS + 1), default=2)
    parser.add_argument("--transactions", type=int, help="of the first round, and no other round")
    add_output_options(parser)
    return parser.parse_args(arguments)


async def _run(modules: Path, workers: int, transactions: int | None) -> tuple[list[dict[str, Any]], str]:
    """Caliper's rounds and its own report. Raises LoadError.

    `client_ms` and `node_ms` of a round: CPU time of Caliper's processes and of the node, a transaction, of
    the whole run with its start and preparation: which of the two the rates are limited by.
    """
    with tempfile.TemporaryDirectory(prefix="shelian-caliper-") as name:
        workspace = Path(name)
        # Modules are looked for beside the workload, and the workload beside the configuration.
        (workspace / "node_modules").symlink_to(modules)
        shutil.copy(_HERE / "transfers.js", workspace)
        async with our_node(workspace / "chain") as target:
            files = {
                "token.json": token_file(),
                "network.json": network_file(target.websocket.url),
                "benchmark.json": benchmark_file(workers, transactions),
            }
            for file, content in files.items():
                (workspace / file).write_text(json.dumps(content))
            node_before, client_before = target.cpu_seconds() or 0.0, _children_cpu_s()
            await _launch(modules, workspace)
            node_s = (target.cpu_seconds() or 0.0) - node_before
            client_s = _children_cpu_s() - client_before
        report = workspace / "report.html"
        if not report.exists():
            raise LoadError("Caliper wrote no report; its last lines are above")
        page = report.read_text()
    rounds = decode_summary(page)
    sent = sum((one["succeeded"] or 0) + (one["failed"] or 0) for one in rounds) or 1
    costs = {"client_ms": 1000 * client_s / sent, "node_ms": 1000 * node_s / sent}
    return [{"workers": workers, **one, **costs} for one in rounds], page.replace(name, ".")


def _children_cpu_s() -> float:
    """CPU time of child processes that have ended: the node, which runs on, is not among them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _launch(modules: Path, workspace: Path) -> None:
    log = workspace / "caliper.txt"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            str(modules / ".bin" / "caliper"), "launch", "manager", "--caliper-workspace", str(workspace),
            "--caliper-networkconfig", "network.json", "--caliper-benchconfig", "benchmark.json",
            cwd=workspace, stdout=sink, stderr=sink,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_ROUND_S):
                await process.wait()
        except TimeoutError:
            raise LoadError(f"Caliper was not done after {_ROUND_S:.0f} s") from None
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    if process.returncode or not (workspace / "report.html").exists():
        print("\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:]), file=sys.stderr)


def token_file() -> dict[str, Any]:
    """The token as the connector wants a contract that it deploys."""
    token = json.loads(_TOKEN.read_text())
    return {"name": "Token", "abi": token["abi"], "bytecode": token["bytecode"], "gas": _DEPLOY_GAS}


def network_file(url: str) -> dict[str, Any]:
    """`network.json` for the node at this WebSocket URL."""
    network: dict[str, Any] = json.loads((_HERE / "network.json").read_text())
    network["ethereum"] |= {
        "url": url,
        "contractDeployerAddress": "0x" + DEPLOYER.address.hex(),
        "contractDeployerAddressPrivateKey": "0x" + DEPLOYER.secret.hex(),
        "fromAddressSeed": CALIPER_SEED,
    }
    return network


def benchmark_file(workers: int, transactions: int | None) -> dict[str, Any]:
    """`benchmark.json`, every round told who the workers are; the first alone if `transactions` is given."""
    benchmark: dict[str, Any] = json.loads((_HERE / "benchmark.json").read_text())
    test = benchmark["test"]
    test["workers"]["number"] = workers
    if transactions is not None:
        test["rounds"] = test["rounds"][:1]
        test["rounds"][0]["txNumber"] = transactions
    addresses = ["0x" + key.address.hex() for key in caliper_workers()[:workers]]
    for one in test["rounds"]:
        one["workload"]["arguments"] = {"workers": addresses}
    return benchmark


def decode_summary(page: str) -> list[dict[str, Any]]:
    """The rounds of the first table of a report that Caliper wrote.

    Numbers under our names; None where Caliper has no figure. Raises LoadError for another page.
    """
    table = re.search(r"<table.*?</table>", page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table[0] if table else "", re.DOTALL)
    cells = [
        [unescape(cell).strip() for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]
    if len(cells) < 2 or set(_COLUMNS) - set(cells[0]):
        raise LoadError("Caliper's report has no summary")
    named = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    return [
        {"name": one["Name"], **{ours: _number(one[theirs]) for theirs, ours in _COLUMNS.items()}}
        for one in named
    ]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
