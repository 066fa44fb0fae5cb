"""The rules of the sharing community as data and pure functions: states, steps, who may take them, points.

The contracts are the judge. This module mirrors them, so that a page can draw an order's way, offer exactly
one obvious next step, and refuse early in plain words. Nothing here reads a clock: `now` (seconds since the
epoch) is passed in. Amounts of time and percentages come from the chain (`Tariff`).

An order's way::

    published -> accepted -> confirmed (points held) -> in service (both in) -> finished -> completed -> rated
    published, accepted, confirmed -> cancelled              confirmed -> no-show
    confirmed, in service, finished -> disputed -> arbitrated
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from apps.site.text import Text
from contracts.vocabulary import OrderState

UNIT_MINUTES = 15
"""One unit of an order is a quarter of an hour; at weight 100 it is worth one point."""
MAX_UNITS = 32
"""Nobody is asked for more than eight hours in one order."""
MAX_AHEAD_S = 90 * 86_400
"""An order is published at most this long before its start."""


@dataclass(frozen=True, slots=True)
class StateLook:
    """A state's word, its colour (a name of the page kit), and what it means, for the legend."""

    word: Text
    colour: str
    meaning: Text


STATES: Mapping[OrderState, StateLook] = MappingProxyType(
    {
        OrderState.PUBLISHED: StateLook(
            Text("已发布", "published"), "azure", Text("等人接单", "Waiting for someone to take it")
        ),
        OrderState.ACCEPTED: StateLook(
            Text("已接单", "taken"),
            "indigo",
            Text("等求助的一方确认", "Waiting for the asking side to confirm"),
        ),
        OrderState.CONFIRMED: StateLook(
            Text("已确认", "confirmed"),
            "cyan",
            Text("积分已托管，到时见面签到", "Points are held; meet and check in"),
        ),
        OrderState.IN_SERVICE: StateLook(
            Text("服务中", "in service"), "yellow", Text("双方都已签到", "Both sides have checked in")
        ),
        OrderState.FINISHED: StateLook(
            Text("待确认", "to be confirmed"),
            "orange",
            Text("服务做完，等求助的一方确认", "Done; the asking side confirms"),
        ),
        OrderState.COMPLETED: StateLook(
            Text("已完成", "completed"), "green", Text("积分已转给帮忙的一方", "The helper has been paid")
        ),
        OrderState.RATED: StateLook(
            Text("已评价", "rated"), "teal", Text("已完成并有评价", "Completed and rated")
        ),
        OrderState.CANCELLED: StateLook(
            Text("已取消", "cancelled"),
            "secondary",
            Text("没有进行，托管的积分已退", "Did not take place; held points went back"),
        ),
        OrderState.NO_SHOW: StateLook(
            Text("爽约", "no-show"), "pink", Text("有一方没有来", "One side did not come")
        ),
        OrderState.DISPUTED: StateLook(
            Text("争议中", "in dispute"),
            "red",
            Text("积分仍在托管，等社区仲裁", "Points stay held; the community decides"),
        ),
        OrderState.ARBITRATED: StateLook(
            Text("已仲裁", "settled"),
            "purple",
            Text("社区已决定积分怎样分", "The community has decided on the points"),
        ),
    }
)

WAY: tuple[OrderState, ...] = (
    OrderState.PUBLISHED,
    OrderState.ACCEPTED,
    OrderState.CONFIRMED,
    OrderState.IN_SERVICE,
    OrderState.FINISHED,
    OrderState.COMPLETED,
)
"""The steps of the progress line."""

CLOSED = frozenset(
    {
        OrderState.COMPLETED,
        OrderState.RATED,
        OrderState.CANCELLED,
        OrderState.NO_SHOW,
        OrderState.ARBITRATED,
    }
)
"""Nothing is in escrow and nobody has to do anything."""


class Step(StrEnum):
    """What can be done with an order."""

    ACCEPT = "accept"
    CONFIRM = "confirm"
    CHECK_IN = "check-in"
    FINISH = "finish"
    COMPLETE = "complete"
    POKE = "poke"
    RATE = "rate"
    NO_SHOW = "no-show"
    CANCEL = "cancel"
    DISPUTE = "dispute"


STEP_WORDS: Mapping[Step, Text] = MappingProxyType(
    {
        Step.ACCEPT: Text("我来接单", "I take it"),
        Step.CONFIRM: Text("确认，托管积分", "Confirm and hold the points"),
        Step.CHECK_IN: Text("见面签到", "Check in"),
        Step.FINISH: Text("服务做完了", "The service is done"),
        Step.COMPLETE: Text("确认完成，转积分", "Agree and pay the points"),
        Step.POKE: Text("超时，自动完成", "Time is up: complete it"),
        Step.RATE: Text("评价", "Rate"),
        Step.NO_SHOW: Text("对方没有来", "The other side did not come"),
        Step.CANCEL: Text("取消", "Cancel"),
        Step.DISPUTE: Text("有争议，请社区仲裁", "Dispute: ask the community"),
    }
)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the chain's rules say now: the worth of a unit of each kind in hundredths of a point, and the
    numbers of SharingOrders' and LoveBank's parameters (seconds, points, percents to the helper)."""

    weights: Mapping[int, int]
    auto_complete_after: int
    no_show_after: int
    max_amount: int
    late_cancel_percent: int
    no_show_percent: int
    max_issue: int
    max_grant: int


def points_of(units: int, weight: int) -> int:
    """Points of `units` quarters of an hour at `weight` hundredths, rounded half up, in exact integers."""
    return (units * weight + 50) // 100


class OrderFacts(Protocol):
    """What of an order decides about its next step. Identities are 32 hex digits, empty when nobody."""

    @property
    def state(self) -> OrderState: ...
    @property
    def publisher(self) -> str: ...
    @property
    def requester(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def start_at(self) -> int: ...
    @property
    def changed_at(self) -> int: ...
    @property
    def requester_in(self) -> int: ...
    @property
    def provider_in(self) -> int: ...
    @property
    def requester_stars(self) -> int: ...
    @property
    def provider_stars(self) -> int: ...


def is_party(order: OrderFacts, identity: str) -> bool:
    return bool(identity) and identity in (order.requester, order.provider)


def checked_in(order: OrderFacts, identity: str) -> bool:
    return bool(order.requester_in if identity == order.requester else order.provider_in)


def _other_checked_in(order: OrderFacts, identity: str) -> bool:
    return bool(order.provider_in if identity == order.requester else order.requester_in)


def _has_rated(order: OrderFacts, identity: str) -> bool:
    return bool(order.requester_stars if identity == order.requester else order.provider_stars)


def no_show_from(order: OrderFacts, tariff: Tariff) -> int:
    """From when (seconds) a missing side may be recorded."""
    return order.start_at + tariff.no_show_after


def auto_complete_from(order: OrderFacts, tariff: Tariff) -> int:
    """From when (seconds) a finished order that nobody answered may be completed."""
    return order.changed_at + tariff.auto_complete_after


def possible_steps(order: OrderFacts, identity: str, now: int, tariff: Tariff) -> tuple[Step, ...]:
    """What a resident may do with an order now, the obvious next step first; empty when there is nothing."""
    state, steps = order.state, list[Step]()
    if state is OrderState.PUBLISHED:
        steps.append(Step.CANCEL if identity == order.publisher else Step.ACCEPT)
        return tuple(steps)
    if not is_party(order, identity):
        return ()
    if state is OrderState.ACCEPTED:
        if identity == order.requester:
            steps.append(Step.CONFIRM)
        steps.append(Step.CANCEL)
    elif state is OrderState.CONFIRMED:
        if not checked_in(order, identity):
            steps.append(Step.CHECK_IN)
        elif not _other_checked_in(order, identity) and now >= no_show_from(order, tariff):
            steps.append(Step.NO_SHOW)
        steps += [Step.CANCEL, Step.DISPUTE]
    elif state is OrderState.IN_SERVICE:
        if identity == order.provider:
            steps.append(Step.FINISH)
        steps.append(Step.DISPUTE)
    elif state is OrderState.FINISHED:
        if identity == order.requester:
            steps.append(Step.COMPLETE)
        elif now >= auto_complete_from(order, tariff):
            steps.append(Step.POKE)
        steps.append(Step.DISPUTE)
    elif state in (OrderState.COMPLETED, OrderState.RATED) and not _has_rated(order, identity):
        steps.append(Step.RATE)
    return tuple(steps)


PRIMARY = frozenset(set(Step) - {Step.CANCEL, Step.DISPUTE})
"""Steps that may be the one big button. Cancelling and disputing are always at hand, never urged."""


def next_step(order: OrderFacts, identity: str, now: int, tariff: Tariff) -> Step | None:
    """The one obvious next step of this person, or None while it is the other side's turn."""
    return next((step for step in possible_steps(order, identity, now, tariff) if step in PRIMARY), None)


def waiting_for(order: OrderFacts, identity: str) -> Text:
    """What this person waits for when there is no next step of their own."""
    requester = identity == order.requester
    match order.state:
        case OrderState.PUBLISHED:
            return Text("等邻居接单，有人接了会出现在这里。", "Waiting for a neighbour to take it.")
        case OrderState.ACCEPTED:
            return Text(
                "等对方确认并托管积分。", "Waiting for the other side to confirm and set the points aside."
            )
        case OrderState.CONFIRMED:
            return Text("您已签到，等对方签到。", "You are checked in; waiting for the other side.")
        case OrderState.IN_SERVICE:
            return Text("服务进行中，等对方说做完了。", "In service; the helper says when it is done.")
        case OrderState.FINISHED:
            return Text(
                "等对方确认；超过时限会自动完成。", "Waiting for agreement; it completes by itself in time."
            )
        case OrderState.DISPUTED:
            return Text("社区正在仲裁，积分仍在托管。", "The community is deciding; the points stay held.")
        case OrderState.COMPLETED | OrderState.RATED:
            paid = ("积分已转给对方，谢谢。", "The points are paid. Thank you.")
            earned = ("积分已到账，谢谢您的帮助。", "The points are yours. Thank you for helping.")
            return Text(*(paid if requester else earned))
        case _:
            return STATES[order.state].meaning


def why_not(order: OrderFacts, step: Step, identity: str, now: int, tariff: Tariff) -> Text | None:
    """Why this person cannot take this step now, in plain words; None when they can.

    A double click, a second tab and a stale page all end here: the sentence names the state it is in now.
    """
    if step in possible_steps(order, identity, now, tariff):
        return None
    if step is Step.ACCEPT and identity == order.publisher:
        return Text(
            "这是您自己发布的，不能自己接。", "You published this yourself; someone else has to take it."
        )
    if order.state is not OrderState.PUBLISHED and not is_party(order, identity):
        return Text(
            "这张单已经由别人接了，或者不是您的单。", "Someone else has taken this, or it is not yours."
        )
    if step is Step.CHECK_IN and order.state is OrderState.CONFIRMED:
        return Text("您已经签到过了。", "You have checked in already.")
    if step is Step.RATE and order.state in (OrderState.COMPLETED, OrderState.RATED):
        return Text("您已经评价过了。", "You have rated this already.")
    if step is Step.NO_SHOW and order.state is OrderState.CONFIRMED and checked_in(order, identity):
        return Text(
            "还没到可以登记爽约的时间。", "It is too early to record that the other side did not come."
        )
    if step is Step.POKE and order.state is OrderState.FINISHED:
        return Text("还没到自动完成的时间。", "It is too early to complete it without the other side.")
    if step in (Step.CONFIRM, Step.COMPLETE) and identity == order.provider:
        return Text("这一步由求助的一方办理。", "This step belongs to the asking side.")
    if step is Step.FINISH and identity == order.requester:
        return Text("这一步由帮忙的一方办理。", "This step belongs to the helping side.")
    look = STATES[order.state]
    return Text(
        f"这张单现在是“{look.word.zh}”，这一步已经办过或者还不能办。",
        f"This order is now “{look.word.en}”: the step is done already or cannot be done yet.",
    )
