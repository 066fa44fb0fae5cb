"""Bringing a stopped ledger up to the network: blocks asked of other nodes, verified, executed.

Like a light client that goes from header to header, with a ledger instead of a list of validators: the next
block counts if more than two thirds of the validators that the ledger knows for its height signed it, and
what it does must be what the header after it says. So the nodes that are asked need not be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from node.chain.block import data_hash
from node.chain.commit import Commit, commit_hash, decode_commit, verify_commit
from node.chain.errors import DecodeError, ProofError, ShelianError
from node.chain.header import Header, decode_header, header_hash
from node.chain.validators import Validator, validators_hash
from node.ledger import DecidedBlock, DeliveredHeader, Ledger
from node.ledger.backfill import HistoryRefused
from node.ledger.past import PastBlock

AT_ONCE = 32
"""Blocks asked for in one call."""


class Source(Protocol):
    """A node that is asked: `network.history_source.HistorySource`."""

    url: str

    def fetch(self, start: int, count: int) -> list[PastBlock]: ...


def catch_up(
    ledger: Ledger, sources: Sequence[Source], tell: Callable[[str], None], at_once: int = AT_ONCE
) -> int:
    """Execute every block that one of the sources has beyond the ledger's; how many there were.

    A source that tells something else than the chain is not asked again. Raises LedgerError state.*.
    """
    began, left = ledger.tip.height, list(sources)
    while left:
        source = left[0]
        try:
            if not _next(ledger, source, at_once):
                break
        except ShelianError as error:
            if not error.code.startswith("history."):
                raise
            tell(f"{source.url}: {error}")
            left.remove(source)
    return ledger.tip.height - began


def _next(ledger: Ledger, source: Source, at_once: int) -> bool:
    """The next blocks of a source; False if it has no more."""
    first = ledger.tip.height + 1
    # With the block before: of it, the commit that counts.
    lowest = max(first - 1, ledger.genesis.initial_height)
    count = at_once
    while count:
        try:
            blocks = source.fetch(first + count - 1, first + count - lowest)
            break
        except ShelianError as error:
            if error.code != "history.not_answered":
                raise
            count //= 2  # near the end of what it has
    else:
        return False
    highest = first + count - 1
    if highest - len(blocks) + 1 > lowest:  # large ones: one alone
        blocks = source.fetch(first, 1) + source.fetch(first - 1, 1)
    before = blocks.pop() if lowest < first else None
    _fill_headers(ledger, source)
    for block in reversed(blocks):
        _add(ledger, block, before)
        before = block
    return True


def _fill_headers(ledger: Ledger, source: Source) -> None:
    """Headers that a backup was made before. Raises HistoryRefused history.*; LedgerError state.*."""
    for height in range(ledger.headers_end, ledger.tip.height + 1):
        (block,) = source.fetch(height, 1)
        try:
            header = decode_header(block.header)
            last = None
            if height > ledger.genesis.initial_height:
                last = _carried(header, source.fetch(height - 1, 1)[0])
            with ledger.snapshot() as snapshot:
                record = snapshot.block(height)
                signers = [Validator(one.public_key, one.power) for one in snapshot.validators(height)]
            if record is None or header_hash(header) != record.hash:
                raise HistoryRefused("history.header", "the header is of another block", [height])
            commit = decode_commit(block.commit)
            if commit.block_id.hash != record.hash:
                raise HistoryRefused("history.commit", "the commit is of another block", [height])
            verify_commit(ledger.genesis.chain_name, signers, commit.block_id, height, commit)
        except (DecodeError, ProofError) as error:
            raise _refused(height, error) from error
        ledger.save_headers((DeliveredHeader(header, commit, last),))


def _carried(header: Header, before: PastBlock) -> Commit:
    """The commit that the block of this header carries for the one before. Raises HistoryRefused."""
    commit = decode_commit(before.commit)
    if commit_hash(commit) != header.last_commit_hash or commit.block_id != header.last_block_id:
        raise HistoryRefused("history.commit", "not the commit that the next block carries", [header.height])
    return commit


def _refused(height: int, error: ShelianError) -> HistoryRefused:
    return HistoryRefused(
        "history.commit", f"{error.code}: {error.message}", [height, error.got], error.expected
    )


def _add(ledger: Ledger, block: PastBlock, before: PastBlock | None) -> None:
    """Raises HistoryRefused history.*; LedgerError state.*."""
    tip, genesis = ledger.tip, ledger.genesis
    height = tip.height + 1
    try:
        header, commit = decode_header(block.header), decode_commit(block.commit)
        _check(ledger, header, block.transactions)
        last = None if before is None else _carried(header, before)
        if commit.block_id.hash != header_hash(header):
            raise HistoryRefused("history.commit", "the commit is of another block", [height])
        signers = [Validator(one.public_key, one.power) for one in tip.validators]
        verify_commit(genesis.chain_name, signers, commit.block_id, height, commit)
    except (DecodeError, ProofError) as error:
        raise _refused(height, error) from error
    decided = DecidedBlock(
        height, header.time_ns, header_hash(header), header.proposer_address, block.transactions
    )
    ledger.commit(ledger.finalize(decided), header, commit, last)


def _check(ledger: Ledger, header: Header, transactions: tuple[bytes, ...]) -> None:
    """That the block follows the tip, and that the tip did what its header says. Raises HistoryRefused."""
    tip = ledger.tip
    signers = [Validator(one.public_key, one.power) for one in tip.validators]
    for name, got, expected in (
        ("height", header.height, tip.height + 1),
        ("chain", header.chain_name, ledger.genesis.chain_name),
        ("last block", header.last_block_id.hash, tip.block_hash),
        ("validators", header.validators_hash, validators_hash(signers)),
        ("state", header.app_hash, tip.app_hash),
        ("results", header.last_results_hash, tip.last_results_hash),
        ("transactions", header.data_hash, data_hash(transactions)),
    ):
        if got != expected:
            raise HistoryRefused(
                "history.block", f"the block does not follow: {name}", [tip.height + 1, got], expected
            )
