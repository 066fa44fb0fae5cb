"""transactionsRoot and receiptsRoot of a block, as an Ethereum node would have them.

They are informational: a header of this chain commits to its transactions by `data_hash` and to its receipts
by the next header's `last_results_hash`. Clients show them and some recompute them, so they are the standard
Merkle-Patricia roots, computed when a block is asked for and remembered.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from node.ledger import LedgerSnapshot
from node.state.trie import ordered_root


class RootCache:
    """The roots of the blocks asked for last. Threads may share it."""

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._roots: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, ledger: LedgerSnapshot, height: int) -> tuple[bytes, bytes]:
        """(transactionsRoot, receiptsRoot) over the decodable transactions of a block."""
        with self._lock:
            known = self._roots.get(height)
            if known is not None:
                self._roots.move_to_end(height)
                return known
        receipts = [receipt.encoded for receipt in ledger.receipts(height)]
        transactions = [
            raw for raw, receipt in zip(ledger.transactions(height), receipts, strict=True) if receipt
        ]
        roots = ordered_root(transactions), ordered_root([receipt for receipt in receipts if receipt])
        with self._lock:
            self._roots[height] = roots
            if len(self._roots) > self._capacity:
                self._roots.popitem(last=False)
        return roots
