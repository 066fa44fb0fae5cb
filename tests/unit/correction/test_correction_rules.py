"""Deadlines against tables of dates, and what a draft must satisfy."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from apps.community_correction import rules
from apps.community_correction.rules import CHINA, Limit, catalogue, due_time, start_of_day, work_calendar
from apps.site.errors import SiteError
from contracts.catalogue import CATALOGUE
from contracts.vocabulary import LimitUnit, OrganisationKind, StartEvent

COURT, JUSTICE, POLICE = OrganisationKind.COURT, OrganisationKind.JUSTICE, OrganisationKind.POLICE


def limit(amount: int, unit: LimitUnit, *, rolls: bool = True, backwards: bool = False) -> Limit:
    return Limit(amount, unit, StartEvent.EFFECT, rolls, backwards)


def last_moment(text: str) -> int:
    return int(
        datetime.combine(
            date.fromisoformat(text), datetime.max.time().replace(microsecond=0), CHINA
        ).timestamp()
    )


@pytest.mark.parametrize(
    ("amount", "unit", "start", "last"),
    [
        # The start day is not counted.
        (5, LimitUnit.DAY, "2026-03-02", "2026-03-09"),  # 7 March is a Saturday: rolls to Monday
        (10, LimitUnit.DAY, "2026-03-02", "2026-03-12"),
        (10, LimitUnit.DAY, "2026-09-21", "2026-10-08"),  # 1 October holiday: rolls past 7 October
        (5, LimitUnit.DAY, "2026-02-09", "2026-02-14"),  # a Saturday that is worked
        (3, LimitUnit.DAY, "2026-12-31", "2027-01-04"),  # no notice for 2027 yet: only the weekend counts
        (10, LimitUnit.WORKDAY, "2026-03-02", "2026-03-16"),
        (5, LimitUnit.WORKDAY, "2026-09-28", "2026-10-10"),  # seven holidays between; 10 October is worked
        (1, LimitUnit.WORKDAY, "2026-02-13", "2026-02-14"),
        (1, LimitUnit.MONTH, "2026-01-31", "2026-02-28"),  # a Saturday that is worked
        (3, LimitUnit.MONTH, "2026-03-15", "2026-06-15"),
        (12, LimitUnit.MONTH, "2028-02-29", "2029-02-28"),
    ],
)
def test_a_limit_ends_with_the_last_second_of_its_last_day(
    amount: int, unit: LimitUnit, start: str, last: str
) -> None:
    legal_date = start_of_day(date.fromisoformat(start))
    assert due_time(limit(amount, unit), legal_date, work_calendar()) == last_moment(last)


def test_the_hour_of_the_legal_date_does_not_matter_for_limits_in_days() -> None:
    morning = start_of_day(date(2026, 3, 2))
    for later in (1, 86_399):
        same = due_time(limit(5, LimitUnit.DAY), morning + later, work_calendar())
        assert same == due_time(limit(5, LimitUnit.DAY), morning, work_calendar())


def test_hours_are_counted_from_the_hour_and_do_not_roll() -> None:
    saturday_evening = start_of_day(date(2026, 3, 7)) + 20 * 3_600
    assert (
        due_time(limit(48, LimitUnit.HOUR), saturday_evening, work_calendar())
        == saturday_evening + 48 * 3_600
    )


def test_a_limit_counted_back_ends_before_the_event() -> None:
    expiry = start_of_day(date(2026, 6, 30))
    backwards = limit(30, LimitUnit.DAY, rolls=False, backwards=True)
    assert due_time(backwards, expiry, work_calendar()) == last_moment("2026-05-31")


def test_a_limit_that_does_not_roll_may_end_on_a_holiday() -> None:
    start = start_of_day(date(2026, 9, 21))
    assert due_time(limit(10, LimitUnit.DAY, rolls=False), start, work_calendar()) == last_moment(
        "2026-10-01"
    )


def test_the_catalogue_has_every_row_of_the_chain_under_its_code() -> None:
    assert {rule.number for rule in catalogue().values()} == set(CATALOGUE)
    assert catalogue()["D36b"].number == 536
    assert rules.code_of(536) == "D36b"
    assert rules.code_of(0) is None
    assert catalogue()["D07"].name.zh.startswith("判决书")


def draft(code: str, **changes: object) -> None:
    values: dict[str, object] = {
        "sender": COURT,
        "recipients": [JUSTICE],
        "copies": [POLICE],
        "file_count": 1,
        "legal_date": 1_780_000_000,
    }
    rules.check_draft(catalogue()[code], **(values | changes))  # type: ignore[arg-type]


def test_a_judgment_from_the_court_to_the_justice_bureau_may_be_drafted() -> None:
    draft("D07")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sender": JUSTICE}, "correction.wrong_sender"),
        ({"recipients": []}, "correction.no_recipient"),
        ({"recipients": [POLICE]}, "correction.wrong_recipient"),
        ({"copies": [COURT]}, "correction.wrong_recipient"),
        ({"file_count": 0}, "correction.missing_attachment"),
        ({"legal_date": 0}, "correction.legal_date_missing"),
    ],
)
def test_a_wrong_draft_is_refused_with_a_sentence_and_the_next_step(
    changes: dict[str, object], code: str
) -> None:
    with pytest.raises(SiteError) as refused:
        draft("D07", **changes)
    assert refused.value.code == code
    assert refused.value.text.zh
    assert refused.value.next_step.zh
