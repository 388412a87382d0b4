//! The urgency of an alert, from the many words that rules use for it. Pure.

use crate::clients::alertmanager::Alert;

/// The urgency of an alert. Lists sort by the order of the variants. An unknown word could mean anything, so it comes after critical and
/// before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    Critical,
    Unknown,
    Warning,
    Info,
}

/// The labels that may give the urgency, the usual one first.
const LABELS: &[&str] = &["severity", "priority"];
/// Words of Prometheus's mixins, PagerDuty, Opsgenie, Zabbix and syslog, without punctuation.
const CRITICAL: &[&str] = &[
    "alert",
    "blocker",
    "crit",
    "critical",
    "disaster",
    "emerg",
    "emergency",
    "err",
    "error",
    "fatal",
    "high",
    "highest",
    "major",
    "p0",
    "p1",
    "p2",
    "page",
    "pager",
    "s0",
    "s1",
    "s2",
    "sev0",
    "sev1",
    "sev2",
    "severe",
    "urgent",
];
const WARNING: &[&str] = &[
    "average", "medium", "minor", "moderate", "p3", "s3", "sev3", "ticket", "warn", "warning",
];
const INFO: &[&str] = &[
    "debug",
    "info",
    "information",
    "informational",
    "low",
    "lowest",
    "none",
    "notice",
    "ok",
    "p4",
    "p5",
    "s4",
    "s5",
    "sev4",
    "sev5",
];

impl Urgency {
    /// The urgency by the labels of an alert; unknown without such a label.
    pub(crate) fn of(alert: &Alert) -> Urgency {
        let word = LABELS.iter().find_map(|name| alert.labels.get(*name));
        word.map_or(Urgency::Unknown, |word| Urgency::of_word(word))
    }

    fn of_word(word: &str) -> Urgency {
        let letters = word.chars().filter(char::is_ascii_alphanumeric);
        let word: String = letters.map(|c| c.to_ascii_lowercase()).collect();
        let is_in = |words: &[&str]| words.contains(&word.as_str());
        match () {
            () if is_in(CRITICAL) => Urgency::Critical,
            () if is_in(WARNING) => Urgency::Warning,
            () if is_in(INFO) => Urgency::Info,
            () => Urgency::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::Labels;

    fn of(label: &str, word: &str) -> Urgency {
        Urgency::of(&Alert {
            labels: Labels::from([(label.to_owned(), word.to_owned())]),
            ..Alert::default()
        })
    }

    #[test]
    fn common_words_are_recognized_in_every_spelling() {
        for word in [
            "critical", "page", "high", "error", "P1", "sev1", "SEV-1", "Fatal", "sev_2",
        ] {
            assert_eq!(of("severity", word), Urgency::Critical, "{word}");
        }
        for word in ["warning", "Warn", "P3", "moderate"] {
            assert_eq!(of("severity", word), Urgency::Warning, "{word}");
        }
        for word in ["info", "none", "P5", "low"] {
            assert_eq!(of("severity", word), Urgency::Info, "{word}");
        }
        assert_eq!(of("priority", "P1"), Urgency::Critical);
    }

    #[test]
    fn an_unknown_word_is_neither_harmless_nor_last() {
        for (label, word) in [("severity", "tier-one"), ("severity", ""), ("team", "shop")] {
            assert_eq!(of(label, word), Urgency::Unknown, "{label}={word}");
        }
        assert!(Urgency::Critical < Urgency::Unknown);
        assert!(Urgency::Unknown < Urgency::Warning && Urgency::Warning < Urgency::Info);
    }
}
