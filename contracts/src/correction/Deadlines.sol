// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Due times in China time, in integers only
/// @dev The start day is not counted; a limit in days or months ends with the last second of its last day (刑诉法 105).
library Deadlines {
    uint256 internal constant HOUR = 1;
    uint256 internal constant DAY = 2;
    uint256 internal constant WORKDAY = 3;
    uint256 internal constant MONTH = 4;

    uint256 internal constant ROLLS = 1;
    uint256 internal constant BACKWARDS = 2;

    uint256 internal constant SECONDS_PER_DAY = 86_400;
    /// @dev UTC+8, without summer time since 1992.
    uint256 internal constant CHINA_OFFSET = 28_800;

    /// @notice The last second in time.
    /// @param exceptions word of 256 days => days on which the weekend rule is turned over.
    function due(
        mapping(uint256 => uint256) storage exceptions, uint256 start, uint256 amount, uint256 unit, uint256 flags
    ) internal view returns (uint256) {
        if (unit == HOUR) return start + amount * 3600;
        uint256 day = (start + CHINA_OFFSET) / SECONDS_PER_DAY;
        if (unit == WORKDAY) {
            while (amount != 0) {
                if (isWorkday(exceptions, ++day)) --amount;
            }
        } else {
            if (unit == MONTH) day = addMonths(day, amount);
            else if (flags & BACKWARDS != 0) day -= amount;
            else day += amount;
            if (flags & ROLLS != 0) {
                while (!isWorkday(exceptions, day)) ++day;
            }
        }
        return (day + 1) * SECONDS_PER_DAY - CHINA_OFFSET - 1;
    }

    /// @dev Day 0, 1970-01-01, was a Thursday. Where no exception is set, Monday to Friday are workdays.
    function isWorkday(mapping(uint256 => uint256) storage exceptions, uint256 day) internal view returns (bool) {
        uint256 weekday = (day + 4) % 7;
        bool ordinary = weekday != 0 && weekday != 6;
        return ordinary != (exceptions[day >> 8] >> (day & 0xff) & 1 != 0);
    }

    /// @dev The same day of the month, or the month's last where it has no such day.
    /// Civil calendar from day numbers after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    function addMonths(uint256 day, uint256 months) internal pure returns (uint256) {
        (uint256 year, uint256 month, uint256 dayOfMonth) = toCivil(day);
        uint256 count = year * 12 + (month - 1) + months;
        year = count / 12;
        month = count % 12 + 1;
        uint256 last = lengthOf(year, month);
        return fromCivil(year, month, dayOfMonth < last ? dayOfMonth : last);
    }

    function toCivil(uint256 day) internal pure returns (uint256 year, uint256 month, uint256 dayOfMonth) {
        unchecked {
            uint256 z = day + 719_468;
            uint256 era = z / 146_097;
            uint256 dayOfEra = z % 146_097;
            uint256 yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
            uint256 dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
            uint256 shifted = (5 * dayOfYear + 2) / 153;
            dayOfMonth = dayOfYear - (153 * shifted + 2) / 5 + 1;
            month = shifted < 10 ? shifted + 3 : shifted - 9;
            year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
        }
    }

    function fromCivil(uint256 year, uint256 month, uint256 dayOfMonth) internal pure returns (uint256) {
        unchecked {
            if (month <= 2) --year;
            uint256 yearOfEra = year % 400;
            uint256 dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + dayOfMonth - 1;
            return year / 400 * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468;
        }
    }

    function lengthOf(uint256 year, uint256 month) internal pure returns (uint256) {
        if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }
}
