"""What checking a ledger that began at a snapshot has beside: where the re-execution begins, and what can be
checked where it cannot.

The state that such a ledger began with lies on the node's shelf (`node.ledger.shelf`), as the snapshot whose
hash the ledger remembers. With it, every block since is executed again as in any other ledger. Without it,
blocks are checked by what they say: transactions, receipts, results and records against each other, the state
at the tip against its root; the headers are checked in either case.

Blocks below that state which were filled in (`node.ledger.backfill`) are filled in once more, of what lies
here, in the ledger that the rows are compared with. When all are there, they are executed as well, from the
genesis on, and must come to the state that the ledger began with; the snapshot of it is then made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, LedgerError, ShelianError
from node.chain.genesis import Genesis
from node.chain.receipt import decode_receipt, results_hash
from node.ledger.backfill import HistoryRefused, add_past, filling_of, load_frontier
from node.ledger.building import build_ledger
from node.ledger.ledger import Ledger
from node.ledger.past import load_past
from node.ledger.shelf import SavedSnapshot, Shelf
from node.state import blocks as stored
from node.state.base import Base, load_base
from node.state.blocks import BlockRecord
from node.state.database import Batch, Database
from node.state.snapshot import DatabaseSnapshot
from node.state.views import FlatView

Said = tuple[str, str, int, object, object]
"""(code, message, height, got, expected)"""

Tell = Callable[[str, str, int | None, object, object], None]
"""Takes what a `Said` holds."""


def begin_replay(path: Path, genesis: Genesis, base: Base, shelf: Path) -> str | None:
    """A ledger at `path` that holds what this one began with; or why there cannot be one.

    Raises GenesisError, LedgerError state.* (of the scratch directory).
    """
    if base.height == 0:
        Ledger.create(path, genesis).close()
        return None
    try:
        saved = _find(Shelf(shelf), base)
        if saved is None:
            return f"the snapshot of height {base.height} is not in {shelf}"
        build_ledger(path, genesis, saved)
    except ShelianError as error:
        return f"the snapshot of height {base.height} cannot be used: {error}"
    return None


def make_again(origin: Path, shelf: Path, reads: DatabaseSnapshot, height: int, tell: Tell) -> Path:
    """The shelf with the snapshot of the ledger at `origin`, where all blocks up to `height` were executed.

    Raises LedgerError state.* (of the scratch directory).
    """
    with Ledger.open(origin) as ledger, ledger.snapshot() as snapshot:
        tip = snapshot.tip
        record = stored.load_block(reads, height)
        root = None if record is None else record.state_root
        if (tip.height, tip.app_hash) != (height, root):
            tell("check.base", "the blocks do not come to the state begun with", height, tip.app_hash, root)
        if tip.height:
            Shelf(shelf).create(snapshot, ledger.genesis)
    return shelf


def fill_in_again(reads: DatabaseSnapshot, path: Path, genesis: Genesis, tell: Tell) -> None:
    """Fill in, in the ledger at `path`, the blocks that were filled in here.

    Raises LedgerError state.* (of the scratch directory).
    """
    wanted = load_base(reads)
    if wanted.filled is None:
        return
    height = wanted.height + 1
    encoded = stored.load_header(reads, height)
    with Database.open(path) as database:
        if encoded is not None:
            first = Batch()
            stored.add_header(first, height, encoded)
            database.write(first, sync=False)
        with database.snapshot() as held:
            tip = stored.load_tip(held)
            view = FlatView(held, b"" if tip is None else tip.app_hash)
            filling = filling_of(genesis, view)
            try:
                frontier = load_frontier(held, height)
                while frontier is not None and height > max(wanted.first, 1):
                    height -= 1
                    block = load_past(reads, height)
                    if block is None:
                        frontier = None
                        break
                    batch = Batch()
                    with database.snapshot() as now:
                        frontier = add_past(batch, now, filling, frontier, (block,))
                    database.write(batch, sync=False)
            except (DecodeError, HistoryRefused, LedgerError) as error:
                tell("check.history", f"{error.code}: {error.message}", height, error.got, error.expected)
                return
        if frontier is None:
            tell("check.header_missing", "a header or commit is missing", height, None, None)


def _find(shelf: Shelf, base: Base) -> SavedSnapshot | None:
    saved = shelf.find(base.height)
    return saved if saved is not None and saved.hash == base.snapshot_hash else None


def check_contents(reads: DatabaseSnapshot, first: int, last: int) -> Iterator[Said]:
    """Blocks whose rows do not agree with each other. Indexes and logs are not looked at."""
    before = stored.load_block(reads, first - 1)
    for height in range(first, last + 1):
        record = stored.load_block(reads, height)
        if record is None:
            yield "check.block_missing", "a block is missing", height, None, None
            continue
        if before is not None and record.time_ns < before.time_ns:
            yield "check.time", "time goes back", height, record.time_ns, before.time_ns
        before = record
        yield from _check_block(reads, record)


def _check_block(reads: DatabaseSnapshot, record: BlockRecord) -> Iterator[Said]:
    height = record.height
    transactions = stored.load_transactions(reads, height)
    receipts = stored.load_receipts(reads, height)
    results = [receipt.result for receipt in receipts]
    bloom = 0
    for index, receipt in enumerate(receipts):
        if receipt.encoded and keccak256(receipt.encoded) != receipt.result.data:
            yield "check.receipt", "a receipt is not the one of its result", height, index, None
        try:
            bloom |= int.from_bytes(decode_receipt(receipt.encoded).bloom, "big") if receipt.encoded else 0
        except DecodeError as error:
            yield "check.receipt", error.message, height, index, None
    for code, got, expected in (
        ("check.transaction_count", len(transactions), record.transaction_count),
        ("check.transaction_count", sum(map(len, transactions)), record.size),
        ("check.results_hash", results_hash(results), record.results_hash),
        ("check.gas_used", sum(result.gas_used for result in results), record.gas_used),
        ("check.logs_bloom", bloom.to_bytes(256, "big"), record.logs_bloom),
    ):
        if got != expected:
            yield code, "the block's rows do not agree", height, got, expected
