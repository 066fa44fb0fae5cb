"""The pages of a document: drafting it, looking at it, and its steps."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Path, Query, Request, UploadFile
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from sqlalchemy import select

from apps.community_correction import projection, rules, worklist
from apps.community_correction.agency import agency_of
from apps.community_correction.commands import DraftForm
from apps.community_correction.files import Upload
from apps.community_correction.page_parts import (
    Handler,
    PathId,
    Token,
    draw,
    legal_date_of,
    to_signing_page,
)
from apps.community_correction.sealed_files import open_from_vault
from apps.community_correction.tables import Case, Document, LocalCase, LocalDocument
from apps.community_correction.transport import chunks
from apps.site.context import CurrentPerson, check_form_token
from apps.site.errors import not_found
from apps.site.formats import moment
from apps.site.text import Text
from contracts.vocabulary import OrganisationKind
from identity.sealing import decode_envelope

_INLINE_PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def add_document_pages(router: APIRouter) -> None:
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
            cases = session.scalars(
                select(LocalCase)
                .join(Case, Case.case_id == LocalCase.case_id)
                .order_by(LocalCase.created_at.desc())
                .limit(500)
            ).all()
            earlier = session.get(LocalDocument, replaces or in_reply_to or "")
        chosen = next((rule for rule in issued if rule.code == code), None)
        organisations = [
            one for one in agency.config.organisations.values() if one.kind <= OrganisationKind.JUSTICE
        ]
        return draw(
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
            legal_date=legal_date_of(legal_date),
            in_reply_to=in_reply_to or None,
            replaces=replaces or None,
        )
        id = commands.prepare_document(person, form)
        return to_signing_page(request, person, commands.sign_drafts(person, [id]))

    @router.get("/documents/{document}")
    def page(document: PathId, request: Request, person: CurrentPerson) -> Response:
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
        return draw(
            request, "document.html", document=view, related=related, successors=successors, lateness=due
        )

    @router.get("/documents/{document}/files/{index}")
    def file(
        document: PathId,
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


def add_document_steps(router: APIRouter) -> None:
    @router.post("/documents/{document}/return")
    def return_for_correction(
        document: PathId,
        request: Request,
        person: Handler,
        csrf: Token,
        reason: Annotated[str, Form(max_length=2_000)] = "",
    ) -> Response:
        check_form_token(request, csrf)
        return to_signing_page(
            request, person, agency_of(request).commands.return_for_correction(person, document, reason)
        )

    @router.post("/documents/{document}/receipt")
    def receipt(document: PathId, request: Request, person: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        commands = agency_of(request).commands
        id = commands.prepare_receipt(person, document)
        return to_signing_page(request, person, commands.sign_drafts(person, [id]))

    @router.post("/documents/{document}/supersede")
    def supersede(
        document: PathId,
        request: Request,
        person: Handler,
        csrf: Token,
        successor: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    ) -> Response:
        check_form_token(request, csrf)
        return to_signing_page(
            request, person, agency_of(request).commands.supersede(person, document, successor)
        )

    @router.post("/documents/{document}/discard")
    def discard(document: PathId, request: Request, person: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        agency_of(request).commands.discard_draft(person, document)
        return RedirectResponse("/", status_code=303)

    @router.post("/documents/{document}/deliver-again")
    def deliver_again(document: PathId, request: Request, _: Handler, csrf: Token) -> Response:
        check_form_token(request, csrf)
        agency_of(request).worker.retry_now(document)
        return RedirectResponse(f"/documents/{document}", status_code=303)
