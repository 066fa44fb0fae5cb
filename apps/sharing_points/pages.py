"""The resident's pages: home, hall, an order and its one next step, my orders, the love bank."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from apps.sharing_points import commands, refused
from apps.sharing_points.access import Anyone, Reading, Resident, ask, order_for
from apps.sharing_points.bank_views import chart_since, flows_chart, statement_views
from apps.sharing_points.commands import PLAIN_STEPS, Asked, NewOrder
from apps.sharing_points.projection import Order
from apps.sharing_points.rules import MAX_UNITS, PRIMARY, STATES, STEP_WORDS, UNIT_MINUTES, Step
from apps.sharing_points.taxonomy import CATEGORIES
from apps.sharing_points.views import (
    OrderView,
    Readers,
    deadlines,
    history_views,
    may_see_inside,
    order_view,
    order_views,
    progress,
)
from apps.site.context import CurrentPerson, NavigationItem, check_form_token, site_of
from apps.site.formats import CHINA
from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, Person
from apps.site.text import Text
from contracts.vocabulary import OrderState

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

_OPEN_LIMIT = 50
LARGE_TYPE_COOKIE = "points_large_type"
_YEAR_S = 31_536_000

Csrf = Annotated[str, Form()]
Before = Annotated[int | None, Query(ge=0, lt=2**63)]


def navigation(readers: Readers, person: Person | None) -> Sequence[NavigationItem]:
    """A resident's five tabs; the community's desk for its staff."""
    if person is None:
        return []
    if person.holds(RESIDENT):
        return [
            NavigationItem("/", Text("首页", "Home"), "home"),
            NavigationItem("/hall", Text("接单", "Help"), "heart-handshake"),
            NavigationItem("/publish", Text("发布", "Ask"), "plus"),
            NavigationItem("/orders", Text("订单", "Orders"), "list-check", _due(readers, person)),
            NavigationItem("/bank", Text("爱心银行", "Bank"), "wallet"),
        ]
    items = [NavigationItem("/totals", Text("公开数字", "Public totals"), "chart-bar")]
    if person.holds(COMMUNITY_CLERK | APPROVER):
        items.insert(0, NavigationItem("/desk", Text("工作台", "Desk"), "inbox"))
    return items


@router.get("/")
def home(request: Request, person: CurrentPerson, readers: Reading) -> Response:
    if not person.holds(RESIDENT):
        staff = person.holds(COMMUNITY_CLERK | APPROVER)
        return RedirectResponse("/desk" if staff else "/totals", status_code=303)
    store, identity = readers.context.store, person.identity.hex()
    mine = order_views(readers, person, store.orders_of(identity, closed=False, limit=_OPEN_LIMIT).rows)
    nearby = store.open_orders(besides=identity, limit=6).rows
    return site_of(request).page(
        request,
        "points/home.html",
        balance=store.balance(identity),
        due=[view for view in mine if view.next is not None],
        waiting=[view for view in mine if view.next is None][:5],
        nearby=order_views(readers, person, nearby),
        words=STEP_WORDS,
    )


@router.get("/hall")
def hall(
    request: Request, person: Resident, readers: Reading, category: int = 0, before: Before = None
) -> Response:
    chosen = next((one for one in CATEGORIES if one.number == category), None)
    kinds = [kind.number for kind in chosen.kinds] if chosen is not None else []
    page = readers.context.store.open_orders(kinds, besides=person.identity.hex(), before=before)
    return site_of(request).page(
        request,
        "points/hall_rows.html" if "hx-request" in request.headers else "points/hall.html",
        categories=CATEGORIES,
        chosen=chosen.number if chosen is not None else 0,
        views=order_views(readers, person, page.rows),
        before=page.before,
    )


@router.get("/publish")
def publish_form(request: Request, person: Resident, readers: Reading, offer: bool = False) -> Response:
    context = readers.context
    return site_of(request).page(
        request,
        "points/publish.html",
        offer=offer,
        categories=CATEGORIES,
        weights=context.tariff().weights,
        balance=context.store.balance(person.identity.hex()),
        lengths=[(units, units * UNIT_MINUTES) for units in (1, 2, 3, 4, 6, 8, 12, 16, 24, MAX_UNITS)],
        start=datetime.fromtimestamp(context.now() + 86_400, CHINA).strftime("%Y-%m-%dT09:00"),
        limits={
            "title": commands.MAX_TITLE,
            "area": commands.MAX_AREA,
            "place": commands.MAX_PLACE,
            "details": commands.MAX_DETAILS,
        },
    )


@router.post("/publish")
def publish(
    request: Request,
    person: Resident,
    readers: Reading,
    csrf: Csrf,
    kind: Annotated[int, Form()],
    units: Annotated[int, Form()],
    start: Annotated[str, Form()],
    title: Annotated[str, Form()],
    area: Annotated[str, Form()],
    place: Annotated[str, Form()] = "",
    details: Annotated[str, Form()] = "",
    offer: Annotated[bool, Form()] = False,
) -> Response:
    check_form_token(request, csrf)
    new = NewOrder(offer, kind, units, _moment(start), title, area, place, details)
    return _to_signing(request, person, commands.publish(readers.context, person, new))


@router.get("/orders")
def my_orders(
    request: Request, person: Resident, readers: Reading, closed: bool = False, before: Before = None
) -> Response:
    page = readers.context.store.orders_of(person.identity.hex(), closed=closed, before=before)
    return site_of(request).page(
        request,
        "points/my_orders_rows.html" if "hx-request" in request.headers else "points/my_orders.html",
        views=order_views(readers, person, page.rows),
        closed=closed,
        before=page.before,
        words=STEP_WORDS,
    )


@router.get("/orders/{order_id}")
def one_order(request: Request, order_id: str, person: Anyone, readers: Reading) -> Response:
    order = order_for(readers, person, order_id)
    identity, context = person.identity.hex(), readers.context
    view = order_view(readers, person, order)
    history = context.store.history(order.id)
    inside = may_see_inside(person, order)
    shows_code = view.mine and order.state is OrderState.CONFIRMED
    return site_of(request).page(
        request,
        "points/order.html",
        view=view,
        order=order,
        steps=progress(order, history),
        history=history_views(readers, history) if inside else [],
        code=context.codes.code(order.id, identity) if shows_code else "",
        deadlines=deadlines(readers, order, identity),
        words=STEP_WORDS,
        Step=Step,
        legend=[look for state, look in STATES.items() if state is not OrderState.RATED],
        may_arbitrate=person.holds(COMMUNITY_CLERK) and order.state is OrderState.DISPUTED,
    )


@router.get("/orders/{order_id}/changed")
def changed(
    order_id: str, person: Anyone, readers: Reading, since: Annotated[int, Query(ge=0, lt=2**63)] = 0
) -> Response:
    """Asked every few seconds by a page that waits for the other side: tells htmx to reload it once something
    has happened, and leaves what is being typed alone until then."""
    order = order_for(readers, person, order_id)
    return Response(headers={"HX-Refresh": "true"}) if order.position > since else Response(status_code=204)


@router.get("/orders/{order_id}/proof")
def proof(request: Request, order_id: str, person: Anyone, readers: Reading) -> Response:
    """The order's transactions and blocks; only when asked for."""
    order = order_for(readers, person, order_id)
    if not may_see_inside(person, order):
        raise refused.not_your_order()
    store = readers.context.store
    return site_of(request).page(
        request,
        "points/proof.html",
        order=order,
        history=history_views(readers, store.history(order.id)),
        entries=statement_views(readers, store.lines_about(order.id)),
    )


@router.post("/orders/{order_id}/check-in")
def check_in(
    request: Request,
    order_id: str,
    person: Resident,
    readers: Reading,
    csrf: Csrf,
    code: Annotated[str, Form()],
) -> Response:
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.check_in(readers.context, person, order_id, code))


@router.post("/orders/{order_id}/rate")
def rate(
    request: Request,
    order_id: str,
    person: Resident,
    readers: Reading,
    csrf: Csrf,
    stars: Annotated[int, Form()],
    comment: Annotated[str, Form()] = "",
) -> Response:
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.rate(readers.context, person, order_id, stars, comment))


@router.post("/orders/{order_id}/dispute")
def dispute(
    request: Request,
    order_id: str,
    person: Resident,
    readers: Reading,
    csrf: Csrf,
    reason: Annotated[str, Form()],
) -> Response:
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.dispute(readers.context, person, order_id, reason))


@router.post("/orders/{order_id}/{step}")
def take_step(
    request: Request, order_id: str, step: Step, person: Resident, readers: Reading, csrf: Csrf
) -> Response:
    check_form_token(request, csrf)
    if step not in PLAIN_STEPS:
        raise refused.order_unknown()
    return _to_signing(request, person, commands.take_step(readers.context, person, order_id, step))


@router.get("/bank")
def bank(request: Request, person: Resident, readers: Reading, before: Before = None) -> Response:
    context, identity = readers.context, person.identity.hex()
    page = context.store.statement(identity, before=before)
    site = site_of(request)
    if "hx-request" in request.headers:
        return site.page(
            request,
            "points/statement_rows.html",
            lines=statement_views(readers, page.rows),
            before=page.before,
        )
    flows = context.store.flows(identity, chart_since(context.now()))
    held = [order for order in _open_orders(readers, person) if _holds(order, identity)]
    return site.page(
        request,
        "points/bank.html",
        balance=context.store.balance(identity),
        held=sum(order.amount for order in held),
        lines=statement_views(readers, page.rows),
        before=page.before,
        chart=flows_chart(flows, context.now(), site.language(request)) if flows else None,
    )


@router.post("/bank/donate")
def donate(
    request: Request,
    person: Resident,
    readers: Reading,
    csrf: Csrf,
    amount: Annotated[int, Form()],
    message: Annotated[str, Form()] = "",
) -> Response:
    check_form_token(request, csrf)
    return _to_signing(request, person, commands.donate(readers.context, person, amount, message))


@router.get("/totals")
def totals(request: Request, readers: Reading) -> Response:
    """Open to everybody: the bank's public figures name nobody."""
    return site_of(request).page(request, "points/totals.html", totals=readers.context.store.totals())


@router.get("/large-type/{choice}")
def large_type(choice: str, request: Request) -> Response:
    """Large type on or off, kept in this browser."""
    public = site_of(request).config.public_url
    back = request.headers.get("referer", "")
    target = back.removeprefix(public) if back.startswith(public + "/") else "/"
    response = RedirectResponse(target, status_code=303)
    if choice == "on":
        response.set_cookie(LARGE_TYPE_COOKIE, "on", max_age=_YEAR_S, samesite="lax", httponly=True)
    else:
        response.delete_cookie(LARGE_TYPE_COOKIE)
    return response


def _to_signing(request: Request, person: Person, asked: Asked) -> Response:
    return RedirectResponse(ask(request, person, asked).url, status_code=303)


def _moment(text: str) -> int:
    """Seconds of a `datetime-local` value in China Standard Time."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp())
    except ValueError as error:
        raise refused.filled_in_wrongly(Text("请填写开始时间。", "Fill in the start.")) from error


def _open_orders(readers: Readers, person: Person) -> Sequence[Order]:
    return readers.context.store.orders_of(person.identity.hex(), closed=False, limit=_OPEN_LIMIT).rows


def _holds(order: Order, identity: str) -> bool:
    """Whether points of this resident are in escrow for an order."""
    holding = (OrderState.CONFIRMED, OrderState.IN_SERVICE, OrderState.FINISHED, OrderState.DISPUTED)
    return order.requester == identity and order.state in holding


def _due(readers: Readers, person: Person) -> int:
    """How many of a resident's orders wait for them."""
    views: list[OrderView] = order_views(readers, person, _open_orders(readers, person))
    return sum(view.next is not None and view.next in PRIMARY for view in views)
