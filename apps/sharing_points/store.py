"""The read model in tables: rows and cursor are written in one transaction; reads are paged by position.

`apply` is the only writer of what is folded from the chain. It may be repeated after a crash: logs at or
before the cursor are ignored. `drop_projection` forgets everything folded; following then starts again at
the first block and ends at the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    case,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.engine import Engine

from apps.node_client import Log
from apps.sharing_points.private_text import PrivateText
from apps.sharing_points.projection import (
    ESCROW,
    FUND,
    SYSTEM_ACCOUNTS,
    Book,
    Line,
    Order,
    OrderEvent,
    Request,
    Touched,
    fold,
    placed,
    totals,
    touched,
)
from apps.sharing_points.rules import CLOSED
from apps.sharing_points.tables import (
    METADATA,
    PROJECTED,
    accounts,
    check_in_try,
    cursor,
    lines,
    order_events,
    orders,
    parties,
    private_text,
    requests,
)
from contracts.vocabulary import EntryKind, OrderState

_CHUNK = 500
TRIES = 5
TRY_WINDOW_S = 600
"""A code may be entered wrongly this often in this many seconds."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, newest first; `before` asks for the next page, None at the end."""

    rows: Sequence[Row]
    before: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Public figures of the bank. `held` = residents + escrow + fund and equals issued - burned."""

    issued: int
    burned: int
    residents: int
    escrow: int
    fund: int
    accounts: int

    @property
    def held(self) -> int:
        return self.residents + self.escrow + self.fund


class PointsStore:
    """All tables of the points process. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        METADATA.create_all(engine)

    def close(self) -> None:
        self._engine.dispose()

    # Folding

    def load_cursor(self) -> tuple[int, int] | None:
        """(chain id, last block folded), None before the first."""
        with self._engine.connect() as connection:
            return _cursor(connection)

    def apply(self, chain_id: int, block: int, logs: Sequence[Log]) -> None:
        """Fold the logs of all blocks up to `block` and move the cursor there, in one transaction.

        Raises ProjectionError or DecodeError; nothing is written then.
        """
        with self._engine.begin() as connection:
            at = _cursor(connection)
            done = at[1] if at else -1
            events = placed(log for log in logs if log.block > done)
            if events:
                known = _load(connection, touched(events))
                _save(connection, fold(known, events))
            connection.execute(delete(cursor))
            connection.execute(insert(cursor), {"id": 1, "chain_id": chain_id, "block": max(block, done)})

    def drop_projection(self) -> None:
        """Forget what was folded from the chain; what people wrote stays."""
        with self._engine.begin() as connection:
            for table in PROJECTED:
                connection.execute(delete(table))

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every folded row of every table in key order, to compare two folds."""
        with self._engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(_ordered(table))] for table in PROJECTED
            }

    # Orders

    def order(self, order_id: str) -> Order | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(orders).where(orders.c.id == order_id)).mappings().first()
        return _order(row) if row else None

    def orders(self, order_ids: Collection[str]) -> dict[str, Order]:
        """Several orders by id, as far as they are known."""
        with self._engine.connect() as connection:
            return {row["id"]: _order(row) for row in _by_key(connection, orders, orders.c.id, order_ids)}

    def open_orders(
        self, kinds: Collection[int] = (), *, besides: str = "", before: int | None = None, limit: int = 20
    ) -> Page[Order]:
        """Published orders that nobody has taken, newest first: of some kinds, not those of `besides`."""
        query = select(orders).where(
            orders.c.state == int(OrderState.PUBLISHED), orders.c.publisher != besides
        )
        if kinds:
            query = query.where(orders.c.kind.in_(kinds))
        return self._page(query, orders.c.published_position, before, limit, _order)

    def orders_of(
        self, identity: str, *, closed: bool | None = None, before: int | None = None, limit: int = 20
    ) -> Page[Order]:
        """The orders a resident takes part in, the last touched first; only the closed or open ones."""
        query = (
            select(orders)
            .join(parties, parties.c.order_id == orders.c.id)
            .where(parties.c.identity == identity)
        )
        if closed is not None:
            query = query.where(parties.c.closed == closed)
        return self._page(query, parties.c.position, before, limit, _order, key="position")

    def orders_in(self, state: OrderState, *, changed_before: int, limit: int = 100) -> list[Order]:
        """Orders that have been in a state since before a time, the longest first."""
        query = (
            select(orders)
            .where(orders.c.state == int(state), orders.c.changed_at < changed_before)
            .order_by(orders.c.changed_at)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [_order(row) for row in connection.execute(query).mappings()]

    def order_counts(self) -> Mapping[OrderState, int]:
        query = select(orders.c.state, func.count()).group_by(orders.c.state)
        with self._engine.connect() as connection:
            return {OrderState(state): count for state, count in connection.execute(query)}

    def history(self, order_id: str) -> list[OrderEvent]:
        """Every step of an order, oldest first."""
        query = select(order_events).where(order_events.c.order == order_id).order_by(order_events.c.position)
        with self._engine.connect() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]

    # Points

    def balance(self, account: str) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(select(accounts.c.balance).where(accounts.c.account == account)) or 0

    def statement(self, account: str, *, before: int | None = None, limit: int = 20) -> Page[Line]:
        """An account's lines, newest first, each with the balance after it."""
        query = select(lines).where(lines.c.account == account)
        return self._page(query, lines.c.position, before, limit, _line)

    def flows(self, account: str, since: int) -> list[tuple[int, int]]:
        """(time, signed amount) of an account's lines since a time, oldest first, for the chart."""
        query = (
            select(lines.c.time, lines.c.amount)
            .where(lines.c.account == account, lines.c.time >= since)
            .order_by(lines.c.time, lines.c.position)
        )
        with self._engine.connect() as connection:
            return [(time, amount) for time, amount in connection.execute(query)]

    def lines_about(self, reference: str) -> list[Line]:
        """Both sides of every entry of an order, oldest first."""
        query = select(lines).where(lines.c.reference == reference).order_by(lines.c.position, lines.c.amount)
        with self._engine.connect() as connection:
            return [_line(row) for row in connection.execute(query).mappings()]

    def totals(self) -> Totals:
        """One statement, so that the figures belong together."""
        name = case((accounts.c.account.in_(SYSTEM_ACCOUNTS), accounts.c.account), else_="residents")
        query = select(name, func.sum(accounts.c.balance), func.count()).group_by(name)
        with self._engine.connect() as connection:
            found = {account: (int(balance), count) for account, balance, count in connection.execute(query)}
        residents, count = found.get("residents", (0, 0))
        issued, burned, _ = totals({account: balance for account, (balance, _) in found.items()})
        escrow, fund = (found.get(account, (0, 0))[0] for account in (ESCROW, FUND))
        return Totals(issued, burned, residents, escrow, fund, count)

    def requests(self, *, before: int | None = None, limit: int = 20) -> Page[Request]:
        """Acts that need two persons, newest first."""
        return self._page(select(requests), requests.c.position, before, limit, _request)

    def open_requests(self, since: int, limit: int = 100) -> list[Request]:
        """Acts that still wait for a second person and were asked for since a time, oldest first."""
        query = (
            select(requests)
            .where(
                requests.c.countersigned_by == "", requests.c.withdrawn.is_(False), requests.c.time >= since
            )
            .order_by(requests.c.position)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [_request(row) for row in connection.execute(query).mappings()]

    def request(self, action: str) -> Request | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(requests).where(requests.c.action == action)).mappings().first()
        return Request(**row) if row else None

    # What people wrote

    def save_text(self, text: PrivateText, now: int) -> None:
        """Kept before it is signed for: a commitment on the chain always finds its text."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(private_text),
                {
                    "commitment": text.commitment.hex(),
                    "reference": text.reference,
                    "author": text.author,
                    "salt": text.salt.hex(),
                    "document": text.document,
                    "created": now,
                },
            )

    def texts(self, commitments: Collection[str]) -> dict[str, PrivateText]:
        """The texts behind some commitments, as far as they are held here."""
        found: dict[str, PrivateText] = {}
        with self._engine.connect() as connection:
            for chunk in _chunks(sorted(commitments)):
                query = select(private_text).where(private_text.c.commitment.in_(chunk))
                for row in connection.execute(query):
                    found[row.commitment] = PrivateText(
                        row.reference, row.author, row.document, bytes.fromhex(row.salt)
                    )
        return found

    def count_try(self, order_id: str, identity: str, now: int) -> bool:
        """Count one wrong code; False once there have been too many in the window."""
        mine = (check_in_try.c.order_id == order_id) & (check_in_try.c.identity == identity)
        with self._engine.begin() as connection:
            row = connection.execute(select(check_in_try).where(mine)).first()
            fresh = row is None or now - row.since > TRY_WINDOW_S
            count = 1 if fresh or row is None else row.tries + 1
            since = now if fresh or row is None else row.since
            connection.execute(delete(check_in_try).where(mine))
            connection.execute(
                insert(check_in_try),
                {"order_id": order_id, "identity": identity, "since": since, "tries": count},
            )
        return count < TRIES

    def tries_left(self, order_id: str, identity: str, now: int) -> bool:
        """Whether another code may be tried now."""
        mine = (check_in_try.c.order_id == order_id) & (check_in_try.c.identity == identity)
        with self._engine.connect() as connection:
            row = connection.execute(select(check_in_try).where(mine)).first()
        return row is None or row.tries < TRIES or now - row.since > TRY_WINDOW_S

    def _page(
        self,
        query: Select[Any],
        column: ColumnElement[int],
        before: int | None,
        limit: int,
        convert: Any,
        key: str | None = None,
    ) -> Page[Any]:
        """One more row than asked for tells whether there is a next page."""
        if before is not None:
            query = query.where(column < before)
        query = query.order_by(column.desc()).limit(limit + 1)
        with self._engine.connect() as connection:
            found = [convert(row) for row in connection.execute(query).mappings()]
        rows = found[:limit]
        more = len(found) > limit
        name = key or str(getattr(column, "name", ""))
        return Page(rows, int(getattr(rows[-1], name)) if more else None)


def _cursor(connection: Connection) -> tuple[int, int] | None:
    row = connection.execute(select(cursor.c.chain_id, cursor.c.block)).first()
    return (row.chain_id, row.block) if row else None


def _load(connection: Connection, wanted: Touched) -> Book:
    book = Book()
    for row in _by_key(connection, orders, orders.c.id, wanted.orders):
        order = _order(row)
        book.orders[order.id] = order
    for row in _by_key(connection, accounts, accounts.c.account, wanted.accounts):
        book.balances[row["account"]] = row["balance"]
    for row in _by_key(connection, requests, requests.c.action, wanted.actions):
        book.requests[row["action"]] = Request(**row)
    return book


def _save(connection: Connection, book: Book) -> None:
    party_rows = [
        {
            "identity": identity,
            "order_id": order.id,
            "closed": order.state in CLOSED,
            "position": order.position,
        }
        for order in book.orders.values()
        for identity in {order.requester, order.provider} - {""}
    ]
    _replace(connection, orders, orders.c.id, [_columns(order) for order in book.orders.values()])
    for chunk in _chunks(list(book.orders)):
        connection.execute(delete(parties).where(parties.c.order_id.in_(chunk)))
    _add(connection, parties, party_rows)
    _add(connection, order_events, [_columns(event) for event in book.events])
    balances = [{"account": name, "balance": balance} for name, balance in book.balances.items()]
    _replace(connection, accounts, accounts.c.account, balances)
    _add(connection, lines, [_columns(line) for line in book.lines])
    _replace(
        connection, requests, requests.c.action, [_columns(request) for request in book.requests.values()]
    )


def _columns(row: Order | OrderEvent | Line | Request) -> dict[str, Any]:
    """A row's columns; enumerations as plain integers, which every database driver takes."""
    return {name: int(value) if isinstance(value, IntEnum) else value for name, value in asdict(row).items()}


def _by_key(
    connection: Connection, table: Table, key: ColumnElement[str], values: Collection[str]
) -> Iterator[RowMapping]:
    for chunk in _chunks(sorted(values)):
        yield from connection.execute(select(table).where(key.in_(chunk))).mappings()


def _replace(
    connection: Connection, table: Table, key: ColumnElement[str], rows: Sequence[dict[str, Any]]
) -> None:
    name = str(getattr(key, "name", ""))
    for chunk in _chunks([row[name] for row in rows]):
        connection.execute(delete(table).where(key.in_(chunk)))
    _add(connection, table, rows)


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _ordered(table: Table) -> Select[Any]:
    return select(table).order_by(*table.primary_key.columns)


def _order(row: RowMapping) -> Order:
    return Order(**{**row, "state": OrderState(row["state"])})


def _event(row: RowMapping) -> OrderEvent:
    return OrderEvent(**{**row, "state": OrderState(row["state"])})


def _line(row: RowMapping) -> Line:
    return Line(**{**row, "kind": EntryKind(row["kind"])})


def _request(row: RowMapping) -> Request:
    return Request(**row)
