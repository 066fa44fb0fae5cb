"""That CometBFT starts from the genesis the ledger was made of, and from the state that the genesis means.

CometBFT keeps the genesis of its first start and sends it with InitChain. Every field that a header or a
validator set depends on is compared, so that a node with another file stops at its first start, and says
which field, instead of disagreeing later.

A genesis that goes on with another chain's ledger means the state which the handover certificate names. The
certificate lies in the ledger; it is verified again here, where the first block is about to be made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from network.comet import abci_pb2 as pb
from network.comet.faults import CometFault
from node.chain.encoding import decode_strict_json
from node.chain.errors import DecodeError, ShelianError
from node.chain.genesis import Genesis
from node.chain.header import header_hash
from node.ledger import Ledger
from node.ledger.continuation import load_continuation, prove_handover

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


def check_imported(ledger: Ledger) -> None:
    """Of a genesis that goes on: the ledger is the old chain's, as it ended, and the certificate holds.

    Raises CometFault `comet.not_imported`, LedgerError state.*.
    """
    genesis, tip = ledger.genesis, ledger.tip
    if not genesis.goes_on:
        return
    with ledger.snapshot() as snapshot:
        try:
            joint = load_continuation(snapshot.reads)
            if joint is None:
                raise _not_imported(
                    "this ledger does not hold the state that this genesis goes on with", None
                )
            prove_handover(snapshot.reads, joint.old_genesis, genesis, joint.certificate)
        except CometFault:
            raise
        except ShelianError as error:
            if error.code.startswith("state."):
                raise
            raise _not_imported(f"the handover does not hold: {error}", error.got) from error
    statement = joint.certificate.statement
    for name, got, expected in (
        ("height", tip.height, genesis.initial_height - 1),
        ("block", tip.block_hash, header_hash(statement.block.header)),
        ("state root", tip.app_hash, statement.state_root),
    ):
        if got != expected:
            raise _not_imported(
                f"the ledger is not the one of the certificate: {name} differs", got, expected
            )


def _not_imported(
    message: str, got: object, expected: object = "shelian consortium graduate init"
) -> CometFault:
    return CometFault("comet.not_imported", message, got, expected)


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
