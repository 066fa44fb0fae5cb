"""The pages of cases."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy import select

from apps.community_correction import words
from apps.community_correction.agency import agency_of
from apps.community_correction.case_commands import CaseForm
from apps.community_correction.page_parts import (
    Handler,
    HandlerOrApprover,
    PathId,
    Token,
    choices,
    csv_response,
    draw,
    legal_date_of,
    to_signing_page,
)
from apps.community_correction.tables import Case, Document, LocalCase
from apps.site.context import CurrentPerson, check_form_token
from apps.site.formats import moment
from apps.site.tables import Column, read_query, table_of
from apps.site.text import Text
from contracts.vocabulary import OrganisationKind

_DECIDING = frozenset({OrganisationKind.COURT, OrganisationKind.PROCURATORATE, OrganisationKind.POLICE})


def add_case_pages(router: APIRouter) -> None:
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
            Column("state", Text("状态", "State"), Case.state, choices=choices(words.CASE_STATES)),
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

            return csv_response(request, view, cell)
        return draw(request, "cases.html", table_view=view, known=known)

    @router.get("/cases/new")
    def new(request: Request, _: Handler) -> Response:
        agency = agency_of(request)
        organisations = agency.config.organisations.values()
        return draw(
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
        form = CaseForm(number, name, category, deciding, executing, state, legal_date_of(legal_date))
        _, prepared = agency_of(request).cases.open_case(person, form)
        return to_signing_page(request, person, prepared)

    @router.get("/cases/{case}")
    def page(case: PathId, request: Request, _: CurrentPerson) -> Response:
        agency = agency_of(request)
        with agency.store.reading() as session:
            view = agency.views.case(session, case)
            states = {
                row.document: row.state
                for row in session.scalars(select(Document).where(Document.case_id == case))
            }
        today = moment(agency.site.now())[:10]
        return draw(request, "case.html", case=view, document_states=states, today=today)

    @router.post("/cases/{case}/advance")
    def advance(
        case: PathId,
        request: Request,
        person: HandlerOrApprover,
        csrf: Token,
        state: Annotated[int, Form(ge=2, le=10)],
        legal_date: Annotated[str, Form(max_length=10)],
    ) -> Response:
        check_form_token(request, csrf)
        prepared = agency_of(request).cases.advance_case(person, case, state, legal_date_of(legal_date))
        return to_signing_page(request, person, prepared)
