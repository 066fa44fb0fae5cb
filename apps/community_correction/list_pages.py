"""Work list, inbox, outbox, search, and the proof of a step."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import Response
from sqlalchemy import or_, select

from apps.community_correction import projection, words, worklist
from apps.community_correction.agency import Agency, agency_of, run_batch
from apps.community_correction.page_parts import (
    Token,
    choices,
    csv_response,
    draw,
    to_signing_page,
)
from apps.community_correction.tables import Delivery, Document, LocalCase, LocalDocument
from apps.site.context import CurrentPerson, check_form_token
from apps.site.errors import not_found
from apps.site.formats import moment
from apps.site.tables import Column, read_query, table_of
from apps.site.text import Text


def add_list_pages(router: APIRouter) -> None:
    @router.get("/")
    def work(request: Request, person: CurrentPerson) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            found = worklist.work_list(session, agency.config.organisation, person, agency.site.now())
        return draw(request, "work.html", work=found)

    @router.post("/batch")
    def batch(
        request: Request,
        person: CurrentPerson,
        csrf: Token,
        action: Annotated[str, Form(max_length=16)],
        documents: Annotated[list[str] | None, Form()] = None,
    ) -> Response:
        check_form_token(request, csrf)
        return to_signing_page(
            request, person, run_batch(agency_of(request).commands, action, person, documents or ())
        )

    @router.get("/inbox")
    def inbox(request: Request, _: CurrentPerson, export: str = "") -> Response:
        agency = agency_of(request)
        columns = (
            Column("title", Text("文书", "Document"), LocalDocument.title),
            Column("code", Text("代码", "Code"), Document.code, wide=True),
            Column("organisation", Text("来自", "From"), Document.organisation),
            Column("delivered_at", Text("送达", "Delivered"), Delivery.delivered_at, wide=True),
            Column("reply_due", Text("回执期限", "Answer due"), Delivery.reply_due),
            Column("state", Text("状态", "State"), Delivery.state, choices=choices(words.DELIVERY_STATES)),
        )
        statement = (
            select(Delivery)
            .join(Document, Document.document == Delivery.document)
            .outerjoin(LocalDocument, LocalDocument.document == Delivery.document)
            .where(
                Delivery.organisation == agency.config.organisation, Document.state >= projection.SUBMITTED
            )
        )
        query = read_query(request, columns, "-delivered_at")
        with agency.store.reading() as session:
            view = table_of(
                session,
                statement,
                columns,
                query,
                export=export == "csv",
                empty=Text("还没有收到文书。", "No document has arrived yet."),
            )
            locals_, rows = _documents_of(session, [row.document for row in view.rows])
        if export == "csv":
            return csv_response(
                request, view, lambda row, key: _cell(agency, request, locals_, rows, row, key)
            )
        return draw(request, "inbox.html", table_view=view, locals=locals_, documents=rows)

    @router.get("/outbox")
    def outbox(request: Request, person: CurrentPerson, export: str = "") -> Response:
        agency = agency_of(request)
        columns = (
            Column("title", Text("文书", "Document"), LocalDocument.title),
            Column("code", Text("代码", "Code"), LocalDocument.code, wide=True),
            Column("to", Text("送往", "To"), None),
            Column("changed_at", Text("更新", "Changed"), Document.changed_at, wide=True),
            Column("due", Text("期限", "Due"), LocalDocument.due),
            Column(
                "state",
                Text("状态", "State"),
                Document.state,
                choices=choices(words.DOCUMENT_STATES, first=1),
            ),
        )
        statement = (
            select(Document)
            .join(LocalDocument, LocalDocument.document == Document.document)
            .where(Document.organisation == agency.config.organisation)
        )
        query = read_query(request, columns, "-changed_at")
        with agency.store.reading() as session:
            view = table_of(
                session,
                statement,
                columns,
                query,
                export=export == "csv",
                empty=Text("还没有发出文书。", "No document has been sent yet."),
            )
            shown = {row.document: agency.views.document(session, row.document, person) for row in view.rows}
        if export == "csv":
            return csv_response(
                request, view, lambda row, key: _outbox_cell(agency, request, shown[row.document], key)
            )
        return draw(request, "outbox.html", table_view=view, shown=shown)

    @router.get("/search")
    def search_page(request: Request, _: CurrentPerson) -> Response:
        return draw(request, "search.html", words_sought="", found=None, cases=None)

    @router.post("/search")
    def search(
        request: Request, _: CurrentPerson, csrf: Token, sought: Annotated[str, Form(max_length=64)] = ""
    ) -> Response:
        # A name must not stand in an address, so this is a POST.
        check_form_token(request, csrf)
        agency = agency_of(request)
        wanted = sought.strip()
        pattern = "%" + wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        with agency.store.reading() as session:
            cases = session.scalars(
                select(LocalCase)
                .where(
                    or_(
                        LocalCase.person.like(pattern, escape="\\"),
                        LocalCase.number.like(pattern, escape="\\"),
                    )
                )
                .limit(50)
            ).all()
            held = session.scalars(
                select(LocalDocument)
                .where(
                    or_(
                        LocalDocument.title.like(pattern, escape="\\"),
                        LocalDocument.document == wanted.removeprefix("0x"),
                        LocalDocument.case_id.in_([case.case_id for case in cases]),
                    )
                )
                .order_by(LocalDocument.created_at.desc())
                .limit(50)
            ).all()
        return draw(request, "search.html", words_sought=sought, found=held if wanted else [], cases=cases)

    @router.get("/proof/{transaction}")
    def proof(
        request: Request, _: CurrentPerson, transaction: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
    ) -> Response:
        client = agency_of(request).client
        found = client.request("eth_getTransactionByHash", "0x" + transaction)
        if found is None:
            raise not_found(Text("这笔交易", "This transaction"))
        block = client.request("eth_getBlockByNumber", found["blockNumber"], False)
        receipt = client.receipt(bytes.fromhex(transaction))
        return draw(request, "proof.html", transaction=found, block=block, receipt=receipt)


def _documents_of(session: Any, ids: list[str]) -> tuple[dict[str, LocalDocument], dict[str, Document]]:
    held = session.scalars(select(LocalDocument).where(LocalDocument.document.in_(ids)))
    rows = session.scalars(select(Document).where(Document.document.in_(ids)))
    return {one.document: one for one in held}, {one.document: one for one in rows}


def _cell(
    agency: Agency,
    request: Request,
    held: dict[str, LocalDocument],
    rows: dict[str, Document],
    row: Delivery,
    key: str,
) -> object:
    language = agency.site.language(request)
    local, document = held.get(row.document), rows[row.document]
    cells = {
        "title": local.title if local is not None else "",
        "code": local.code if local is not None else "",
        "organisation": agency.views.organisation_name(document.organisation).in_language(language),
        "delivered_at": moment(row.delivered_at),
        "reply_due": moment(row.reply_due),
        "state": words.DELIVERY_STATES[row.state].text.in_language(language),
    }
    return cells[key]


def _outbox_cell(agency: Agency, request: Request, view: Any, key: str) -> object:
    language = agency.site.language(request)
    cells = {
        "title": view.title,
        "code": view.code,
        "to": " ".join(one.name.in_language(language) for one in view.deliveries),
        "changed_at": moment(view.submitted_at or view.drafted_at),
        "due": moment(view.due),
        "state": view.state.text.in_language(language),
    }
    return cells[key]
