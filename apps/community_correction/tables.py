"""The tables of one agency. `chain_*` is the read model and can be dropped and folded again; `local_*` is
the agency's own and cannot.

Names of persons stand in `local_case` only. Identifiers are lower-case hex without 0x; times are seconds
since the epoch.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Cursor(Base):
    """The last block whose logs are in the read model, and the chain it belongs to. One row."""

    __tablename__ = "chain_cursor"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    block: Mapped[int] = mapped_column(BigInteger)


class Case(Base):
    __tablename__ = "chain_case"
    case_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    deciding: Mapped[int] = mapped_column(Integer)
    executing: Mapped[int] = mapped_column(Integer)
    state: Mapped[int] = mapped_column(Integer)
    legal_date: Mapped[int] = mapped_column(BigInteger)
    opened_at: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[int] = mapped_column(BigInteger)
    commitment: Mapped[str] = mapped_column(String(64))
    __table_args__ = (Index("chain_case_state", "state", "changed_at"),)


class CaseStep(Base):
    __tablename__ = "chain_case_step"
    block: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    case_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[int] = mapped_column(Integer)
    previous_state: Mapped[int] = mapped_column(Integer)
    organisation: Mapped[int] = mapped_column(Integer)
    legal_date: Mapped[int] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(String(32))
    on_behalf_of: Mapped[str | None] = mapped_column(String(32))
    time: Mapped[int] = mapped_column(BigInteger)
    transaction: Mapped[str] = mapped_column(String(64))
    __table_args__ = (Index("chain_case_step_case", "case_id"),)


class Document(Base):
    """A document as the chain knows it. state: 1 drafted, 2 approved, 3 sealed, 4 submitted, 5 superseded;
    code 0 = restricted class."""

    __tablename__ = "chain_document"
    document: Mapped[str] = mapped_column(String(64), primary_key=True)
    case_id: Mapped[str | None] = mapped_column(String(64))
    organisation: Mapped[int] = mapped_column(Integer)
    code: Mapped[int] = mapped_column(Integer)
    manifest_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[int] = mapped_column(Integer)
    drafter: Mapped[str] = mapped_column(String(32))
    drafted_for: Mapped[str | None] = mapped_column(String(32))
    drafted_at: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[int] = mapped_column(BigInteger)
    submitted_at: Mapped[int | None] = mapped_column(BigInteger)
    legal_date: Mapped[int | None] = mapped_column(BigInteger)
    due: Mapped[int | None] = mapped_column(BigInteger)
    in_reply_to: Mapped[str | None] = mapped_column(String(64))
    successor: Mapped[str | None] = mapped_column(String(64))
    breached: Mapped[bool] = mapped_column(Boolean)
    __table_args__ = (
        Index("chain_document_sender", "organisation", "state", "changed_at"),
        Index("chain_document_case", "case_id"),
        Index("chain_document_reply", "in_reply_to"),
    )


class Delivery(Base):
    """A document at one recipient. state: 0 not yet, 1 delivered, 2 signed for, 3 returned, 4 replied."""

    __tablename__ = "chain_delivery"
    document: Mapped[str] = mapped_column(String(64), primary_key=True)
    organisation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    is_copy: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[int] = mapped_column(Integer)
    delivered_at: Mapped[int | None] = mapped_column(BigInteger)
    signed_at: Mapped[int | None] = mapped_column(BigInteger)
    reply_due: Mapped[int | None] = mapped_column(BigInteger)
    replied_at: Mapped[int | None] = mapped_column(BigInteger)
    reply: Mapped[str | None] = mapped_column(String(64))
    breached: Mapped[bool] = mapped_column(Boolean)
    __table_args__ = (
        Index("chain_delivery_recipient", "organisation", "state"),
        Index("chain_delivery_due", "reply_due"),
    )


class Step(Base):
    """One line of a document's trail."""

    __tablename__ = "chain_step"
    block: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    organisation: Mapped[int] = mapped_column(Integer)
    by: Mapped[str | None] = mapped_column(String(32))
    on_behalf_of: Mapped[str | None] = mapped_column(String(32))
    due: Mapped[int | None] = mapped_column(BigInteger)
    late_by: Mapped[int | None] = mapped_column(BigInteger)
    related: Mapped[str | None] = mapped_column(String(64))
    time: Mapped[int] = mapped_column(BigInteger)
    transaction: Mapped[str] = mapped_column(String(64))
    __table_args__ = (
        Index("chain_step_document", "document"),
        Index("chain_step_transaction", "transaction"),
    )


class LocalCase(Base):
    """What this agency knows about a case beyond the chain. `details` is the canonical JSON that the
    commitment on the chain commits to, with `salt`."""

    __tablename__ = "local_case"
    case_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[str] = mapped_column(String(64))
    person: Mapped[str] = mapped_column(String(64))
    category: Mapped[str] = mapped_column(String(32))
    details: Mapped[str] = mapped_column(Text)
    salt: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("local_case_person", "person"), Index("local_case_number", "number"))


class LocalDocument(Base):
    """A document whose files this agency holds: its own (`received` false) or one that was delivered to it.

    `envelope` is the canonical envelope of identity.sealing; `to` and `copies` are organisation ids joined
    by commas.
    """

    __tablename__ = "local_document"
    document: Mapped[str] = mapped_column(String(64), primary_key=True)
    case_id: Mapped[str | None] = mapped_column(String(64))
    code: Mapped[str] = mapped_column(String(8))
    title: Mapped[str] = mapped_column(String(200))
    received: Mapped[bool] = mapped_column(Boolean)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    manifest_hash: Mapped[str] = mapped_column(String(64))
    to: Mapped[str] = mapped_column(String(128))
    copies: Mapped[str] = mapped_column(String(128))
    in_reply_to: Mapped[str | None] = mapped_column(String(64))
    legal_date: Mapped[int] = mapped_column(BigInteger)
    due: Mapped[int | None] = mapped_column(BigInteger)
    created_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    stored_at: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (
        Index("local_document_created", "created_at"),
        Index("local_document_case", "case_id"),
        Index("local_document_due", "due"),
    )


class ReturnReason(Base):
    """Why `organisation` returned a document; the chain holds a salted commitment to it. A row of this
    agency's own is sent to the document's sender; `sent_at` is when that was done."""

    __tablename__ = "local_return_reason"
    document: Mapped[str] = mapped_column(String(64), primary_key=True)
    organisation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    salt: Mapped[str] = mapped_column(String(64))
    sent_at: Mapped[int | None] = mapped_column(BigInteger, default=None)


class Outbox(Base):
    """The pushing of one submitted document to one recipient's service. Made when first tried, so a missing
    row means "not tried yet".

    state: sending, stored (the recipient holds it), failed (tried again at `next_at`).
    """

    __tablename__ = "local_outbox"
    document: Mapped[str] = mapped_column(String(64), primary_key=True)
    organisation: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(String(200))
    updated_at: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("local_outbox_next", "state", "next_at"),)


CHAIN_TABLES = (Cursor, Case, CaseStep, Document, Delivery, Step)
