"""The same for programs, as JSON under /api, described by /api/openapi.json.

Whatever changes something answers with a signing request (docs/ARCHITECTURE.md): sign it, then post
`{"state", "raw"}` to `/api/sign/finish`. Errors are `{code, message, text, next_step, got, expected}`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from apps.sharing_points import commands, refused
from apps.sharing_points.access import (
    Anyone,
    Approver,
    Clerk,
    Reading,
    Resident,
    Staff,
    ask,
    order_for,
    resident_named,
)
from apps.sharing_points.bank_views import request_views, statement_views
from apps.sharing_points.commands import PLAIN_STEPS, Asked, NewOrder
from apps.sharing_points.rules import STATES, UNIT_MINUTES, Step, points_of
from apps.sharing_points.taxonomy import CATEGORIES
from apps.sharing_points.views import OrderView, may_see_inside, order_view, order_views
from apps.site.people import RESIDENT, Person
from apps.site.signing import MAX_CALLS

router = APIRouter(prefix="/api")

Before = Annotated[int | None, Query(ge=0, lt=2**63, description="`before` of the page before")]
Limit = Annotated[int, Query(ge=1, le=100)]


class NewOrderBody(BaseModel):
    """`offer`: the publisher helps; otherwise asks. `units` are quarters of an hour, `start_at` seconds."""

    offer: bool = False
    kind: int = Field(ge=1, le=0xFFFF)
    units: int = Field(ge=1, le=0xFFFF)
    start_at: int = Field(ge=0, lt=2**48)
    title: str = Field(max_length=commands.MAX_TITLE)
    area: str = Field(max_length=commands.MAX_AREA)
    place: str = Field(default="", max_length=commands.MAX_PLACE)
    details: str = Field(default="", max_length=commands.MAX_DETAILS)


class CodeBody(BaseModel):
    code: str = Field(max_length=16)


class RatingBody(BaseModel):
    stars: int
    comment: str = Field(default="", max_length=commands.MAX_DETAILS)


class ReasonBody(BaseModel):
    reason: str = Field(max_length=commands.MAX_DETAILS)


class DonationBody(BaseModel):
    amount: int = Field(lt=2**63)
    message: str = Field(default="", max_length=commands.MAX_DETAILS)


class IssueBody(BaseModel):
    """`residents` are account names as /api/residents lists them; each gets `amount`."""

    residents: list[str] = Field(min_length=1, max_length=MAX_CALLS)
    amount: int = Field(lt=2**63)
    reason: str = Field(max_length=commands.MAX_DETAILS)


class AgreeBody(BaseModel):
    """`actions` as /api/requests lists them."""

    actions: list[str] = Field(min_length=1, max_length=MAX_CALLS)


class GrantBody(BaseModel):
    """`resident` is an account name as /api/residents lists them."""

    resident: str = Field(max_length=64)
    amount: int = Field(lt=2**63)
    reason: str = Field(max_length=commands.MAX_DETAILS)


class ArbitrationBody(BaseModel):
    """`percent` of the points go to the helping side, the rest back."""

    percent: int
    reason: str = Field(max_length=commands.MAX_DETAILS)


@router.get("/kinds", tags=["orders"])
def kinds(_: Anyone, readers: Reading) -> list[dict[str, Any]]:
    """The kinds of help and what an hour of each is worth now."""
    weights = readers.context.tariff().weights
    return [
        {
            "kind": kind.number,
            "name": kind.name._asdict(),
            "category": {"number": category.number, **category.name._asdict()},
            "weight": weights.get(kind.number, 0),
            "points_an_hour": points_of(60 // UNIT_MINUTES, weights.get(kind.number, 0)),
        }
        for category in CATEGORIES
        for kind in category.kinds
    ]


@router.get("/orders", tags=["orders"])
def open_orders(
    person: Resident,
    readers: Reading,
    kind: Annotated[list[int] | None, Query()] = None,
    before: Before = None,
    limit: Limit = 20,
) -> dict[str, Any]:
    """Published orders of others that nobody has taken, newest first."""
    page = readers.context.store.open_orders(
        kind or (), besides=person.identity.hex(), before=before, limit=limit
    )
    return {
        "orders": [_order(view) for view in order_views(readers, person, page.rows)],
        "before": page.before,
    }


@router.get("/orders/mine", tags=["orders"])
def my_orders(
    person: Resident,
    readers: Reading,
    closed: bool | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> dict[str, Any]:
    """The orders one takes part in, the last touched first."""
    page = readers.context.store.orders_of(person.identity.hex(), closed=closed, before=before, limit=limit)
    return {
        "orders": [_order(view) for view in order_views(readers, person, page.rows)],
        "before": page.before,
    }


@router.post("/orders", tags=["orders"])
def publish(request: Request, body: NewOrderBody, person: Resident, readers: Reading) -> dict[str, Any]:
    """Publish a need or an offer. `next` of the finished signature is `/orders/{id}`."""
    new = NewOrder(**body.model_dump())
    return _signing(request, person, commands.publish(readers.context, person, new))


@router.get("/orders/{order_id}", tags=["orders"])
def one_order(order_id: str, person: Anyone, readers: Reading) -> dict[str, Any]:
    """One order; for its two sides with every step's transaction and block."""
    order = order_for(readers, person, order_id)
    answer = _order(order_view(readers, person, order))
    if may_see_inside(person, order):
        answer["history"] = [
            {
                "event": event.event,
                "time": event.time,
                "transaction": "0x" + event.transaction,
                "position": event.position,
            }
            for event in readers.context.store.history(order.id)
        ]
    return answer


@router.get("/orders/{order_id}/code", tags=["orders"])
def my_code(order_id: str, person: Resident, readers: Reading) -> dict[str, str]:
    """The six digits this side shows to the other when they meet."""
    order = order_for(readers, person, order_id)
    if not may_see_inside(person, order):
        raise refused.not_your_order()
    return {"code": readers.context.codes.code(order.id, person.identity.hex())}


@router.post("/orders/{order_id}/check-in", tags=["orders"])
def check_in(
    request: Request, order_id: str, body: CodeBody, person: Resident, readers: Reading
) -> dict[str, Any]:
    """Check in with the code that the other side shows."""
    return _signing(request, person, commands.check_in(readers.context, person, order_id, body.code))


@router.post("/orders/{order_id}/rate", tags=["orders"])
def rate(
    request: Request, order_id: str, body: RatingBody, person: Resident, readers: Reading
) -> dict[str, Any]:
    asked = commands.rate(readers.context, person, order_id, body.stars, body.comment)
    return _signing(request, person, asked)


@router.post("/orders/{order_id}/dispute", tags=["orders"])
def dispute(
    request: Request, order_id: str, body: ReasonBody, person: Resident, readers: Reading
) -> dict[str, Any]:
    return _signing(request, person, commands.dispute(readers.context, person, order_id, body.reason))


@router.post("/orders/{order_id}/arbitrate", tags=["community"])
def arbitrate(
    request: Request, order_id: str, body: ArbitrationBody, person: Clerk, readers: Reading
) -> dict[str, Any]:
    """A clerk ends a dispute."""
    asked = commands.arbitrate(readers.context, person, order_id, body.percent, body.reason)
    return _signing(request, person, asked)


@router.post("/orders/{order_id}/{step}", tags=["orders"])
def take_step(
    request: Request, order_id: str, step: Step, person: Resident, readers: Reading
) -> dict[str, Any]:
    """accept, confirm, finish, complete, poke, no-show, cancel."""
    if step not in PLAIN_STEPS:
        raise refused.order_unknown()
    return _signing(request, person, commands.take_step(readers.context, person, order_id, step))


@router.get("/bank", tags=["bank"])
def balance(person: Resident, readers: Reading) -> dict[str, int]:
    return {"balance": readers.context.store.balance(person.identity.hex())}


@router.get("/bank/statement", tags=["bank"])
def statement(person: Resident, readers: Reading, before: Before = None, limit: Limit = 20) -> dict[str, Any]:
    """One's own lines, newest first, each with the balance after it."""
    page = readers.context.store.statement(person.identity.hex(), before=before, limit=limit)
    return {
        "lines": [
            {
                "time": view.line.time,
                "entry": view.line.kind.name.lower(),
                "text": view.word._asdict(),
                "counter_account": view.other._asdict(),
                "amount": view.line.amount,
                "balance": view.line.balance,
                "reference": "0x" + view.line.reference,
                "transaction": "0x" + view.line.transaction,
                "block": view.block,
            }
            for view in statement_views(readers, page.rows)
        ],
        "before": page.before,
    }


@router.post("/bank/donate", tags=["bank"])
def donate(request: Request, body: DonationBody, person: Resident, readers: Reading) -> dict[str, Any]:
    """Give points to the community fund."""
    return _signing(request, person, commands.donate(readers.context, person, body.amount, body.message))


@router.get("/totals", tags=["bank"])
def totals(readers: Reading) -> dict[str, int]:
    """Public figures: issued - burned = held = residents + escrow + fund."""
    found = readers.context.store.totals()
    return {
        "issued": found.issued,
        "burned": found.burned,
        "held": found.held,
        "residents": found.residents,
        "escrow": found.escrow,
        "fund": found.fund,
        "accounts": found.accounts,
    }


@router.get("/requests", tags=["community"])
def requests(person: Staff, readers: Reading, before: Before = None, limit: Limit = 20) -> dict[str, Any]:
    """Acts that need two persons, newest first; `may_agree` says which of them wait for the caller."""
    page = readers.context.store.requests(before=before, limit=limit)
    return {
        "requests": [
            {
                "action": view.request.action,
                "text": view.word._asdict(),
                "amount": view.amount,
                "resident": view.resident.zh,
                "reason": view.reason,
                "status": view.status._asdict(),
                "may_agree": view.may_agree,
                "may_withdraw": view.may_withdraw,
            }
            for view in request_views(readers, person, page.rows)
        ],
        "before": page.before,
    }


@router.post("/issue", tags=["community"])
def issue(request: Request, body: IssueBody, person: Clerk, readers: Reading) -> dict[str, Any]:
    """The first clerk asks to issue points; a second one agrees. Several residents are one touch."""
    residents = [resident_named(readers, name) for name in dict.fromkeys(body.residents)]
    asked = commands.issue(readers.context, person, residents, body.amount, body.reason)
    return _signing(request, person, asked)


@router.post("/grant", tags=["community"])
def grant(request: Request, body: GrantBody, person: Approver, readers: Reading) -> dict[str, Any]:
    """The first approver asks for a hardship grant from the fund; a second one agrees."""
    resident = resident_named(readers, body.resident)
    asked = commands.grant(readers.context, person, resident, body.amount, body.reason)
    return _signing(request, person, asked)


@router.post("/requests/agree", tags=["community"])
def agree(request: Request, body: AgreeBody, person: Staff, readers: Reading) -> dict[str, Any]:
    """The second person signs the same calls, all in one touch; they take effect."""
    return _signing(request, person, commands.countersign(readers.context, person, body.actions))


@router.post("/requests/{action}/withdraw", tags=["community"])
def withdraw(request: Request, action: str, person: Staff, readers: Reading) -> dict[str, Any]:
    """Whoever asked takes it back."""
    return _signing(request, person, commands.withdraw(readers.context, person, action))


@router.get("/residents", tags=["community"])
def residents(_: Staff, readers: Reading) -> list[dict[str, str]]:
    """Whom points can be issued or granted to."""
    return [{"id": one.id, "name": one.name} for one in readers.directory.people() if one.holds(RESIDENT)]


def _signing(request: Request, person: Person, asked: Asked) -> dict[str, Any]:
    return dict(ask(request, person, asked).document)


def _order(view: OrderView) -> dict[str, Any]:
    order = view.order
    return {
        "id": order.id,
        "state": order.state.name.lower(),
        "state_text": STATES[order.state].word._asdict(),
        "offer": order.offer,
        "kind": order.kind,
        "kind_text": view.kind._asdict(),
        "units": order.units,
        "minutes": view.minutes,
        "amount": order.amount,
        "start_at": order.start_at,
        "published_at": order.published_at,
        "changed_at": order.changed_at,
        "title": view.title,
        "area": view.area,
        "place": view.place,
        "details": view.details,
        "mine": view.mine,
        "helping": view.helping,
        "next": view.next,
        "more": list(view.more),
        "paid": order.paid,
        "refunded": order.refunded,
    }
