"""Events of CorrectionCases and CorrectionDocuments as changes of rows: a pure function of one event and
its place on the chain.

No change reads a row, so folding the same events in the same order always gives the same rows, whoever
folds them and whenever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apps.node_client import Log
from contracts.bindings import correction_cases as cases
from contracts.bindings import correction_documents as documents

ADDRESSES = (cases.ADDRESS, documents.ADDRESS)

Table = Literal["case", "case_step", "document", "delivery", "step"]

DRAFTED, APPROVED, SEALED, SUBMITTED, SUPERSEDED = 1, 2, 3, 4, 5
DELIVERED, SIGNED_FOR, RETURNED, REPLIED = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    table: Table
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """New values for the row with this key, which must be there; with `where`, only if it holds these
    values too."""

    table: Table
    key: Mapping[str, Any]
    values: Mapping[str, Any]
    where: Mapping[str, Any] | None = None


Change = Insert | Update


def changes_of(log: Log) -> tuple[Change, ...]:
    """What one log changes. A log of another contract or of an unknown event changes nothing; DecodeError
    if malformed."""
    if log.address == cases.ADDRESS:
        case_event = cases.decode_event(log)
        return _case_changes(case_event, log) if case_event is not None else ()
    if log.address == documents.ADDRESS:
        document_event = documents.decode_event(log)
        return _document_changes(document_event, log) if document_event is not None else ()
    return ()


def lanes(recipients: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The packed recipients of DocumentDrafted: 主送 in lanes 0 to 7, 抄送 in lanes 8 to 15."""
    ids = [recipients >> (16 * lane) & 0xFFFF for lane in range(16)]
    return tuple(id for id in ids[:8] if id), tuple(id for id in ids[8:] if id)


def _place(log: Log) -> dict[str, Any]:
    return {
        "block": log.block,
        "log_index": log.index,
        "time": log.time,
        "transaction": log.transaction.hex(),
    }


def _hex_or_none(value: bytes) -> str | None:
    return value.hex() if any(value) else None


def _case_changes(event: cases.Event, log: Log) -> tuple[Change, ...]:
    if isinstance(event, cases.CaseOpened):
        state, previous = event.state, 0
        organisation = event.deciding or event.executing
        change: Change = Insert(
            "case",
            {
                "case_id": event.case_id.hex(),
                "deciding": event.deciding,
                "executing": event.executing,
                "state": state,
                "legal_date": event.legal_date,
                "opened_at": log.time,
                "changed_at": log.time,
                "commitment": event.commitment.hex(),
            },
        )
    else:
        state, previous, organisation = event.state, event.previous_state, event.organisation
        change = Update(
            "case",
            {"case_id": event.case_id.hex()},
            {
                "state": state,
                "legal_date": event.legal_date,
                "changed_at": log.time,
                "commitment": event.commitment.hex(),
            },
        )
    step = Insert(
        "case_step",
        {
            **_place(log),
            "case_id": event.case_id.hex(),
            "state": state,
            "previous_state": previous,
            "organisation": organisation,
            "legal_date": event.legal_date,
            "by": event.by.hex(),
            "on_behalf_of": _hex_or_none(event.on_behalf_of),
        },
    )
    return change, step


def _step(log: Log, document: bytes, kind: str, organisation: int, **more: Any) -> Insert:
    blank: dict[str, Any] = {"by": None, "on_behalf_of": None, "due": None, "late_by": None, "related": None}
    values = {**_place(log), "document": document.hex(), "kind": kind, "organisation": organisation}
    return Insert("step", {**blank, **values, **more})


def _document_changes(event: documents.Event, log: Log) -> tuple[Change, ...]:
    if isinstance(event, documents.DocumentDrafted):
        return _drafted(event, log)
    if isinstance(event, documents.RuleSet | documents.HolidaysSet):
        return ()
    document = {"document": event.document.hex()}
    if isinstance(event, documents.StepLate):
        late = {"due": event.due, "late_by": event.late_by, "related": str(event.step)}
        return (_step(log, event.document, "late", event.organisation, **late),)
    if isinstance(event, documents.DeadlineBreach):
        breach = _step(
            log,
            event.document,
            "breach",
            event.organisation,
            by=event.by.hex(),
            due=event.due,
            late_by=event.late_by,
        )
        if event.organisation == 0:
            return Update("document", document, {"breached": True}), breach
        delivery = {**document, "organisation": event.organisation}
        return Update("delivery", delivery, {"breached": True}), breach
    if isinstance(event, documents.DocumentReplied):
        delivery = {**document, "organisation": event.organisation}
        return (
            Update("delivery", delivery, {"reply": event.reply.hex(), "replied_at": log.time}),
            # A returned document can be answered and stays returned.
            Update("delivery", delivery, {"state": REPLIED}, where={"state": SIGNED_FOR}),
            _step(log, event.document, "replied", event.organisation, related=event.reply.hex()),
        )
    if isinstance(event, documents.DocumentDelivered):
        delivery = {**document, "organisation": event.organisation}
        values = {"state": DELIVERED, "delivered_at": log.time, "reply_due": event.reply_due or None}
        return (
            Update("delivery", delivery, values),
            _step(log, event.document, "delivered", event.organisation, by=event.by.hex()),
        )
    return _person_step(event, log, document)


def _drafted(event: documents.DocumentDrafted, log: Log) -> tuple[Change, ...]:
    to, copies = lanes(event.recipients)
    changes: list[Change] = [
        Insert(
            "document",
            {
                "document": event.document.hex(),
                "case_id": _hex_or_none(event.case_id),
                "organisation": event.organisation,
                "code": event.code,
                "manifest_hash": event.manifest_hash.hex(),
                "state": DRAFTED,
                "drafter": event.by.hex(),
                "drafted_for": _hex_or_none(event.on_behalf_of),
                "drafted_at": log.time,
                "changed_at": log.time,
                "in_reply_to": _hex_or_none(event.in_reply_to),
                "submitted_at": None,
                "legal_date": None,
                "due": None,
                "successor": None,
                "breached": False,
            },
        )
    ]
    for organisation in (*to, *copies):
        changes.append(
            Insert(
                "delivery",
                {
                    "document": event.document.hex(),
                    "organisation": organisation,
                    "is_copy": organisation in copies,
                    "state": 0,
                    "delivered_at": None,
                    "signed_at": None,
                    "reply_due": None,
                    "replied_at": None,
                    "reply": None,
                    "breached": False,
                },
            )
        )
    who = {"by": event.by.hex(), "on_behalf_of": _hex_or_none(event.on_behalf_of)}
    return (*changes, _step(log, event.document, "drafted", event.organisation, **who))


_PersonEvent = (
    documents.DocumentApproved
    | documents.DocumentSealed
    | documents.DocumentSubmitted
    | documents.DocumentSuperseded
    | documents.DocumentHandedOver
    | documents.DocumentSignedFor
    | documents.DocumentReturned
)


def _person_step(event: _PersonEvent, log: Log, document: dict[str, Any]) -> tuple[Change, ...]:
    """The steps that a person of an agency takes, each with who and for whom."""
    who: dict[str, Any] = {"by": event.by.hex(), "on_behalf_of": _hex_or_none(event.on_behalf_of)}
    if isinstance(event, documents.DocumentSignedFor | documents.DocumentReturned):
        signed = isinstance(event, documents.DocumentSignedFor)
        values = {"state": SIGNED_FOR if signed else RETURNED, "signed_at": log.time}
        kind = "signed_for" if signed else "returned"
        if isinstance(event, documents.DocumentReturned):
            who["related"] = event.reason.hex()
        return (
            Update("delivery", {**document, "organisation": event.organisation}, values),
            _step(log, event.document, kind, event.organisation, **who),
        )
    if isinstance(event, documents.DocumentHandedOver):
        values = {"state": DELIVERED, "delivered_at": log.time}
        return (
            Update("delivery", {**document, "organisation": event.recipient}, values),
            _step(
                log, event.document, "handed_over", event.organisation, related=str(event.recipient), **who
            ),
        )
    if isinstance(event, documents.DocumentSubmitted):
        submitted = {
            "state": SUBMITTED,
            "submitted_at": log.time,
            "changed_at": log.time,
            "legal_date": event.legal_date or None,
            "due": event.due or None,
        }
        step = _step(log, event.document, "submitted", event.organisation, due=event.due or None, **who)
        return Update("document", document, submitted), step
    if isinstance(event, documents.DocumentSuperseded):
        replaced = {"state": SUPERSEDED, "changed_at": log.time, "successor": event.successor.hex()}
        step = _step(
            log, event.document, "superseded", event.organisation, related=event.successor.hex(), **who
        )
        return Update("document", document, replaced), step
    approved = isinstance(event, documents.DocumentApproved)
    values = {"state": APPROVED if approved else SEALED, "changed_at": log.time}
    kind = "approved" if approved else "sealed"
    return Update("document", document, values), _step(log, event.document, kind, event.organisation, **who)
