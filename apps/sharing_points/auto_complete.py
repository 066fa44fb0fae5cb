"""Completes orders that the asking side did not answer in time.

A deadline on the chain does not fire by itself: this process pokes the contract with its own service account,
and the contract checks the time. Any authorised service, or the helping side itself, may do the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from apps.node_client import NodeError, ServiceAccount
from apps.sharing_points.rules import Tariff
from apps.sharing_points.store import PointsStore
from contracts.bindings import sharing_orders
from contracts.vocabulary import OrderState

EVERY_S = 60.0


class AutoComplete:
    """Looks every minute, from `start` to `close`."""

    def __init__(
        self,
        store: PointsStore,
        account: ServiceAccount,
        tariff: Callable[[], Tariff],
        now: Callable[[], int],
        every_s: float = EVERY_S,
    ) -> None:
        self._store = store
        self._account = account
        self._tariff = tariff
        self._now = now
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auto-complete", daemon=True)
        self._log = structlog.get_logger("points")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def run_once(self) -> int:
        """Poke every order that is due; how many were completed."""
        completed = 0
        try:
            due_before = self._now() - self._tariff().auto_complete_after
            for order in self._store.orders_in(OrderState.FINISHED, changed_before=due_before):
                completed += self._poke(order.id)
        except NodeError as error:
            self._log.warning("tariff not read", code=error.code)
        return completed

    def _poke(self, order_id: str) -> int:
        try:
            self._account.send(sharing_orders.poke(bytes.fromhex(order_id)))
        except NodeError as error:
            # Answered a moment ago, or the block's clock is behind ours: the next round sees.
            self._log.info("poke refused", code=error.code)
            return 0
        return 1

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.run_once()
