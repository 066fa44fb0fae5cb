"""Making a snapshot of a ledger at its tip, for another machine to verify and go on from.

What is read is pinned, so blocks go on meanwhile; what is in memory at a time is one chunk and the hashes of
all codes. The same height gives the same manifest and the same contents of chunks on every node, however it
keeps history: only the state at the tip is read, in the order of its keys, and of the codes only those that
an account has.

The *witness* beside it, header and commit of the block as this node has them, is no part of the snapshot:
nodes see different commits, and one that follows CometBFT gets them a moment after the block. It proves the
block to whoever knows the validators, and a single-machine chain needs it to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from node.chain.commit import Commit, decode_commit, encode_commit, verify_commit
from node.chain.encoding import decode_strict_json, encode_canonical_json, sha256
from node.chain.errors import DecodeError, LedgerError, ProofError
from node.chain.genesis import Genesis
from node.chain.header import Header, decode_header, encode_header, header_hash
from node.chain.validators import Validator
from node.ledger.chunks import ACCOUNT, CODE, SLOT, Record, cut_chunks
from node.ledger.manifest import MAX_CHUNKS, Manifest, SnapshotRefused, hash_of
from node.ledger.snapshot import LedgerSnapshot
from node.state.account import EMPTY_CODE_HASH, decode_account
from node.state.nodes import EMPTY_ROOT
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import ACCOUNTS, SLOTS, encode_slot

MAX_WITNESS_BYTES: Final = 8 << 20

AddChunk = Callable[[int, bytes], None]
"""Called with each chunk's index and what is in it, not compressed."""


@dataclass(slots=True)
class _Counts:
    accounts: int = 0
    slots: int = 0
    codes: int = 0


def export_state(snapshot: LedgerSnapshot, genesis: Genesis, add_chunk: AddChunk) -> Manifest:
    """The snapshot of the tip of `snapshot`, chunk by chunk; what `add_chunk` raises ends it.

    Raises LedgerError snapshot.no_block (nothing but the genesis is there), snapshot.too_large, state.*;
    SnapshotRefused snapshot.record_too_large.
    """
    tip = snapshot.tip
    block = snapshot.block(tip.height)
    if tip.height < genesis.initial_height or block is None:
        raise LedgerError("snapshot.no_block", "there is no block yet; a new node begins at the genesis")
    counts = _Counts()
    hashes: list[bytes] = []
    raw_bytes = 0
    for raw in cut_chunks(_records(snapshot.reads, counts)):
        if len(hashes) == MAX_CHUNKS:
            raise LedgerError("snapshot.too_large", "the state needs too many chunks", None, MAX_CHUNKS)
        add_chunk(len(hashes), raw)
        hashes.append(sha256(raw))
        raw_bytes += len(raw)
    return Manifest(
        chain_name=genesis.chain_name,
        genesis_hash=genesis.hash,
        block=block,
        validators=(snapshot.validators(tip.height), tip.validators, tip.next_validators),
        rules=tip.rules,
        accounts=counts.accounts,
        slots=counts.slots,
        codes=counts.codes,
        raw_bytes=raw_bytes,
        chunks=tuple(hashes),
    )


def _records(reads: DatabaseSnapshot, counts: _Counts) -> Iterator[Record]:
    code_hashes: set[bytes] = set()
    for address, row in reads.scan(ACCOUNTS):
        account = decode_account(row)
        counts.accounts += 1
        yield ACCOUNT, address, row
        if account.code_hash != EMPTY_CODE_HASH:
            code_hashes.add(account.code_hash)
        if account.storage_root != EMPTY_ROOT:
            for (_, slot), value in reads.scan(SLOTS, prefix=address):
                counts.slots += 1
                yield SLOT, slot.to_bytes(32, "big"), encode_slot(value)
    for code_hash in sorted(code_hashes):
        counts.codes += 1
        yield CODE, b"", reads.load_code(code_hash)


@dataclass(frozen=True, slots=True)
class Witness:
    """Header and commit of the block whose state a snapshot holds."""

    header: Header
    commit: Commit


def load_witness(snapshot: LedgerSnapshot) -> Witness | None:
    """Of the tip, where this node has both. DecodeError."""
    header, commit = snapshot.header(snapshot.tip.height), snapshot.commit(snapshot.tip.height)
    return None if header is None or commit is None else Witness(decode_header(header), decode_commit(commit))


def encode_witness(witness: Witness) -> bytes:
    return encode_canonical_json(
        {"header": encode_header(witness.header).hex(), "commit": encode_commit(witness.commit).hex()}
    )


def decode_witness(encoded: bytes, manifest: Manifest) -> Witness:
    """The witness of that snapshot: the header is the block's, and the validators of its height signed it.

    Raises SnapshotRefused snapshot.witness.
    """
    try:
        document = decode_strict_json(encoded, MAX_WITNESS_BYTES)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        parts = [document.get(name) for name in ("header", "commit")]
        header, commit = (bytes.fromhex(part if isinstance(part, str) else "!") for part in parts)
        witness = Witness(decode_header(header), decode_commit(commit))
    except (DecodeError, ValueError) as error:
        raise SnapshotRefused("snapshot.witness", f"the witness is malformed: {error}") from error
    _require_witness_of(witness, manifest)
    return witness


def _require_witness_of(witness: Witness, manifest: Manifest) -> None:
    header, block = witness.header, manifest.block
    signers, following, _ = manifest.validators
    for name, got, expected in (
        ("chain_name", header.chain_name, manifest.chain_name),
        ("height", header.height, block.height),
        ("hash", header_hash(header), block.hash),
        ("time", header.time_ns, block.time_ns),
        ("proposer", header.proposer_address, block.proposer_address),
        ("rules", header.app_version, block.rules_version),
        ("validators", header.validators_hash, hash_of(signers)),
        ("next validators", header.next_validators_hash, hash_of(following)),
        ("commit", witness.commit.block_id.hash, block.hash),
    ):
        if got != expected:
            raise SnapshotRefused(
                "snapshot.witness", "the witness is of another block", [name, got], expected
            )
    try:
        verify_commit(
            manifest.chain_name,
            [Validator(one.public_key, one.power) for one in signers],
            witness.commit.block_id,
            block.height,
            witness.commit,
        )
    except ProofError as error:
        raise SnapshotRefused("snapshot.witness", error.message, error.got, error.expected) from error
