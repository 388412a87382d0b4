//! Drill files: the faults, their moments, and the response that the drill expects.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::api::faults::FaultKind as Kind;
pub use crate::load::scenario::{Fault, Window};
use crate::load::scenario::{MOST_FAULTS, Time, check_fault};
use crate::yaml::{self, FileError, Positions};

use super::fire_alarm;

/// The alert that fires on `concert_fault_active`.
pub(super) const OF_INJECTION: &str = "FaultInjected";
/// The shortest watch, and the shortest time for which the hypothesis holds. Users are judged in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest time for which the hypothesis can be asked to hold.
const LONGEST_STEADY: Duration = Duration::from_secs(60);
/// The longest name of a component or of a mechanism.
const LONGEST_NAME: usize = 100;

/// A drill, read and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The name of a shipped drill, or the file's name without its extension.
    #[serde(skip)]
    pub name: String,
    /// Where it was read.
    #[serde(skip)]
    source: Source,
    /// One line for people.
    pub title: String,
    /// The scenario whose traffic runs meanwhile: a shipped one, or a file.
    pub load: String,
    /// Fields of the scenario that are different here, by dotted path.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// What must hold before anything is injected, and counts as recovered afterwards.
    #[serde(default)]
    pub hypothesis: Hypothesis,
    /// What is broken. Nothing: a quiet drill, in which no alert may fire.
    #[serde(default)]
    pub injects: Vec<Inject>,
    /// Alerts that may fire although nothing expects them. Every other one is a false alarm.
    #[serde(default)]
    pub may_fire: Vec<String>,
    /// How long a quiet drill watches.
    #[serde(default = "default_watch")]
    pub watch: Time,
    /// Other programs may hold the processors in this share of the seconds, 0 to 1. In more, a failure says
    /// nothing about the response, and the drill is inconclusive.
    #[serde(default = "default_host_busy")]
    pub host_busy: f64,
    /// What ends the drill at once.
    #[serde(default)]
    pub stop: Stop,
}

/// The text of a drill file, and the places of its fields in it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Source {
    file: String,
    positions: Positions,
}

const fn default_host_busy() -> f64 {
    0.1
}

fn default_watch() -> Time {
    Time::from_secs(30)
}

/// The steady state of the service, as its users see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hypothesis {
    /// 95 % of the successful requests outside of the queue are served within this, each second.
    #[serde(rename = "buying.p95")]
    pub p95: Time,
    /// The share of requests outside of the queue that may fail, each second. 0 to 1.
    #[serde(rename = "buying.error_rate")]
    pub error_rate: f64,
    /// For how long it must hold without a break.
    #[serde(rename = "for")]
    pub lasts: Time,
}

impl Default for Hypothesis {
    fn default() -> Hypothesis {
        Hypothesis {
            p95: Time::from_millis(500),
            error_rate: 0.001,
            lasts: Time::from_secs(5),
        }
    }
}

/// One fault and what is expected of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// When, counted from the opening of the sale: `6s`, or drawn from the seed: `6s..10s`.
    pub at: Window,
    /// What is broken, and how.
    pub fault: Fault,
    /// What a player of a blind drill must find.
    pub cause: Cause,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
}

/// Where the fault is and how it works, in the words that a player answers with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Such as `database`, `redis`, `server`.
    pub component: String,
    /// Such as `slow_statement`.
    pub mechanism: String,
}

/// Budgets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// These alerts fire, each within its budget from the fault's beginning.
    pub fires: BTreeMap<String, Time>,
    /// Alerts that are a known consequence.
    pub may_fire: Vec<String>,
    /// From firing to the notification, at most.
    pub notified: Option<Time>,
    /// From the fault's end until the objective is met again, at most.
    pub recovered: Option<Time>,
    /// Seconds outside of the objective since the fault's beginning, at most. `0s`: users do not notice the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<Time>,
    /// From the fault's end until the notification that the alerts are resolved, at most.
    pub resolved: Option<Time>,
}

/// What ends a drill at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// Seats sold twice, more than this.
    pub oversold: u64,
    /// Acknowledged writes that the database lacks, more than this. Payments are counted while the drill runs, all
    /// writes are looked up after it.
    pub lost: u64,
    /// Requests outside of the queue that failed, more than this. Left out: any number.
    #[serde(rename = "buying.failed", skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

impl Drill {
    /// The shipped drill called `name`, or the file at that path.
    ///
    /// # Errors
    /// Neither exists, or it is not a valid drill. The message names file, line, column and field.
    pub fn load(name: &str) -> Result<Drill, FileError> {
        if let Some((name, text)) = shipped().iter().find(|(known, _)| *known == name) {
            return Drill::parse(name, text);
        }
        let text = yaml::read_file(Path::new(name), yaml::SMALL).map_err(|error| {
            let problem = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    let known: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                    yaml::suggestion::no_such("drill", name, &known)
                }
                _ => format!("cannot be read: {error}"),
            };
            FileError::new(name, problem)
        })?;
        let mut drill = Drill::parse(name, &text)?;
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        stem.unwrap_or(name).clone_into(&mut drill.name);
        Ok(drill)
    }

    /// The drill that `text` describes. `origin` names the text in messages.
    ///
    /// # Errors
    /// The text is not a valid drill. The message names file, line, column and field.
    pub fn parse(origin: &str, text: &str) -> Result<Drill, FileError> {
        let (mut drill, positions) = yaml::parse::<Drill>(origin, text, yaml::SMALL, lacking)?;
        origin.clone_into(&mut drill.name);
        drill.source = Source {
            file: origin.to_owned(),
            positions,
        };
        match drill.check().into_iter().next() {
            Some((field, problem)) => Err(drill.wrong(&field, problem)),
            None => Ok(drill),
        }
    }

    /// The message about a field, with the field's place in the file.
    pub(super) fn wrong(&self, field: &str, problem: String) -> FileError {
        FileError {
            at: self.source.positions.position(field),
            field: Some(field.to_owned()),
            ..FileError::new(&self.source.file, problem)
        }
    }

    /// The file of the drill, or the name of a shipped one.
    pub(super) fn file(&self) -> &str {
        &self.source.file
    }

    /// Returns whether the drill injects no fault, so that no alert may fire.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.injects.is_empty()
    }

    /// Returns whether the drill runs commands that its file names.
    #[must_use]
    pub fn runs_commands(&self) -> bool {
        let mut injects = self.injects.iter();
        injects.any(|inject| inject.fault.kind.runs_commands())
    }

    /// The alerts that its faults are expected to raise.
    pub fn expected(&self) -> impl Iterator<Item = &str> {
        let fires = self.injects.iter().flat_map(|it| it.expect.fires.keys());
        fires.map(String::as_str)
    }

    /// Every alert that may fire without being a false alarm.
    #[must_use]
    pub fn allowed(&self) -> Vec<&str> {
        let expected = self.injects.iter().flat_map(|inject| {
            let expect = &inject.expect;
            expect.fires.keys().chain(&expect.may_fire)
        });
        expected.chain(&self.may_fire).map(String::as_str).collect()
    }

    /// The problems of the file, in its order: the dotted path of a field, and the message.
    fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |field: &str, problem: String| found.push((field.to_owned(), problem));
        if !yaml::is_label(&self.title, 200) {
            add(
                "title",
                "must be one line of 1 to 200 characters".to_owned(),
            );
        }
        if let Err(error) = self.scenario() {
            add(&error.field.unwrap_or_default(), error.problem);
        }
        if let Some((field, problem)) = self.hypothesis.check() {
            add(field, problem.to_owned());
        }
        if self.watch.0 < SHORTEST {
            add("watch", "must be at least 1s".to_owned());
        }
        if !(0.0..=1.0).contains(&self.host_busy) {
            add("host_busy", "is not a share: write 0 to 1".to_owned());
        }
        if self.injects.len() > MOST_FAULTS {
            add("injects", format!("more than {MOST_FAULTS}"));
        }
        for (index, inject) in self.injects.iter().enumerate() {
            let path = format!("injects.{index}");
            let above = index.checked_sub(1).map(|above| &self.injects[above]);
            if let Some(over) = above
                .map(Inject::latest_end)
                .filter(|over| inject.at.from < *over)
            {
                let problem = format!(
                    "begins before the fault above it has ended: one fault runs after the other, so write {over} or later"
                );
                add(&format!("{path}.at"), problem);
            }
            let cause = inject.cause.check();
            let cause = cause.map(|(field, problem)| (field.to_owned(), problem));
            let checks = [check_fault(inject.at, &inject.fault), cause];
            for (field, problem) in checks.into_iter().flatten() {
                add(&format!("{path}{field}"), problem);
            }
            for (field, problem) in inject.expect.check(inject.fault.kind) {
                add(&format!("{path}.expect{field}"), problem);
            }
        }
        found
    }
}

impl Hypothesis {
    /// The first mistake: the path of the field, and the problem.
    fn check(&self) -> Option<(&'static str, &'static str)> {
        if self.p95.0.is_zero() {
            return Some((
                "hypothesis.buying.p95",
                "no request is served within 0s: write a duration such as 500ms",
            ));
        }
        if !(0.0..=1.0).contains(&self.error_rate) {
            return Some((
                "hypothesis.buying.error_rate",
                "is not a share: write 0 to 1",
            ));
        }
        let is_possible = (SHORTEST..=LONGEST_STEADY).contains(&self.lasts.0);
        (!is_possible).then_some(("hypothesis.for", "must be from 1s to 60s"))
    }
}

impl Inject {
    /// The latest end of the fault, from the opening of the sale.
    fn latest_end(&self) -> Time {
        Time(self.at.to.0 + self.fault.length.0)
    }
}

impl Cause {
    /// The first mistake: the path of the field below the inject, and the problem.
    fn check(&self) -> Option<(&'static str, String)> {
        let names = [
            (".cause.component", &self.component, "database"),
            (".cause.mechanism", &self.mechanism, "slow_statement"),
        ];
        let mut wrong = names
            .into_iter()
            .filter(|(_, name, _)| !yaml::is_label(name, LONGEST_NAME));
        let (field, _, example) = wrong.next()?;
        let problem =
            format!("must be a name of 1 to {LONGEST_NAME} characters, such as `{example}`");
        Some((field, problem))
    }
}

impl Expect {
    /// The mistakes in what is expected of a fault of this kind: the path of each field below `expect`, and the problem.
    fn check(&self, kind: Kind) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |field: &str, problem: String| found.push((field.to_owned(), problem));
        if self.fires.is_empty() {
            if self.recovered.is_none() && self.outside.is_none() {
                let problem = "expects nothing: write `fires: { ALERT: 20s }`, `recovered: 20s` or `outside: 0s`";
                add("", problem.to_owned());
            }
            for (field, budget) in [(".notified", self.notified), (".resolved", self.resolved)] {
                if budget.is_some() {
                    let problem = "judges the alerts of `fires`, and there are none: write `fires: { ALERT: 20s }`, or remove it";
                    add(field, problem.to_owned());
                }
            }
        }
        for alert in self.fires.keys() {
            let of_fire_alarm = kind == Kind::FireAlarm && alert == fire_alarm::ALERT;
            if alert == OF_INJECTION || of_fire_alarm {
                let problem =
                    format!("{alert} reads that a fault was injected, which detects nothing");
                add(".fires", problem);
            }
            if self.may_fire.contains(alert) {
                add(".may_fire", format!("{alert} is in `fires` already"));
            }
        }
        found
    }
}

/// The drills that ship inside the binary: name and text.
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    SHIPPED
}

macro_rules! shipped {
    ($($name:expr),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/drill-", $name, ".yaml")))),*]
    };
}

const SHIPPED: &[(&str, &str)] = shipped![
    "errors",
    "errors-few",
    "errors-pay",
    "queue-errors",
    "latency",
    "latency-some",
    "slow-charge",
    "slow-seat-map",
    "slow-commit",
    "pool",
    "pool-brief",
    "nobody-let-in",
    "disk-full",
    "telemetry-gone",
    "clock-step",
    "freeze",
    "kill",
    "cpu",
    "adaptive-slow",
    "adaptive-latency",
    "quiet",
    "quiet-rush",
];

/// The path of a missing field. `near` is the map that lacks it, or a field in or below that map.
fn lacking(near: &str, missing: &str) -> String {
    let depth = match missing {
        "title" | "load" => 0,
        // Directly below `injects.0`.
        "at" | "fault" | "cause" => 2,
        // Below `injects.0.fault`, `injects.0.cause` or `injects.0.expect`.
        _ => 3,
    };
    let map = near.split('.').filter(|part| !part.is_empty()).take(depth);
    map.chain([missing]).collect::<Vec<_>>().join(".")
}

/// The names of the shipped drills, for messages.
#[must_use]
pub fn names() -> String {
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// The JSON Schema of drill files, which editors use for completion.
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Drill);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: &str = "title: Slow\nload: onsale-short\ninjects:\n  - at: 6s..10s\n    fault: { kind: latency, delay: 1s, for: 20s }\n    cause: { component: server, mechanism: latency }\n    expect:\n      fires: { SlowBuying: 18s }\n";

    #[test]
    fn a_missing_field_is_named_by_the_map_that_lacks_it() {
        for (removed, path) in [
            ("load: onsale-short\n", "load"),
            ("title: Slow\n", "title"),
            (
                "\n    cause: { component: server, mechanism: latency }",
                "injects.0.cause",
            ),
            (", for: 20s", "injects.0.fault.for"),
            ("component: server, ", "injects.0.cause.component"),
        ] {
            let error = Drill::parse("slow", &SLOW.replace(removed, "")).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(path), "{error}");
        }
        let two_lines = SLOW.replace("title: Slow", r#"title: "a\nb""#);
        let error = Drill::parse("slow", &two_lines).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("title"), "{error}");
    }

    fn refusal(text: &str) -> String {
        Drill::parse("drill.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn every_shipped_drill_is_valid_and_its_scenario_too() {
        for (name, text) in shipped() {
            let drill = Drill::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            drill
                .scenario()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn a_drill_is_read_with_its_defaults() {
        let drill = Drill::parse("drill.yaml", SLOW).unwrap();
        assert_eq!(drill.hypothesis, Hypothesis::default());
        assert_eq!(drill.injects[0].at, "6s..10s".parse().unwrap());
        assert_eq!(drill.allowed(), ["SlowBuying"]);
        assert!(!drill.is_quiet());
    }

    #[test]
    fn a_mistake_is_told_with_line_and_field() {
        let cases = [
            (
                SLOW.replace("kind: latency", "kind: lateny"),
                "drill.yaml:5:",
                "latency",
            ),
            (
                SLOW.replace("6s..10s", "10s..6s"),
                "drill.yaml:4:",
                "ends before it begins",
            ),
            (
                SLOW.replace("for: 20s", "for: 2h"),
                "injects.0.fault.for",
                "from 1s to 10m",
            ),
            (
                SLOW.replace("load: onsale-short", "load: onsale-shrt"),
                "drill.yaml:2:",
                "no such scenario",
            ),
            (
                SLOW.replace("SlowBuying", "FaultInjected"),
                "injects.0.expect.fires",
                "detects nothing",
            ),
            (
                SLOW.replace(
                    "      fires: { SlowBuying: 18s }\n",
                    "      may_fire: [A]\n",
                ),
                "injects.0.expect",
                "expects nothing",
            ),
            (
                SLOW.replace("injects:", "set: { usrs: 3 }\ninjects:"),
                "set",
                "usrs",
            ),
            (
                format!(
                    "{SLOW}{}",
                    SLOW[SLOW.find("  - at").unwrap()..].replace("6s..10s", "5s")
                ),
                "drill.yaml:9:",
                "injects.1.at: begins before the fault above it has ended: one fault runs after the other, so write 30s",
            ),
            (
                format!("{SLOW}watch: 999ms\n"),
                "drill.yaml:9:1: watch",
                "at least 1s",
            ),
            (
                format!("{SLOW}hypothesis: {{ for: 999ms }}\n"),
                "drill.yaml:9:15: hypothesis.for",
                "from 1s to 60s",
            ),
            (
                format!("{SLOW}hypothesis: {{ for: 61s }}\n"),
                "hypothesis.for",
                "from 1s to 60s",
            ),
            (
                format!("{SLOW}hypothesis: {{ buying.p95: 0s }}\n"),
                "drill.yaml:9:15: hypothesis.buying.p95",
                "write a duration such as 500ms",
            ),
            (
                SLOW.replace("component: server", "component: ''"),
                "drill.yaml:6:14: injects.0.cause.component",
                "such as `database`",
            ),
            (
                SLOW.replace("mechanism: latency", "mechanism: ' '"),
                "injects.0.cause.mechanism",
                "such as `slow_statement`",
            ),
            (
                SLOW.replace(
                    "fires: { SlowBuying: 18s }",
                    "{ recovered: 9s, notified: 3s }",
                ),
                "drill.yaml:8:24: injects.0.expect.notified",
                "there are none",
            ),
            (
                SLOW.replace(
                    "fires: { SlowBuying: 18s }",
                    "{ recovered: 9s, resolved: 3s }",
                ),
                "injects.0.expect.resolved",
                "there are none",
            ),
            (
                SLOW.replace("latency, delay: 1s", "fire_alarm")
                    .replace("SlowBuying", "FireAlarm"),
                "injects.0.expect.fires",
                "FireAlarm reads that a fault was injected",
            ),
        ];
        for (text, place, problem) in cases {
            let told = refusal(&text);
            assert!(told.contains(place) && told.contains(problem), "{told}");
        }
    }

    #[test]
    fn a_fault_begins_at_the_earliest_when_the_one_above_it_has_ended() {
        let second = &SLOW[SLOW.find("  - at").unwrap()..];
        let then = |at: &str| format!("{SLOW}{}", second.replace("6s..10s", at));
        for at in ["29s", "29s..60s", "10s"] {
            assert!(refusal(&then(at)).contains("write 30s or later"), "{at}");
        }
        for at in ["30s", "30s..60s"] {
            assert_eq!(
                Drill::parse("drill.yaml", &then(at)).map(|it| it.injects.len()),
                Ok(2)
            );
        }
    }

    #[test]
    fn a_mistake_that_the_rules_show_has_its_line_too() {
        let drill = Drill::parse("drill.yaml", SLOW).unwrap();
        let told = drill.wrong("injects.0.expect.fires.SlowBuying", "late".to_owned());
        assert_eq!(
            told.to_string(),
            "drill.yaml:8:16: injects.0.expect.fires.SlowBuying: late"
        );
    }

    #[test]
    fn a_fault_becomes_a_request_that_ends_by_itself() {
        let drill = Drill::parse("drill.yaml", SLOW).unwrap();
        let fault = &drill.injects[0].fault;
        let injected = fault.injected().unwrap();
        assert_eq!(injected.kind(), Kind::Latency);
        assert_eq!(injected.settings()["delayMs"], 1_000);
        assert_eq!(fault.length, Time::from_secs(20));
    }
}
