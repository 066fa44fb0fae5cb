"""What a site itself remembers, in `site.sqlite` of the process: sessions and signing requests. Nothing
here is on the chain.

Both survive a restart, so a person who is at the signing page while the process restarts still comes back
to a request that is known.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, create_engine, delete, event, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class SessionRow(Base):
    __tablename__ = "session"
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(64))
    csrf: Mapped[str] = mapped_column(String(64))
    last_seen: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("session_last_seen", "last_seen"),)


class SigningRow(Base):
    __tablename__ = "signing_request"
    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(Text)
    request: Mapped[str] = mapped_column(Text)
    next_url: Mapped[str] = mapped_column(String(512))
    created: Mapped[int] = mapped_column(BigInteger)
    transaction: Mapped[str | None] = mapped_column(String(66), default=None)
    block: Mapped[int | None] = mapped_column(BigInteger, default=None)
    __table_args__ = (Index("signing_request_created", "created"),)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session: who, and the token its forms must carry."""

    token: str
    person_id: str
    csrf: str


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A signing request as kept here. `request` is the JSON of ARCHITECTURE.md; `transaction` and `block`
    are set once it is in a block."""

    state: str
    person_id: str
    purpose: tuple[str, str]
    request: Mapping[str, Any]
    next_url: str
    transaction: str | None
    block: int | None


def open_sqlite(path: Path) -> Engine:
    """An SQLite engine with a write-ahead log, foreign keys, full synchronisation, and a wait instead of an
    error when it is locked."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 15})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class SiteStore:
    """Sessions and signing requests of one process. Times are seconds since the epoch and are passed in."""

    def __init__(self, path: Path, *, idle_s: int, request_life_s: int = 86_400) -> None:
        self._engine = open_sqlite(path)
        self._idle_s = idle_s
        self._request_life_s = request_life_s
        Base.metadata.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def sign_in(self, person_id: str, now: int) -> SignedIn:
        signed_in = SignedIn(secrets.token_urlsafe(32), person_id, secrets.token_urlsafe(32))
        with Session(self._engine) as session, session.begin():
            session.execute(delete(SessionRow).where(SessionRow.last_seen < now - self._idle_s))
            session.add(
                SessionRow(token=signed_in.token, person_id=person_id, csrf=signed_in.csrf, last_seen=now)
            )
        return signed_in

    def session(self, token: str, now: int) -> SignedIn | None:
        """The session of a cookie, unless it has been idle too long; being asked for keeps it alive."""
        with Session(self._engine) as session, session.begin():
            row = session.get(SessionRow, token)
            if row is None or row.last_seen < now - self._idle_s:
                return None
            if now - row.last_seen >= 30:  # not a write for every request
                row.last_seen = now
            return SignedIn(row.token, row.person_id, row.csrf)

    def sign_out(self, token: str) -> None:
        with Session(self._engine) as session, session.begin():
            session.execute(delete(SessionRow).where(SessionRow.token == token))

    def save_request(self, stored: StoredRequest, now: int) -> None:
        with Session(self._engine) as session, session.begin():
            session.execute(delete(SigningRow).where(SigningRow.created < now - self._request_life_s))
            session.add(
                SigningRow(
                    state=stored.state,
                    person_id=stored.person_id,
                    purpose=json.dumps(stored.purpose, ensure_ascii=False),
                    request=json.dumps(dict(stored.request), ensure_ascii=False),
                    next_url=stored.next_url,
                    created=now,
                )
            )

    def request(self, state: str) -> StoredRequest | None:
        with Session(self._engine) as session:
            row = session.get(SigningRow, state)
            if row is None:
                return None
            zh, en = json.loads(row.purpose)
            return StoredRequest(
                row.state,
                row.person_id,
                (zh, en),
                json.loads(row.request),
                row.next_url,
                row.transaction,
                row.block,
            )

    def set_included(self, state: str, transaction: str, block: int) -> None:
        with Session(self._engine) as session, session.begin():
            session.execute(
                update(SigningRow)
                .where(SigningRow.state == state)
                .values(transaction=transaction, block=block)
            )
