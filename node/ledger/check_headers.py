"""Checking headers and commits, which come from outside, by what they say (`node.ledger.check`, 5 and 6).

Each header is the recorded block's, its hashes are those of the block's content and of the block before, each
commit is signed by more than two thirds of the validators of its height. The first block of a chain names
none before it; of a ledger that went on under a new genesis there are two such, and what joins the chains is
the handover certificate.
"""

from __future__ import annotations

from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import (
    EMPTY_COMMIT,
    Commit,
    commit_hash,
    decode_commit,
    encode_commit,
    verify_commit,
)
from node.chain.errors import DecodeError, LedgerError, ProofError
from node.chain.genesis import Genesis
from node.chain.header import (
    NIL_BLOCK_ID,
    BlockId,
    Header,
    consensus_hash,
    decode_header,
    encode_header,
    header_hash,
)
from node.chain.validators import Validator, validators_hash
from node.ledger.chains import Chains
from node.ledger.continuation import (
    Continuation,
    prove_handover,
)
from node.ledger.findings import Report
from node.state import blocks as stored
from node.state.base import load_base
from node.state.snapshot import DatabaseSnapshot
from node.state.tables import COMMITS, HEADERS


def check_headers(
    reads: DatabaseSnapshot, expected: DatabaseSnapshot, tip: stored.Tip, chains: Chains, report: Report
) -> None:
    """Steps 5 and 6. Validators and records are taken from the re-execution."""
    last = max((height for height, _ in reads.scan(HEADERS)), default=0)
    if last > tip.height:
        report.add("check.stray_row", "a header above the tip", last, last, tip.height)
    base = load_base(reads)
    report.headers_to_come = max(0, tip.height - max(last, base.height))
    first = stored.load_header(reads, base.height) if base.height else None
    if first is not None:
        _check_base_header(reads, first, base.height, report)
    parent: Header | None = None
    lowest = max(1, base.first)
    for height in range(lowest, min(last, tip.height) + 1):
        raw = stored.load_header(reads, height)
        if raw is None:
            report.add("check.header_missing", "a header is missing below others", height)
            parent = None
            continue
        try:
            header = decode_header(raw)
        except DecodeError as error:
            report.add("check.header", error.message, height, error.got, error.expected)
            parent = None
            continue
        report.headers += 1
        _check_header(reads, expected, header, height, chains, report)
        if chains.is_first(height):
            _check_first(header, report)
        elif not lowest == height <= base.height:  # the block before may not be filled in yet
            _check_last_commit(reads, expected, header, parent, chains.of(height), report)
        parent = header
    _check_seen_commit(reads, expected, min(last, tip.height), chains, report)
    if chains.continuation is not None:
        _check_joint(reads, chains, chains.continuation, report)
    # The commit of the base may come before the next header, and that of the seam stands without one.
    end = max(last, base.height + 1 if base.height else 1, 1 + (chains.seam or 0))
    for height, _ in reads.scan(COMMITS):
        if not max(base.first_record, 1) <= height < end:
            report.add("check.stray_row", "a commit of no block below the newest header", height)


def _check_base_header(reads: DatabaseSnapshot, raw: bytes, base: int, report: Report) -> None:
    """The header of the block that the ledger began with, which nothing else vouches for but its hash."""
    record = stored.load_block(reads, base)
    try:
        header = decode_header(raw)
    except DecodeError as error:
        report.add("check.header", error.message, base, error.got, error.expected)
        return
    if record is None or header_hash(header) != record.hash:
        report.add("check.header.hash", "the header says something else", base, header_hash(header))


def _check_header(
    reads: DatabaseSnapshot,
    expected: DatabaseSnapshot,
    header: Header,
    height: int,
    chains: Chains,
    report: Report,
) -> None:
    record, before = stored.load_block(expected, height), stored.load_block(expected, height - 1)
    if record is None or before is None:
        return  # reported by the replay
    genesis = chains.of(height)
    params = genesis.consensus_params
    following = height if height == chains.seam else height + 1
    for name, got, wanted in (
        ("hash", header_hash(header), record.hash),
        ("chain_name", header.chain_name, genesis.chain_name),
        ("height", header.height, height),
        ("time", header.time_ns, record.time_ns),
        ("proposer_address", header.proposer_address, record.proposer_address),
        ("last_block_id", header.last_block_id.hash, b"" if chains.is_first(height) else before.hash),
        ("data_hash", header.data_hash, data_hash(stored.load_transactions(reads, height))),
        ("validators_hash", header.validators_hash, _validators_hash(expected, height)),
        ("next_validators_hash", header.next_validators_hash, _validators_hash(expected, following)),
        (
            "consensus_hash",
            header.consensus_hash,
            consensus_hash(params.block_max_bytes, params.block_max_gas),
        ),
        ("app_hash", header.app_hash, before.state_root),
        ("last_results_hash", header.last_results_hash, before.results_hash),
        ("app_version", header.app_version, record.rules_version),
    ):
        if got != wanted:
            report.add(f"check.header.{name}", "the header says something else", height, got, wanted)


def _check_last_commit(
    reads: DatabaseSnapshot,
    expected: DatabaseSnapshot,
    header: Header,
    parent: Header | None,
    genesis: Genesis,
    report: Report,
) -> None:
    """The commit that this block, which is not the first of its chain, carries for the one before."""
    height = header.height - 1
    commit = _load_commit(reads, height, report)
    if commit is None:
        report.add("check.commit_missing", "a commit is missing below headers", height)
        return
    if commit_hash(commit) != header.last_commit_hash:
        report.add(
            "check.header.last_commit_hash",
            "the header says something else",
            header.height,
            header.last_commit_hash,
            commit_hash(commit),
        )
    _verify_commit(expected, header.last_block_id, commit, height, genesis, report)
    parent_is_first = parent is not None and parent.last_block_id == NIL_BLOCK_ID
    before = None if parent_is_first else _load_commit(reads, height - 1, report)
    if parent is None or (before is None and not parent_is_first):
        return
    if parent.evidence_hash == evidence_hash(()):
        block = Block(parent, stored.load_transactions(reads, height), before or EMPTY_COMMIT)
        if block_id_of(block) != header.last_block_id:
            report.add("check.block_id", "the block's parts are not those that were signed", height)


def _check_first(header: Header, report: Report) -> None:
    """The first block of a chain: there is none before it, and so no commit."""
    if header.last_block_id != NIL_BLOCK_ID:
        report.add("check.header.last_block_id", "the first block has no block before it", header.height)
    if header.last_commit_hash != commit_hash(EMPTY_COMMIT):
        report.add("check.header.last_commit_hash", "the first block carries no commit", header.height)


def _check_joint(reads: DatabaseSnapshot, chains: Chains, joint: Continuation, report: Report) -> None:
    """Step 6: the certificate, from the old genesis on; header and commit of its block as they lie here."""
    try:
        prove_handover(reads, joint.old_genesis, chains.genesis, joint.certificate)
    except (LedgerError, ProofError, DecodeError) as error:
        report.add(
            "check.handover", f"{error.code}: {error.message}", joint.height, error.got, error.expected
        )
        return
    report.commits += 1
    block = joint.certificate.statement.block
    kept = (stored.load_header(reads, joint.height), stored.load_commit(reads, joint.height))
    if kept != (encode_header(block.header), encode_commit(block.commit)):
        report.add("check.handover", "header or commit of its block is another one", joint.height)


def _check_seen_commit(
    reads: DatabaseSnapshot, expected: DatabaseSnapshot, height: int, chains: Chains, report: Report
) -> None:
    """The commit seen for the newest block with a header, if it is there."""
    record = stored.load_block(expected, height)
    if height == 0 or record is None or reads.get(COMMITS, height) is not None:
        return
    commit = _load_commit(reads, height, report)
    if commit is None:
        return
    if commit.block_id.hash != record.hash:
        report.add(
            "check.commit", "the commit is of another block", height, commit.block_id.hash, record.hash
        )
    _verify_commit(expected, commit.block_id, commit, height, chains.of(height), report)


def _load_commit(reads: DatabaseSnapshot, height: int, report: Report) -> Commit | None:
    raw = stored.load_commit(reads, height)
    if raw is None:
        return None
    try:
        return decode_commit(raw)
    except DecodeError as error:
        report.add("check.commit", error.message, height, error.got, error.expected)
        return None


def _verify_commit(
    expected: DatabaseSnapshot,
    block_id: BlockId,
    commit: Commit,
    height: int,
    genesis: Genesis,
    report: Report,
) -> None:
    try:
        verify_commit(genesis.chain_name, _validators(expected, height), block_id, height, commit)
    except ProofError as error:
        report.add("check.commit", f"{error.code}: {error.message}", height, error.got, error.expected)
    else:
        report.commits += 1


def _validators(reads: DatabaseSnapshot, height: int) -> tuple[Validator, ...]:
    return tuple(Validator(v.public_key, v.power) for v in stored.load_validators(reads, height))


def _validators_hash(reads: DatabaseSnapshot, height: int) -> bytes:
    return validators_hash(_validators(reads, height))
