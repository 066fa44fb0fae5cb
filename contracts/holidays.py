"""Days that turn the weekend rule over, as words of 256 days for CorrectionDocuments.setHolidays.

Sources: 国务院办公厅关于 2025 年、2026 年部分节假日安排的通知. A year without a notice counts Monday to Friday as workdays; the
next notice is entered by vote.
"""

# ruff: noqa: E501  (tables: one row a line)

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

_EPOCH: Final = date(1970, 1, 1)
_FIRST_WEEKEND_DAY: Final = 5

_HOLIDAYS: Final = (
    (date(2025, 1, 1), 1), (date(2025, 1, 28), 8), (date(2025, 4, 4), 3), (date(2025, 5, 1), 5), (date(2025, 5, 31), 3),
    (date(2025, 10, 1), 8),
    (date(2026, 1, 1), 3), (date(2026, 2, 15), 9), (date(2026, 4, 4), 3), (date(2026, 5, 1), 5), (date(2026, 6, 19), 3),
    (date(2026, 9, 25), 3), (date(2026, 10, 1), 7),
)  # fmt: skip
"""First day and number of days of each holiday."""

_MAKE_UP_DAYS: Final = (
    date(2025, 1, 26), date(2025, 2, 8), date(2025, 4, 27), date(2025, 9, 28), date(2025, 10, 11),
    date(2026, 1, 4), date(2026, 2, 14), date(2026, 2, 28), date(2026, 5, 9), date(2026, 9, 20), date(2026, 10, 10),
)  # fmt: skip
"""Weekend days that are worked."""


def holiday_words(holidays: Iterable[date], make_up_days: Iterable[date]) -> dict[int, int]:
    """Word number (day number >> 8) to bits: holidays on weekdays and worked weekend days."""
    exceptions = {day for day in holidays if day.weekday() < _FIRST_WEEKEND_DAY}
    exceptions |= {day for day in make_up_days if day.weekday() >= _FIRST_WEEKEND_DAY}
    words: dict[int, int] = {}
    for day in exceptions:
        number = (day - _EPOCH).days
        words[number >> 8] = words.get(number >> 8, 0) | 1 << (number & 0xFF)
    return dict(sorted(words.items()))


HOLIDAY_WORDS: Final = holiday_words(
    (first + timedelta(days=offset) for first, count in _HOLIDAYS for offset in range(count)), _MAKE_UP_DAYS
)
