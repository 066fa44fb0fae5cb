"""The ledger: state, execution and blocks of one data directory behind the functions an engine and a server
need.

    check      is this transaction admissible on the tip?            (any thread)
    prepare    which of these candidates fit into the next block?
    process    may this proposed block be voted for? not executed
    finalize   execute a decided block in an overlay; total; writes nothing
    commit     write it in one synced batch, move the tip, tell the listeners
    snapshot   read everything at one height                         (any thread)

`prepare`, `process`, `finalize` and `commit` are called by one engine, one after another. Which engine it is
the ledger does not know; a block's header and commits may come with `commit` or later (`save_headers`).
"""

from node.ledger.admission import Admitted
from node.ledger.blocks import DecidedBlock, DeliveredHeader, FinalizedBlock, Misbehaviour, Tip
from node.ledger.ledger import Ledger
from node.ledger.snapshot import LedgerSnapshot

__all__ = [
    "Admitted",
    "DecidedBlock",
    "DeliveredHeader",
    "FinalizedBlock",
    "Ledger",
    "LedgerSnapshot",
    "Misbehaviour",
    "Tip",
]
