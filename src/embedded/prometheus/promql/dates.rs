//! Dates and hours in UTC.
//!
//! The calendar covers 64 bits of seconds, like Go's. A value that is not a time becomes the smallest time (292
//! billion years ago), which also has a weekday. jiff covers 20,000 years, and the calendar repeats every 400.

use jiff::civil::{DateTime, date};

/// Seconds from the calendar's first day, on which a cycle of 400 years begins, to 1970.
const TO_1970: i64 = 9_223_371_966_579_724_800 + 62_135_596_800;
/// The year of the calendar's first day.
const FIRST_YEAR: i64 = -292_277_022_399;
const SECONDS_IN_400_YEARS: u64 = 146_097 * 86_400;

/// The parts of a time.
pub(super) struct Date {
    /// The same time in the 400 years from 2001 on.
    pub(super) time: DateTime,
    cycles: u64,
}

impl Date {
    /// The date of a number of seconds since 1970.
    pub(super) fn of(seconds: i64) -> Self {
        let absolute = seconds.wrapping_add(TO_1970) as u64;
        let (cycles, second) = (
            absolute / SECONDS_IN_400_YEARS,
            absolute % SECONDS_IN_400_YEARS,
        );
        let second = jiff::SignedDuration::from_secs(second as i64);
        let time = date(2001, 1, 1).at(0, 0, 0, 0).saturating_add(second);
        Self { time, cycles }
    }

    pub(super) fn year(&self) -> i64 {
        i64::from(self.time.year()) - 2001 + 400 * self.cycles as i64 + FIRST_YEAR
    }

    /// The weekday. Sunday is 0.
    pub(super) fn weekday(&self) -> i8 {
        self.time.weekday().to_sunday_zero_offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-1-1 00:00 1 31 4"),
            (951_782_399, "2000-2-28 23:59 59 29 1"),
            (951_868_799, "2000-2-29 23:59 60 29 2"),
            (1_700_000_003, "2023-11-14 22:13 318 30 2"),
            (1_735_689_599, "2024-12-31 23:59 366 31 2"),
            (-1, "1969-12-31 23:59 365 31 3"),
            (-2_208_988_800, "1900-1-1 00:00 1 31 1"),
        ] {
            let d = Date::of(seconds);
            let (year, month, day) = (d.year(), d.time.month(), d.time.day());
            let (hour, minute, of_year) = (d.time.hour(), d.time.minute(), d.time.day_of_year());
            let (in_month, weekday) = (d.time.days_in_month(), d.weekday());
            let text = format!(
                "{year}-{month}-{day} {hour:02}:{minute:02} {of_year} {in_month} {weekday}"
            );
            assert_eq!(text, expected, "{seconds}");
        }
    }

    #[test]
    fn every_number_of_seconds_has_a_date() {
        for seconds in [i64::MIN, i64::MAX, i64::MIN + 1, 1 << 53] {
            let date = Date::of(seconds);
            assert!((1..=12).contains(&date.time.month()) && (1..=31).contains(&date.time.day()));
        }
    }

    #[test]
    fn years_go_as_far_as_go_s() {
        // The sum to the calendar's first day overflows for the smallest number and wraps, like in Go.
        for (seconds, year) in [
            (i64::MIN, 292_277_026_596),
            (i64::MAX, 292_277_026_596),
            (-9_223_372_028_715_321_600, -292_277_022_399),
            (253_402_300_800, 10_000),
        ] {
            assert_eq!(Date::of(seconds).year(), year, "{seconds}");
        }
    }
}
