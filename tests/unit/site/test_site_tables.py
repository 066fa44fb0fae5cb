"""Tables are driven by the URL, and by nothing in it that they did not offer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.requests import Request

from apps.site.store import open_sqlite
from apps.site.tables import Column, TableView, read_query, table_of, to_csv
from apps.site.text import Text


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "row"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(5))


COLUMNS = (
    Column("id", Text("编号", "No."), Row.id),
    Column("name", Text("名称", "Name"), Row.name, search=True),
    Column("kind", Text("种类", "Kind"), Row.kind, choices={"a": Text("甲", "A"), "b": Text("乙", "B")}),
    Column("action", Text("办理", "Do")),
)


def request(query: str) -> Request:
    return Request({"type": "http", "path": "/rows", "query_string": query.encode(), "headers": []})


@pytest.fixture
def session(tmp_path: Path) -> Session:
    engine = open_sqlite(tmp_path / "t.sqlite")
    Base.metadata.create_all(engine)
    session = Session(engine)
    session.add_all(Row(id=n, name=f"name {n}%", kind="ab"[n % 2]) for n in range(1, 46))
    session.flush()
    return session


def view(session: Session, query: str, *, export: bool = False) -> TableView:
    return table_of(session, select(Row), COLUMNS, read_query(request(query), COLUMNS, "-id"), export=export)


def ids(found: TableView) -> list[int]:
    return [row.id for row in found.rows]


def test_it_sorts_filters_searches_and_pages(session: Session) -> None:
    assert ids(view(session, ""))[:3] == [45, 44, 43]
    assert ids(view(session, "sort=id&page=2"))[:2] == [21, 22]
    assert view(session, "").pages == 3
    only = view(session, "f.kind=b&size=50")
    assert (only.total, {row.kind for row in only.rows}) == (23, {"b"})
    assert ids(view(session, "q=name 4&sort=id")) == [4, 40, 41, 42, 43, 44, 45]
    assert view(session, "q=%25").total == 45, "a percent sign is looked for, not matched with"
    assert view(session, "q=_").total == 0
    assert len(view(session, "size=20", export=True).rows) == 45


@given(st.text(max_size=80))
def test_no_query_breaks_the_reading_of_it(text: str) -> None:
    query = read_query(request(text.encode("utf-8", "replace").decode("utf-8")), COLUMNS, "-id")
    assert query.sort.removeprefix("-") in {"id", "name", "kind"}
    assert query.page >= 1
    assert query.size in (20, 50, 100)


def test_a_link_keeps_the_view_and_goes_to_page_one_when_it_changes() -> None:
    query = read_query(request("sort=name&q=x&page=3&f.kind=a"), COLUMNS, "-id")
    resorted = dict(parse_qsl(urlsplit(query.link(sort="-name")).query))
    assert resorted == {"sort": "-name", "q": "x", "page": "1", "size": "20", "f.kind": "a"}
    assert dict(parse_qsl(urlsplit(query.link(page=4)).query))["page"] == "4"


def test_a_spreadsheet_runs_nothing_from_an_export(session: Session) -> None:
    found = view(session, "", export=True)
    text = to_csv(
        found,
        "zh",
        lambda row, key: "=cmd|' /C calc'!A0" if key == "name" else row.id if key == "id" else None,
    )
    assert text.startswith("\ufeff编号,名称,种类,办理")
    assert "\n=cmd" not in text
    assert ",=cmd" not in text
    assert "'=cmd" in text
