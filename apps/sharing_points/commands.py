"""The only write path: from what a person wants to the contract calls they are asked to sign.

Each command checks early, in plain words, what the read model already knows; keeps what people wrote under
its salted commitment; and gives the calls. The signing desk tries them at the chain's tip before anybody
signs, and the contract is the final judge. Commands are the same for pages, programs and the demo's seed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from apps.sharing_points import refused
from apps.sharing_points.check_in_codes import CheckInCodes
from apps.sharing_points.private_text import PrivateText, write
from apps.sharing_points.projection import FUND, Order, Request
from apps.sharing_points.rules import (
    MAX_AHEAD_S,
    MAX_UNITS,
    STEP_WORDS,
    Step,
    Tariff,
    is_party,
    points_of,
    why_not,
)
from apps.sharing_points.store import PointsStore
from apps.sharing_points.taxonomy import KINDS
from apps.site.errors import not_allowed
from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, ROLE_NAMES, Person
from apps.site.text import Text
from contracts.bindings import love_bank, sharing_orders
from contracts.vocabulary import OrderState
from node.chain.transaction import Call

REQUEST_LIFE_S = 7 * 86_400
"""How long the first of two signatures waits for the second (ICountersigned)."""
MAX_TITLE, MAX_AREA, MAX_PLACE, MAX_DETAILS = 40, 40, 80, 500


@dataclass(frozen=True)
class PointsContext:
    """What commands work with. `now` is the clock of this process in seconds."""

    store: PointsStore
    tariff: Callable[[], Tariff]
    codes: CheckInCodes
    now: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """Calls for a person to sign, what they are for, and the page to show afterwards."""

    calls: tuple[Call, ...]
    purpose: Text
    next_url: str


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a resident fills in. `offer`: they help; otherwise they ask. `units` are quarters of an hour,
    `start_at` seconds. `area` is shown to all, `place` only to the two sides."""

    offer: bool
    kind: int
    units: int
    start_at: int
    title: str
    area: str
    place: str
    details: str


# Residents


def publish(context: PointsContext, person: Person, new: NewOrder) -> Asked:
    """Publish a need or an offer. points.form_invalid, points.too_few."""
    identity = _as(person, RESIDENT)
    tariff = context.tariff()
    _check_new_order(new, context.now(), tariff)
    amount = points_of(new.units, tariff.weights[new.kind])
    if amount > tariff.max_amount:
        raise refused.filled_in_wrongly(
            Text(
                f"一张单最多 {tariff.max_amount} 分，这里是 {amount} 分，请缩短时间。",
                f"An order may cost {tariff.max_amount} points at most; this is {amount}. Ask for less time.",
            )
        )
    if not new.offer:
        _check_balance(context, identity, amount)
    order_id = secrets.token_bytes(32)
    text = _keep(
        context,
        order_id.hex(),
        identity,
        {"title": new.title, "area": new.area, "place": new.place, "details": new.details},
    )
    call = sharing_orders.publish(order_id, new.offer, new.kind, new.units, new.start_at, text.commitment)
    purpose = Text("发布帮忙", "publish an offer") if new.offer else Text("发布需求", "publish a need")
    return Asked((call,), purpose, f"/orders/{order_id.hex()}")


def take_step(context: PointsContext, person: Person, order_id: str, step: Step) -> Asked:
    """Accept, confirm, finish, complete, poke, record a no-show, or cancel.

    points.order_not_found, points.not_your_order, points.step_not_now, points.too_few.
    """
    identity = _as(person, RESIDENT)
    order = _order_for(context, identity, order_id, step)
    if step is Step.CONFIRM:
        _check_balance(context, identity, order.amount)
    if step is Step.ACCEPT and order.offer:
        _check_balance(context, identity, order.amount)
    build = _PLAIN_STEPS[step]
    return Asked((build(bytes.fromhex(order_id)),), STEP_WORDS[step], f"/orders/{order_id}")


def check_in(context: PointsContext, person: Person, order_id: str, code: str) -> Asked:
    """Check in with the code the other side shows. points.code_wrong, points.code_too_often, and as
    `take_step`."""
    identity = _as(person, RESIDENT)
    order = _order_for(context, identity, order_id, Step.CHECK_IN)
    other = order.provider if identity == order.requester else order.requester
    if not context.store.tries_left(order_id, identity, context.now()):
        raise refused.too_many_codes()
    if not context.codes.matches(order_id, other, code):
        context.store.count_try(order_id, identity, context.now())
        raise refused.wrong_code()
    agreed = context.store.texts([order.commitment]).get(order.commitment)
    place = agreed.values.get("place", "") if agreed else ""
    text = _keep(context, order_id, identity, {"check_in_place": place})
    call = sharing_orders.check_in(bytes.fromhex(order_id), text.commitment)
    return Asked((call,), STEP_WORDS[Step.CHECK_IN], f"/orders/{order_id}")


def rate(context: PointsContext, person: Person, order_id: str, stars: int, comment: str) -> Asked:
    """Rate the other side, 1 to 5 stars. As `take_step`, and points.form_invalid."""
    identity = _as(person, RESIDENT)
    _order_for(context, identity, order_id, Step.RATE)
    if not 1 <= stars <= 5:
        raise refused.filled_in_wrongly(Text("请选一到五颗星。", "Choose one to five stars."))
    _check_length(comment, MAX_DETAILS, Text("评价", "the comment"), required=False)
    text = _keep(context, order_id, identity, {"comment": comment})
    call = sharing_orders.rate(bytes.fromhex(order_id), stars, text.commitment)
    return Asked((call,), STEP_WORDS[Step.RATE], f"/orders/{order_id}")


def dispute(context: PointsContext, person: Person, order_id: str, reason: str) -> Asked:
    """Ask the community to decide. As `take_step`, and points.form_invalid."""
    identity = _as(person, RESIDENT)
    _order_for(context, identity, order_id, Step.DISPUTE)
    _check_length(reason, MAX_DETAILS, Text("争议的原因", "the reason"))
    text = _keep(context, order_id, identity, {"reason": reason})
    call = sharing_orders.dispute(bytes.fromhex(order_id), text.commitment)
    return Asked((call,), STEP_WORDS[Step.DISPUTE], f"/orders/{order_id}")


def donate(context: PointsContext, person: Person, amount: int, message: str) -> Asked:
    """Give points to the community fund. points.form_invalid, points.too_few."""
    identity = _as(person, RESIDENT)
    _check_amount(amount)
    _check_length(message, MAX_DETAILS, Text("留言", "the message"), required=False)
    _check_balance(context, identity, amount)
    text = _keep(context, "", identity, {"message": message})
    return Asked((love_bank.donate(amount, text.commitment),), Text("捐积分", "donate points"), "/bank")


# The community's staff


def issue(
    context: PointsContext, person: Person, residents: Sequence[Person], amount: int, reason: str
) -> Asked:
    """The first clerk asks to issue points to each of some residents, in one touch; a second clerk has to
    agree. points.form_invalid."""
    clerk = _as(person, COMMUNITY_CLERK)
    _check_amount(amount, context.tariff().max_issue)
    calls = [
        love_bank.issue(one.identity, amount, _why(context, clerk, one, reason).commitment)
        for one in residents
    ]
    return Asked(tuple(calls), Text("申请发放积分", "ask to issue points"), "/desk")


def grant(context: PointsContext, person: Person, resident: Person, amount: int, reason: str) -> Asked:
    """The first approver asks to grant points of the fund to a resident in hardship; a second one has to
    agree. points.form_invalid, points.too_few."""
    approver = _as(person, APPROVER)
    _check_amount(amount, context.tariff().max_grant)
    in_fund = context.store.balance(FUND)
    if in_fund < amount:
        raise refused.filled_in_wrongly(
            Text(f"社区基金只有 {in_fund} 分。", f"The community fund holds {in_fund} points only.")
        )
    text = _why(context, approver, resident, reason)
    call = love_bank.grant(resident.identity, amount, text.commitment)
    return Asked((call,), Text("申请困难帮扶", "ask for a hardship grant"), "/desk")


def countersign(context: PointsContext, person: Person, actions: Sequence[str]) -> Asked:
    """The second person agrees to one or more acts, in one touch, by signing the very same calls.
    points.request_not_open, points.second_person_required."""
    calls = []
    for action in dict.fromkeys(actions):
        asked = _open_request(context, person, action)
        if asked.by == person.identity.hex():
            raise refused.second_person()
        calls.append(Call(love_bank.ADDRESS, bytes.fromhex(asked.call)))
    return Asked(tuple(calls), Text("同意（第二人）", "agree as the second person"), "/desk")


def withdraw(context: PointsContext, person: Person, action: str) -> Asked:
    """Whoever asked takes it back; nobody else can. points.request_not_open."""
    asked = _open_request(context, person, action)
    if asked.by != person.identity.hex():
        raise refused.request_gone()
    return Asked((love_bank.withdraw_request(bytes.fromhex(action)),), Text("撤回", "take back"), "/desk")


def arbitrate(context: PointsContext, person: Person, order_id: str, percent: int, reason: str) -> Asked:
    """A clerk ends a dispute: `percent` of the points to the helper, the rest back.
    points.order_not_found, points.step_not_now, points.form_invalid."""
    clerk = _as(person, COMMUNITY_CLERK)
    order = _order(context, order_id)
    if order.state is not OrderState.DISPUTED:
        raise refused.not_now(
            Text("这张单不在争议中，或已经仲裁。", "This order is not in dispute any more.")
        )
    if not 0 <= percent <= 100:
        raise refused.filled_in_wrongly(Text("比例要在 0 到 100 之间。", "The share is from 0 to 100."))
    _check_length(reason, MAX_DETAILS, Text("仲裁理由", "the reason"))
    text = _keep(context, order_id, clerk, {"reason": reason})
    call = sharing_orders.arbitrate(bytes.fromhex(order_id), percent, text.commitment)
    return Asked((call,), Text("仲裁争议", "decide a dispute"), "/desk")


_PLAIN_STEPS: Mapping[Step, Callable[[bytes], Call]] = {
    Step.ACCEPT: sharing_orders.accept,
    Step.CONFIRM: sharing_orders.confirm,
    Step.FINISH: sharing_orders.finish,
    Step.COMPLETE: sharing_orders.complete,
    Step.POKE: sharing_orders.poke,
    Step.NO_SHOW: sharing_orders.no_show,
    Step.CANCEL: sharing_orders.cancel,
}
PLAIN_STEPS = frozenset(_PLAIN_STEPS)
"""Steps that need nothing but the order: `take_step` does them."""


def _as(person: Person, role: int) -> str:
    """The person's identity, if they hold the role; site.not_allowed otherwise."""
    if not person.holds(role):
        raise not_allowed(ROLE_NAMES[role])
    return person.identity.hex()


def _order(context: PointsContext, order_id: str) -> Order:
    order = context.store.order(order_id)
    if order is None:
        raise refused.order_unknown()
    return order


def _order_for(context: PointsContext, identity: str, order_id: str, step: Step) -> Order:
    """The order, if this resident may take this step with it now."""
    order = _order(context, order_id)
    reason = why_not(order, step, identity, context.now(), context.tariff())
    if reason is None:
        return order
    if step is not Step.ACCEPT and not is_party(order, identity):
        raise refused.not_your_order()
    raise refused.not_now(reason)


def _open_request(context: PointsContext, person: Person, action: str) -> Request:
    asked = context.store.request(action)
    if asked is None or not asked.open or context.now() - asked.time > REQUEST_LIFE_S:
        raise refused.request_gone()
    function, _ = love_bank.decode_call(bytes.fromhex(asked.call))
    _as(person, APPROVER if function == "grant" else COMMUNITY_CLERK)
    return asked


def _keep(context: PointsContext, reference: str, author: str, values: Mapping[str, str]) -> PrivateText:
    text = write(reference, author, {name: value.strip() for name, value in values.items()})
    context.store.save_text(text, context.now())
    return text


def _why(context: PointsContext, by: str, resident: Person, reason: str) -> PrivateText:
    if not resident.holds(RESIDENT):
        raise refused.no_such_resident()
    _check_length(reason, MAX_DETAILS, Text("理由", "the reason"))
    return _keep(context, "", by, {"reason": reason})


def _check_new_order(new: NewOrder, now: int, tariff: Tariff) -> None:
    if new.kind not in KINDS or not tariff.weights.get(new.kind):
        raise refused.filled_in_wrongly(Text("请选择一种帮忙的类别。", "Choose a kind of help."))
    if not 1 <= new.units <= MAX_UNITS:
        raise refused.filled_in_wrongly(
            Text("时间要在十五分钟到八小时之间。", "The time is from a quarter of an hour to eight hours.")
        )
    if not now < new.start_at <= now + MAX_AHEAD_S:
        raise refused.filled_in_wrongly(
            Text("开始时间要在今后九十天以内。", "The start is within the next ninety days.")
        )
    _check_length(new.title, MAX_TITLE, Text("标题", "the title"))
    _check_length(new.area, MAX_AREA, Text("大概地点", "the area"))
    _check_length(new.place, MAX_PLACE, Text("详细地点", "the place"), required=False)
    _check_length(new.details, MAX_DETAILS, Text("说明", "the description"), required=False)


def _check_length(value: str, most: int, what: Text, *, required: bool = True) -> None:
    if required and not value.strip():
        raise refused.filled_in_wrongly(Text(f"请填写{what.zh}。", f"Fill in {what.en}."))
    if len(value) > most:
        raise refused.filled_in_wrongly(
            Text(f"{what.zh}最多 {most} 个字。", f"{what.en}: {most} characters at most.")
        )


def _check_amount(amount: int, most: int | None = None) -> None:
    if amount < 1 or (most is not None and amount > most):
        limit = (
            Text(f"，一次最多 {most} 分", f", at most {most} at once") if most is not None else Text("", "")
        )
        raise refused.filled_in_wrongly(
            Text(f"积分要是正整数{limit.zh}。", f"Points are a whole number above zero{limit.en}.")
        )


def _check_balance(context: PointsContext, identity: str, needed: int) -> None:
    balance = context.store.balance(identity)
    if balance < needed:
        raise refused.too_few_points(balance, needed)
