"""Due times against Python's calendar: days and months of China, weekends, holidays, make-up days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bindings import correction_documents as documents
from contracts.catalogue import CATALOGUE
from contracts.district import NOW, district
from contracts.holidays import HOLIDAY_WORDS, holiday_words
from contracts.sandbox import CallFailed, Sandbox
from contracts.system import SYSTEM
from contracts.vocabulary import LimitFlag, LimitUnit

CHINA = timezone(timedelta(hours=8))
EPOCH = date(1970, 1, 1)
BOX = district()


def is_workday(day: date) -> bool:
    number = (day - EPOCH).days
    return (day.weekday() < 5) != bool(HOLIDAY_WORDS.get(number >> 8, 0) >> (number & 0xFF) & 1)


def add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(days=day.day - 1), following - timedelta(days=1))


def reference(start: int, amount: int, unit: LimitUnit, flags: LimitFlag) -> int:
    """The last second in time: the start day does not count, a last day that is free moves on."""
    if unit == LimitUnit.HOUR:
        return start + amount * 3_600
    day = datetime.fromtimestamp(start, CHINA).date()
    if unit == LimitUnit.WORKDAY:
        while amount:
            day += timedelta(days=1)
            amount -= is_workday(day)
    else:
        if unit == LimitUnit.MONTH:
            day = add_months(day, amount)
        else:
            day += timedelta(days=-amount if flags & LimitFlag.BACKWARDS else amount)
        while flags & LimitFlag.ROLLS and not is_workday(day):
            day += timedelta(days=1)
    end = datetime(day.year, day.month, day.day, tzinfo=CHINA) + timedelta(days=1)
    return int(end.timestamp()) - 1


def set_limit(sandbox: Sandbox, amount: int, unit: LimitUnit, flags: LimitFlag) -> None:
    plain = CATALOGUE[7].rule()
    fields = {name: getattr(plain, name) for name in plain.__slots__}
    rule = documents.Rule(**{**fields, "amount": amount, "unit": unit, "flags": flags})
    sandbox.send(SYSTEM, documents.set_rule(7, rule))


@given(
    start=st.integers(int(datetime(2024, 12, 1, tzinfo=UTC).timestamp()), NOW),
    amount=st.integers(1, 90),
    unit=st.sampled_from(list(LimitUnit)[1:]),
    flags=st.sampled_from(
        (LimitFlag(0), LimitFlag.ROLLS, LimitFlag.BACKWARDS, LimitFlag.ROLLS | LimitFlag.BACKWARDS)
    ),
)
@settings(max_examples=150, deadline=None)
def test_due_times_are_those_of_the_calendar(
    start: int, amount: int, unit: LimitUnit, flags: LimitFlag
) -> None:
    if unit != LimitUnit.DAY:
        flags &= LimitFlag.ROLLS
    set_limit(BOX, amount, unit, flags)
    got = documents.decode_due_time(BOX.read(documents.due_time(7, start)))
    assert got == reference(start, amount, unit, flags)


@pytest.mark.parametrize(
    ("start", "amount", "unit", "end"),
    [
        (datetime(2026, 1, 31, 9, tzinfo=CHINA), 1, LimitUnit.MONTH, date(2026, 2, 28)),
        (datetime(2023, 12, 31, 9, tzinfo=CHINA), 2, LimitUnit.MONTH, date(2024, 2, 29)),
        (datetime(2026, 9, 30, 9, tzinfo=CHINA), 1, LimitUnit.WORKDAY, date(2026, 10, 8)),
        (datetime(2026, 2, 13, 9, tzinfo=CHINA), 1, LimitUnit.WORKDAY, date(2026, 2, 14)),
        (datetime(2026, 2, 14, 9, tzinfo=CHINA), 1, LimitUnit.WORKDAY, date(2026, 2, 24)),
        (datetime(2026, 11, 18, 23, 59, tzinfo=CHINA), 5, LimitUnit.DAY, date(2026, 11, 23)),
    ],
)
def test_known_days(start: datetime, amount: int, unit: LimitUnit, end: date) -> None:
    """End of month, leap year, the National Day and Spring Festival of 2026 with its worked Saturday."""
    set_limit(BOX, amount, unit, LimitFlag(0))
    got = documents.decode_due_time(BOX.read(documents.due_time(7, int(start.timestamp()))))
    assert datetime.fromtimestamp(got, CHINA).date() == end
    assert datetime.fromtimestamp(got + 1, CHINA).hour == 0


def test_a_last_day_in_a_holiday_rolls_on() -> None:
    set_limit(BOX, 10, LimitUnit.DAY, LimitFlag.ROLLS)
    start = int(datetime(2026, 9, 22, 9, tzinfo=CHINA).timestamp())
    got = documents.decode_due_time(BOX.read(documents.due_time(7, start)))
    assert datetime.fromtimestamp(got, CHINA).date() == date(2026, 10, 8)


def test_a_legal_date_ahead_is_refused() -> None:
    set_limit(BOX, 10, LimitUnit.DAY, LimitFlag.ROLLS)
    with pytest.raises(CallFailed) as caught:
        BOX.read(documents.due_time(7, NOW + 2 * 86_400))
    assert getattr(caught.value.got, "name", "") == "LegalDateInvalid"


def test_holidays_on_weekends_and_workdays_in_the_week_are_no_exceptions() -> None:
    saturday, monday = date(2026, 11, 21), date(2026, 11, 23)
    assert holiday_words([saturday], [monday]) == {}
    number = (monday - EPOCH).days
    assert holiday_words([monday], []) == {number >> 8: 1 << (number & 0xFF)}
