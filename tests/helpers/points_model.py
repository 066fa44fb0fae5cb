"""A naive model of LoveBank and SharingOrders: plain dictionaries that emit the logs the contracts would.

Used to fold long random histories and to compare the read model with something written independently of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from apps.node_client import Log
from contracts.bindings import love_bank, sharing_orders
from contracts.system import BUILD_DIR

ZERO = bytes(20)
ESCROW, FUND = sharing_orders.ADDRESS, love_bank.ADDRESS
BLOCK_SECONDS = 60
START = 1_800_000_000


def _event_forms(contract: str) -> dict[str, list[dict[str, Any]]]:
    abi = json.loads((BUILD_DIR / f"{contract}.json").read_text("utf-8"))["abi"]
    return {entry["name"]: entry["inputs"] for entry in abi if entry["type"] == "event"}


_FORMS = {ESCROW: _event_forms("SharingOrders"), FUND: _event_forms("LoveBank")}


def account(identity: bytes) -> bytes:
    return bytes(4) + identity


@dataclass
class ModelOrder:
    publisher: bytes
    offer: bool
    amount: int
    requester: bytes
    provider: bytes
    state: int = 1
    here: set[bytes] = field(default_factory=set)
    rated: set[bytes] = field(default_factory=set)


@dataclass
class PointsModel:
    """Every method does one transaction in a block of its own."""

    balances: dict[bytes, int] = field(default_factory=dict)
    issued: int = 0
    burned: int = 0
    orders: dict[bytes, ModelOrder] = field(default_factory=dict)
    logs: list[Log] = field(default_factory=list)
    block: int = 0
    _index: int = 0

    @property
    def now(self) -> int:
        return START + self.block * BLOCK_SECONDS

    def next_block(self) -> None:
        self.block += 1
        self._index = 0

    def emit(self, contract: bytes, name: str, **values: Any) -> None:
        inputs = _FORMS[contract][name]
        signature = f"{name}({','.join(item['type'] for item in inputs)})"
        indexed = [item for item in inputs if item["indexed"]]
        others = [item for item in inputs if not item["indexed"]]
        topics = (
            keccak(text=signature),
            *(encode([item["type"]], [_wire(item, values)]) for item in indexed),
        )
        data = encode([item["type"] for item in others], [_wire(item, values) for item in others])
        transaction = keccak(self.block.to_bytes(8, "big"))
        self.logs.append(Log(self.block, self._index, contract, topics, data, transaction, self.now))
        self._index += 1

    def move(self, kind: int, source: bytes, target: bytes, amount: int, ref: bytes) -> None:
        for name, change in ((source, -amount), (target, amount)):
            if name != ZERO:
                self.balances[name] = self.balances.get(name, 0) + change
                assert self.balances[name] >= 0
        self.issued += amount if source == ZERO else 0
        self.burned += amount if target == ZERO else 0
        self.emit(FUND, "Entry", **{"ref": ref, "from": source, "to": target, "amount": amount, "kind": kind})
        self.emit(FUND, "Transfer", **{"from": source, "to": target, "value": amount})

    def publish(
        self, order: bytes, by: bytes, kind: int, amount: int, *, offer: bool, commitment: bytes = bytes(32)
    ) -> None:
        nobody = b""
        self.orders[order] = ModelOrder(by, offer, amount, nobody if offer else by, by if offer else nobody)
        self.emit(
            ESCROW,
            "OrderPublished",
            order=order,
            by=by,
            kind=kind,
            offer=offer,
            units=4,
            amount=amount,
            startAt=self.now + 3600,
            commitment=commitment,
        )

    def accept(self, order: bytes, by: bytes) -> None:
        found = self.orders[order]
        found.state = 2
        if found.offer:
            found.requester = by
        else:
            found.provider = by
        self.emit(ESCROW, "OrderAccepted", order=order, by=by)

    def confirm(self, order: bytes) -> None:
        found = self.orders[order]
        found.state = 3
        self.move(3, account(found.requester), ESCROW, found.amount, order)
        self.emit(
            ESCROW,
            "OrderConfirmed",
            order=order,
            requester=found.requester,
            provider=found.provider,
            amount=found.amount,
        )

    def check_in(self, order: bytes, by: bytes) -> None:
        found = self.orders[order]
        found.here.add(by)
        self.emit(ESCROW, "CheckedIn", order=order, by=by, place=bytes(32))
        if len(found.here) == 2:
            found.state = 4
            self.emit(ESCROW, "ServiceStarted", order=order)

    def finish(self, order: bytes) -> None:
        self.orders[order].state = 5
        self.emit(ESCROW, "ServiceFinished", order=order, by=self.orders[order].provider)

    def settle(self, order: bytes, paid: int) -> int:
        found = self.orders[order]
        refunded = found.amount - paid
        if paid:
            self.move(4, ESCROW, account(found.provider), paid, order)
        if refunded:
            self.move(5, ESCROW, account(found.requester), refunded, order)
        return refunded

    def complete(self, order: bytes, *, automatic: bool = False) -> None:
        found = self.orders[order]
        found.state = 6
        self.settle(order, found.amount)
        self.emit(
            ESCROW,
            "OrderCompleted",
            order=order,
            requester=found.requester,
            provider=found.provider,
            paid=found.amount,
            automatic=automatic,
        )

    def rate(self, order: bytes, by: bytes, stars: int) -> None:
        self.orders[order].state = 7
        self.orders[order].rated.add(by)
        self.emit(ESCROW, "OrderRated", order=order, by=by, stars=stars, commitment=bytes(32))

    def cancel(self, order: bytes, by: bytes, paid: int) -> None:
        found = self.orders[order]
        previous, found.state = found.state, 8
        refunded = self.settle(order, paid) if previous == 3 else 0
        self.emit(
            ESCROW, "OrderCancelled", order=order, by=by, previousState=previous, paid=paid, refunded=refunded
        )

    def no_show(self, order: bytes, by: bytes, absent: bytes, paid: int) -> None:
        self.orders[order].state = 9
        refunded = self.settle(order, paid)
        self.emit(ESCROW, "NoShowRecorded", order=order, by=by, absent=absent, paid=paid, refunded=refunded)

    def dispute(self, order: bytes, by: bytes) -> None:
        self.orders[order].state = 10
        self.emit(ESCROW, "OrderDisputed", order=order, by=by, reason=bytes(32))

    def arbitrate(self, order: bytes, by: bytes, percent: int) -> None:
        found = self.orders[order]
        found.state = 11
        paid = found.amount * percent // 100
        refunded = self.settle(order, paid)
        self.emit(
            ESCROW,
            "OrderArbitrated",
            order=order,
            by=by,
            percent=percent,
            paid=paid,
            refunded=refunded,
            reason=bytes(32),
        )

    def countersign(self, action: bytes, by: bytes, call: bytes, *, second: bool) -> None:
        if second:
            self.emit(FUND, "Countersigned", action=action, organisation=5, by=by)
        else:
            self.emit(FUND, "CountersignatureRequested", action=action, organisation=5, by=by, call=call)


def _wire(item: dict[str, Any], values: dict[str, Any]) -> Any:
    value = values[item["name"]]
    return "0x" + value.hex() if item["type"] == "address" else value
