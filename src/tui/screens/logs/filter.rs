//! The text filter. A record passes if its line on the screen contains the text.
//!
//! The console makes the line on the screen: the time in the user's zone, rounded durations, and `name=value` for
//! JSON fields. The source has only the logged line. So the query asks for lines that may contain the text, which
//! leaves out most others, and the answer is filtered again here.

use crate::tui::screens::logs::Record;
use crate::tui::zone::Zone;

/// The text of a filter, normalized for comparison.
pub(crate) struct Wanted(String);

impl Wanted {
    pub(crate) fn new(text: &str) -> Wanted {
        Wanted(plain(text))
    }

    pub(crate) fn is_shown_by(&self, record: &Record, zone: &Zone) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let shown = format!(
            "{} {} {} {} {}",
            zone.clock_ns(record.at_ns),
            record.level,
            record.short_service(),
            record.message,
            record.details
        );
        plain(&shown).contains(&self.0)
    }
}

/// Normalizes a text: lower case, and one blank between words, because the blanks between columns depend on the width.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The line filters of the query: the part of each word of `text` that the logged line must contain.
pub(crate) fn line_filters(text: &str) -> String {
    let words = text.split_whitespace().filter_map(pattern);
    words
        .map(|pattern| format!(" |~ \"(?i){}\"", quoted(&pattern)))
        .collect()
}

/// Matches lines that are not JSON. The fields of such records are labels, which a line filter does not see.
const BARE: &str = "^[^{]";

/// A regular expression that matches the logged line of every record whose line on the screen contains `word`; `None`
/// if no useful one exists.
fn pattern(word: &str) -> Option<String> {
    /// Words on the screen that the logged line may not contain: the level may be a label, and the console adds the
    /// unit.
    const MADE_HERE: &[&str] = &["error", "warn", "info", "debug", "trace", "ms"];
    let lower = word.to_lowercase();
    if MADE_HERE.iter().any(|made| made.contains(&lower)) {
        return None;
    }
    if word.chars().all(|c| c.is_ascii_digit() || ".:".contains(c)) {
        return number(word);
    }
    let literal = escaped(word);
    // `user=17` on the screen is `"user":17` or `"user":"17"` in the line.
    let pattern = word
        .split_once('=')
        .map_or(literal.clone(), |(name, value)| {
            let (name, value) = (escaped(name), escaped(value));
            format!("({literal}|{name}\"\\s*:\\s*\"?{value}|{BARE})")
        });
    Some(pattern)
}

/// Matches digits, or a duration that is rounded up to them. With `.` or `:` they may be a rounded duration or a time
/// of day, which the logged line does not contain.
fn number(word: &str) -> Option<String> {
    if !word.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let before = word
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    Some(match before {
        Some(before) => format!("({word}|\"duration_ms\"\\s*:\\s*{before}|{BARE})"),
        None => format!("({word}|{BARE})"),
    })
}

/// A regular expression that matches `text` inside JSON, where quotes and backslashes may be escaped.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '"' => pattern.push_str("\\\\*\""),
            '\\' => pattern.push_str("\\\\+"),
            c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern
}

/// Escapes a pattern for a string in double quotes.
fn quoted(pattern: &str) -> String {
    pattern.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::loki::LogLine;
    use regex::Regex;

    const LINE: &str = r#"{"level":"WARN","service_name":"concertctl-api","message":"POST /reservations 409","additional_data":{"duration_ms":2.148,"user":17,"code":"seat \"A\" taken","route":"x","status":409}}"#;

    fn record() -> Record {
        Record::new(LogLine {
            at_ns: 1_780_315_200_045_000_000,
            labels: Default::default(),
            line: LINE.into(),
        })
    }

    /// Returns whether the query for `text` finds the line, and whether the line is then shown.
    fn passes(text: &str) -> (bool, bool) {
        let mut words = text.split_whitespace().filter_map(pattern);
        let given = words.all(|pattern| {
            Regex::new(&format!("(?i){pattern}"))
                .unwrap()
                .is_match(LINE)
        });
        let zone = Zone::named("Asia/Seoul").unwrap();
        (given, Wanted::new(text).is_shown_by(&record(), &zone))
    }

    #[test]
    fn every_text_on_the_screen_is_found() {
        for shown in [
            "POST /reservations",
            "post",
            "409",
            "409 2.1 ms",
            "2.1 ms code=seat",
            "ser=1",
            "user=17",
            "21:00:00.045",
            "warn",
            "WARN api POST",
            "code=seat",
            "seat \"A\" taken",
            "",
        ] {
            assert_eq!(passes(shown), (true, true), "{shown:?}");
        }
    }

    #[test]
    fn fields_beside_a_bare_message_are_found() {
        let beside = [("user", "17"), ("duration_ms", "6.4")];
        let bare = LogLine {
            labels: beside
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            line: "charged".into(),
            at_ns: 1,
        };
        let record = Record::new(bare);
        for shown in ["user=17", "17", "6.4"] {
            let pattern = pattern(shown).map(|pattern| format!("(?i){pattern}"));
            let given = pattern.is_none_or(|it| Regex::new(&it).unwrap().is_match("charged"));
            let zone = Zone::default();
            assert!(
                given && Wanted::new(shown).is_shown_by(&record, &zone),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn a_text_that_is_only_in_the_logged_line_is_not_found() {
        for hidden in [
            "duration_ms",
            "\"user\":17",
            "route",
            "12:00:00",
            "2.148",
            "ms user=18",
        ] {
            assert!(!passes(hidden).1, "{hidden:?}");
        }
    }

    #[test]
    fn the_query_leaves_out_most_other_lines() {
        for other in ["GET", "user=18", "503", "seat \"B\""] {
            assert!(!passes(other).0, "{other:?}");
        }
    }

    #[test]
    fn a_filter_cannot_break_out_of_its_string_or_its_expression() {
        assert_eq!(
            line_filters("a\"} xyz"),
            r#" |~ "(?i)a\\\\*\"\\}" |~ "(?i)xyz""#
        );
        for odd in [
            "(",
            "[a",
            "\\",
            "a\"b\\",
            "*",
            "{{",
            "\u{1b}[31m",
            "=",
            "a=",
            "=b",
            "좌석=7",
        ] {
            for word in odd.split_whitespace().filter_map(pattern) {
                assert!(
                    Regex::new(&format!("(?i){word}")).is_ok(),
                    "{odd:?}: {word}"
                );
            }
        }
    }
}
