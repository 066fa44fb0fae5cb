"""What waits for a person: the front page. Each task names its document, why it is there, until when, and
the one action to take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from apps.community_correction import projection
from apps.community_correction.tables import Delivery, Document, LocalDocument
from apps.site.people import APPROVER, HANDLER, SEALER, Person
from apps.site.text import Text

SOON_S = 3 * 86_400
MAX_TASKS = 200

Lateness = Literal["late", "soon", ""]


@dataclass(frozen=True, slots=True)
class Task:
    document: str
    code: str
    title: str
    since: int
    due: int | None
    lateness: Lateness


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks of one kind. `action` is the command a batch of them takes, empty where each has to be opened."""

    kind: str
    title: Text
    button: Text
    action: str
    icon: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class WorkList:
    groups: tuple[Group, ...]
    late: tuple[Task, ...]
    soon: tuple[Task, ...]

    @property
    def count(self) -> int:
        return sum(len(group.tasks) for group in self.groups)


def lateness(due: int | None, now: int) -> Lateness:
    """`late` after the due time, `soon` in the three days before it."""
    if due is None:
        return ""
    if due < now:
        return "late"
    return "soon" if due - now <= SOON_S else ""


def work_list(session: Session, organisation: int, person: Person, now: int) -> WorkList:
    """The tasks of a person, by kind, and what of the agency is late or soon to be."""
    groups = [
        Group(kind, title, button, action, icon, _tasks(session.execute(query.limit(MAX_TASKS)), now))
        for role, kind, title, button, action, icon, query in _kinds(organisation, person)
        if person.holds(role)
    ]
    open_tasks = _open_limits(session, now)
    return WorkList(
        tuple(group for group in groups if group.tasks),
        tuple(task for task in open_tasks if task.lateness == "late"),
        tuple(task for task in open_tasks if task.lateness == "soon"),
    )


def task_count(session: Session, organisation: int, person: Person) -> int:
    """How many tasks wait, for the top bar."""
    return sum(
        session.scalar(select(func.count()).select_from(query.subquery())) or 0
        for role, _, _, _, _, _, query in _kinds(organisation, person)
        if person.holds(role)
    )


_Kind = tuple[int, str, Text, Text, str, str, Any]


def _kinds(organisation: int, person: Person) -> Sequence[_Kind]:
    own_document = (
        select(
            LocalDocument.document,
            LocalDocument.code,
            LocalDocument.title,
            Document.changed_at,
            LocalDocument.due,
        )
        .join(Document, Document.document == LocalDocument.document)
        .where(Document.organisation == organisation, LocalDocument.received.is_(False))
        .order_by(LocalDocument.due.is_(None), LocalDocument.due, Document.changed_at)
    )
    arrived = (
        select(
            LocalDocument.document,
            LocalDocument.code,
            LocalDocument.title,
            Delivery.delivered_at,
            Delivery.reply_due,
        )
        .join(Delivery, Delivery.document == LocalDocument.document)
        .where(Delivery.organisation == organisation)
        .order_by(Delivery.reply_due.is_(None), Delivery.reply_due, Delivery.delivered_at)
    )
    unsigned = (
        select(
            LocalDocument.document,
            LocalDocument.code,
            LocalDocument.title,
            LocalDocument.created_at,
            LocalDocument.due,
        )
        .outerjoin(Document, Document.document == LocalDocument.document)
        .where(Document.document.is_(None), LocalDocument.received.is_(False))
        .order_by(LocalDocument.created_at)
    )
    returned = own_document.where(
        Document.state == projection.SUBMITTED,
        select(Delivery.document)
        .where(Delivery.document == Document.document, Delivery.state == projection.RETURNED)
        .exists(),
    )
    mine = person.identity.hex()
    not_mine = and_(
        Document.drafter != mine, or_(Document.drafted_for.is_(None), Document.drafted_for != mine)
    )
    return (
        (
            HANDLER,
            "sign_for",
            Text("待签收", "To sign for"),
            Text("签收", "Sign for"),
            "sign-for",
            "inbox",
            arrived.where(Delivery.state == projection.DELIVERED, LocalDocument.stored_at.is_not(None)),
        ),
        (
            APPROVER,
            "approve",
            Text("待审批", "To approve"),
            Text("审批", "Approve"),
            "approve",
            "circle-check",
            own_document.where(Document.state == projection.DRAFTED, not_mine),
        ),
        (
            SEALER,
            "seal",
            Text("待用印", "To seal"),
            Text("用印", "Seal"),
            "seal",
            "rubber-stamp",
            own_document.where(Document.state == projection.APPROVED),
        ),
        (
            HANDLER,
            "submit",
            Text("待发送", "To send"),
            Text("发送", "Send"),
            "submit",
            "send",
            own_document.where(Document.state == projection.SEALED),
        ),
        (
            HANDLER,
            "returned",
            Text("被退回，待补正", "Returned, to be corrected"),
            Text("查看", "Open"),
            "",
            "arrow-back-up",
            returned,
        ),
        (
            HANDLER,
            "reply",
            Text("待回执", "To be answered"),
            Text("回执", "Answer"),
            "",
            "receipt",
            arrived.where(Delivery.state == projection.SIGNED_FOR, Delivery.reply_due.is_not(None)),
        ),
        (
            HANDLER,
            "draft",
            Text("草稿待签名", "Drafts to be signed"),
            Text("签名", "Sign"),
            "draft",
            "writing",
            unsigned,
        ),
    )


def _tasks(rows: Iterable[Any], now: int) -> tuple[Task, ...]:
    return tuple(Task(row[0], row[1], row[2], row[3] or 0, row[4], lateness(row[4], now)) for row in rows)


def _open_limits(session: Session, now: int) -> tuple[Task, ...]:
    """What runs against a limit: own documents not sent yet, and replies owed on any document held here,
    whoever owes them."""
    horizon = now + SOON_S
    unsent = (
        select(
            LocalDocument.document,
            LocalDocument.code,
            LocalDocument.title,
            LocalDocument.created_at,
            LocalDocument.due,
        )
        .outerjoin(Document, Document.document == LocalDocument.document)
        .where(
            LocalDocument.received.is_(False),
            LocalDocument.due <= horizon,
            or_(Document.document.is_(None), Document.state < projection.SUBMITTED),
        )
    )
    owed = (
        select(
            LocalDocument.document,
            LocalDocument.code,
            LocalDocument.title,
            Delivery.delivered_at,
            Delivery.reply_due,
        )
        .join(Delivery, Delivery.document == LocalDocument.document)
        .where(
            Delivery.reply_due <= horizon,
            Delivery.state.in_((projection.DELIVERED, projection.SIGNED_FOR)),
        )
    )
    rows = [*session.execute(unsent.limit(MAX_TASKS)), *session.execute(owed.limit(MAX_TASKS))]
    return tuple(sorted(_tasks(rows, now), key=lambda task: task.due or 0))
