//! The type and the help text that the exposition declares for a metric.

use std::collections::BTreeMap;

/// The largest number of metrics with metadata. Longer help texts are cut.
const MAX_METRICS: usize = 10_000;
const MAX_HELP_BYTES: usize = 1024;

/// The declared kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricType {
    /// A counter. It only rises, except at restarts.
    Counter,
    /// A gauge. It rises and falls.
    Gauge,
    /// A histogram with the series `_bucket`, `_sum` and `_count`.
    Histogram,
    /// A summary with quantiles that the exposing process computes.
    Summary,
    /// The type is declared as untyped, or not declared.
    #[default]
    Unknown,
}

impl MetricType {
    /// The name of the type in answers of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown => "unknown",
        }
    }

    /// The type that a `# TYPE` line names. `None` for an unknown word.
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

/// The metadata of one metric.
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
