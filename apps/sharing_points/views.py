"""What pages and programs see of the read model: orders with their words, their next step, and nothing more
than the viewer may know.

Who may see what: a published order's title, area and description are for every resident; names, the exact
place, codes, reasons and ratings are for its two sides, and for a community clerk once there is a dispute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.sharing_points.commands import PointsContext
from apps.sharing_points.private_text import PrivateText
from apps.sharing_points.projection import Order, OrderEvent, block_of
from apps.sharing_points.rules import (
    PRIMARY,
    STATES,
    UNIT_MINUTES,
    WAY,
    StateLook,
    Step,
    auto_complete_from,
    checked_in,
    is_party,
    next_step,
    no_show_from,
    possible_steps,
    waiting_for,
)
from apps.sharing_points.taxonomy import Category, category_of, name_of
from apps.site.people import COMMUNITY_CLERK, Directory, Person
from apps.site.text import Text
from contracts.vocabulary import OrderState

NEIGHBOUR = Text("一位邻居", "a neighbour")

EVENT_WORDS: Mapping[str, Text] = {
    "OrderPublished": Text("发布", "published"),
    "OrderAccepted": Text("接单", "taken"),
    "OrderConfirmed": Text("确认，积分托管", "confirmed, points held"),
    "CheckedIn": Text("签到", "checked in"),
    "ServiceStarted": Text("双方到齐，开始服务", "both here, service started"),
    "ServiceFinished": Text("服务做完", "service done"),
    "OrderCompleted": Text("完成，积分转出", "completed, points paid"),
    "OrderRated": Text("评价", "rated"),
    "OrderCancelled": Text("取消", "cancelled"),
    "NoShowRecorded": Text("登记爽约", "no-show recorded"),
    "OrderDisputed": Text("提出争议", "disputed"),
    "OrderArbitrated": Text("社区仲裁", "settled by the community"),
}


@dataclass(frozen=True, slots=True)
class StepView:
    """A point of the progress line. `status` is done, now or ahead; `time` when it was reached (0 = not)."""

    look: StateLook
    status: str
    time: int


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as one person sees it."""

    order: Order
    kind: Text
    category: Category | None
    look: StateLook
    title: str
    area: str
    place: str
    details: str
    publisher_name: Text
    other_name: Text
    requester_name: Text
    provider_name: Text
    mine: bool
    helping: bool
    next: Step | None
    more: tuple[Step, ...]
    waiting: Text

    @property
    def minutes(self) -> int:
        return self.order.units * UNIT_MINUTES


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A step of an order's history: what, by whom, and what was written with it. `reached` is what the
    viewer needs for the proof."""

    event: OrderEvent
    word: Text
    who: Text
    note: str
    block: int


@dataclass(frozen=True, slots=True)
class Readers:
    """Where views look things up."""

    context: PointsContext
    directory: Directory

    def name(self, identity: str) -> Text:
        found = self.directory.name_of(bytes.fromhex(identity)) if identity else None
        return Text(found, found) if found else NEIGHBOUR


def order_views(readers: Readers, person: Person, found: Iterable[Order]) -> list[OrderView]:
    """Several orders as a person sees them; one look-up for all their texts."""
    listed = list(found)
    texts = readers.context.store.texts({order.commitment for order in listed})
    return [_order_view(readers, person, order, texts.get(order.commitment)) for order in listed]


def order_view(readers: Readers, person: Person, order: Order) -> OrderView:
    return order_views(readers, person, [order])[0]


def may_see_inside(person: Person, order: Order) -> bool:
    """Whether names, place, reasons and ratings of an order are for this person."""
    if is_party(order, person.identity.hex()):
        return True
    in_dispute = order.state in (OrderState.DISPUTED, OrderState.ARBITRATED)
    return in_dispute and person.holds(COMMUNITY_CLERK)


def may_see(person: Person, order: Order) -> bool:
    """Whether a person may open an order at all: its sides, anybody while it is published, clerks in a
    dispute."""
    return order.state is OrderState.PUBLISHED or may_see_inside(person, order)


def _order_view(readers: Readers, person: Person, order: Order, text: PrivateText | None) -> OrderView:
    context, identity = readers.context, person.identity.hex()
    tariff, now = context.tariff(), context.now()
    values = text.values if text is not None and text.reference == order.id else {}
    inside = may_see_inside(person, order)
    mine = is_party(order, identity)
    other = order.provider if identity == order.requester else order.requester
    steps = possible_steps(order, identity, now, tariff)
    kind = name_of(order.kind)
    return OrderView(
        order=order,
        kind=kind,
        category=category_of(order.kind),
        look=STATES[order.state],
        title=values.get("title") or kind.zh,
        area=values.get("area", ""),
        place=values.get("place", "") if inside else "",
        details=values.get("details", ""),
        publisher_name=readers.name(order.publisher) if inside else NEIGHBOUR,
        other_name=readers.name(other) if inside and other else NEIGHBOUR,
        requester_name=readers.name(order.requester) if inside else NEIGHBOUR,
        provider_name=readers.name(order.provider) if inside else NEIGHBOUR,
        mine=mine,
        helping=identity == order.provider or (not mine and not order.offer),
        next=next_step(order, identity, now, tariff),
        more=tuple(step for step in steps if step not in PRIMARY),
        waiting=waiting_for(order, identity),
    )


def progress(order: Order, history: Sequence[OrderEvent]) -> list[StepView]:
    """The way drawn as a line: what is behind, where it stands, what lies ahead. A way that ended early stops
    at its last step and shows how it ended."""
    reached: dict[OrderState, int] = {}
    for event in history:
        reached.setdefault(event.state, event.time)
    if order.state is OrderState.RATED:
        reached.setdefault(OrderState.COMPLETED, order.changed_at)
    done = [StepView(STATES[state], "done", reached[state]) for state in WAY if state in reached]
    if order.state in WAY:
        now_at = WAY.index(order.state)
        if order.state is not OrderState.COMPLETED:
            done[-1] = StepView(STATES[order.state], "now", reached[order.state])
        return done + [StepView(STATES[state], "ahead", 0) for state in WAY[now_at + 1 :]]
    if order.state is OrderState.RATED:
        return done
    ended = StepView(STATES[order.state], "now", reached.get(order.state, order.changed_at))
    if order.state is OrderState.DISPUTED:
        return [*done, ended, StepView(STATES[OrderState.ARBITRATED], "ahead", 0)]
    if order.state is OrderState.ARBITRATED:
        disputed = STATES[OrderState.DISPUTED]
        return [*done, StepView(disputed, "done", reached.get(OrderState.DISPUTED, 0)), ended]
    return [*done, ended]


def history_views(readers: Readers, history: Sequence[OrderEvent]) -> list[HistoryView]:
    """An order's steps with names and notes; only for those who may see inside."""
    texts = readers.context.store.texts({event.commitment for event in history if event.commitment})
    return [
        HistoryView(
            event,
            EVENT_WORDS.get(event.event, Text(event.event, event.event)),
            readers.name(event.by) if event.by else Text("系统", "system"),
            _note(event, texts.get(event.commitment)),
            block_of(event.position),
        )
        for event in history
    ]


def _note(event: OrderEvent, text: PrivateText | None) -> str:
    values = text.values if text is not None and text.reference == event.order else {}
    note = values.get("comment") or values.get("reason") or ""
    if event.event == "OrderRated":
        return f"{'★' * event.detail}{'☆' * (5 - event.detail)} {note}".strip()
    if event.event == "OrderArbitrated":
        return f"{event.detail} % · {note}".strip(" ·")
    return note


@dataclass(frozen=True, slots=True)
class Deadlines:
    """From when a no-show may be recorded and a finished order completes by itself; what cancelling now
    costs the asking side."""

    no_show_from: int
    auto_complete_from: int
    cancel_cost: int


def deadlines(readers: Readers, order: Order, identity: str) -> Deadlines:
    tariff = readers.context.tariff()
    late = (
        order.state is OrderState.CONFIRMED
        and identity == order.requester
        and checked_in(order, order.provider)
    )
    cost = order.amount * tariff.late_cancel_percent // 100 if late else 0
    return Deadlines(no_show_from(order, tariff), auto_complete_from(order, tariff), cost)
