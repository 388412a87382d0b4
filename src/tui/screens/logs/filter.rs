//! The text filter. A record passes if its line on the screen contains the text.
//!
//! The shown line is made here: the time in the user's zone, rounded durations, and `name=value` for JSON fields. The
//! source knows only the logged line. So it is asked for lines that may contain the text, which leaves out most
//! others, and its answer is filtered again here.

use crate::tui::screens::logs::Record;
use crate::tui::zone::Zone;

/// A text that is sought, ready to be compared.
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

/// In lower case, with one blank between words: how many stand between columns depends on the width.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// What the source looks for: each word of `text`, as far as the line as logged must hold it.
pub(crate) fn line_filters(text: &str) -> String {
    let words = text.split_whitespace().filter_map(pattern);
    words
        .map(|pattern| format!(" |~ \"(?i){}\"", quoted(&pattern)))
        .collect()
}

/// Lines that are no JSON: the fields of their records stand beside them, where no line filter looks.
const BARE: &str = "^[^{]";

/// A regular expression that the logged line of every record matches that shows `word`; absent: there
/// is none that keeps others away.
fn pattern(word: &str) -> Option<String> {
    /// Shown as they are not logged: the level may be a label, the unit is made here.
    const MADE_HERE: &[&str] = &["error", "warn", "info", "debug", "trace", "ms"];
    let lower = word.to_lowercase();
    if MADE_HERE.iter().any(|made| made.contains(&lower)) {
        return None;
    }
    if word.chars().all(|c| c.is_ascii_digit() || ".:".contains(c)) {
        return number(word);
    }
    let literal = escaped(word);
    // `user=17` of the screen is `"user":17` or `"user":"17"` in the line.
    let pattern = word
        .split_once('=')
        .map_or(literal.clone(), |(name, value)| {
            let (name, value) = (escaped(name), escaped(value));
            format!("({literal}|{name}\"\\s*:\\s*\"?{value}|{BARE})")
        });
    Some(pattern)
}

/// Digits: themselves, or a duration that is rounded up to them. With `.` or `:` they may be the
/// rounded part of a duration or a time of day, which no line holds.
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

/// `text` as a regular expression for itself in JSON, where quotes and backslashes may be escaped.
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

/// For a string in double quotes.
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

    /// Whether the source gives the line for `text`, and whether it is then shown.
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
    fn whatever_the_line_shows_is_found() {
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
    fn what_only_the_logged_line_holds_is_not_shown() {
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
    fn most_other_lines_stay_at_the_source() {
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
