"""The community's desk: what waits for a second person, disputes, issuing and granting, the bank's totals."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from apps.sharing_points import commands
from apps.sharing_points.access import Approver, Clerk, Reading, Staff, ask, resident_named
from apps.sharing_points.bank_views import request_views
from apps.sharing_points.commands import REQUEST_LIFE_S, Asked
from apps.sharing_points.pages import Before, Csrf
from apps.sharing_points.views import order_views
from apps.site.context import check_form_token, site_of
from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, Person
from contracts.vocabulary import OrderState

router = APIRouter(prefix="/desk", default_response_class=HTMLResponse, include_in_schema=False)

Amount = Annotated[int, Form()]
Words = Annotated[str, Form()]


@router.get("")
def desk(request: Request, person: Staff, readers: Reading, before: Before = None) -> Response:
    store, now = readers.context.store, readers.context.now()
    page = store.requests(before=before, limit=10)
    open_now = request_views(readers, person, store.open_requests(since=now - REQUEST_LIFE_S))
    disputes = store.orders_in(OrderState.DISPUTED, changed_before=now + 60)
    clerk = person.holds(COMMUNITY_CLERK)
    return site_of(request).page(
        request,
        "points/desk.html",
        waiting=[view for view in open_now if view.may_agree],
        requests=request_views(readers, person, page.rows),
        before=page.before,
        disputes=order_views(readers, person, disputes) if clerk else [],
        totals=store.totals(),
        tariff=readers.context.tariff(),
        residents=[one for one in readers.directory.people() if one.holds(RESIDENT)],
        may_issue=clerk,
        may_grant=person.holds(APPROVER),
    )


@router.post("/issue")
def issue(
    request: Request,
    person: Clerk,
    readers: Reading,
    csrf: Csrf,
    resident: Words,
    amount: Amount,
    reason: Words,
) -> Response:
    check_form_token(request, csrf)
    chosen = resident_named(readers, resident)
    return _to_signing(request, person, commands.issue(readers.context, person, [chosen], amount, reason))


@router.post("/grant")
def grant(
    request: Request,
    person: Approver,
    readers: Reading,
    csrf: Csrf,
    resident: Words,
    amount: Amount,
    reason: Words,
) -> Response:
    check_form_token(request, csrf)
    chosen = resident_named(readers, resident)
    return _to_signing(request, person, commands.grant(readers.context, person, chosen, amount, reason))


@router.post("/agree")
def agree(
    request: Request,
    person: Staff,
    readers: Reading,
    csrf: Csrf,
    actions: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """The second person agrees to everything that is ticked, in one touch."""
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.countersign(readers.context, person, actions or []))


@router.post("/requests/{action}/withdraw")
def withdraw(request: Request, action: str, person: Staff, readers: Reading, csrf: Csrf) -> Response:
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.withdraw(readers.context, person, action))


@router.post("/orders/{order_id}/arbitrate")
def arbitrate(
    request: Request,
    order_id: str,
    person: Clerk,
    readers: Reading,
    csrf: Csrf,
    percent: Amount,
    reason: Words,
) -> Response:
    check_form_token(request, csrf)
    asked = commands.arbitrate(readers.context, person, order_id, percent, reason)
    return _to_signing(request, person, asked)


def _to_signing(request: Request, person: Person, asked: Asked) -> Response:
    return RedirectResponse(ask(request, person, asked).url, status_code=303)
