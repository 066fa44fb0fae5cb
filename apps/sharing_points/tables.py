"""The tables of the points process. Portable between SQLite and PostgreSQL; every query has its index.

Two kinds: what is folded from the chain (`PROJECTED`), which can be dropped and folded again, and what people
wrote, which exists nowhere else (`private_text`, `check_in_try`). Identities, ids and hashes are lower-case
hex without a prefix. `position` is block and log index in one number (`projection.position_of`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

METADATA = MetaData()

_ID = String(64)
_IDENTITY = String(32)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


cursor = Table(
    "cursor",
    METADATA,
    Column("id", SmallInteger, primary_key=True),
    _number("chain_id"),
    _number("block"),
)

orders = Table(
    "sharing_order",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("offer", Boolean, nullable=False),
    Column("units", Integer, nullable=False),
    _number("amount"),
    _number("start_at"),
    Column("commitment", _ID, nullable=False),
    Column("publisher", _IDENTITY, nullable=False),
    Column("requester", _IDENTITY, nullable=False),
    Column("provider", _IDENTITY, nullable=False),
    Column("state", SmallInteger, nullable=False),
    _number("published_at"),
    _number("changed_at"),
    _number("published_position"),
    _number("position"),
    _number("requester_in"),
    _number("provider_in"),
    Column("requester_stars", SmallInteger, nullable=False),
    Column("provider_stars", SmallInteger, nullable=False),
    _number("paid"),
    _number("refunded"),
    Column("automatic", Boolean, nullable=False),
    Column("absent", _IDENTITY, nullable=False),
    Index("order_open", "state", "published_position"),
    Index("order_open_kind", "state", "kind", "published_position"),
    Index("order_changed", "state", "changed_at"),
)

parties = Table(
    "order_party",
    METADATA,
    Column("identity", _IDENTITY, primary_key=True),
    Column("order_id", _ID, primary_key=True),
    Column("closed", Boolean, nullable=False),
    _number("position"),
    Index("party_recent", "identity", "position"),
    Index("party_open", "identity", "closed", "position"),
)

order_events = Table(
    "order_event",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("order", _ID, nullable=False),
    Column("event", String(32), nullable=False),
    Column("by", _IDENTITY, nullable=False),
    _number("time"),
    Column("transaction", _ID, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("detail", Integer, nullable=False),
    Column("commitment", _ID, nullable=False),
    Index("event_of_order", "order", "position"),
)

accounts = Table(
    "account",
    METADATA,
    Column("account", _IDENTITY, primary_key=True),
    _number("balance"),
)

lines = Table(
    "line",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("account", _IDENTITY, primary_key=True),
    Column("other", _IDENTITY, nullable=False),
    _number("amount"),
    _number("balance"),
    Column("kind", SmallInteger, nullable=False),
    Column("reference", _ID, nullable=False),
    _number("time"),
    Column("transaction", _ID, nullable=False),
    Index("line_of_account", "account", "position"),
    Index("line_of_account_time", "account", "time"),
    Index("line_of_reference", "reference", "position"),
)

requests = Table(
    "request",
    METADATA,
    Column("action", _ID, primary_key=True),
    _number("position"),
    Column("by", _IDENTITY, nullable=False),
    Column("call", Text, nullable=False),
    _number("time"),
    Column("transaction", _ID, nullable=False),
    Column("countersigned_by", _IDENTITY, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Index("request_recent", "position"),
    Index("request_open", "countersigned_by", "withdrawn", "position"),
)

PROJECTED = (cursor, orders, parties, order_events, accounts, lines, requests)

private_text = Table(
    "private_text",
    METADATA,
    Column("commitment", _ID, primary_key=True),
    Column("reference", _ID, nullable=False),
    Column("author", _IDENTITY, nullable=False),
    Column("salt", _ID, nullable=False),
    Column("document", Text, nullable=False),
    _number("created"),
    Index("text_of_reference", "reference"),
)
"""What people wrote and only its salted commitment is on the chain. `document` is the committed JSON."""

check_in_try = Table(
    "check_in_try",
    METADATA,
    Column("order_id", _ID, primary_key=True),
    Column("identity", _IDENTITY, primary_key=True),
    _number("since"),
    Column("tries", Integer, nullable=False),
)
"""Wrong check-in codes, so that a six-digit code cannot be guessed."""
