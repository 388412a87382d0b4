//! The sources of data, and the state of the connection to each.

use serde::{Deserialize, Serialize};

/// A source of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Source {
    Ops,
    Prometheus,
    Loki,
    Alertmanager,
    Tempo,
}

impl Source {
    pub(crate) const ALL: &[Source] = &[
        Source::Ops,
        Source::Prometheus,
        Source::Loki,
        Source::Alertmanager,
        Source::Tempo,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Source::Ops => "server",
            Source::Prometheus => "metrics",
            Source::Loki => "logs",
            Source::Alertmanager => "alerts",
            Source::Tempo => "traces",
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.name().to_owned()
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(name: String) -> Result<Source, String> {
        let found = Source::ALL.iter().find(|source| source.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("there is no source {name:?}"))
    }
}

/// The state of the connection to a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Link {
    /// Not asked yet, or no answer yet.
    #[default]
    Waiting,
    /// The last call was answered.
    Up,
    /// The last call failed.
    Down { reason: String, retry_at: i64 },
}

/// A source as the console sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SourceState {
    pub(crate) link: Link,
    /// The time of its last answer.
    pub(crate) last_ok: Option<i64>,
    /// The source's own warning about its answers.
    pub(crate) warning: Option<String>,
}

impl SourceState {
    /// The age in milliseconds of the data that are shown, and the reason why they are old; `None` while the source
    /// answers.
    pub(crate) fn stale(&self, now: i64) -> Option<(i64, &str)> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, Some(at)) => Some((now - at, reason)),
            _ => None,
        }
    }

    /// The reason why the source has never answered; `None` if it has.
    pub(crate) fn never(&self) -> Option<&str> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, None) => Some(reason),
            _ => None,
        }
    }
}
