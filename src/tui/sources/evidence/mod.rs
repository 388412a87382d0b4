//! The evidence for an alert: its rule, the figure that the rule judges with its limit, and the error records of that
//! time. Pure; `fetch` fetches it.

pub(crate) mod fetch;
pub(crate) mod rule;

use crate::clients::alertmanager::Alert;
use crate::clients::prometheus::Labels;
use crate::clients::rules::Rule;
use crate::tui::format::unix_ms;
use crate::tui::screens::logs::Record;
use crate::tui::sources::series::Track;

/// The time before an alert that its chart shows, in milliseconds.
const BEFORE: i64 = 120_000;
/// The shortest and the longest time range that is shown, in milliseconds.
const SPANS: (i64, i64) = (300_000, 1_800_000);
/// The number of points of a chart.
const POINTS: i64 = 150;
/// The most error records that are shown.
const RECORDS: usize = 50;
/// The time before the beginning of an alert in which error records are searched for, in milliseconds.
const RECORDS_BEFORE: i64 = 30_000;

/// The data to fetch for the chosen alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) alert: Labels,
    /// The beginning of the alert, in Unix milliseconds.
    pub(crate) began: i64,
}

/// The evidence. Each part may be missing, with its own reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) of: Wanted,
    /// The time range that is shown, in Unix milliseconds.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) rule: Option<Rule>,
    /// The judged figure: the series that the alert is about.
    pub(crate) figure: Vec<Track>,
    pub(crate) limit: Option<LimitLine>,
    /// The side of the limit on which the alert fires.
    pub(crate) side: Option<&'static str>,
    /// The reason why there is no rule or no figure.
    pub(crate) no_figure: Option<String>,
    /// The error records, oldest first.
    pub(crate) records: Vec<Record>,
    /// The reason why there are no records.
    pub(crate) no_records: Option<String>,
}

/// The limit line in the chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LimitLine {
    Number(f64),
    Track(Track),
}

impl Wanted {
    pub(crate) fn of(alert: &Alert, now: i64) -> Wanted {
        Wanted {
            alert: alert.labels.clone(),
            began: unix_ms(&alert.starts_at).unwrap_or(now),
        }
    }

    /// From shortly before the alert began until now, at most [`SPANS`] long.
    fn window(&self, now: i64) -> (i64, i64) {
        let from = self.began.saturating_sub(BEFORE);
        let span = now.saturating_sub(from).clamp(SPANS.0, SPANS.1);
        (from, from.saturating_add(span).min(now.max(self.began)))
    }

    /// The time range of its error records, in Unix milliseconds.
    pub(crate) fn of_records(&self, now: i64) -> (i64, i64) {
        let from = self.began.saturating_sub(RECORDS_BEFORE);
        (from, self.window(now).1.max(from))
    }

    fn step(from: i64, to: i64) -> i64 {
        ((to - from) / POINTS / 1000).max(1) * 1000
    }

    /// Returns whether the alert may be about a series: no label of the series contradicts the alert's.
    fn is_about(&self, series: &Labels) -> bool {
        let labels = series.iter().filter(|(name, _)| *name != "__name__");
        let mut known = labels.filter_map(|(name, value)| Some((self.alert.get(name)?, value)));
        known.all(|(of_alert, value)| of_alert == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(began: i64) -> Wanted {
        let pairs = [
            ("alertname", "Slow"),
            ("job", "concertctl"),
            ("severity", "critical"),
        ];
        let alert = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Wanted {
            alert: Labels::from(alert),
            began,
        }
    }

    #[test]
    fn the_time_range_begins_before_the_alert_and_grows_to_a_bound() {
        let began = 10_000_000;
        let span = |after: i64| {
            let (from, to) = wanted(began).window(began + after);
            (began - from, to - began)
        };
        assert_eq!(span(1_000), (120_000, 1_000), "never beyond now");
        assert_eq!(span(400_000), (120_000, 400_000));
        assert_eq!(span(9_000_000), (120_000, 1_680_000));
        assert_eq!(Wanted::step(0, 300_000), 2_000);
        assert_eq!(Wanted::step(0, 1_000), 1_000);
    }

    #[test]
    fn only_series_that_the_alert_may_be_about_are_shown() {
        let about = |pairs: &[(&str, &str)]| {
            let labels = pairs
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            wanted(0).is_about(&labels.collect())
        };
        assert!(about(&[]));
        assert!(about(&[("job", "concertctl")]));
        assert!(
            about(&[("__name__", "x"), ("device", "vda")]),
            "a label the rule has dropped"
        );
        assert!(!about(&[("job", "node")]));
    }
}
