//! What metrics are: type and help text, as their exposition declares them.

use std::collections::BTreeMap;

/// More metrics than this are not noted; longer help texts are cut.
const MAX_METRICS: usize = 10_000;
const MAX_HELP_BYTES: usize = 1024;

/// The declared kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricType {
    /// Only rises, but for restarts.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets, with `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Quantiles computed by the exposing process.
    Summary,
    /// Declared as untyped, or not declared.
    #[default]
    Unknown,
}

impl MetricType {
    /// The name in answers of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown => "unknown",
        }
    }

    /// The type a `# TYPE` line names; `None` for a word that is no type.
    pub fn from_exposition(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "untyped" | "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Its kind.
    pub kind: MetricType,
    /// Its help text, empty when none was given.
    pub help: String,
}

#[derive(Debug, Default)]
pub(super) struct MetadataStore(BTreeMap<String, Metadata>);

impl MetadataStore {
    pub(super) fn update(&mut self, metric: &str, update: impl FnOnce(&mut Metadata)) {
        if let Some(known) = self.0.get_mut(metric) {
            update(known);
            truncate(&mut known.help);
        } else if self.0.len() < MAX_METRICS {
            let mut fresh = Metadata::default();
            update(&mut fresh);
            truncate(&mut fresh.help);
            self.0.insert(metric.to_owned(), fresh);
        }
    }

    pub(super) fn all(&self) -> Vec<(String, Metadata)> {
        self.0.iter().map(|(n, m)| (n.clone(), m.clone())).collect()
    }
}

fn truncate(help: &mut String) {
    if help.len() > MAX_HELP_BYTES {
        help.truncate(help.floor_char_boundary(MAX_HELP_BYTES));
    }
}
