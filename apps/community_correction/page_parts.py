"""What the pages share: drawing, going to the signing page, filters, exports, dates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from apps.community_correction import rules, words
from apps.community_correction.agency import agency_of, ask
from apps.community_correction.case_commands import Prepared
from apps.site.context import holding, site_of
from apps.site.errors import SiteError
from apps.site.people import APPROVER, HANDLER, Person
from apps.site.tables import TableView, to_csv
from apps.site.text import Text

PathId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Form(max_length=64)]
Handler = Annotated[Person, Depends(holding(HANDLER))]
HandlerOrApprover = Annotated[Person, Depends(holding(HANDLER | APPROVER))]


def draw(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A page with what every page here sees: the agency, the words of states, the views."""
    agency = agency_of(request)
    return agency.site.page(
        request, template, agency=agency.config, words=words, views=agency.views, **values
    )


def to_signing_page(request: Request, person: Person, prepared: Prepared) -> Response:
    """Keep the calls as a signing request and send the browser to the page that shows and signs them."""
    return RedirectResponse(ask(request, person, prepared).url, status_code=303)


def choices(states: dict[int, words.State], first: int = 0) -> dict[str, Text]:
    """The states as choices of a table's filter."""
    return {str(number): state.text for number, state in states.items() if number >= first}


def csv_response(request: Request, view: TableView, cell: Callable[[Any, str], object]) -> Response:
    text = to_csv(view, site_of(request).language(request), cell)
    headers = {"Content-Disposition": 'attachment; filename="table.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def legal_date_of(text: str) -> int:
    """Midnight, China time, of a day as a form gives it; 0 for none."""
    if not text:
        return 0
    with contextlib.suppress(ValueError):
        return rules.start_of_day(date.fromisoformat(text))
    raise SiteError(
        "correction.date_invalid",
        Text("日期不对。", "This is not a date."),
        Text("请按 年-月-日 填写。", "Write it as year-month-day."),
        status=422,
        got=text,
    )
