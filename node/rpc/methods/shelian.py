"""What Ethereum's API has no name for: health, headers as validators signed them, proofs, validators."""

from __future__ import annotations

from dataclasses import asdict

from node.chain.block import data_hash
from node.chain.commit import Commit, decode_commit
from node.chain.encoding import sha256
from node.chain.handover_certificate import decode_certificate
from node.chain.header import BlockId, Header, decode_header, header_hash
from node.chain.merkle import MerkleProof, merkle_proof
from node.chain.receipt import encode_result
from node.chain.validators import validator_address
from node.ledger import LedgerSnapshot, Misbehaviour
from node.rpc.backend import Filling
from node.rpc.errors import REFUSED, RpcError, rpc_error
from node.rpc.formats import Json, data
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import LATEST, BlockSelector, parse_block, parse_hash
from node.rpc.request import Request


def health(request: Request) -> Json:
    """`ok` is true when the node can make or follow blocks and is not behind."""
    status, tip = request.node.status(), request.ledger.tip
    behind = max(0, status.target_height - tip.height)
    return {
        "ok": status.running and behind <= 1,
        "height": hex(tip.height),
        "behind": hex(behind),
        "idleSeconds": _idle_seconds(request),
        "failure": status.failure,
    }


def status(request: Request) -> Json:
    node, ledger = request.node, request.ledger
    running, genesis, tip, pool = node.status(), node.genesis, ledger.tip, node.pool()
    return {
        "height": hex(tip.height),
        "blockHash": data(tip.block_hash or genesis.hash),
        "stateRoot": data(tip.app_hash),
        "timeNs": hex(tip.time_ns),
        "idleSeconds": _idle_seconds(request),
        "lag": hex(max(0, running.target_height - tip.height)),
        "engine": running.engine,
        "running": running.running,
        "failure": running.failure,
        "peers": hex(running.peers),
        "catchingUp": running.catching_up,
        "alarm": running.alarm,
        "misbehaviour": [_misbehaviour_json(one) for one in running.misbehaviour],
        "purpose": genesis.purpose,
        "chainName": genesis.chain_name,
        "chainId": hex(genesis.evm_chain_id),
        "genesisHash": data(genesis.hash),
        "systems": list(genesis.systems),
        "rulesVersion": hex(ledger.rules.version),
        "rules": {_camel(name): value for name, value in asdict(ledger.rules).items()},
        "validators": hex(len(tip.validators)),
        "pool": {"ready": hex(pool.ready), "waiting": hex(pool.waiting), "bytes": hex(pool.bytes)},
        "history": {
            "oldest": hex(ledger.history.oldest),
            "snapshots": [hex(height) for height in ledger.history.snapshots],
        },
        "firstBlock": hex(ledger.first_block),
        "filling": None if running.filling is None else _filling_json(running.filling),
    }


def _filling_json(filling: Filling) -> Json:
    return {
        "first": hex(filling.first),
        "wanted": hex(filling.wanted),
        "from": filling.source,
        "rate": round(filling.rate, 1),
        "failure": filling.failure,
    }


def _misbehaviour_json(one: Misbehaviour) -> Json:
    return {
        "kind": one.kind,
        "validator": data(one.validator),
        "height": hex(one.height),
        "timeNs": hex(one.time_ns),
        "decidedHeight": hex(one.decided_height),
    }


def header(request: Request, block: BlockSelector) -> Json | None:
    """The header and the commit that made it final: decoded for people, `encoded` for verifiers."""
    height = request.height_of(block)
    if not height:
        return None
    encoded_header, encoded_commit = request.ledger.header(height), request.ledger.commit(height)
    if encoded_header is None:
        raise _missing(request.ledger, height)
    record = request.ledger.block(height)
    return {
        "height": hex(height),
        "hash": None if record is None else data(record.hash),
        "header": _header_json(decode_header(encoded_header)) | {"encoded": data(encoded_header)},
        "commit": None
        if encoded_commit is None
        else _commit_json(decode_commit(encoded_commit)) | {"encoded": data(encoded_commit)},
    }


def transaction_proof(request: Request, transaction_hash: bytes) -> Json | None:
    """That a transaction stands in header h, and its receipt in header h+1; both headers with their commits.

    1. `transaction.proof`: sha256(raw) to `data_hash` of header h. 2. `receipt.proof`: the encoded result,
    whose data is keccak256(receipt), to `last_results_hash` of header h+1. 3. Each header hashes to what its
    commit signs. `receipt.proof` and `nextHeader` are null until block h+1 is there (`isComplete` false): a
    moment later it is.
    """
    ledger = request.ledger
    place = ledger.locate(transaction_hash)
    if place is None:
        return None
    height, index = place
    raws, receipts = ledger.transactions(height), ledger.receipts(height)
    stored = receipts[index]
    result = encode_result(stored.result)
    next_header = ledger.header(height + 1) if height < ledger.tip.height else None
    results = [encode_result(one.result) for one in receipts]
    return {
        "transactionHash": data(transaction_hash),
        "height": hex(height),
        "index": hex(index),
        "transaction": {
            "raw": data(raws[index]),
            "dataHash": data(data_hash(raws)),
            "proof": _proof_json(merkle_proof([sha256(raw) for raw in raws], index)),
        },
        "receipt": {
            "encoded": data(stored.encoded),
            "result": data(result),
            "proof": None if next_header is None else _proof_json(merkle_proof(results, index)),
        },
        "header": _signed_header(ledger, height),
        "nextHeader": None if next_header is None else _signed_header(ledger, height + 1),
        "isComplete": next_header is not None,
    }


def validators(request: Request, block: BlockSelector) -> list[Json]:
    """Who signs the block: of the selected height, or with `pending` the next one."""
    ledger = request.ledger
    height = request.require_height(block)
    if block.tag == "pending" or height == 0:
        chosen = ledger.tip.validators if block.tag == "pending" else ledger.validators(1)
    else:
        chosen = ledger.validators(height)
    return [
        {
            "publicKey": data(one.public_key),
            "address": data(validator_address(one.public_key)),
            "power": hex(one.power),
        }
        for one in chosen
    ]


def handover(request: Request) -> Json | None:
    """The certificate by which this chain goes on with an older one's ledger; null where it is the first, or
    where this node began after the seam.
    """
    seam, certificate = request.ledger.seam, request.ledger.handover_certificate
    if seam is None or certificate is None:
        return None
    statement = decode_certificate(certificate).statement
    return {
        "height": hex(seam.height),
        "blockHash": data(header_hash(statement.block.header)),
        "stateRoot": data(statement.state_root),
        "snapshotHash": data(statement.snapshot_hash),
        "oldChainName": statement.block.header.chain_name,
        "oldChainId": hex(seam.evm_chain_id),
        "oldGenesisHash": data(statement.old_genesis_hash),
        "genesisHash": data(statement.new_genesis_hash),
        "certificate": data(certificate),
    }


def _idle_seconds(request: Request) -> float:
    return max(0.0, round((request.node.now_ns() - request.ledger.tip.time_ns) / 1e9, 3))


def _signed_header(ledger: LedgerSnapshot, height: int) -> Json:
    encoded, commit = ledger.header(height), ledger.commit(height)
    if encoded is None or commit is None:
        raise _missing(ledger, height)
    return {"height": hex(height), "encoded": data(encoded), "commit": data(commit)}


def _missing(ledger: LedgerSnapshot, height: int) -> RpcError:
    """Why there is no header or commit of a height not above the tip: not yet, or not any more."""
    if ledger.block(height) is None:
        return rpc_error(
            REFUSED, "rpc.block_not_held", "this node does not hold the header or commit", height, None
        )
    return rpc_error(
        REFUSED,
        "ledger.header_missing",
        "the block is final; its signed header has not come from the engine yet and comes in a moment",
        height,
        "ask again in a second",
    )


def _proof_json(proof: MerkleProof) -> Json:
    return {
        "index": hex(proof.index),
        "total": hex(proof.total),
        "aunts": [data(aunt) for aunt in proof.aunts],
    }


def _block_id_json(block_id: BlockId) -> Json:
    return {
        "hash": data(block_id.hash),
        "parts": {"total": hex(block_id.part_count), "hash": data(block_id.parts_hash)},
    }


def _header_json(header: Header) -> Json:
    return {
        "version": {"block": hex(header.block_version), "app": hex(header.app_version)},
        "chainName": header.chain_name,
        "height": hex(header.height),
        "timeNs": hex(header.time_ns),
        "lastBlockId": _block_id_json(header.last_block_id),
        "lastCommitHash": data(header.last_commit_hash),
        "dataHash": data(header.data_hash),
        "validatorsHash": data(header.validators_hash),
        "nextValidatorsHash": data(header.next_validators_hash),
        "consensusHash": data(header.consensus_hash),
        "appHash": data(header.app_hash),
        "lastResultsHash": data(header.last_results_hash),
        "evidenceHash": data(header.evidence_hash),
        "proposerAddress": data(header.proposer_address),
    }


def _commit_json(commit: Commit) -> Json:
    return {
        "height": hex(commit.height),
        "round": hex(commit.round),
        "blockId": _block_id_json(commit.block_id),
        "signatures": [
            {
                "flag": signature.flag,
                "validatorAddress": data(signature.validator_address),
                "timeNs": str(signature.time_ns),
                "signature": data(signature.signature),
            }
            for signature in commit.signatures
        ],
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_BLOCK = Parameter("block", parse_block, LATEST)

METHODS = (
    Method("shelian_health", health),
    Method("shelian_status", status),
    Method("shelian_getHeader", header, (_BLOCK,), cost=3),
    Method(
        "shelian_getTransactionProof", transaction_proof, (Parameter("hash", parse_hash),), Kind.WORK, cost=20
    ),
    Method("shelian_getValidators", validators, (_BLOCK,)),
    Method("shelian_getHandover", handover, cost=3),
)
