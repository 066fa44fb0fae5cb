"""Reads the recordings under tests/vectors/cometbft: what a real node's RPC said, as values of node.chain."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from node.chain.block import Block
from node.chain.commit import Commit, CommitSignature
from node.chain.header import BlockId, Header
from node.chain.receipt import TransactionResult
from node.chain.validators import Validator

VECTORS = Path(__file__).parents[2] / "vectors" / "cometbft"


@dataclass(frozen=True)
class RecordedBlock:
    block: Block
    block_id: BlockId
    commit: Commit
    validators: tuple[Validator, ...]
    addresses: tuple[bytes, ...]
    results: tuple[TransactionResult, ...]
    block_max_bytes: int
    block_max_gas: int


@dataclass(frozen=True)
class Recording:
    chain_name: str
    blocks: tuple[RecordedBlock, ...]


def load_recording(name: str) -> Recording:
    document = json.loads((VECTORS / f"{name}.json").read_text())
    return Recording(document["chain_id"], tuple(_recorded(item) for item in document["blocks"]))


def load_library() -> dict[str, Any]:
    """What programs of the CometBFT library itself computed."""
    document: dict[str, Any] = json.loads((VECTORS / "library.json").read_text())
    return document


def _recorded(item: dict[str, Any]) -> RecordedBlock:
    block = item["block"]
    assert not block["evidence"]["evidence"]
    return RecordedBlock(
        block=Block(
            _header(block["header"]),
            tuple(base64.b64decode(raw) for raw in block["data"]["txs"]),
            _commit(block["last_commit"]),
        ),
        block_id=_block_id(item["block_id"]),
        commit=_commit(item["commit"]),
        validators=tuple(
            Validator(base64.b64decode(v["public_key"]), int(v["power"])) for v in item["validators"]
        ),
        addresses=tuple(bytes.fromhex(v["address"]) for v in item["validators"]),
        results=tuple(
            TransactionResult(
                r["code"], base64.b64decode(r["data"] or ""), int(r["gas_wanted"]), int(r["gas_used"])
            )
            for r in item["results"]
        ),
        block_max_bytes=int(item["consensus_params"]["max_bytes"]),
        block_max_gas=int(item["consensus_params"]["max_gas"]),
    )


def _header(header: dict[str, Any]) -> Header:
    return Header(
        chain_name=header["chain_id"],
        height=int(header["height"]),
        time_ns=_time_ns(header["time"]),
        last_block_id=_block_id(header["last_block_id"]),
        **{
            name: bytes.fromhex(header[name])
            for name in (
                "last_commit_hash",
                "data_hash",
                "validators_hash",
                "next_validators_hash",
                "consensus_hash",
                "app_hash",
                "last_results_hash",
                "evidence_hash",
                "proposer_address",
            )
        },
        app_version=int(header["version"].get("app", 0)),
        block_version=int(header["version"]["block"]),
    )


def _block_id(block_id: dict[str, Any]) -> BlockId:
    parts = block_id["parts"]
    return BlockId(bytes.fromhex(block_id["hash"]), parts["total"], bytes.fromhex(parts["hash"]))


def _commit(commit: dict[str, Any]) -> Commit:
    return Commit(
        int(commit["height"]),
        commit["round"],
        _block_id(commit["block_id"]),
        tuple(
            CommitSignature(
                entry["block_id_flag"],
                bytes.fromhex(entry["validator_address"]),
                _time_ns(entry["timestamp"]),
                base64.b64decode(entry["signature"] or ""),
            )
            for entry in commit["signatures"]
        ),
    )


def _time_ns(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole + "+00:00")
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    seconds = (moment - epoch).days * 86_400 + (moment - epoch).seconds
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))
