"""What pages and API show of a document or a case: the read side, joined from the read model and the
agency's own rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from apps.community_correction import projection, rules, words
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.cover import COVER_NAME
from apps.community_correction.tables import (
    Case,
    CaseStep,
    Delivery,
    Document,
    LocalCase,
    LocalDocument,
    Outbox,
    ReturnReason,
    Step,
)
from apps.community_correction.words import State
from apps.site.errors import not_found
from apps.site.people import APPROVER, HANDLER, SEALER, Person
from apps.site.text import Text
from identity.sealing import decode_envelope


@dataclass(frozen=True, slots=True)
class FileView:
    index: int
    name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class StepView:
    """One line of a trail: what, who, for which agency, when, and the transaction that proves it."""

    kind: str
    state: State
    who: Text | None
    organisation: Text
    time: int
    transaction: str
    note: Text | None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    organisation: int
    name: Text
    is_copy: bool
    number: int
    state: State
    delivered_at: int | None
    signed_at: int | None
    reply_due: int | None
    reply: str | None
    breached: bool
    outbox: State | None
    outbox_error: str | None
    attempts: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document as this agency sees it. `state_number` 0 is a draft that nobody signed yet; `actions` are
    what this person may do now."""

    document: str
    code: str
    name: Text
    title: str
    restricted: bool
    received: bool
    sender: int
    sender_name: Text
    case_id: str | None
    case_number: str | None
    person: str | None
    state_number: int
    state: State
    manifest_hash: str
    legal_date: int | None
    due: int | None
    limit: Text | None
    drafted_at: int | None
    submitted_at: int | None
    in_reply_to: str | None
    successor: str | None
    held: bool
    files: tuple[FileView, ...]
    deliveries: tuple[DeliveryView, ...]
    trail: tuple[StepView, ...]
    replies: tuple[str, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    case_id: str
    number: str | None
    person: str | None
    category: Text | None
    state_number: int
    state: State
    deciding: Text
    executing: Text
    legal_date: int
    opened_at: int
    changed_at: int
    next_states: tuple[int, ...]
    trail: tuple[StepView, ...]
    documents: tuple[LocalDocument, ...]


class Views:
    """Reads for one agency. `name_of` gives the name to show for an identity on the chain."""

    def __init__(self, config: CorrectionConfig, name_of: Callable[[bytes], str | None]) -> None:
        self._config = config
        self._own = config.organisation
        self._name_of = name_of
        self._catalogue = rules.catalogue()

    def organisation_name(self, id: int) -> Text:
        found = self._config.organisations.get(id)
        if found is not None:
            return found.name
        return (
            Text("网外机关", "outside the network")
            if id == 0 or id >= 0xFF00
            else Text(f"单位 {id}", f"no. {id}")
        )

    def document(self, session: Session, id: str, person: Person) -> DocumentView:
        """SiteError site.not_found if this agency neither holds it nor is a party to it."""
        local = session.get(LocalDocument, id)
        row = session.get(Document, id)
        deliveries = session.scalars(
            select(Delivery).where(Delivery.document == id).order_by(Delivery.is_copy, Delivery.organisation)
        ).all()
        party = row is not None and self._own in {row.organisation, *(one.organisation for one in deliveries)}
        if local is None and not party:
            raise not_found(Text("这份文书", "This document"))
        code = (
            local.code if local is not None else (rules.code_of(row.code) if row is not None else None) or ""
        )
        rule = self._catalogue.get(code)
        case_id = local.case_id if local is not None else row.case_id if row is not None else None
        case = session.get(LocalCase, case_id) if case_id else None
        sender = row.organisation if row is not None else self._own
        state = row.state if row is not None else 0
        name = rule.name if rule is not None else Text("限制类文书", "document of the restricted class")
        due = row.due if row is not None and row.due else local.due if local is not None else None
        return DocumentView(
            document=id,
            code=code,
            name=name,
            title=local.title if local is not None else name.zh,
            restricted=rule.restricted if rule is not None else True,
            received=sender != self._own,
            sender=sender,
            sender_name=self.organisation_name(sender),
            case_id=case_id,
            case_number=case.number if case is not None else None,
            person=case.person if case is not None else None,
            state_number=state,
            state=words.DOCUMENT_STATES[state],
            manifest_hash=row.manifest_hash
            if row is not None
            else local.manifest_hash
            if local is not None
            else "",
            legal_date=(row.legal_date if row is not None and row.legal_date else None)
            or (local.legal_date if local is not None else None),
            due=due,
            limit=rule.limit.text if rule is not None and rule.limit is not None else None,
            drafted_at=row.drafted_at if row is not None else None,
            submitted_at=row.submitted_at if row is not None else None,
            in_reply_to=local.in_reply_to
            if local is not None
            else row.in_reply_to
            if row is not None
            else None,
            successor=row.successor if row is not None else None,
            held=local is not None and (not local.received or local.stored_at is not None),
            files=_files(local),
            deliveries=tuple(self._delivery(session, one) for one in deliveries)
            or (self._intended(local) if local is not None else ()),
            trail=self._trail(session, id),
            replies=rule.replies if rule is not None else (),
            actions=self._actions(local, row, deliveries, person),
        )

    def case(self, session: Session, case_id: str) -> CaseView:
        """SiteError site.not_found for a case this agency has nothing to do with."""
        row = session.get(Case, case_id)
        local = session.get(LocalCase, case_id)
        if row is None or (local is None and self._own not in (row.deciding, row.executing)):
            raise not_found(Text("这个案件", "This case"))
        steps = session.scalars(
            select(CaseStep).where(CaseStep.case_id == case_id).order_by(CaseStep.block, CaseStep.log_index)
        )
        held = session.scalars(
            select(LocalDocument).where(LocalDocument.case_id == case_id).order_by(LocalDocument.created_at)
        )
        return CaseView(
            case_id=case_id,
            number=local.number if local is not None else None,
            person=local.person if local is not None else None,
            category=words.CATEGORIES.get(local.category) if local is not None else None,
            state_number=row.state,
            state=words.CASE_STATES[row.state],
            deciding=self.organisation_name(row.deciding),
            executing=self.organisation_name(row.executing),
            legal_date=row.legal_date,
            opened_at=row.opened_at,
            changed_at=row.changed_at,
            next_states=self._next_states(row),
            trail=tuple(
                StepView(
                    f"case-{step.state}",
                    words.CASE_STATES[step.state],
                    self._who(step.by),
                    self.organisation_name(step.organisation),
                    step.time,
                    step.transaction,
                    None,
                )
                for step in steps
            ),
            documents=tuple(held),
        )

    def _next_states(self, row: Case) -> tuple[int, ...]:
        """Up to 3 the deciding agency moves the case on, after that the executing one."""
        following = words.CASE_NEXT.get(row.state, ())
        return tuple(
            state
            for state in following
            if self._own == ((row.deciding or row.executing) if state <= 3 else row.executing)
        )

    def _delivery(self, session: Session, row: Delivery) -> DeliveryView:
        outbox = session.get(Outbox, (row.document, row.organisation))
        reason = session.get(ReturnReason, (row.document, row.organisation))
        shown = words.OUTBOX_STATES[outbox.state] if outbox is not None and row.state == 0 else None
        return DeliveryView(
            organisation=row.organisation,
            name=self.organisation_name(row.organisation),
            is_copy=row.is_copy,
            number=row.state,
            state=words.DELIVERY_STATES[row.state],
            delivered_at=row.delivered_at,
            signed_at=row.signed_at,
            reply_due=row.reply_due,
            reply=row.reply,
            breached=row.breached,
            outbox=shown,
            outbox_error=outbox.error if outbox is not None and row.state == 0 else None,
            attempts=outbox.attempts if outbox is not None else 0,
            reason=reason.reason if reason is not None and row.state == projection.RETURNED else None,
        )

    def _intended(self, local: LocalDocument) -> tuple[DeliveryView, ...]:
        """The recipients of a draft that is not on the chain yet."""
        waiting = words.DELIVERY_STATES[0]
        return tuple(
            DeliveryView(
                int(id),
                self.organisation_name(int(id)),
                is_copy,
                0,
                waiting,
                None,
                None,
                None,
                None,
                False,
                None,
                None,
                0,
                None,
            )
            for joined, is_copy in ((local.to, False), (local.copies, True))
            for id in joined.split(",")
            if id
        )

    def _trail(self, session: Session, id: str) -> tuple[StepView, ...]:
        """The steps in the chain's order; lateness is noted at the step it belongs to, which stands just
        before it."""
        found: list[StepView] = []
        for step in session.scalars(
            select(Step).where(Step.document == id).order_by(Step.block, Step.log_index)
        ):
            if step.kind == "late" and found:
                found[-1] = replace(found[-1], note=_late_note(step))
                continue
            found.append(
                StepView(
                    step.kind,
                    words.STEPS[step.kind],
                    self._who(step.by, step.kind),
                    self.organisation_name(step.organisation),
                    step.time,
                    step.transaction,
                    _late_note(step),
                )
            )
        return tuple(found)

    def _who(self, identity: str | None, kind: str = "") -> Text | None:
        if identity is None:
            return None
        name = self._name_of(bytes.fromhex(identity))
        if name is None and kind in ("delivered", "breach"):
            return Text("系统服务", "its service")
        return Text(name or identity[:8], name or identity[:8])

    def _actions(
        self,
        local: LocalDocument | None,
        row: Document | None,
        deliveries: Sequence[Delivery],
        person: Person,
    ) -> tuple[str, ...]:
        handler = person.holds(HANDLER)
        if row is None:
            return ("draft", "discard") if handler and local is not None else ()
        actions: list[str] = []
        if row.organisation == self._own:
            mine = person.identity.hex() in (row.drafter, row.drafted_for)
            if row.state == projection.DRAFTED and person.holds(APPROVER) and not mine:
                actions.append("approve")
            if row.state == projection.APPROVED and person.holds(SEALER):
                actions.append("seal")
            if row.state == projection.SEALED and handler:
                actions.append("submit")
            if row.state == projection.SUBMITTED and handler:
                actions.append("replace")
        here = next((one for one in deliveries if one.organisation == self._own), None)
        if (
            handler
            and here is not None
            and local is not None
            and (local.stored_at or row.organisation == self._own)
        ):
            if here.state == projection.DELIVERED:
                actions += ["sign-for", "return"]
            if here.state == projection.SIGNED_FOR:
                actions += ["answer", "return"]
        return tuple(actions)


def _files(local: LocalDocument | None) -> tuple[FileView, ...]:
    if local is None:
        return ()
    files = decode_envelope(local.envelope).manifest.files
    return tuple(
        FileView(index, file.name, file.media_type, file.size)
        for index, file in enumerate(files)
        if file.name != COVER_NAME
    )


def _late_note(step: Step) -> Text | None:
    if step.late_by is None:
        return None
    days, hours = divmod(step.late_by // 3_600, 24)
    return Text(f"逾期 {days} 天 {hours} 小时", f"late by {days} d {hours} h")
