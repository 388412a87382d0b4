//! A player that follows a file: rules that fire once each, as a person follows runbooks. It asks the sources that a
//! console asks: Alertmanager for alerts, Prometheus and Loki for queries, and the server for its health.

use std::path::Path;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use serde_json::Value;

use super::action::{Action, Mistake, alert_name, only, typed};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::{Labels, Prometheus};
use crate::clients::{ClientError, HttpSource};
use crate::embedded::loki::check_query;
use crate::embedded::prometheus::promql::parse_expr;
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
/// What one occasion can be.
const OCCASIONS: &str = "`alert: ALERT`, `server: refuses`, `server: hangs` and `after: 30s`";

/// A player's file.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Tried in this order at each look. Each fires once; after one that mitigates the player is done.
    pub rules: Vec<Rule>,
}

/// What is done, and when.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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

/// A player's file as it is written. Occasions and actions are read one by one, so that each mistake has its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    when: Value,
    #[serde(default)]
    ask: Vec<Question>,
    then: Vec<Value>,
}

impl WrittenRule {
    fn read(self) -> Result<Rule, Mistake> {
        let below = |field: &str, (path, problem): Mistake| (join(field, &path), problem);
        let when = When::read(&self.when).map_err(|mistake| below("when", mistake))?;
        let actions = self.then.iter().enumerate().map(|(at, action)| {
            Action::read(action).map_err(|mistake| below(&format!("then.{at}"), mistake))
        });
        Ok(Rule {
            when,
            then: actions.collect::<Result<_, _>>()?,
            ask: self.ask,
        })
    }
}

/// The dotted path of a field below another one.
fn join(above: &str, field: &str) -> String {
    let parts = [above, field].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(".")
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
        let (written, positions) = yaml::parse::<Written>(origin, text, yaml::SMALL, lacking)?;
        Script::of(written).map_err(|(field, problem)| FileError {
            at: positions.position(&field),
            field: Some(field),
            ..FileError::new(origin, problem)
        })
    }

    fn of(written: Written) -> Result<Script, Mistake> {
        let count = written.rules.len();
        if count == 0 || count > MOST {
            return Err(("rules".to_owned(), format!("write 1 to {MOST} rules")));
        }
        let rules = written.rules.into_iter().enumerate().map(|(index, rule)| {
            let rule = rule.read().and_then(|rule| match rule.check() {
                None => Ok(rule),
                Some(mistake) => Err(mistake),
            });
            rule.map_err(|(field, problem)| (format!("rules.{index}.{field}"), problem))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Script { rules })
    }
}

impl When {
    fn read(value: &Value) -> Result<When, Mistake> {
        only(value, OCCASIONS)?;
        let when = typed(value)?;
        match &when {
            When::Alert(alert) => {
                alert_name(alert).map_err(|problem| ("alert".to_owned(), problem))?;
            }
            When::Server(_) | When::After(_) => {}
        }
        Ok(when)
    }
}

impl Rule {
    /// The first mistake in the questions and in the actions.
    fn check(&self) -> Option<Mistake> {
        if self.then.is_empty() {
            let problem =
                "does nothing: write at least one action, such as `- acknowledge: SlowBuying`";
            return Some(("then".to_owned(), problem.to_owned()));
        }
        let mut questions = self.ask.iter().enumerate();
        let asked = questions.find_map(|(at, question)| {
            let (field, problem) = question.check()?;
            Some((join(&format!("ask.{at}"), field), problem))
        });
        let mut actions = self.then.iter().enumerate();
        asked.or_else(|| {
            actions.find_map(|(at, action)| {
                let problem = action.check().err()?;
                Some((format!("then.{at}"), problem))
            })
        })
    }
}

impl Question {
    /// The first mistake: the field, and the problem.
    fn check(&self) -> Option<(&'static str, String)> {
        let bounds = [("above", self.above), ("below", self.below)];
        let mut bounds = bounds.into_iter();
        let unbounded = |(_, bound): &(&str, Option<f64>)| bound.is_some_and(|it| !it.is_finite());
        let (field, problem) = match (&self.promql, &self.logql, self.above, self.below) {
            (Some(_), Some(_), ..) | (None, None, ..) => ("", "write one of `promql` and `logql`"),
            (.., None, None) => ("", "write `above: NUMBER` or `below: NUMBER`"),
            (None, Some(_), ..) if !self.labels.is_empty() => (
                "labels",
                "chooses among the series of `promql`: write the labels into the log query, such as `{service_name=\"concertctl-api\"}`",
            ),
            _ => match bounds.find(unbounded) {
                Some((field, _)) => (field, "is not a number such as 0.5"),
                None => return self.check_query(),
            },
        };
        Some((field, problem.to_owned()))
    }

    fn check_query(&self) -> Option<(&'static str, String)> {
        let of_metrics = self
            .promql
            .as_deref()
            .and_then(|query| parse_expr(query).err());
        if let Some(error) = of_metrics {
            return Some((
                "promql",
                format!("is not a query that Prometheus can answer: {error}"),
            ));
        }
        let query = self.logql.as_deref()?;
        if let Err(error) = check_query(query) {
            return Some((
                "logql",
                format!("is not a query that Loki can answer: {error}"),
            ));
        }
        // A log query begins with its stream selector.
        (!query.trim_start().starts_with('{')).then(|| {
            let problem = "has no lines to count, because it computes a metric: write a log query such as `{service_name=\"concertctl-api\"} |= \"slow query\"`";
            ("logql", problem.to_owned())
        })
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
            refused(&text, place, problem);
        }
    }

    fn refused(text: &str, place: &str, problem: &str) {
        let message = Script::parse("player.yaml", text).unwrap_err().to_string();
        let told = message.contains(place) && message.contains(problem);
        assert!(told, "{message}");
    }

    #[test]
    fn a_question_that_no_answer_can_hold_is_refused() {
        let with = |question: &str| {
            format!(
                "rules:\n  - when: {{ alert: A }}\n    ask:\n      - {question}\n    then: [acknowledge: A]\n"
            )
        };
        for question in [
            "{ promql: up, labels: { job: a }, above: 0 }",
            "{ logql: '{job=\"a\"} |= \"b\"', below: 0 }",
        ] {
            assert!(
                Script::parse("player.yaml", &with(question)).is_ok(),
                "{question}"
            );
        }
        for (question, place, problem) in [
            (
                "{ promql: 'sum(up', above: 0 }",
                "player.yaml:4:11: rules.0.ask.0.promql",
                "is not a query",
            ),
            (
                "{ logql: '{job=a}', above: 0 }",
                "player.yaml:4:11: rules.0.ask.0.logql",
                "is not a query",
            ),
            (
                "{ logql: 'rate({job=\"a\"}[1m])', above: 0 }",
                "rules.0.ask.0.logql",
                "write a log query",
            ),
            (
                "{ logql: '{job=\"a\"}', labels: { job: a }, above: 0 }",
                "rules.0.ask.0.labels",
                "into the log query",
            ),
            (
                "{ promql: up, above: .nan }",
                "player.yaml:4:",
                "not a number",
            ),
            (
                "{ promql: up, below: .inf }",
                "player.yaml:4:",
                "not a number",
            ),
        ] {
            refused(&with(question), place, problem);
        }
    }

    #[test]
    fn an_occasion_or_an_action_of_another_form_is_refused_with_what_to_write() {
        let with = |when: &str, then: &str| format!("rules:\n  - when: {when}\n    then: {then}\n");
        let action = |action: &str| with("{ alert: A }", &format!("[{action}]"));
        for mitigation in [
            "pause_admission",
            "{ change_batch: 1000000 }",
            "{ clear: latency }",
        ] {
            let text = action(&format!("{{ mitigate: {mitigation} }}"));
            assert!(Script::parse("player.yaml", &text).is_ok(), "{mitigation}");
        }
        let (when, then) = ("player.yaml:2:", "player.yaml:3:");
        for (text, line, field, problem) in [
            (
                with("{}", "[acknowledge: A]"),
                when,
                "rules.0.when: ",
                "exactly one of `alert: ALERT`",
            ),
            (
                with("{ alert: A, after: 3s }", "[acknowledge: A]"),
                when,
                "rules.0.when: ",
                "exactly one of",
            ),
            (
                with("{ alert: '' }", "[acknowledge: A]"),
                when,
                "rules.0.when.alert: ",
                "such as `SlowBuying`",
            ),
            (
                with("{ server: sleeps }", "[acknowledge: A]"),
                when,
                "rules.0.when.server: ",
                "hangs, refuses",
            ),
            (
                with("{ after: 3 }", "[acknowledge: A]"),
                when,
                "rules.0.when.after: ",
                "15s",
            ),
            (
                with("{ alert: A }", "[]"),
                then,
                "rules.0.then: ",
                "at least one action",
            ),
            (
                action("{}"),
                then,
                "rules.0.then.0: ",
                "exactly one of `acknowledge: ALERT`",
            ),
            (
                action("{ acknowledge: A, mitigate: restart_server }"),
                then,
                "rules.0.then.0: ",
                "exactly one of",
            ),
            (
                action("{ acknowledge: '' }"),
                then,
                "rules.0.then.0: ",
                "such as `SlowBuying`",
            ),
            (
                action("{ answer: { component: server } }"),
                then,
                "rules.0.then.0.answer: ",
                "`mechanism` is missing",
            ),
            (
                action("{ mitigate: clear }"),
                then,
                "rules.0.then.0.mitigate: ",
                "`{ clear: MECHANISM }`",
            ),
            (
                action("{ mitigate: reboot }"),
                then,
                "rules.0.then.0.mitigate: ",
                "`restart_server`",
            ),
            (
                action("{ mitigate: {} }"),
                then,
                "rules.0.then.0.mitigate: ",
                "exactly one of `pause_admission`",
            ),
            (
                action("{ mitigate: { restart_server: 1 } }"),
                then,
                "rules.0.then.0.mitigate: ",
                "`mitigate: restart_server`",
            ),
            (
                action("{ mitigate: { change_batch: 0 } }"),
                then,
                "rules.0.then.0: ",
                "from 1 to 1000000",
            ),
            (
                action("{ mitigate: { change_batch: 1000001 } }"),
                then,
                "rules.0.then.0: ",
                "from 1 to 1000000",
            ),
        ] {
            refused(&text, line, field);
            refused(&text, line, problem);
        }
    }
}
