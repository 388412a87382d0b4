//! Faults on a timeline, which are injected while the traffic runs. Drill files have the same fields.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::api::faults::{self, FaultKind as Kind, LinkCut, Site, WrongSetting};
use crate::http::check_routes;

/// The longest fault. A drill takes minutes, not hours, and so does a fault in a scenario.
const LONGEST: Duration = Duration::from_secs(600);
/// The latest time after the opening at which a fault may begin.
const LATEST: Duration = Duration::from_secs(600);
/// The most faults of one scenario or drill.
pub(crate) const MOST: usize = 8;

/// A fault of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// The time of the injection after the opening of the sale: `6s`, or drawn from the seed: `6s..10s`.
    pub at: Window,
    /// The kind of the fault, and its settings.
    pub fault: Fault,
}

impl Injection {
    /// The first mistake: the path of the field below this one, and the problem.
    pub(super) fn check(&self) -> Option<(String, String)> {
        let problem = check(self.at, &self.fault);
        problem.or_else(|| {
            (self.fault.kind.site() == Site::Outside).then(|| {
                let problem = "a server cannot do this to itself: write a drill, which can (`concertctl drill`)";
                (".fault.kind".to_owned(), problem.to_owned())
            })
        })
    }
}

/// The first mistake in a fault or its time: the path of the field with its dot, and the problem.
pub(crate) fn check(at: Window, fault: &Fault) -> Option<(String, String)> {
    if at.to.0 > LATEST {
        return Some((".at".to_owned(), "later than 10m".to_owned()));
    }
    if fault.length.0 < Duration::from_secs(1) || fault.length.0 > LONGEST {
        let problem = "must be from 1s to 10m";
        return Some((".fault.for".to_owned(), problem.to_owned()));
    }
    check_settings(fault).err()
}

fn check_settings(fault: &Fault) -> Result<(), (String, String)> {
    // JSON, the form of injected faults, has no such numbers.
    if let Some(share) = fault.share.filter(|share| !share.is_finite()) {
        faults::check_share(share).map_err(of_setting)?;
    }
    let injected = fault.injected();
    let injected = injected.map_err(|problem| (".fault".to_owned(), problem))?;
    injected.check().map_err(of_setting)?;
    let routes = fault.routes.as_deref().map_or(Ok(()), check_routes);
    routes.map_err(|problem| (".fault.routes".to_owned(), problem))
}

/// Splits a message such as `share is 2: it can be 0 to 1`, which begins with the setting's name.
fn of_setting(message: String) -> (String, String) {
    match message.split_once(' ') {
        Some((name, problem)) => (format!(".fault.{name}"), problem.to_owned()),
        None => (".fault".to_owned(), message),
    }
}

/// A time, or a span from which it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The earliest time.
    pub from: Time,
    /// The latest time.
    pub to: Time,
}

impl std::str::FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Window, String> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to): (Time, Time) = (from.parse()?, to.parse()?);
        match from <= to {
            true => Ok(Window { from, to }),
            false => Err(format!("`{text}` ends before it begins")),
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.from == self.to {
            true => self.from.fmt(f),
            false => write!(f, "{}..{}", self.from, self.to),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A duration such as 6s, or a span of durations such as 6s..10s.",
        })
    }
}

/// A fault: its kind, duration and parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: Kind,
    /// The duration. The fault then ends by itself.
    #[serde(rename = "for")]
    pub length: Time,
    /// errors, latency: share of the requests that are hit, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// errors: 500 or 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// errors, latency: `METHOD /path` of the routes that are hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    /// latency, slow_statement: the added delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Time>,
    /// slow_statement: its name; left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// pool_exhaustion: how many connections; left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// redis_cut, telemetry_gone: whether requests get no answer (`hang`) or are refused (`refuse`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<LinkCut>,
    /// clock_step: by how many seconds the clock is set forward, or back (negative).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// cpu_hog: how many processors; left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// command, lose_one_of_n: begins the fault, by `sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// command, lose_one_of_n: ends the fault, by `sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

impl Fault {
    /// The fault to inject.
    ///
    /// # Errors
    /// A parameter is missing, or is not one of this kind.
    pub fn injected(&self) -> Result<faults::Fault, String> {
        let delay_ms = self.delay.map(|delay| delay.0.as_millis() as u64);
        let settings = serde_json::json!({
            "share": self.share,
            "status": self.status,
            "routes": self.routes,
            "delayMs": delay_ms,
            "statement": self.statement,
            "connections": self.connections,
            "how": self.how,
            "seconds": self.seconds,
            "cores": self.cores,
            "run": self.run,
            "undo": self.undo,
        });
        let settings = settings.as_object().cloned().unwrap_or_default();
        let fault = faults::Fault::with_settings(self.kind, settings);
        fault.map_err(in_words_of_files)
    }
}

/// The message about a mistake in the parameters, with their names in files.
fn in_words_of_files(wrong: WrongSetting) -> String {
    let in_files = |name: &str| match name {
        "delayMs" => "delay".to_owned(),
        name => name.to_owned(),
    };
    match wrong {
        WrongSetting::Missing(name) => {
            let name = in_files(&name);
            format!("{name} is missing: write `{name}: …`")
        }
        WrongSetting::Unknown(name, known) => {
            let known = known.iter().map(|name| in_files(name));
            let known: Vec<String> = std::iter::once("for".to_owned()).chain(known).collect();
            format!(
                "{} is no setting of this fault; it takes {}",
                in_files(&name),
                known.join(", ")
            )
        }
        WrongSetting::Value(problem) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fault: &str) -> String {
        let fault: Fault = serde_saphyr::from_str(fault).unwrap();
        fault.injected().unwrap_err()
    }

    #[test]
    fn a_wrong_parameter_has_the_name_that_the_file_gives_it() {
        for kind in ["latency", "slow_statement"] {
            let missing = refused(&format!("{{ kind: {kind}, for: 5s }}"));
            assert_eq!(missing, "delay is missing: write `delay: …`");
            let unknown = refused(&format!(
                "{{ kind: {kind}, for: 5s, delay: 1s, how: hang }}"
            ));
            assert!(
                unknown.starts_with("how is no setting of this fault; it takes for, delay"),
                "{unknown}"
            );
        }
        let unknown = refused("{ kind: disk_full, for: 5s, delay: 1s }");
        assert_eq!(unknown, "delay is no setting of this fault; it takes for");
    }

    #[test]
    fn no_message_about_a_fault_of_a_file_has_a_name_of_the_api() {
        let all = ", share: 2, status: 1, routes: [], delay: 1h, statement: x, connections: 0, how: hang, seconds: 0, cores: 0, run: a, undo: b";
        for kind in Kind::ALL {
            for settings in ["", all] {
                let text = format!("{{ kind: {}, for: 5s{settings} }}", kind.as_str());
                let fault: Fault = serde_saphyr::from_str(&text).unwrap();
                let checked = fault.injected().and_then(|fault| fault.check());
                let problem = checked.err().unwrap_or_default();
                assert!(!problem.contains("Ms"), "{text}: {problem}");
            }
        }
    }
}
