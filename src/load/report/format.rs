//! Formats numbers, times and limits for reports.

use crate::load::judge::{Ending, Judged, Unit};
use crate::load::plan::number;
use crate::load::summary::{GeneratorSummary, Summary};
use crate::load::unacknowledged::Unacknowledged;

/// Like [`millis`] without the unit, for a column in ms. At most six characters.
pub(super) fn millis_without_unit(value: f64) -> String {
    match value {
        value if value >= 100.0 => number(value),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Milliseconds with as many digits as are significant.
pub(crate) fn millis(value: f64) -> String {
    match value {
        value if value >= 60_000.0 => format!("{} s", trimmed(value / 1e3)),
        value if value >= 100.0 => format!("{value:.0} ms"),
        value if value >= 1.0 => format!("{value:.1} ms"),
        value => format!("{} µs", trimmed(value * 1e3)),
    }
}

pub(crate) fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a difference. 1 µs is the smallest value of a histogram and means no difference.
pub(super) fn gap(value: f64) -> String {
    if value <= 0.001 {
        "0".to_owned()
    } else {
        millis(value)
    }
}

/// A number of bytes in megabytes.
pub(super) fn megabytes(bytes: f64) -> String {
    format!("{} MB", number((bytes / 1e6).round()))
}

/// Formats a value of a threshold in its unit.
pub(super) fn value(judged: &Judged, value: f64) -> String {
    match judged.unit {
        Unit::Milliseconds => millis(value),
        Unit::Share => format!("{} %", trimmed(value * 100.0)),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Count => number(value),
        Unit::Bytes => megabytes(value),
    }
}

/// The name of a threshold with its window.
pub(super) fn name(judged: &Judged) -> String {
    match judged.window {
        None => judged.name.clone(),
        Some(seconds) => format!("{} in any {seconds} s", judged.name),
    }
}

/// The limit of a threshold with its sign.
pub(super) fn limit(judged: &Judged) -> String {
    format!("{} {}", judged.relation.sign(), value(judged, judged.limit))
}

/// Formats an ISO 8601 instant to the second. Other text stays unchanged.
pub(crate) fn instant(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// Describes how a run ended.
pub(super) const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Stopped => "stopped by hand",
        Ending::TimeOver => "cut at its longest duration",
        Ending::ServerLost => "server lost",
        Ending::Aborted => "aborted by a threshold",
    }
}

/// Describes how busy the generator's busiest thread was.
pub(super) fn busiest(generator: &GeneratorSummary) -> String {
    generator.busiest.map_or_else(
        || "not known".to_owned(),
        |share| {
            format!(
                "{:.0}\u{a0}% of a core, {:.0}\u{a0}% waiting for one",
                share.running * 100.0,
                share.queued * 100.0
            )
        },
    )
}

/// Describes the number of connections, and the reason why there were not more.
pub(super) fn connections(summary: &Summary) -> String {
    let generator = &summary.generator;
    let count = number(generator.connections as f64);
    if generator.connections >= generator.wanted {
        return format!("{count} connections");
    }
    let wanted = number(generator.wanted as f64);
    let why = match (summary.settings.http.connections, generator.file_limit) {
        (Some(_), _) => "as the scenario says".to_owned(),
        (None, Some(limit)) => format!("files {}", number(limit as f64)),
        (None, None) => "no more files".to_owned(),
    };
    format!("{count} connections shared by {wanted} users ({why})")
}

/// Describes the number of failed writes that were done, by operation, and what is unknown about them.
pub(super) fn unacknowledged(found: &Unacknowledged) -> String {
    let count = |count: u64| number(count as f64);
    let mut text = match found.total {
        Some(total) => format!(
            "{} done but answered as failed, of {} failed writes",
            count(total),
            count(found.checked)
        ),
        None => "failed writes were not looked up".to_owned(),
    };
    let some = found.operations.iter().filter(|(_, done)| **done > 0);
    let some: Vec<String> = some
        .map(|(operation, done)| format!("{operation} {}", count(*done)))
        .collect();
    if !some.is_empty() {
        text += &format!(" ({})", some.join(", "));
    }
    if found.unchecked > 0 {
        text += &format!("; {} not looked up", count(found.unchecked));
    }
    if let Some(problem) = &found.problem {
        text += &format!(": {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_times_fit_their_column() {
        for (value, text) in [
            (0.25, "0.25"),
            (1.26, "1.3"),
            (99.94, "99.9"),
            (119_999.0, "119,999"),
        ] {
            assert_eq!(millis_without_unit(value), text);
        }
    }

    #[test]
    fn an_instant_is_shown_to_the_second() {
        let text = "2026-11-26T11:33:07.723552458Z";
        assert_eq!(instant(text), "2026-11-26 11:33:07 UTC");
        assert_eq!(instant("then"), "then");
    }

    #[test]
    fn times_are_short() {
        for (value, text) in [
            (0.001, "1 µs"),
            (0.25, "250 µs"),
            (1.26, "1.3 ms"),
            (500.0, "500 ms"),
            (90_500.0, "90.5 s"),
        ] {
            assert_eq!(millis(value), text);
        }
    }
}
