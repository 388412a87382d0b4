//! Date formats of moment.js, as `${__from:date:YYYY-MM}` has them.

use jiff::Zoned;

/// The tokens that are replaced, and one that contains another token and is not. A longer one precedes those that it
/// begins with.
const TOKENS: [&str; 48] = [
    "YYYY", "YY", "Y", "Qo", "Q", "MMMM", "MMM", "MM", "Mo", "M", "WW", "Wo", "W", "GGGG", "GG",
    "DDDD", "DDDo", "DDD", "DD", "Do", "D", "dddd", "ddd", "dd", "do", "d", "e", "E", "HH", "H",
    "hh", "h", "kk", "k", "mm", "m", "LTS", "ss", "s", "SSS", "SS", "S", "A", "a", "ZZ", "Z", "X",
    "x",
];

/// `at` in the format `pattern`. Text in brackets and unknown tokens stay.
pub(crate) fn dated(at: &Zoned, pattern: &str) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let literal = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((literal, after)) = literal.filter(|(inner, _)| !inner.contains('[')) {
            text.push_str(literal);
            rest = after;
            continue;
        }
        let token = TOKENS.iter().find(|token| rest.starts_with(**token));
        let length = token.map_or(first.len_utf8(), |token| token.len());
        let (token, after) = rest.split_at(length);
        text.push_str(&part(at, token).unwrap_or_else(|| token.to_owned()));
        rest = after;
    }
    text
}

/// The part of the date that a token stands for. The names are English and weeks are those of ISO 8601.
fn part(at: &Zoned, token: &str) -> Option<String> {
    let two = |number: i8| format!("{number:02}");
    let week = at.date().iso_week_date();
    let quarter = (at.month() + 2) / 3;
    let half_day = (at.hour() + 11) % 12 + 1;
    let whole_day = (at.hour() + 23) % 24 + 1;
    let sunday_first = at.weekday().to_sunday_zero_offset();
    let named = |format: &str| at.strftime(format).to_string();
    Some(match token {
        "YYYY" => format!("{:04}", at.year()),
        "YY" => format!("{:02}", at.year().rem_euclid(100)),
        "Y" => at.year().to_string(),
        "Q" => quarter.to_string(),
        "Qo" => ordinal(quarter.into()),
        "MMMM" => named("%B"),
        "MMM" => named("%b"),
        "MM" => two(at.month()),
        "Mo" => ordinal(at.month().into()),
        "M" => at.month().to_string(),
        "WW" => two(week.week()),
        "Wo" => ordinal(week.week().into()),
        "W" => week.week().to_string(),
        "GGGG" => format!("{:04}", week.year()),
        "GG" => format!("{:02}", week.year().rem_euclid(100)),
        "DDDD" => format!("{:03}", at.day_of_year()),
        "DDDo" => ordinal(at.day_of_year()),
        "DDD" => at.day_of_year().to_string(),
        "DD" => two(at.day()),
        "Do" => ordinal(at.day().into()),
        "D" => at.day().to_string(),
        "dddd" => named("%A"),
        "ddd" => named("%a"),
        "dd" => named("%a").chars().take(2).collect(),
        "do" => ordinal(sunday_first.into()),
        "d" | "e" => sunday_first.to_string(),
        "E" => at.weekday().to_monday_one_offset().to_string(),
        "HH" => two(at.hour()),
        "H" => at.hour().to_string(),
        "hh" => two(half_day),
        "h" => half_day.to_string(),
        "kk" => two(whole_day),
        "k" => whole_day.to_string(),
        "mm" => two(at.minute()),
        "m" => at.minute().to_string(),
        "ss" => two(at.second()),
        "s" => at.second().to_string(),
        "SSS" => format!("{:03}", at.millisecond()),
        "SS" => format!("{:02}", at.millisecond() / 10),
        "S" => (at.millisecond() / 100).to_string(),
        "A" => named("%p"),
        "a" => named("%p").to_lowercase(),
        "ZZ" => named("%z"),
        "Z" => named("%:z"),
        "X" => at.timestamp().as_second().to_string(),
        "x" => at.timestamp().as_millisecond().to_string(),
        _ => return None,
    })
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`.
fn ordinal(number: i16) -> String {
    let ending = match (number % 10, number % 100 / 10) {
        (1..=3, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        let at: jiff::Timestamp = text.parse().unwrap();
        at.to_zoned(jiff::tz::TimeZone::UTC)
    }

    #[test]
    fn a_date_is_written_as_moment_js_writes_it() {
        // A Sunday, and the last day of week 9.
        let evening = at("2026-03-01T15:04:05.067Z");
        let cases = [
            ("YYYY-MM-DDTHH:mm:ss.SSSZ", "2026-03-01T15:04:05.067+00:00"),
            ("YY Y Q Qo", "26 2026 1 1st"),
            ("M MM MMM MMMM Mo", "3 03 Mar March 3rd"),
            ("D DD DDD DDDD Do DDDo", "1 01 60 060 1st 60th"),
            ("d dd ddd dddd do e E", "0 Su Sun Sunday 0th 0 7"),
            ("W WW Wo GG GGGG", "9 09 9th 26 2026"),
            ("H HH h hh k kk A a", "15 15 3 03 15 15 PM pm"),
            ("m mm s ss S SS SSS ZZ", "4 04 5 05 0 06 067 +0000"),
            ("X x", "1772377445 1772377445067"),
            ("Hmm Hmmss", "1504 150405"),
            ("[Year] YYYY [a [] b", "Year 2026 [pm  b"),
            ("w gg LTS é [up", "w gg LTS é [up"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(dated(&evening, pattern), expected, "{pattern}");
        }
        let midnight = at("2027-01-01T00:00:00Z");
        let pattern = "H h k DDD Q W GGGG Do";
        assert_eq!(dated(&midnight, pattern), "0 12 24 1 1 53 2026 1st");
        let days = ["11", "12", "13", "21", "22", "23"];
        let days = days.map(|day| dated(&at(&format!("2026-01-{day}T12:00:00Z")), "Do h"));
        let expected = [
            "11th 12", "12th 12", "13th 12", "21st 12", "22nd 12", "23rd 12",
        ];
        assert_eq!(days, expected);
    }
}
