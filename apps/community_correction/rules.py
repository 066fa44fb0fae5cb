"""The field's rules as pure functions over data: the document catalogue, deadlines, and what a draft must
satisfy.

The rows are those of `contracts.catalogue` and `contracts.holidays`, which stand on the chain; here they
are read as people and programs of an agency need them. Deadlines follow the law's way of counting: the
start day (or hour) is not counted; a limit in days ends with the last second of its last day, China time; a
last day that is no workday rolls on to the next one where the rule says so; a limit in months ends on the
day of the same number, or the month's last; a limit counted back from an event ends that many days ahead of
it. Nothing here reads a clock. Sources: 刑事诉讼法 art. 105, 社区矫正法, 社区矫正法实施办法; each row names
its article.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache

from apps.site.errors import SiteError
from apps.site.text import Text
from contracts.catalogue import CATALOGUE, DocumentType, kinds_of
from contracts.holidays import HOLIDAY_WORDS
from contracts.vocabulary import (
    LIMIT_UNITS,
    ORGANISATION_KINDS,
    START_EVENTS,
    Label,
    LimitFlag,
    LimitUnit,
    OrganisationKind,
    StartEvent,
)

CHINA = timezone(timedelta(hours=8), "CST")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount of time from an event; `backwards`: before it (days only); `rolls`: off a day that is no
    workday."""

    amount: int
    unit: LimitUnit
    start: StartEvent
    rolls: bool
    backwards: bool = False

    @property
    def text(self) -> Text:
        unit, start = as_text(LIMIT_UNITS[self.unit]), as_text(START_EVENTS[self.start])
        if self.backwards:
            return Text(f"{start.zh}前 {self.amount} {unit.zh}", f"{self.amount} {unit.en} before {start.en}")
        return Text(f"{start.zh}起 {self.amount} {unit.zh}", f"{self.amount} {unit.en} from {start.en}")


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """One row of the catalogue. `number` is the code on the chain: D07 is 7, D36b is 536; `replies` are
    codes that may answer it."""

    code: str
    number: int
    name: Text
    senders: frozenset[OrganisationKind]
    recipients: frozenset[OrganisationKind]
    copies: frozenset[OrganisationKind]
    restricted: bool
    limit: Limit | None
    replies: tuple[str, ...]
    source: str


Catalogue = Mapping[str, DocumentRule]


def as_text(label: Label) -> Text:
    return Text(label.zh, label.en)


@cache
def catalogue() -> Catalogue:
    """The catalogue by code, in the order of the codes."""
    return {row.name: _rule(row) for row in CATALOGUE.values()}


def code_of(number: int) -> str | None:
    """The catalogue code of a number on the chain; None for 0, the restricted class, and for unknown
    numbers."""
    row = CATALOGUE.get(number)
    return row.name if row is not None else None


def _rule(row: DocumentType) -> DocumentRule:
    flags = row.rule().flags
    limit = None
    if row.limit is not None:
        rolls, backwards = bool(flags & LimitFlag.ROLLS), bool(flags & LimitFlag.BACKWARDS)
        limit = Limit(row.limit.amount, row.limit.unit, row.start, rolls, backwards)
    return DocumentRule(
        code=row.name,
        number=row.code,
        name=as_text(row.label),
        senders=frozenset(kinds_of(row.senders)),
        recipients=frozenset(kinds_of(row.recipients)),
        copies=frozenset(kinds_of(row.copies)),
        restricted=row.restricted,
        limit=limit,
        replies=tuple(CATALOGUE[code].name for code in row.replies),
        source=row.source,
    )


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Which days are workdays: Monday to Friday, turned over on the days set in `words` (day number >> 8 to
    256 bits)."""

    words: Mapping[int, int]

    def is_workday(self, day: date) -> bool:
        number = (day - _EPOCH).days
        exception = bool(self.words.get(number >> 8, 0) >> (number & 0xFF) & 1)
        return (day.weekday() < 5) != exception

    def next_workday(self, day: date) -> date:
        """`day` itself if it is a workday, else the first one after it."""
        while not self.is_workday(day):
            day += timedelta(days=1)
        return day


@cache
def work_calendar() -> WorkCalendar:
    """The calendar that stands on the chain at genesis; outside its years every weekday is a workday."""
    return WorkCalendar(HOLIDAY_WORDS)


def due_time(limit: Limit, legal_date: int, days: WorkCalendar) -> int:
    """The last second (since the epoch) that is in time, for a limit that runs from `legal_date` (seconds
    since the epoch)."""
    if limit.unit == LimitUnit.HOUR:
        return legal_date + limit.amount * 3_600
    last = _last_day(limit, datetime.fromtimestamp(legal_date, UTC).astimezone(CHINA).date(), days)
    if limit.rolls and limit.unit != LimitUnit.WORKDAY:
        last = days.next_workday(last)
    return int(datetime.combine(last, time(23, 59, 59), CHINA).timestamp())


def _last_day(limit: Limit, start: date, days: WorkCalendar) -> date:
    if limit.unit == LimitUnit.DAY:
        return start + timedelta(days=-limit.amount if limit.backwards else limit.amount)
    if limit.unit == LimitUnit.MONTH:
        return add_months(start, limit.amount)
    last, left = start, limit.amount
    while left:
        last += timedelta(days=1)
        left -= days.is_workday(last)
    return last


def add_months(day: date, months: int) -> date:
    """The day of the same number `months` later, or the last day of that month if it has none."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def start_of_day(day: date) -> int:
    """Midnight of a day in China time, seconds since the epoch: how a declared legal date is put on the
    chain."""
    return int(datetime.combine(day, time(), CHINA).timestamp())


def check_draft(
    rule: DocumentRule,
    *,
    sender: OrganisationKind,
    recipients: Sequence[OrganisationKind],
    copies: Sequence[OrganisationKind],
    file_count: int,
    legal_date: int,
) -> None:
    """What can be said before anyone signs: kinds of sender and recipients, a file, the declared date. The
    contract judges again.

    Raises SiteError: correction.wrong_sender, .wrong_recipient, .no_recipient, .missing_attachment,
    .legal_date_missing.
    """
    if sender not in rule.senders:
        raise SiteError(
            "correction.wrong_sender",
            Text(
                f"{_name(sender).zh}不能发出“{rule.name.zh}”。",
                f"The {_name(sender).en} does not issue “{rule.name.en}”.",
            ),
            Text(f"此文书由{_names(rule.senders).zh}发出。", f"It is issued by: {_names(rule.senders).en}."),
            got=sender,
            expected=sorted(rule.senders),
        )
    if not recipients:
        raise SiteError(
            "correction.no_recipient",
            Text("没有选择主送单位。", "No recipient was chosen."),
            Text(f"请从{_names(rule.recipients).zh}中选择。", f"Choose among: {_names(rule.recipients).en}."),
        )
    for kinds, allowed, role in ((recipients, rule.recipients, "主送"), (copies, rule.copies, "抄送")):
        wrong = [kind for kind in kinds if kind not in allowed]
        if wrong:
            choice = _names(allowed) if allowed else Text("（无）", "(none)")
            raise SiteError(
                "correction.wrong_recipient",
                Text(
                    f"“{rule.name.zh}”不能{role}{_name(wrong[0]).zh}。",
                    f"“{rule.name.en}” may not go to the {_name(wrong[0]).en}.",
                ),
                Text(f"可{role}：{choice.zh}。", f"Allowed: {choice.en}."),
                got=wrong,
                expected=sorted(allowed),
            )
    if file_count < 1:
        raise SiteError(
            "correction.missing_attachment",
            Text("还没有上传文书正文。", "The document itself has not been uploaded."),
            Text("请选择正文文件（PDF），再加附件。", "Choose the document (PDF), then attachments."),
        )
    if rule.limit is not None and legal_date == 0:
        start = as_text(START_EVENTS[rule.limit.start])
        raise SiteError(
            "correction.legal_date_missing",
            Text(
                f"此文书有时限，请填写{start.zh}日期。",
                f"This document has a limit; give the date of {start.en}.",
            ),
            Text(
                f"时限：{rule.limit.text.zh}（{rule.source}）。",
                f"Limit: {rule.limit.text.en} ({rule.source}).",
            ),
        )


def _name(kind: OrganisationKind) -> Text:
    return as_text(ORGANISATION_KINDS[kind])


def _names(kinds: Iterable[OrganisationKind]) -> Text:
    names = [_name(kind) for kind in sorted(kinds)]
    return Text("、".join(name.zh for name in names), ", ".join(name.en for name in names))
