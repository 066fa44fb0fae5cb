"""What the chain's rules are now, asked from the contracts and kept for a minute.

Weights, deadlines and percentages change by vote; a page that is a minute old is corrected by the contract
when something is signed.
"""

from __future__ import annotations

import threading
import time

from apps.node_client import NodeClient
from apps.sharing_points.rules import Tariff
from apps.sharing_points.taxonomy import KINDS
from contracts.bindings import love_bank, sharing_orders

_KEEP_S = 60.0


def load_tariff(client: NodeClient) -> Tariff:
    """Ask the contracts at the tip. NodeError."""
    orders = sharing_orders.decode_parameters(client.call(sharing_orders.parameters()))
    bank = love_bank.decode_parameters(client.call(love_bank.parameters()))
    weights = {
        kind: sharing_orders.decode_kind_weight(client.call(sharing_orders.kind_weight(kind)))
        for kind in KINDS
    }
    return Tariff(
        weights=weights,
        auto_complete_after=orders.auto_complete_after,
        no_show_after=orders.no_show_after,
        max_amount=orders.max_amount,
        late_cancel_percent=orders.late_cancel_percent,
        no_show_percent=orders.no_show_percent,
        max_issue=bank.max_issue,
        max_grant=bank.max_grant,
    )


class TariffReader:
    """`load_tariff`, kept for a minute. Safe to use from several threads."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kept: tuple[float, Tariff] | None = None

    def __call__(self) -> Tariff:
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > _KEEP_S:
                self._kept = (time.monotonic(), load_tariff(self._client))
            return self._kept[1]
