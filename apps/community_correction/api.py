"""The API for programs: the same commands and views as the pages, in JSON (`/api/openapi.json`).

A step that a person signs answers with the signing request of ARCHITECTURE.md; sign it and post `{state,
raw}` to `/api/sign/finish`. Everybody who can sign in here belongs to this agency; each step names the role
it needs.
"""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from apps.community_correction import projection, rules, words, worklist
from apps.community_correction.agency import agency_of, ask, run_batch
from apps.community_correction.case_commands import CaseForm
from apps.community_correction.commands import DraftForm
from apps.community_correction.files import Upload
from apps.community_correction.tables import Case, Delivery, Document, LocalCase, LocalDocument, Outbox
from apps.site.context import CurrentPerson, holding
from apps.site.people import APPROVER, HANDLER, SEALER, Person
from apps.site.text import Text

Id = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PathId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Handler = Annotated[Person, Depends(holding(HANDLER))]
HandlerOrApprover = Annotated[Person, Depends(holding(HANDLER | APPROVER))]
Signing = dict[str, Any]

STEP_ROLES: dict[str, int] = {
    "draft": HANDLER,
    "approve": APPROVER,
    "seal": SEALER,
    "submit": HANDLER,
    "sign-for": HANDLER,
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCase(Strict):
    """A case; `legal_date` in seconds since the epoch; `deciding` 0 = an organ outside the network."""

    number: str = Field(min_length=1, max_length=64)
    person: str = Field(min_length=1, max_length=64)
    category: Literal["control", "probation", "parole", "outside"]
    deciding: int = Field(ge=0, le=0xFFFF)
    executing: int = Field(ge=1, le=0xFFFF)
    state: Literal[1, 2] = 2
    legal_date: int = Field(gt=0, lt=1 << 48)


class NextState(Strict):
    state: int = Field(ge=2, le=10)
    legal_date: int = Field(gt=0, lt=1 << 48)


class Batch(Strict):
    documents: list[Id] = Field(min_length=1, max_length=100)


class Reason(Strict):
    reason: str = Field(min_length=1, max_length=2_000)


class Successor(Strict):
    successor: Id


def _plain(value: Any) -> Any:
    """A view as JSON: texts and states become `{zh, en}` and `{text, colour}`."""
    if isinstance(value, Text | words.State):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def api_routes() -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api")
    _add_reads(router)
    _add_cases(router)
    _add_documents(router)
    return router


def _add_reads(router: APIRouter) -> None:
    @router.get("/catalogue", tags=["correction"])
    def catalogue(_: CurrentPerson) -> list[dict[str, Any]]:
        """The document catalogue."""
        return [
            {
                "code": rule.code,
                "name": rule.name._asdict(),
                "from": sorted(kind.name.lower() for kind in rule.senders),
                "to": sorted(kind.name.lower() for kind in rule.recipients),
                "cc": sorted(kind.name.lower() for kind in rule.copies),
                "restricted": rule.restricted,
                "limit": rule.limit.text._asdict() if rule.limit else None,
                "replies": list(rule.replies),
                "source": rule.source,
            }
            for rule in rules.catalogue().values()
        ]

    @router.get("/work", tags=["correction"])
    def work(request: Request, person: CurrentPerson) -> dict[str, Any]:
        """What waits for the person, and what of the agency is late or due soon."""
        agency = agency_of(request)
        with agency.store.reading() as session:
            found = worklist.work_list(session, agency.config.organisation, person, agency.site.now())
        return {
            "groups": [
                {"kind": group.kind, "action": group.action, "tasks": [asdict(task) for task in group.tasks]}
                for group in found.groups
            ],
            "late": [asdict(task) for task in found.late],
            "soon": [asdict(task) for task in found.soon],
        }

    @router.get("/documents", tags=["correction"])
    def documents(
        request: Request,
        _: CurrentPerson,
        box: Annotated[Literal["in", "out"], Query()],
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """The inbox or the outbox, newest first."""
        agency = agency_of(request)
        own = agency.config.organisation
        query = select(Document, LocalDocument).outerjoin(
            LocalDocument, LocalDocument.document == Document.document
        )
        if box == "out":
            query = query.where(Document.organisation == own)
        else:
            query = query.join(Delivery, Delivery.document == Document.document).where(
                Delivery.organisation == own, Document.state >= projection.SUBMITTED
            )
        with agency.store.reading() as session:
            rows = session.execute(
                query.order_by(Document.changed_at.desc()).offset(offset).limit(limit)
            ).all()
            return {
                "documents": [
                    {
                        "document": row.document,
                        "code": local.code if local is not None else rules.code_of(row.code),
                        "title": local.title if local is not None else None,
                        "state": row.state,
                        "organisation": row.organisation,
                        "due": row.due,
                        "case": row.case_id,
                    }
                    for row, local in rows
                ]
            }

    @router.get("/documents/{document}", tags=["correction"])
    def document(document: PathId, request: Request, person: CurrentPerson) -> dict[str, Any]:
        """A document with its files, recipients and trail. Refused for agencies that are no party to it."""
        agency = agency_of(request)
        with agency.store.reading() as session:
            view = agency.views.document(session, document, person)
        shown: dict[str, Any] = _plain(view)
        return shown

    @router.get("/cases", tags=["correction"])
    def cases(
        request: Request,
        _: CurrentPerson,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """The cases this agency knows the particulars of, newest change first."""
        agency = agency_of(request)
        query = select(Case, LocalCase).join(LocalCase, LocalCase.case_id == Case.case_id)
        with agency.store.reading() as session:
            rows = session.execute(query.order_by(Case.changed_at.desc()).offset(offset).limit(limit)).all()
            return {
                "cases": [
                    {
                        "case": row.case_id,
                        "number": local.number,
                        "person": local.person,
                        "category": local.category,
                        "state": row.state,
                        "state_name": words.CASE_STATES[row.state].text._asdict(),
                        "legal_date": row.legal_date,
                    }
                    for row, local in rows
                ]
            }

    @router.get("/outbox", tags=["correction"])
    def outbox(request: Request, _: CurrentPerson) -> dict[str, Any]:
        """Deliveries that were tried: state, attempts, error, next try."""
        agency = agency_of(request)
        with agency.store.reading() as session:
            rows = session.scalars(select(Outbox).order_by(Outbox.updated_at.desc()).limit(200))
            return {
                "deliveries": [
                    {
                        "document": row.document,
                        "organisation": row.organisation,
                        "state": row.state,
                        "attempts": row.attempts,
                        "next_at": row.next_at,
                        "error": row.error,
                    }
                    for row in rows
                ]
            }


def _add_cases(router: APIRouter) -> None:
    @router.post("/cases", tags=["correction"], status_code=201)
    def open_case(body: NewCase, request: Request, person: Handler) -> dict[str, Any]:
        """Open a case. Role: handler."""
        case_id, prepared = agency_of(request).cases.open_case(person, CaseForm(**body.model_dump()))
        return {"case": case_id, "signing": ask(request, person, prepared).document}

    @router.post("/cases/{case}/advance", tags=["correction"])
    def advance(case: PathId, body: NextState, request: Request, person: HandlerOrApprover) -> Signing:
        """Move a case to its next state. Role: handler; approver where the case ends."""
        prepared = agency_of(request).cases.advance_case(person, case, body.state, body.legal_date)
        return dict(ask(request, person, prepared).document)


def _add_documents(router: APIRouter) -> None:
    @router.post("/documents", tags=["correction"], status_code=201)
    def prepare(
        request: Request,
        person: Handler,
        code: Annotated[str, Form(max_length=8)],
        title: Annotated[str, Form(max_length=200)],
        to: Annotated[list[int], Form()],
        files: Annotated[list[UploadFile], File()],
        copies: Annotated[list[int] | None, Form()] = None,
        case: Annotated[str | None, Form(pattern="^[0-9a-f]{64}$")] = None,
        legal_date: Annotated[int, Form(ge=0)] = 0,
        in_reply_to: Annotated[str | None, Form(pattern="^[0-9a-f]{64}$")] = None,
        replaces: Annotated[str | None, Form(pattern="^[0-9a-f]{64}$")] = None,
    ) -> dict[str, str]:
        """Prepare a document with its files (multipart); nothing is on the chain until its draft is signed.
        Role: handler."""
        form = DraftForm(
            code=code,
            title=title,
            case_id=case,
            to=tuple(to),
            copies=tuple(copies or ()),
            files=tuple(Upload(file.filename or "", file.file) for file in files),
            legal_date=legal_date,
            in_reply_to=in_reply_to,
            replaces=replaces,
        )
        return {"document": agency_of(request).commands.prepare_document(person, form)}

    def add_step(action: str, role: int) -> None:
        def step(body: Batch, request: Request, person: Person = Depends(holding(role))) -> Signing:  # noqa: B008
            prepared = run_batch(agency_of(request).commands, action, person, body.documents)
            return dict(ask(request, person, prepared).document)

        step.__doc__ = f"{action}: up to 100 documents under one signature."
        router.post(f"/documents/{action}", tags=["correction"], operation_id=action.replace("-", "_"))(step)

    for action, role in STEP_ROLES.items():
        add_step(action, role)

    @router.post("/documents/{document}/return", tags=["correction"])
    def return_for_correction(document: PathId, body: Reason, request: Request, person: Handler) -> Signing:
        """退回补正. Role: handler of a recipient."""
        prepared = agency_of(request).commands.return_for_correction(person, document, body.reason)
        return dict(ask(request, person, prepared).document)

    @router.post("/documents/{document}/receipt", tags=["correction"], status_code=201)
    def receipt(document: PathId, request: Request, person: Handler) -> dict[str, str]:
        """Prepare the receipt D08 for a document that was signed for. Role: handler of the recipient."""
        return {"document": agency_of(request).commands.prepare_receipt(person, document)}

    @router.post("/documents/{document}/supersede", tags=["correction"])
    def supersede(document: PathId, body: Successor, request: Request, person: Handler) -> Signing:
        """Mark a sent document as replaced by another one. Role: handler of the sender."""
        prepared = agency_of(request).commands.supersede(person, document, body.successor)
        return dict(ask(request, person, prepared).document)

    @router.delete("/documents/{document}", tags=["correction"])
    def discard(document: PathId, request: Request, person: Handler) -> dict[str, bool]:
        """Discard a draft that nobody signed. Role: handler."""
        agency_of(request).commands.discard_draft(person, document)
        return {"discarded": True}

    @router.post("/documents/{document}/deliver-again", tags=["correction"])
    def deliver_again(document: PathId, request: Request, _: Handler) -> dict[str, bool]:
        """Try a failed delivery at once. Role: handler."""
        agency_of(request).worker.retry_now(document)
        return {"woken": True}
