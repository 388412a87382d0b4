//! Days and hours of a time in UTC.
//!
//! The calendar goes as far as 64 bits of seconds do, as Go's: a value that is no time is the smallest
//! one (292 billion years ago), and has a weekday like any other.

/// Seconds from the calendar's first day to 1970: the first day begins a cycle of 400 years and is a
/// Monday.
const TO_1970: i64 = 9_223_371_966_579_724_800;
/// Seconds from the year 1 to 1970.
const FROM_YEAR_1: i64 = 62_135_596_800;
/// The year of the calendar's first day.
const FIRST_YEAR: i64 = -292_277_022_399;

const DAY: u64 = 86_400;
const DAYS_IN_400_YEARS: u64 = 146_097;
const DAYS_IN_100_YEARS: u64 = 36_524;
const DAYS_IN_4_YEARS: u64 = 1461;
const DAYS_IN_MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A time, taken apart.
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1 to 12.
    pub(super) month: u64,
    /// From 1 on.
    pub(super) day: u64,
    /// From 1 on.
    pub(super) day_of_year: u64,
    pub(super) days_in_month: u64,
    /// From 0, a Sunday, on.
    pub(super) weekday: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
}

impl Date {
    /// The date of a number of seconds since 1970.
    pub(super) fn of(seconds: i64) -> Self {
        let absolute = seconds.wrapping_add(FROM_YEAR_1).wrapping_add(TO_1970) as u64;
        let (days, second) = (absolute / DAY, absolute % DAY);
        let (cycles, rest) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
        // The last of four centuries, and the last of four years, has a day more.
        let centuries = (rest / DAYS_IN_100_YEARS).min(3);
        let rest = rest - centuries * DAYS_IN_100_YEARS;
        let (fours, rest) = (rest / DAYS_IN_4_YEARS, rest % DAYS_IN_4_YEARS);
        let years = (rest / 365).min(3);
        let day_of_year = rest - years * 365;
        let year = (400 * cycles + 100 * centuries + 4 * fours + years) as i64 + FIRST_YEAR;
        let leap =
            year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        let (mut month, mut day) = (0, day_of_year);
        let length = |month: usize| DAYS_IN_MONTHS[month] + u64::from(leap && month == 1);
        while day >= length(month) {
            day -= length(month);
            month += 1;
        }
        Self {
            year,
            month: month as u64 + 1,
            day: day + 1,
            day_of_year: day_of_year + 1,
            days_in_month: length(month),
            weekday: (days + 1) % 7,
            hour: second / 3600,
            minute: second / 60 % 60,
        }
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
            let (year, month, day) = (d.year, d.month, d.day);
            let (hour, minute, of_year) = (d.hour, d.minute, d.day_of_year);
            let (in_month, weekday) = (d.days_in_month, d.weekday);
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
            assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day));
        }
    }
}
