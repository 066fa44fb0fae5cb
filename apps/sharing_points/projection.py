"""From contract events to rows: a pure fold. The same events in the same order always give the same rows.

`fold` takes what is known of the orders, accounts and requests that some events touch (`touched` names them)
and gives the book as it is afterwards. Nothing here knows a database, a clock or a name of a person.

Points are kept in double entry. Every `Entry` of the love bank becomes two lines, one that takes from an
account and one that gives to another, each with the balance of its account after it. Issue comes out of the
account `issued` and burning goes into `burned`, so all balances together are always zero, and

    issued - burned = sum of the balances of residents, escrow and community fund.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from apps.node_client import Log
from contracts.bindings import love_bank, sharing_orders
from contracts.bindings.love_bank import CountersignatureRequested, CountersignatureWithdrawn, Countersigned
from contracts.bindings.sharing_orders import (
    CheckedIn,
    NoShowRecorded,
    OrderAccepted,
    OrderArbitrated,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDisputed,
    OrderPublished,
    OrderRated,
    ServiceFinished,
    ServiceStarted,
)
from contracts.vocabulary import EntryKind, OrderState
from node.chain.errors import ShelianError

ISSUED: Final = "issued"
BURNED: Final = "burned"
ESCROW: Final = "escrow"
FUND: Final = "fund"
SYSTEM_ACCOUNTS: Final = (ISSUED, BURNED, ESCROW, FUND)

_INDEX_BITS = 20
"""A block holds far fewer than 2^20 logs: its gas does not allow more."""


class ProjectionError(ShelianError):
    """Events that cannot follow from each other: the read model and the chain do not fit together."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the chain tells it. Identities are 32 hex digits, empty while nobody; times are seconds of
    the block, 0 while not; `position` is that of the event that touched it last."""

    id: str
    kind: int
    offer: bool
    units: int
    amount: int
    start_at: int
    commitment: str
    publisher: str
    requester: str
    provider: str
    state: OrderState
    published_at: int
    changed_at: int
    published_position: int
    position: int
    requester_in: int = 0
    provider_in: int = 0
    requester_stars: int = 0
    provider_stars: int = 0
    paid: int = 0
    refunded: int = 0
    automatic: bool = False
    absent: str = ""


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One step in an order's history. `commitment` is what the step committed to (a reason, a rating), if
    anything; `detail` its number: stars of a rating, percent of an arbitration."""

    position: int
    order: str
    event: str
    by: str
    time: int
    transaction: str
    state: OrderState
    detail: int = 0
    commitment: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One side of an entry: `amount` is negative where points leave `account`; `balance` is after it."""

    position: int
    account: str
    other: str
    amount: int
    balance: int
    kind: EntryKind
    reference: str
    time: int
    transaction: str


@dataclass(frozen=True, slots=True)
class Request:
    """An act of the community that waits for a second person: the call, and who has asked for it.
    `countersigned_by` is empty while it waits; `withdrawn` when it was taken back."""

    position: int
    action: str
    by: str
    call: str
    time: int
    transaction: str
    countersigned_by: str = ""
    withdrawn: bool = False

    @property
    def open(self) -> bool:
        return not self.countersigned_by and not self.withdrawn


@dataclass(frozen=True, slots=True)
class Touched:
    """What must be known before some events can be folded."""

    orders: frozenset[str]
    accounts: frozenset[str]
    actions: frozenset[str]


@dataclass(slots=True)
class Book:
    """What is known: orders, balances and the latest request of an action. `events` and `lines` only grow;
    they hold what the fold has added."""

    orders: dict[str, Order] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    events: list[OrderEvent] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Placed:
    """An event where it stands on the chain."""

    position: int
    time: int
    transaction: str
    event: sharing_orders.Event | love_bank.Event


def position_of(block: int, index: int) -> int:
    """Block and log index as one number that orders all events and fits a 63-bit column."""
    return (block << _INDEX_BITS) | index


def block_of(position: int) -> int:
    return position >> _INDEX_BITS


def placed(logs: Iterable[Log]) -> list[Placed]:
    """The events of the two sharing contracts among some logs. DecodeError for a malformed one."""
    found = []
    for log in logs:
        event = sharing_orders.decode_event(log) or love_bank.decode_event(log)
        if event is not None:
            found.append(Placed(position_of(log.block, log.index), log.time, log.transaction.hex(), event))
    return found


def account_name(address: bytes, *, receives: bool) -> str:
    """The account an address stands for: a resident's is the 32 hex digits of the identity. Address 0 is
    where issue comes from, and where burned points go."""
    if not any(address):
        return BURNED if receives else ISSUED
    if address == sharing_orders.ADDRESS:
        return ESCROW
    if address == love_bank.ADDRESS:
        return FUND
    return address[4:].hex()


def touched(events: Sequence[Placed]) -> Touched:
    """The orders, accounts and actions some events are about."""
    orders, accounts, actions = set[str](), set[str](), set[str]()
    for item in events:
        event = item.event
        if isinstance(event, love_bank.Entry):
            accounts |= {account_name(event.from_, receives=False), account_name(event.to, receives=True)}
        elif isinstance(event, CountersignatureRequested | Countersigned | CountersignatureWithdrawn):
            actions.add(event.action.hex())
        elif isinstance(event, _ORDER_EVENTS):
            orders.add(event.order.hex())
    return Touched(frozenset(orders), frozenset(accounts), frozenset(actions))


def fold(known: Book, events: Sequence[Placed]) -> Book:
    """The book after some events. `known` is not changed. ProjectionError when the events do not fit it."""
    book = Book(dict(known.orders), dict(known.balances), dict(known.requests))
    for item in events:
        event = item.event
        if isinstance(event, love_bank.Entry):
            _post(book, item, event)
        elif isinstance(event, CountersignatureRequested | Countersigned | CountersignatureWithdrawn):
            _countersign(book, item, event)
        elif isinstance(event, _ORDER_EVENTS):
            _advance(book, item, event)
    return book


def totals(balances: Mapping[str, int]) -> tuple[int, int, int]:
    """(issued, burned, held): held is everything in residents' accounts, escrow and fund; it equals
    issued - burned."""
    held = sum(balance for account, balance in balances.items() if account not in (ISSUED, BURNED))
    return -balances.get(ISSUED, 0), balances.get(BURNED, 0), held


def _post(book: Book, item: Placed, entry: love_bank.Entry) -> None:
    source = account_name(entry.from_, receives=False)
    target = account_name(entry.to, receives=True)
    for account, other, amount in ((source, target, -entry.amount), (target, source, entry.amount)):
        balance = book.balances.get(account, 0) + amount
        if balance < 0 and account != ISSUED:
            raise ProjectionError(
                "points.overdrawn", "an entry takes more than an account holds", got=balance, expected=0
            )
        book.balances[account] = balance
        book.lines.append(
            Line(
                item.position,
                account,
                other,
                amount,
                balance,
                EntryKind(entry.kind),
                entry.ref.hex(),
                item.time,
                item.transaction,
            )
        )


def _countersign(
    book: Book,
    item: Placed,
    event: CountersignatureRequested | Countersigned | CountersignatureWithdrawn,
) -> None:
    action = event.action.hex()
    if isinstance(event, CountersignatureRequested):
        book.requests[action] = Request(
            item.position, action, event.by.hex(), event.call.hex(), item.time, item.transaction
        )
        return
    asked = book.requests.get(action)
    if asked is None:
        raise ProjectionError("points.request_unknown", "a second signature without a first", got=action)
    book.requests[action] = (
        replace(asked, countersigned_by=event.by.hex())
        if isinstance(event, Countersigned)
        else replace(asked, withdrawn=True)
    )


_OrderEvent = (
    CheckedIn
    | NoShowRecorded
    | OrderAccepted
    | OrderArbitrated
    | OrderCancelled
    | OrderCompleted
    | OrderConfirmed
    | OrderDisputed
    | OrderPublished
    | OrderRated
    | ServiceFinished
    | ServiceStarted
)
_ORDER_EVENTS = (
    CheckedIn,
    NoShowRecorded,
    OrderAccepted,
    OrderArbitrated,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDisputed,
    OrderPublished,
    OrderRated,
    ServiceFinished,
    ServiceStarted,
)


def _advance(book: Book, item: Placed, event: _OrderEvent) -> None:
    order_id = event.order.hex()
    if isinstance(event, OrderPublished):
        order = _published(item, event)
    else:
        before = book.orders.get(order_id)
        if before is None:
            raise ProjectionError("points.order_unknown", "an event of an unknown order", got=order_id)
        order = replace(_step(before, item.time, event), position=item.position)
        if order.state is not before.state:
            order = replace(order, changed_at=item.time)
    book.orders[order_id] = order
    book.events.append(_history(item, event, order))


def _published(item: Placed, event: OrderPublished) -> Order:
    publisher = event.by.hex()
    return Order(
        id=event.order.hex(),
        kind=event.kind,
        offer=event.offer,
        units=event.units,
        amount=event.amount,
        start_at=event.start_at,
        commitment=event.commitment.hex(),
        publisher=publisher,
        requester="" if event.offer else publisher,
        provider=publisher if event.offer else "",
        state=OrderState.PUBLISHED,
        published_at=item.time,
        changed_at=item.time,
        published_position=item.position,
        position=item.position,
    )


def _step(order: Order, time: int, event: _OrderEvent) -> Order:
    """The order after one event."""
    match event:
        case OrderAccepted():
            other = event.by.hex()
            taken = replace(order, requester=other) if order.offer else replace(order, provider=other)
            return replace(taken, state=OrderState.ACCEPTED)
        case OrderConfirmed():
            return replace(order, state=OrderState.CONFIRMED)
        case CheckedIn():
            if event.by.hex() == order.requester:
                return replace(order, requester_in=time)
            return replace(order, provider_in=time)
        case ServiceStarted():
            return replace(order, state=OrderState.IN_SERVICE)
        case ServiceFinished():
            return replace(order, state=OrderState.FINISHED)
        case OrderCompleted():
            return replace(order, state=OrderState.COMPLETED, paid=event.paid, automatic=event.automatic)
        case OrderRated():
            rated = replace(order, state=OrderState.RATED)
            if event.by.hex() == order.requester:
                return replace(rated, requester_stars=event.stars)
            return replace(rated, provider_stars=event.stars)
        case OrderCancelled():
            return replace(order, state=OrderState.CANCELLED, paid=event.paid, refunded=event.refunded)
        case NoShowRecorded():
            return replace(
                order,
                state=OrderState.NO_SHOW,
                paid=event.paid,
                refunded=event.refunded,
                absent=event.absent.hex(),
            )
        case OrderDisputed():
            return replace(order, state=OrderState.DISPUTED)
        case OrderArbitrated():
            return replace(order, state=OrderState.ARBITRATED, paid=event.paid, refunded=event.refunded)
        case _:
            raise ProjectionError("points.published_twice", "an order id was published twice", got=order.id)


def _history(item: Placed, event: _OrderEvent, order: Order) -> OrderEvent:
    by, detail, commitment = "", 0, b""
    match event:
        case OrderConfirmed():
            by = event.requester.hex()
        case OrderCompleted():
            by = "" if event.automatic else event.requester.hex()
        case OrderPublished():
            by, commitment = event.by.hex(), event.commitment
        case OrderRated():
            by, detail, commitment = event.by.hex(), event.stars, event.commitment
        case OrderDisputed():
            by, commitment = event.by.hex(), event.reason
        case OrderArbitrated():
            by, detail, commitment = event.by.hex(), event.percent, event.reason
        case CheckedIn():
            by, commitment = event.by.hex(), event.place
        case ServiceStarted():
            pass
        case _:
            by = event.by.hex()
    return OrderEvent(
        item.position,
        order.id,
        type(event).__name__,
        by,
        item.time,
        item.transaction,
        order.state,
        detail,
        commitment.hex(),
    )
