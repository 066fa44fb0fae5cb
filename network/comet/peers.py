"""Which nodes may connect: those in the Consortium contract at this node's tip, and the operator's own list.

CometBFT asks for every connection, by ABCI `Query`, first for the address, then for the node's id (which the
handshake has proved), and waits five seconds for each answer. An answer is one read of a fixed storage slot:
no contract code runs and no block is waited for. A node that was struck off stays connected until the
connection ends: the filter acts at connecting only.

The operator's list is what lets a new node in that has no state yet, and what a consortium falls back on that
has locked itself out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from node.chain.rules import CONSORTIUM, peer_slot
from node.ledger import Ledger

BY_ADDRESS: Final = "/p2p/filter/addr/"
BY_ID: Final = "/p2p/filter/id/"

_NODE_ID: Final = re.compile(r"[0-9a-f]{40}")


class PeerFilter:
    """Any thread may ask."""

    def __init__(self, ledger: Ledger, bootstrap: Iterable[str]) -> None:
        """`bootstrap`: peers that are always let in, as ``id@host:port``."""
        self._ledger = ledger
        self._always = frozenset(peer.partition("@")[0].lower() for peer in bootstrap)

    def allows(self, path: str) -> bool | None:
        """The answer to a filter query; None if `path` is none.

        Addresses are all let in: who somebody is, the id tells.
        """
        if path.startswith(BY_ADDRESS):
            return True
        if path.startswith(BY_ID):
            return self.allows_id(path.removeprefix(BY_ID))
        return None

    def allows_id(self, node_id: str) -> bool:
        """`node_id` as CometBFT writes it: 40 hex digits."""
        node_id = node_id.lower()
        if not _NODE_ID.fullmatch(node_id):
            return False
        return node_id in self._always or self._organisation_of(bytes.fromhex(node_id)) != 0

    def _organisation_of(self, node_id: bytes) -> int:
        """The number of the organisation whose node this is by the contract; 0: nobody's."""
        with self._ledger.snapshot() as snapshot:
            return snapshot.tip_view.storage(CONSORTIUM, peer_slot(node_id))
