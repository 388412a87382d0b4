//! What the sources say, in the words of the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::ops::{SeedProgress, Status};
use crate::clients::alertmanager::{Alert, Silence};
use crate::clients::loki::LogLine;
use crate::clients::prometheus::{Labels, RuleAlert, Series};
use crate::clients::tempo::{FoundTrace, Trace};
use crate::tui::connection::Source;
use crate::tui::dashboard::Query;
use crate::tui::event::Event;
use crate::tui::recording::tape::LAST_MS;
use crate::tui::screens::traces::{Asked, Coverage};
use crate::tui::sources::answers::LogAnswer;
use crate::tui::sources::series::QueryAnswer;

/// What a source said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Said {
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
    BoardLogs(Vec<(String, Result<Vec<LineShape>, String>)>),
    Alerts(Vec<Alert>),
    Silences(Vec<Silence>),
    RuleAlerts(Result<Vec<RuleAlert>, String>),
    /// In whatever order they were asked for.
    Traces {
        found: Vec<FoundTrace>,
        /// There are more.
        cut: bool,
        /// All that took at least so many milliseconds are here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_ms: Option<u64>,
    },
    Trace {
        id: String,
        trace: Result<Option<Trace>, String>,
    },
    TracesThere,
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
pub(crate) enum Answer {
    Series(Vec<SeriesShape>),
    Refused(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesShape {
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
pub(crate) struct LineShape {
    at_ns: i64,
    labels: Labels,
    line: String,
}

impl Said {
    /// What is recorded of `event`; nothing of keys and of what the console itself did.
    pub(crate) fn of(event: &Event) -> Option<Said> {
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
            Event::BoardLogs(answers) => {
                let shape = |lines: &Vec<LogLine>| lines.iter().map(LineShape::of).collect();
                let said = |(query, answer): &(Query, LogAnswer)| {
                    (
                        query.to_string(),
                        answer.as_ref().map(shape).map_err(String::clone),
                    )
                };
                Said::BoardLogs(answers.iter().map(said).collect())
            }
            Event::Alerts(alerts) => Said::Alerts(alerts.clone()),
            Event::Silences(silences) => Said::Silences(silences.clone()),
            Event::RuleAlerts(rules) => Said::RuleAlerts(rules.clone()),
            Event::Traces {
                found, coverage, ..
            } => Said::Traces {
                found: found.clone(),
                cut: *coverage != Coverage::All,
                from_ms: match coverage {
                    Coverage::From(ms) => Some(*ms),
                    Coverage::All | Coverage::Part => None,
                },
            },
            Event::Trace { id, trace } => Said::Trace {
                id: id.clone(),
                trace: trace.clone(),
            },
            Event::TracesThere => Said::TracesThere,
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
    pub(crate) fn event(&self) -> Result<Event, String> {
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
            Said::BoardLogs(answers) => {
                let lines = |shapes: &Vec<LineShape>| shapes.iter().map(LineShape::line).collect();
                let event = |(query, said): &(String, Result<Vec<LineShape>, String>)| {
                    let answer: LogAnswer = said.as_ref().map(lines).map_err(String::clone);
                    (Query::from(query.as_str()), answer)
                };
                Event::BoardLogs(answers.iter().map(event).collect())
            }
            Said::Alerts(alerts) => Event::Alerts(alerts.clone()),
            Said::Silences(silences) => Event::Silences(silences.clone()),
            Said::RuleAlerts(rules) => Event::RuleAlerts(rules.clone()),
            Said::Traces {
                found,
                cut,
                from_ms,
            } => Event::Traces {
                asked: Asked::default(),
                found: found.clone(),
                coverage: match (cut, from_ms) {
                    (false, _) => Coverage::All,
                    (true, Some(ms)) => Coverage::From(*ms),
                    (true, None) => Coverage::Part,
                },
            },
            Said::Trace { id, trace } => Event::Trace {
                id: id.clone(),
                trace: trace.clone(),
            },
            Said::TracesThere => Event::TracesThere,
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

fn answers(of: &BTreeMap<Query, QueryAnswer>) -> BTreeMap<String, Answer> {
    let shape = |answer: &QueryAnswer| match answer {
        Ok(series) => Answer::Series(series.iter().map(SeriesShape::of).collect()),
        Err(reason) => Answer::Refused(reason.clone()),
    };
    of.iter()
        .map(|(query, answer)| (query.to_string(), shape(answer)))
        .collect()
}

fn queries(of: &BTreeMap<String, Answer>) -> Result<BTreeMap<Query, QueryAnswer>, String> {
    let mut all = BTreeMap::new();
    for (query, answer) in of {
        let answer = match answer {
            Answer::Series(series) => Ok(series
                .iter()
                .map(SeriesShape::series)
                .collect::<Result<_, _>>()?),
            Answer::Refused(reason) => Err(reason.clone()),
        };
        all.insert(Query::from(query.as_str()), answer);
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
