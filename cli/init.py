"""`shelian init`: make a data directory. Nothing is started, and no person's key is made outside a demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.demo_consortium import create_demo
from cli.layout import Layout
from cli.output import AsJson, result, say
from node.chain.errors import GenesisError
from node.chain.genesis import Genesis, decode_genesis
from node.ledger import Ledger


def init(
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory")] = Path("data"),
    genesis_file: Annotated[
        Path | None,
        typer.Option("--genesis", help="join the chain of this genesis file instead of making a demo"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data directory: a new demo consortium, or the ledger of a genesis file that was handed out."""
    layout = Layout(data.resolve())
    if genesis_file is None:
        genesis = create_demo(layout, time.time_ns(), say)
    else:
        genesis = _join(layout, genesis_file)
    result(
        {
            "ok": True,
            "data": layout.data,
            "chain_name": genesis.chain_name,
            "purpose": genesis.purpose,
            "genesis_hash": genesis.hash,
            "evm_chain_id": genesis.evm_chain_id,
        },
        as_json=as_json,
        text=f"{layout.data}: {genesis.chain_name} ({genesis.purpose}), genesis 0x{genesis.hash.hex()}",
    )


def _join(layout: Layout, genesis_file: Path) -> Genesis:
    try:
        raw = genesis_file.read_bytes()
    except OSError as error:
        raise GenesisError(
            "genesis.unreadable", "the genesis file cannot be read", str(error), genesis_file
        ) from None
    genesis = decode_genesis(raw)
    layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
    Ledger.create(layout.ledger, genesis).close()
    layout.genesis.write_bytes(raw)
    return genesis
