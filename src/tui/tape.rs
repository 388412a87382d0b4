//! A recording: what the sources said, as JSON lines, each with its time. The first line says what
//! the file is. Written by `record`, read by `replay`; a file may come from anywhere.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::model::Source;
use super::panels::PANELS;
use super::series::QueryAnswer;
use crate::api::ops::{SeedProgress, Status};
use crate::clients::alertmanager::Alert;
use crate::clients::loki::LogLine;
use crate::clients::prometheus::{Labels, Series};

/// What the first line calls the file.
const KIND: &str = "console recording";
/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;
/// No recording is longer than this, in bytes: hours of a sale.
pub(super) const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The last line may go over the bound.
const MAX_READ: u64 = MAX_BYTES + 32 * 1024 * 1024;
/// Times of a recording lie before the year 2200, in Unix milliseconds.
const LAST_MS: i64 = 7_258_118_400_000;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    kind: String,
    version: u32,
    /// Who was asked: `127.0.0.1:8081`.
    pub(super) target: String,
    /// The version of the program.
    program: String,
}

impl Head {
    pub(super) fn new(target: &str) -> Head {
        Head {
            kind: KIND.into(),
            version: VERSION,
            target: target.into(),
            program: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Any other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// When it was heard, Unix milliseconds.
    pub(super) t: i64,
    pub(super) said: Said,
}

/// What a source said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Said {
    Metrics {
        at: i64,
        now: BTreeMap<String, Answer>,
        past: Option<BTreeMap<String, Answer>>,
    },
    Logs {
        query: String,
        lines: Vec<LineShape>,
        skipped: bool,
    },
    LogsRefused {
        reason: String,
    },
    Alerts(Vec<Alert>),
    Ops(Box<Status>, SeedProgress),
    Down {
        source: String,
        reason: String,
        retry_ms: i64,
    },
    Clock {
        source: String,
        ahead_s: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    Series(Vec<SeriesShape>),
    Refused(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SeriesShape {
    labels: Labels,
    points: Vec<(i64, Number)>,
}

/// JSON has no NaN and no infinity: they are texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LineShape {
    at_ns: i64,
    labels: Labels,
    line: String,
}

/// A recording, read and checked.
#[derive(Clone, Debug)]
pub struct Tape {
    pub(super) head: Head,
    /// At least one.
    pub(super) entries: Vec<Entry>,
}

impl Tape {
    /// Reads a recording.
    ///
    /// # Errors
    /// What is wrong with the file and in which line.
    pub fn read(path: &Path) -> Result<Tape, String> {
        let shown = path.display();
        let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
        let file = std::fs::File::open(path).map_err(cannot)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_READ + 1).read_to_end(&mut bytes);
        if read.map_err(cannot)? as u64 > MAX_READ {
            return Err(format!("{shown} is larger than any recording"));
        }
        Tape::parse(&bytes).map_err(|(line, why)| format!("{shown}, line {line}: {why}"))
    }

    /// # Errors
    /// The line, from 1, and what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Tape, (usize, String)> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').zip(1..);
        let (first, _) = lines.next().ok_or((1, "the file is empty".to_owned()))?;
        let head = head(first).map_err(|why| (1, why))?;
        let mut entries: Vec<Entry> = Vec::new();
        for (line, number) in lines {
            let entry = entry(line).map_err(|why| (number, why))?;
            // A clock that was set back while it was recorded does not run back when it is shown.
            let t = entries.last().map_or(entry.t, |last| last.t.max(entry.t));
            entries.push(Entry { t, ..entry });
        }
        if entries.is_empty() {
            return Err((2, "nothing was recorded".into()));
        }
        Ok(Tape { head, entries })
    }

    /// When it begins and ends, Unix milliseconds.
    pub(super) fn span(&self) -> (i64, i64) {
        let at = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.t);
        (at(self.entries.first()), at(self.entries.last()))
    }
}

/// A line that ends; the last one of a recording that was cut off does not.
fn whole(line: &[u8]) -> Result<&[u8], String> {
    line.strip_suffix(b"\n")
        .ok_or_else(|| "the file is cut off here; without this line it can be shown".to_owned())
}

fn head(line: &[u8]) -> Result<Head, String> {
    #[derive(Deserialize)]
    struct Versioned {
        kind: String,
        version: u32,
    }
    let no = || "this is not a recording of the console (--record FILE makes one)".to_owned();
    let told: Versioned = serde_json::from_slice(line).map_err(|_| no())?;
    if told.kind != KIND {
        return Err(no());
    }
    if told.version != VERSION {
        return Err(format!(
            "a recording of version {}; this program reads version {VERSION}",
            told.version
        ));
    }
    serde_json::from_slice(whole(line)?).map_err(|error| error.to_string())
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    let said = |error: serde_json::Error| {
        // Its own count of lines would be within this line.
        let text = error.to_string();
        text.split(" at line").next().unwrap_or_default().to_owned()
    };
    let entry: Entry = serde_json::from_slice(whole(line)?).map_err(said)?;
    let sane = |at: i64| (0..LAST_MS).contains(&at);
    let times = match &entry.said {
        Said::Metrics { at, .. } => sane(*at),
        Said::Down { retry_ms, .. } => sane(*retry_ms),
        Said::Clock { ahead_s, .. } => sane(ahead_s.saturating_abs()),
        _ => true,
    };
    if !sane(entry.t) || !times {
        return Err("a time is out of range".into());
    }
    entry.said.event().map(|_| entry)
}

impl Said {
    /// What is recorded of `event`; nothing of keys and of what the console itself did.
    pub(super) fn of(event: &Event) -> Option<Said> {
        Some(match event {
            Event::Metrics { at, now, past } => Said::Metrics {
                at: *at,
                now: answers(now),
                past: past.as_ref().map(answers),
            },
            Event::Logs {
                query,
                lines,
                skipped,
            } => Said::Logs {
                query: query.clone(),
                lines: lines.iter().map(LineShape::of).collect(),
                skipped: *skipped,
            },
            Event::LogsRefused { reason } => Said::LogsRefused {
                reason: reason.clone(),
            },
            Event::Alerts(alerts) => Said::Alerts(alerts.clone()),
            Event::Ops(answer) => Said::Ops(Box::new(answer.0.clone()), answer.1.clone()),
            Event::Down {
                source,
                reason,
                retry_ms,
            } => Said::Down {
                source: source.name().into(),
                reason: reason.clone(),
                retry_ms: *retry_ms,
            },
            Event::Clock { source, ahead_s } => Said::Clock {
                source: source.name().into(),
                ahead_s: *ahead_s,
            },
            _ => return None,
        })
    }

    /// The event again.
    ///
    /// # Errors
    /// What in it nobody can have said.
    pub(super) fn event(&self) -> Result<Event, String> {
        Ok(match self {
            Said::Metrics { at, now, past } => Event::Metrics {
                at: *at,
                now: queries(now)?,
                past: past.as_ref().map(queries).transpose()?,
            },
            Said::Logs {
                query,
                lines,
                skipped,
            } => Event::Logs {
                query: query.clone(),
                lines: lines.iter().map(LineShape::line).collect(),
                skipped: *skipped,
            },
            Said::LogsRefused { reason } => Event::LogsRefused {
                reason: reason.clone(),
            },
            Said::Alerts(alerts) => Event::Alerts(alerts.clone()),
            Said::Ops(status, seed) => {
                Event::Ops(Box::new((status.as_ref().clone(), seed.clone())))
            }
            Said::Down {
                source,
                reason,
                retry_ms,
            } => Event::Down {
                source: named(source)?,
                reason: reason.clone(),
                retry_ms: *retry_ms,
            },
            Said::Clock { source, ahead_s } => Event::Clock {
                source: named(source)?,
                ahead_s: *ahead_s,
            },
        })
    }
}

fn named(name: &str) -> Result<Source, String> {
    let found = Source::ALL.iter().find(|source| source.name() == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no source {name:?}"))
}

fn answers(of: &BTreeMap<&'static str, QueryAnswer>) -> BTreeMap<String, Answer> {
    let shape = |answer: &QueryAnswer| match answer {
        Ok(series) => Answer::Series(series.iter().map(SeriesShape::of).collect()),
        Err(reason) => Answer::Refused(reason.clone()),
    };
    of.iter()
        .map(|(query, answer)| ((*query).to_owned(), shape(answer)))
        .collect()
}

/// A query that no panel asks any more is left out.
fn queries(of: &BTreeMap<String, Answer>) -> Result<BTreeMap<&'static str, QueryAnswer>, String> {
    let mut all = BTreeMap::new();
    for (query, answer) in of {
        let answer = match answer {
            Answer::Series(series) => Ok(series
                .iter()
                .map(SeriesShape::series)
                .collect::<Result<_, _>>()?),
            Answer::Refused(reason) => Err(reason.clone()),
        };
        if let Some(panel) = PANELS.iter().find(|panel| panel.query == query) {
            all.insert(panel.query, answer);
        }
    }
    Ok(all)
}

impl SeriesShape {
    fn of(series: &Series) -> SeriesShape {
        let number = |value: f64| {
            if value.is_finite() {
                Number::Finite(value)
            } else {
                Number::Text(value.to_string())
            }
        };
        let points = series.points.iter();
        SeriesShape {
            labels: series.labels.clone(),
            points: points.map(|(at, value)| (*at, number(*value))).collect(),
        }
    }

    fn series(&self) -> Result<Series, String> {
        let point = |(at, number): &(i64, Number)| {
            let value = match number {
                Number::Finite(value) => Ok(*value),
                Number::Text(text) => text.parse().map_err(|_| format!("{text:?} is no value")),
            };
            Some(*at)
                .filter(|at| (0..LAST_MS).contains(at))
                .ok_or_else(|| "a time is out of range".to_owned())
                .and_then(|at| Ok((at, value?)))
        };
        Ok(Series {
            labels: self.labels.clone(),
            points: self.points.iter().map(point).collect::<Result<_, _>>()?,
        })
    }
}

impl LineShape {
    fn of(line: &LogLine) -> LineShape {
        LineShape {
            at_ns: line.at_ns,
            labels: line.labels.clone(),
            line: line.line.clone(),
        }
    }

    fn line(&self) -> LogLine {
        LogLine {
            at_ns: self.at_ns,
            labels: self.labels.clone(),
            line: self.line.clone(),
        }
    }
}

#[cfg(test)]
pub(in crate::tui) mod tests;
