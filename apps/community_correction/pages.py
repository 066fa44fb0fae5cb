"""The pages of one agency. Reads come from `views` and `worklist`, every write goes through `commands` and
a person's signature."""

from __future__ import annotations

import contextlib
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy import or_, select

from apps.community_correction import projection, rules, words, worklist
from apps.community_correction.agency import Agency, agency_of, ask, run_batch
from apps.community_correction.commands import CaseForm, DraftForm
from apps.community_correction.files import Upload
from apps.community_correction.sealed_files import open_from_vault
from apps.community_correction.tables import Case, Delivery, Document, LocalCase, LocalDocument
from apps.community_correction.transport import chunks
from apps.site.context import CurrentPerson, check_form_token, holding, site_of
from apps.site.errors import SiteError, not_found
from apps.site.formats import moment
from apps.site.people import APPROVER, HANDLER, Person
from apps.site.tables import Column, TableView, read_query, table_of, to_csv
from apps.site.text import Text
from contracts.vocabulary import OrganisationKind
from identity.sealing import decode_envelope

DocumentId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
CaseId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Form(max_length=64)]
Handler = Annotated[Person, Depends(holding(HANDLER))]
HandlerOrApprover = Annotated[Person, Depends(holding(HANDLER | APPROVER))]
_INLINE_PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_DECIDING = frozenset({OrganisationKind.COURT, OrganisationKind.PROCURATORATE, OrganisationKind.POLICE})


def page_routes() -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_lists(router)
    _add_document_pages(router)
    _add_document_steps(router)
    _add_case_pages(router)
    return router


def _draw(request: Request, template: str, **values: Any) -> HTMLResponse:
    agency = agency_of(request)
    return agency.site.page(
        request, template, agency=agency.config, words=words, views=agency.views, **values
    )


def _sign(request: Request, person: Person, prepared: Any) -> Response:
    return RedirectResponse(ask(request, person, prepared).url, status_code=303)


# Lists


def _add_lists(router: APIRouter) -> None:
    @router.get("/")
    def work(request: Request, person: CurrentPerson) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            found = worklist.work_list(session, agency.config.organisation, person, agency.site.now())
        return _draw(request, "work.html", work=found)

    @router.post("/batch")
    def batch(
        request: Request,
        person: CurrentPerson,
        csrf: Token,
        action: Annotated[str, Form(max_length=16)],
        documents: Annotated[list[str] | None, Form()] = None,
    ) -> Response:
        check_form_token(request, csrf)
        return _sign(request, person, run_batch(agency_of(request).commands, action, person, documents or ()))

    @router.get("/inbox")
    def inbox(request: Request, _: CurrentPerson, export: str = "") -> Response:
        agency = agency_of(request)
        columns = (
            Column("title", Text("文书", "Document"), LocalDocument.title),
            Column("code", Text("代码", "Code"), Document.code, wide=True),
            Column("organisation", Text("来自", "From"), Document.organisation),
            Column("delivered_at", Text("送达", "Delivered"), Delivery.delivered_at, wide=True),
            Column("reply_due", Text("回执期限", "Answer due"), Delivery.reply_due),
            Column("state", Text("状态", "State"), Delivery.state, choices=_choices(words.DELIVERY_STATES)),
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
            return _csv(request, view, lambda row, key: _cell(agency, request, locals_, rows, row, key))
        return _draw(request, "inbox.html", table_view=view, locals=locals_, documents=rows)

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
                choices=_choices(words.DOCUMENT_STATES, first=1),
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
            return _csv(
                request, view, lambda row, key: _outbox_cell(agency, request, shown[row.document], key)
            )
        return _draw(request, "outbox.html", table_view=view, shown=shown)

    @router.get("/search")
    def search_page(request: Request, _: CurrentPerson) -> Response:
        return _draw(request, "search.html", words_sought="", found=None, cases=None)

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
        return _draw(request, "search.html", words_sought=sought, found=held if wanted else [], cases=cases)

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
        return _draw(request, "proof.html", transaction=found, block=block, receipt=receipt)


def _choices(states: dict[int, words.State], first: int = 0) -> dict[str, Text]:
    return {str(number): state.text for number, state in states.items() if number >= first}


def _documents_of(session: Any, ids: list[str]) -> tuple[dict[str, LocalDocument], dict[str, Document]]:
    held = session.scalars(select(LocalDocument).where(LocalDocument.document.in_(ids)))
    rows = session.scalars(select(Document).where(Document.document.in_(ids)))
    return {one.document: one for one in held}, {one.document: one for one in rows}


def _csv(request: Request, view: TableView, cell: Any) -> Response:
    text = to_csv(view, site_of(request).language(request), cell)
    headers = {"Content-Disposition": 'attachment; filename="table.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


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


# Documents


def _add_document_pages(router: APIRouter) -> None:
    @router.get("/documents/new")
    def new(
        request: Request,
        _: Handler,
        code: Annotated[str, Query(max_length=8)] = "",
        case: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
        replaces: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
        in_reply_to: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    ) -> Response:
        agency = agency_of(request)
        own = agency.config.agency.kind
        issued = [rule for rule in rules.catalogue().values() if own in rule.senders]
        with agency.store.reading() as session:
            cases = session.scalars(select(LocalCase).order_by(LocalCase.created_at.desc()).limit(500)).all()
            earlier = session.get(LocalDocument, replaces or in_reply_to or "")
        chosen = next((rule for rule in issued if rule.code == code), None)
        organisations = [
            one for one in agency.config.organisations.values() if one.kind <= OrganisationKind.JUSTICE
        ]
        return _draw(
            request,
            "new_document.html",
            issued=issued,
            rule=chosen,
            cases=cases,
            case_id=case or (earlier.case_id if earlier is not None else None),
            replaces=replaces,
            in_reply_to=in_reply_to,
            earlier=earlier,
            to_choices=[one for one in organisations if chosen and one.kind in chosen.recipients],
            copy_choices=[one for one in organisations if chosen and one.kind in chosen.copies],
            today=moment(agency.site.now())[:10],
        )

    @router.post("/documents")
    def prepare(
        request: Request,
        person: Handler,
        csrf: Token,
        code: Annotated[str, Form(max_length=8)],
        title: Annotated[str, Form(max_length=200)],
        files: Annotated[list[UploadFile] | None, File()] = None,
        to: Annotated[list[int] | None, Form()] = None,
        copies: Annotated[list[int] | None, Form()] = None,
        case: Annotated[str, Form(pattern="^([0-9a-f]{64})?$")] = "",
        legal_date: Annotated[str, Form(max_length=10)] = "",
        in_reply_to: Annotated[str, Form(pattern="^([0-9a-f]{64})?$")] = "",
        replaces: Annotated[str, Form(pattern="^([0-9a-f]{64})?$")] = "",
    ) -> Response:
        check_form_token(request, csrf)
        commands = agency_of(request).commands
        form = DraftForm(
            code=code,
            title=title,
            case_id=case or None,
            to=tuple(to or ()),
            copies=tuple(copies or ()),
            files=tuple(Upload(file.filename or "", file.file) for file in files or () if file.filename),
            legal_date=_legal_date(legal_date),
            in_reply_to=in_reply_to or None,
            replaces=replaces or None,
        )
        id = commands.prepare_document(person, form)
        return _sign(request, person, commands.sign_drafts(person, [id]))

    @router.get("/documents/{document}")
    def page(document: DocumentId, request: Request, person: CurrentPerson) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            view = agency.views.document(session, document, person)
            related = {
                id: local.title
                for id in (view.in_reply_to, view.successor, *(one.reply for one in view.deliveries))
                if id and (local := session.get(LocalDocument, id)) is not None
            }
            successors = [
                one
                for one in session.scalars(
                    select(LocalDocument)
                    .join(Document, Document.document == LocalDocument.document)
                    .where(
                        LocalDocument.code == view.code,
                        LocalDocument.case_id == view.case_id,
                        LocalDocument.document != document,
                        LocalDocument.received.is_(False),
                        Document.state == projection.SUBMITTED,
                        Document.drafted_at > (view.drafted_at or 0),
                    )
                )
                if "replace" in view.actions
            ]
        due = (
            worklist.lateness(view.due, agency.site.now()) if view.state_number < projection.SUBMITTED else ""
        )
        return _draw(
            request, "document.html", document=view, related=related, successors=successors, lateness=due
        )

    @router.get("/documents/{document}/files/{index}")
    def file(
        document: DocumentId,
        index: Annotated[int, Path(ge=0, lt=256)],
        request: Request,
        person: CurrentPerson,
        download: bool = False,
    ) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            view = agency.views.document(session, document, person)
            local = session.get(LocalDocument, document)
        named = next((one for one in view.files if one.index == index), None)
        if named is None or local is None or not view.held:
            raise not_found(Text("这个文件", "This file"))
        envelope = decode_envelope(local.envelope)
        plain = open_from_vault(
            agency.vault, envelope, agency.config.organisation, agency.config.encryption_key, index
        )
        shown = named.media_type in ("application/pdf", "image/png", "image/jpeg") and not download
        kind = "inline" if shown else "attachment"
        headers = {
            "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(named.name)}",
            "Content-Length": str(named.size),
            "Content-Security-Policy": _INLINE_PDF,
        }
        return StreamingResponse(chunks(plain), media_type=named.media_type, headers=headers)


def _add_document_steps(router: APIRouter) -> None:
    @router.post("/documents/{document}/return")
    def return_for_correction(
        document: DocumentId,
        request: Request,
        person: Handler,
        csrf: Token,
        reason: Annotated[str, Form(max_length=2_000)] = "",
    ) -> Response:
        check_form_token(request, csrf)
        return _sign(
            request, person, agency_of(request).commands.return_for_correction(person, document, reason)
        )

    @router.post("/documents/{document}/receipt")
    def receipt(document: DocumentId, request: Request, person: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        commands = agency_of(request).commands
        id = commands.prepare_receipt(person, document)
        return _sign(request, person, commands.sign_drafts(person, [id]))

    @router.post("/documents/{document}/supersede")
    def supersede(
        document: DocumentId,
        request: Request,
        person: Handler,
        csrf: Token,
        successor: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    ) -> Response:
        check_form_token(request, csrf)
        return _sign(request, person, agency_of(request).commands.supersede(person, document, successor))

    @router.post("/documents/{document}/discard")
    def discard(document: DocumentId, request: Request, person: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        agency_of(request).commands.discard_draft(person, document)
        return RedirectResponse("/", status_code=303)

    @router.post("/documents/{document}/deliver-again")
    def deliver_again(document: DocumentId, request: Request, _: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        agency_of(request).worker.retry_now(document)
        return RedirectResponse(f"/documents/{document}", status_code=303)


# Cases


def _add_case_pages(router: APIRouter) -> None:
    @router.get("/cases")
    def cases(request: Request, _: CurrentPerson, export: str = "") -> Response:
        agency = agency_of(request)
        columns = (
            Column("number", Text("案号", "Case number"), LocalCase.number),
            Column("person", Text("姓名", "Name"), LocalCase.person),
            Column(
                "category", Text("类别", "Category"), LocalCase.category, choices=words.CATEGORIES, wide=True
            ),
            Column("executing", Text("执行机关", "Executing"), Case.executing, wide=True),
            Column("changed_at", Text("更新", "Changed"), Case.changed_at, wide=True),
            Column("state", Text("状态", "State"), Case.state, choices=_choices(words.CASE_STATES)),
        )
        statement = select(Case).join(LocalCase, LocalCase.case_id == Case.case_id)
        with agency.store.reading() as session:
            view = table_of(
                session,
                statement,
                columns,
                read_query(request, columns, "-changed_at"),
                export=export == "csv",
                empty=Text("还没有案件。", "No cases yet."),
            )
            known = {
                one.case_id: one
                for one in session.scalars(
                    select(LocalCase).where(LocalCase.case_id.in_([row.case_id for row in view.rows]))
                )
            }
        if export == "csv":
            language = agency.site.language(request)

            def cell(row: Case, key: str) -> object:
                local = known[row.case_id]
                cells = {
                    "number": local.number,
                    "person": local.person,
                    "category": words.CATEGORIES[local.category].in_language(language),
                    "executing": agency.views.organisation_name(row.executing).in_language(language),
                    "changed_at": moment(row.changed_at),
                    "state": words.CASE_STATES[row.state].text.in_language(language),
                }
                return cells[key]

            return _csv(request, view, cell)
        return _draw(request, "cases.html", table_view=view, known=known)

    @router.get("/cases/new")
    def new(request: Request, _: Handler) -> Response:
        agency = agency_of(request)
        organisations = agency.config.organisations.values()
        return _draw(
            request,
            "new_case.html",
            deciding=[one for one in organisations if one.kind in _DECIDING],
            executing=[one for one in organisations if one.kind == OrganisationKind.JUSTICE],
            today=moment(agency.site.now())[:10],
        )

    @router.post("/cases")
    def open_case(
        request: Request,
        person: Handler,
        csrf: Token,
        number: Annotated[str, Form(max_length=64)],
        name: Annotated[str, Form(max_length=64)],
        category: Annotated[str, Form(max_length=16)],
        deciding: Annotated[int, Form(ge=0, le=0xFFFF)],
        executing: Annotated[int, Form(ge=1, le=0xFFFF)],
        state: Annotated[int, Form(ge=1, le=2)],
        legal_date: Annotated[str, Form(max_length=10)],
    ) -> Response:
        check_form_token(request, csrf)
        form = CaseForm(number, name, category, deciding, executing, state, _legal_date(legal_date))
        _, prepared = agency_of(request).commands.open_case(person, form)
        return _sign(request, person, prepared)

    @router.get("/cases/{case}")
    def page(case: CaseId, request: Request, _: CurrentPerson) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            view = agency.views.case(session, case)
            states = {
                row.document: row.state
                for row in session.scalars(select(Document).where(Document.case_id == case))
            }
        today = moment(agency.site.now())[:10]
        return _draw(request, "case.html", case=view, document_states=states, today=today)

    @router.post("/cases/{case}/advance")
    def advance(
        case: CaseId,
        request: Request,
        person: HandlerOrApprover,
        csrf: Token,
        state: Annotated[int, Form(ge=2, le=10)],
        legal_date: Annotated[str, Form(max_length=10)],
    ) -> Response:
        check_form_token(request, csrf)
        prepared = agency_of(request).commands.advance_case(person, case, state, _legal_date(legal_date))
        return _sign(request, person, prepared)


def _legal_date(text: str) -> int:
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
