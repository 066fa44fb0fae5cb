"""That CometBFT starts from the genesis the ledger was made of.

CometBFT keeps the genesis of its first start and sends it with InitChain. Every field that a header or a
validator set depends on is compared, so that a node with another file stops at its first start, and says
which field, instead of disagreeing later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from node.chain.encoding import decode_strict_json
from node.chain.errors import DecodeError
from node.chain.genesis import Genesis

_MAX_STATE_BYTES: Final = 1 << 16


def check_init_chain(request: pb.RequestInitChain, genesis: Genesis) -> None:
    """Raises CometFault `comet.other_genesis` with the first field that differs."""
    for field, got, expected in _fields(request, genesis):
        if got != expected:
            raise CometFault(
                "comet.other_genesis",
                f"CometBFT was started with another genesis than the ledger: {field} differs",
                got,
                expected,
            )


def _fields(request: pb.RequestInitChain, genesis: Genesis) -> Iterator[tuple[str, object, object]]:
    yield "chain_id", request.chain_id, genesis.chain_name
    yield "app_state.genesis_hash", _genesis_hash(request.app_state_bytes), "0x" + genesis.hash.hex()
    yield "genesis_time", _nanoseconds(request.time), genesis.genesis_time_ns
    yield "initial_height", request.initial_height, genesis.initial_height
    yield (
        "validators",
        sorted((one.pub_key.ed25519, one.power) for one in request.validators),
        sorted((one.public_key, one.power) for one in genesis.validators),
    )
    params, own = request.consensus_params, genesis.consensus_params
    yield "block.max_bytes", params.block.max_bytes, own.block_max_bytes
    yield "block.max_gas", params.block.max_gas, own.block_max_gas
    evidence = params.evidence
    yield "evidence.max_age_num_blocks", evidence.max_age_num_blocks, own.evidence_max_age_num_blocks
    yield (
        "evidence.max_age_duration",
        _nanoseconds(evidence.max_age_duration),
        own.evidence_max_age_duration_ns,
    )
    yield "evidence.max_bytes", evidence.max_bytes, own.evidence_max_bytes
    yield "validator.pub_key_types", list(params.validator.pub_key_types), ["ed25519"]
    yield "version.app", params.version.app, genesis.rules.version
    yield (
        "abci.vote_extensions_enable_height",
        params.abci.vote_extensions_enable_height,
        0,
    )


def _genesis_hash(app_state: bytes) -> object:
    try:
        document = decode_strict_json(app_state, _MAX_STATE_BYTES)
    except DecodeError:
        return None
    return document.get("genesis_hash") if isinstance(document, dict) else None


def _nanoseconds(time: Timestamp | Duration) -> int:
    return time.seconds * 1_000_000_000 + time.nanos
