"""The field's rules as data and pure functions: the document catalogue, deadlines, and what a draft must
satisfy.

Deadlines follow the law's way of counting: the start day (or hour) is not counted; a limit in days ends
with the last second of its last day, China time; a last day that is no workday rolls on to the next workday
unless the rule says otherwise; a limit in months ends on the day of the same number (or the month's last);
a limit counted *before* an event ends that many days ahead of it. Nothing here reads a clock. Sources:
刑事诉讼法 art. 105, 社区矫正法, 社区矫正法实施办法; each rule names its article.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Any, Literal

from apps.site.errors import SiteError
from apps.site.text import Text

CHINA = timezone(timedelta(hours=8), "CST")

Unit = Literal["hour", "day", "workday", "month"]

KINDS: Mapping[str, int] = {
    "police": 1,
    "procuratorate": 2,
    "court": 3,
    "justice": 4,
    "community": 5,
    "auditor": 6,
    "data_bureau": 7,
}
KIND_NAMES: Mapping[str, Text] = {
    "police": Text("公安机关", "police"),
    "procuratorate": Text("检察院", "procuratorate"),
    "court": Text("法院", "court"),
    "justice": Text("司法局", "justice bureau"),
}
UNIT_NAMES: Mapping[str, Text] = {
    "hour": Text("小时", "hours"),
    "day": Text("日", "days"),
    "workday": Text("个工作日", "workdays"),
    "month": Text("个月", "months"),
}
START_NAMES: Mapping[str, Text] = {
    "effect": Text("生效之日", "taking effect"),
    "receipt": Text("收到之日", "receipt"),
    "expiry": Text("届满之日", "expiry"),
}


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a document may take, counted from a declared legal date."""

    amount: int
    unit: Unit
    start: str
    before: bool
    rolls: bool

    @property
    def text(self) -> Text:
        unit, start = UNIT_NAMES[self.unit], START_NAMES[self.start]
        if self.before:
            return Text(f"{start.zh}前 {self.amount} {unit.zh}", f"{self.amount} {unit.en} before {start.en}")
        return Text(f"{start.zh}起 {self.amount} {unit.zh}", f"{self.amount} {unit.en} from {start.en}")


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """One row of the catalogue. `senders`, `recipients` and `copies` are kinds of organisations."""

    code: str
    name: Text
    senders: frozenset[str]
    recipients: frozenset[str]
    copies: frozenset[str]
    restricted: bool
    limit: Limit | None
    replies: tuple[str, ...]
    following: tuple[str, ...]
    attachments: tuple[str, ...]
    source: str
    effective_from: date

    @property
    def number(self) -> int:
        """The code on the chain: D07 is 7, D36b is 536."""
        return code_number(self.code)


Catalogue = Mapping[str, DocumentRule]


def code_number(code: str) -> int:
    return 500 + int(code[1:-1]) if code.endswith("b") else int(code[1:])


def code_name(number: int) -> str | None:
    """The catalogue code of a number on the chain; None for 0, the restricted class."""
    if number == 0:
        return None
    return f"D{number - 500:02d}b" if number > 500 else f"D{number:02d}"


def decode_catalogue(document: Mapping[str, Any]) -> Catalogue:
    """The catalogue from its JSON document."""
    return {row["code"]: _rule(row) for row in document["documents"]}


def _rule(row: Mapping[str, Any]) -> DocumentRule:
    limit = row["limit"]
    return DocumentRule(
        code=row["code"],
        name=Text(row["zh"], row["en"]),
        senders=frozenset(row["from"]),
        recipients=frozenset(row["to"]),
        copies=frozenset(row["cc"]),
        restricted=row["class"] == "restricted",
        limit=Limit(
            limit["amount"], limit["unit"], limit["start"], limit["direction"] == "before", limit["rolls"]
        )
        if limit
        else None,
        replies=tuple(row["replies"]),
        following=tuple(row["following"]),
        attachments=tuple(row["attachments"]),
        source=row["source"],
        effective_from=date.fromisoformat(row["effective_from"]),
    )


@cache
def catalogue() -> Catalogue:
    """The catalogue that ships with this program."""
    return decode_catalogue(json.loads(_resource("catalogue.json")))


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Which days are workdays: weekdays, except days `off`, and days of `work` that fall on a weekend."""

    off: frozenset[date]
    work: frozenset[date]

    def is_workday(self, day: date) -> bool:
        return day in self.work or (day.weekday() < 5 and day not in self.off)

    def next_workday(self, day: date) -> date:
        """`day` itself if it is a workday, else the first one after it."""
        while not self.is_workday(day):
            day += timedelta(days=1)
        return day


@cache
def work_calendar() -> WorkCalendar:
    """The calendar of holidays that ships with this program; outside its years every weekday is a workday."""
    document = json.loads(_resource("holidays.json"))
    return WorkCalendar(
        frozenset(date.fromisoformat(day) for day in document["off"]),
        frozenset(date.fromisoformat(day) for day in document["work"]),
    )


def _resource(name: str) -> str:
    return resources.files("apps.community_correction").joinpath(name).read_text("utf-8")


def due_time(limit: Limit, legal_date: int, days: WorkCalendar) -> int:
    """The last second (since the epoch) that is in time, for a limit that runs from `legal_date` (seconds
    since the epoch)."""
    start = datetime.fromtimestamp(legal_date, UTC).astimezone(CHINA)
    if limit.unit == "hour":
        return legal_date + (-limit.amount if limit.before else limit.amount) * 3_600
    last = _last_day(limit, start.date(), days)
    if limit.rolls and limit.unit != "workday":
        last = days.next_workday(last)
    return int(datetime.combine(last, time(23, 59, 59), CHINA).timestamp())


def _last_day(limit: Limit, start: date, days: WorkCalendar) -> date:
    sign = -1 if limit.before else 1
    if limit.unit == "day":
        return start + timedelta(days=sign * limit.amount)
    if limit.unit == "month":
        return add_months(start, sign * limit.amount)
    last, left = start, limit.amount
    while left:
        last += timedelta(days=sign)
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
    sender: str,
    recipients: Sequence[str],
    copies: Sequence[str],
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
        start = START_NAMES[rule.limit.start]
        raise SiteError(
            "correction.legal_date_missing",
            Text(
                f"此文书有时限，请填写{start.zh}。",
                f"This document has a limit; give the date of {start.en}.",
            ),
            Text(
                f"时限：{rule.limit.text.zh}（{rule.source}）。",
                f"Limit: {rule.limit.text.en} ({rule.source}).",
            ),
        )


def _name(kind: str) -> Text:
    return KIND_NAMES.get(kind, Text(kind, kind))


def _names(kinds: frozenset[str]) -> Text:
    names = [_name(kind) for kind in sorted(kinds)]
    return Text("、".join(name.zh for name in names), ", ".join(name.en for name in names))
