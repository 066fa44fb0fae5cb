"""Where an agency's rows live: SQLAlchemy 2 over SQLite, or any database it is given the URL of.

`apply` is the only writer of the read model: the rows of a page of logs and the cursor go into ONE
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import delete, insert, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from apps.community_correction import tables
from apps.community_correction.projection import Change, Insert, changes_of
from apps.node_client import Log
from apps.site.store import open_sqlite
from node.chain.errors import ShelianError

_TABLES: dict[str, type[tables.Base]] = {
    "case": tables.Case,
    "case_step": tables.CaseStep,
    "document": tables.Document,
    "delivery": tables.Delivery,
    "step": tables.Step,
}


class StoreError(ShelianError):
    """The read model does not fit the chain."""


class Store:
    """The database of one agency."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        tables.Base.metadata.create_all(engine)

    @classmethod
    def open(cls, path: Path) -> Store:
        return cls(open_sqlite(path))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at the end, or not at all."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def load_cursor(self) -> tuple[int, int] | None:
        """(chain id, last block applied); None for an empty read model."""
        with self.reading() as session:
            row = session.get(tables.Cursor, 1)
            return (row.chain_id, row.block) if row is not None else None

    def apply(self, chain_id: int, block: int, logs: Sequence[Log]) -> None:
        """Fold a page of logs and move the cursor to `block`, in one transaction."""
        with self.writing() as session:
            for log in logs:
                write_changes(session, changes_of(log))
            session.merge(tables.Cursor(id=1, chain_id=chain_id, block=block))

    def drop_projection(self) -> None:
        """Forget everything that came from the chain; the next round folds it again. The agency's own rows
        stay."""
        with self.writing() as session:
            for table in tables.CHAIN_TABLES:
                session.execute(delete(table))


def write_changes(session: Session, changes: Iterable[Change]) -> None:
    """Write changes in their order. StoreError store.row_missing if an update meets no row: an event before
    its time."""
    for change in changes:
        table = _TABLES[change.table]
        if isinstance(change, Insert):
            session.execute(insert(table).values(**change.values))
            continue
        statement = update(table).values(**change.values)
        for column, value in {**change.key, **(change.where or {})}.items():
            statement = statement.where(getattr(table, column) == value)
        changed = session.connection().execute(statement).rowcount
        if changed != 1 and change.where is None:
            raise StoreError(
                "store.row_missing", "an event about a row that is not there", got=dict(change.key)
            )
