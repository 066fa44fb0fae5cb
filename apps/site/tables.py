"""Tables that sort, filter, page and export, driven by the URL so that every view is a link.

`?sort=-due&q=…&page=2&size=20&f.state=late` — a handler builds a `TableView` with `table_of` and the
template draws it with the macro `table` of `site/table.html`. Only the columns a handler names can be
sorted or filtered by; anything else in the URL is ignored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from starlette.requests import Request

from apps.site.text import Language, Text

PAGE_SIZES = (20, 50, 100)
MAX_EXPORT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key in the row, its title, what it sorts and filters by in SQL, and the choices of its
    filter.

    `wide` columns are left out on a phone.
    """

    key: str
    title: Text
    sort: ColumnElement[Any] | InstrumentedAttribute[Any] | None = None
    search: bool = False
    choices: Mapping[str, Text] | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What the URL asks for, cleaned: the sort key ("-" first means descending), the search words, filters,
    page and page size."""

    sort: str
    q: str
    filters: Mapping[str, str]
    page: int
    size: int
    path: str

    def link(self, **changes: object) -> str:
        """The URL of this view with something changed; a change of anything but the page goes back to page
        1."""
        values: dict[str, object] = {"sort": self.sort, "q": self.q, "page": self.page, "size": self.size}
        values |= {f"f.{key}": value for key, value in self.filters.items()}
        values |= changes if "page" in changes else {**changes, "page": 1}
        kept = {key: value for key, value in values.items() if value not in ("", None)}
        return f"{self.path}?{urlencode(kept)}"


@dataclass(frozen=True, slots=True)
class TableView:
    """One page of a table, ready to draw."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    total: int
    query: TableQuery
    empty: Text = field(default_factory=lambda: Text("没有记录。", "Nothing here."))

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.size))

    @property
    def searchable(self) -> bool:
        return any(column.search for column in self.columns)


def read_query(request: Request, columns: Sequence[Column], default_sort: str) -> TableQuery:
    """The query of a request; unknown columns, sizes and pages fall back to the default."""
    parameters = request.query_params
    sortable = {column.key for column in columns if column.sort is not None}
    sort = parameters.get("sort", default_sort)
    if sort.removeprefix("-") not in sortable:
        sort = default_sort
    size = int(size_text) if (size_text := parameters.get("size", "")).isdigit() else PAGE_SIZES[0]
    page_text = parameters.get("page", "1")
    filters = {
        column.key: value
        for column in columns
        if column.choices and (value := parameters.get(f"f.{column.key}", "")) in column.choices
    }
    return TableQuery(
        sort=sort,
        q=parameters.get("q", "").strip()[:100],
        filters=filters,
        page=max(1, int(page_text)) if page_text.isdigit() and len(page_text) < 7 else 1,
        size=size if size in PAGE_SIZES else PAGE_SIZES[0],
        path=request.url.path,
    )


def table_of(
    session: Session,
    statement: Select[Any],
    columns: Sequence[Column],
    query: TableQuery,
    *,
    export: bool = False,
    empty: Text | None = None,
) -> TableView:
    """Run `statement` (a select of one mapped class) with the sort, search, filters and page of `query`.
    With `export`, all rows."""
    for column in columns:
        if column.key in query.filters and column.sort is not None:
            statement = statement.where(column.sort == query.filters[column.key])
    if query.q:
        pattern = "%" + query.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        matches = [
            column.sort.like(pattern, escape="\\")
            for column in columns
            if column.search and column.sort is not None
        ]
        if matches:
            statement = statement.where(or_(*matches))
    total = session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    order = next(column.sort for column in columns if column.key == query.sort.removeprefix("-"))
    if order is not None:
        statement = statement.order_by(order.desc() if query.sort.startswith("-") else order.asc())
    statement = (
        statement.limit(MAX_EXPORT_ROWS)
        if export
        else statement.limit(query.size).offset((query.page - 1) * query.size)
    )
    rows = session.scalars(statement).all()
    return TableView(columns, rows, total, query, *([empty] if empty else []))


def to_csv(view: TableView, language: Language, cell: Callable[[Any, str], object]) -> str:
    """The rows as CSV with a byte order mark (so that spreadsheets read Chinese). `cell(row, key)` gives a
    cell; a cell that a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow([column.title.in_language(language) for column in view.columns])
    for row in view.rows:
        values = [str(cell(row, column.key) or "") for column in view.columns]
        writer.writerow(["'" + value if value[:1] in "=+-@\t" else value for value in values])
    return out.getvalue()
