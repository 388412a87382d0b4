//! A player that follows a file: rules that fire once each, as a person follows runbooks. It asks the sources that a
//! console asks: Alertmanager for alerts, Prometheus and Loki for queries, and the server for its health.

use std::path::Path;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::action::Action;
use crate::clients::alertmanager::Alertmanager;
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::{Labels, Prometheus};
use crate::clients::{ClientError, HttpSource};
use crate::load::scenario::Time;
use crate::yaml::{self, FileError};

/// The pause between two looks of the player.
const EVERY: Duration = Duration::from_millis(500);
/// The time-out of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of looks in a row without an answer after which the server counts as gone or frozen.
const SILENT: u32 = 3;
/// The period that a log query covers.
const LOG_WINDOW: Duration = Duration::from_secs(60);
const MOST_LINES: usize = 1_000;
/// The most rules of one file.
const MOST: usize = 64;

/// A player's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Tried in this order at each look. Each fires once; after one that mitigates the player is done.
    pub rules: Vec<Rule>,
}

/// What is done, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The occasion.
    pub when: When,
    /// Questions that must all hold: the queries of a runbook.
    #[serde(default)]
    pub ask: Vec<Question>,
    /// What is done then.
    pub then: Vec<Action>,
}

/// An occasion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Alertmanager lists this alert.
    Alert(String),
    /// The operations listener gives no answer.
    Server(Silence),
    /// So long after the player began.
    After(Time),
}

/// How a server gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// It refuses connections: the process is gone.
    Refuses,
    /// It takes connections and does not answer: the process stands still.
    Hangs,
}

/// A query and what must be true of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// An instant query. One of `promql` and `logql`.
    #[serde(default)]
    pub promql: Option<String>,
    /// A log query; its value is the number of lines of the last minute.
    #[serde(default)]
    pub logql: Option<String>,
    /// Only series with these labels count.
    #[serde(default)]
    pub labels: Labels,
    /// Some value is above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// No value is above this, also when there is none.
    #[serde(default)]
    pub below: Option<f64>,
}

impl Script {
    /// The player's file at `path`.
    ///
    /// # Errors
    /// The file cannot be read or is not valid. The message names file, line, column and field.
    pub fn read(path: &Path) -> Result<Script, FileError> {
        let origin = path.display().to_string();
        let text = yaml::read_file(path, yaml::SMALL)
            .map_err(|error| FileError::new(&origin, format!("cannot be read: {error}")))?;
        Script::parse(&origin, &text)
    }

    /// The player that `text` describes. `origin` names the text in messages.
    ///
    /// # Errors
    /// The text is not valid. The message names file, line, column and field.
    pub fn parse(origin: &str, text: &str) -> Result<Script, FileError> {
        let lacking = |near: &str, missing: &str| match near {
            "" => missing.to_owned(),
            near => format!("{near}.{missing}"),
        };
        let (script, positions) = yaml::parse::<Script>(origin, text, yaml::SMALL, lacking)?;
        match script.check() {
            None => Ok(script),
            Some((field, problem)) => Err(FileError {
                at: positions.position(&field),
                field: Some(field),
                ..FileError::new(origin, problem)
            }),
        }
    }

    fn check(&self) -> Option<(String, String)> {
        if self.rules.is_empty() || self.rules.len() > MOST {
            return Some(("rules".to_owned(), format!("write 1 to {MOST} rules")));
        }
        self.rules.iter().enumerate().find_map(|(index, rule)| {
            let path = format!("rules.{index}");
            let mut questions = rule.ask.iter().enumerate();
            let asked = questions.find_map(|(at, question)| {
                let problem = question.check()?;
                Some((format!("{path}.ask.{at}"), problem))
            });
            let mut actions = rule.then.iter().enumerate();
            asked.or_else(|| {
                actions.find_map(|(at, action)| {
                    let problem = action.check().err()?;
                    Some((format!("{path}.then.{at}"), problem))
                })
            })
        })
    }
}

impl Question {
    fn check(&self) -> Option<String> {
        let problem = match (&self.promql, &self.logql, self.above, self.below) {
            (Some(_), Some(_), ..) | (None, None, ..) => "write one of `promql` and `logql`",
            (.., None, None) => "write `above: NUMBER` or `below: NUMBER`",
            _ => return None,
        };
        Some(problem.to_owned())
    }
}

/// The sources that the player asks.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) prometheus: Prometheus,
    pub(super) alertmanager: Alertmanager,
    pub(super) loki: Loki,
    /// The server's operations listener, without a token.
    pub(super) server: HttpSource,
}

/// Follows `script` until a rule mitigates, or the drill takes no more actions.
pub(super) async fn follow(script: Script, sources: Sources, player: mpsc::Sender<Action>) {
    let mut looks = Looks::new(sources);
    let mut rules = script.rules;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        looks.refresh().await;
        let mut index = 0;
        while index < rules.len() {
            if !looks.fires(&rules[index]).await {
                index += 1;
                continue;
            }
            let rule = rules.remove(index);
            let is_last = rule.then.iter().any(|it| matches!(it, Action::Mitigate(_)));
            for action in rule.then {
                if player.send(action).await.is_err() {
                    return;
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// The observations of the player so far.
struct Looks {
    sources: Sources,
    ops: Ops,
    began: Instant,
    alerts: Vec<String>,
    silent: Option<(Silence, u32)>,
}

impl Looks {
    fn new(sources: Sources) -> Looks {
        Looks {
            ops: Ops::new(sources.server.clone().with_timeout(ANSWER_TIMEOUT), None),
            sources,
            began: Instant::now(),
            alerts: Vec::new(),
            silent: None,
        }
    }

    async fn refresh(&mut self) {
        let silence = match self.ops.status().await {
            Err(ClientError::Unreachable(_) | ClientError::Untrusted(_)) => Some(Silence::Refuses),
            Err(ClientError::TimedOut(_)) => Some(Silence::Hangs),
            _ => None,
        };
        self.silent = silence.map(|now| match self.silent {
            Some((before, times)) if before == now => (now, times + 1),
            _ => (now, 1),
        });
        self.alerts.clear();
        if silence.is_none()
            && let Ok(alerts) = self.sources.alertmanager.alerts().await
        {
            let names = alerts.iter().filter_map(|it| it.labels.get("alertname"));
            self.alerts.extend(names.cloned());
        }
    }

    async fn fires(&self, rule: &Rule) -> bool {
        let is_time = match &rule.when {
            When::Alert(name) => self.alerts.contains(name),
            When::Server(silence) => self
                .silent
                .is_some_and(|(kind, times)| kind == *silence && times >= SILENT),
            When::After(time) => self.began.elapsed() >= time.0,
        };
        if !is_time {
            return false;
        }
        for question in &rule.ask {
            if !self.holds(question).await {
                return false;
            }
        }
        true
    }

    /// Returns whether the answer to `question` is within its bounds. A question without an answer does not hold.
    async fn holds(&self, question: &Question) -> bool {
        let values = match (&question.promql, &question.logql) {
            (Some(query), _) => self.values(query, &question.labels).await,
            (None, Some(query)) => self.lines(query).await.map(|count| vec![count]),
            (None, None) => return false,
        };
        let Ok(values) = values else { return false };
        let some_above = |bound: f64| values.iter().any(|value| *value > bound);
        question.above.is_none_or(some_above) && !question.below.is_some_and(some_above)
    }

    async fn values(&self, query: &str, labels: &Labels) -> Result<Vec<f64>, ClientError> {
        let series = self
            .sources
            .prometheus
            .instant(query, crate::drill::now())
            .await?;
        let counts = |found: &Labels| {
            let mut wanted = labels.iter();
            wanted.all(|(name, value)| found.get(name) == Some(value))
        };
        let series = series.iter().filter(|it| counts(&it.labels));
        Ok(series
            .flat_map(|it| it.points.last())
            .map(|(_, it)| *it)
            .collect())
    }

    async fn lines(&self, query: &str) -> Result<f64, ClientError> {
        let now = crate::drill::now().saturating_mul(1_000_000);
        let window = i64::try_from(LOG_WINDOW.as_nanos()).unwrap_or(i64::MAX);
        let lines = self
            .sources
            .loki
            .newest(query, now - window, now, MOST_LINES)
            .await?;
        Ok(lines.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_reported_with_line_and_field() {
        const RULE: &str = "rules:\n  - when: { alert: SlowBuying }\n    ask:\n      - { promql: up, above: 0 }\n    then:\n      - answer: { component: server, mechanism: latency }\n";
        let script = Script::parse("player.yaml", RULE).unwrap();
        assert_eq!(script.rules[0].when, When::Alert("SlowBuying".to_owned()));
        for (text, place, problem) in [
            (
                RULE.replace("above: 0", "limit: 0"),
                "player.yaml:4:",
                "limit",
            ),
            (RULE.replace(", above: 0", ""), "rules.0.ask.0", "above"),
            (RULE.replace("promql: up, ", ""), "rules.0.ask.0", "promql"),
            (
                RULE.replace("mechanism: latency", "mechanism: gremlins"),
                "player.yaml:6:",
                "write one of",
            ),
            (
                RULE.replace("alert: SlowBuying", "alrt: SlowBuying"),
                "player.yaml:2:",
                "alrt",
            ),
            ("rules: []".to_owned(), "rules", "1 to 64"),
        ] {
            let message = Script::parse("player.yaml", &text).unwrap_err().to_string();
            assert!(
                message.contains(place) && message.contains(problem),
                "{message}"
            );
        }
    }
}
