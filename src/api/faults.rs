//! The faults, declared once: kinds, parameters, bounds, help texts.
//!
//! [`Fault`] is the type that `concertctl fault` parses (its doc comments are the command's help), that the operations
//! API and scenario files read and write, and that a server injects. CONTRIBUTING.md lists the other places of a kind:
//! `faults::points`, the code that calls it, and a row in docs/operations.md.
//!
//! The attributes and doc comments of [`Fault`] repeat the values of the bounds below.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use strum::{EnumCount as _, EnumDiscriminants, VariantArray as _};

use super::integer;
use crate::domain::statement;
use crate::duration;

/// The longest time for which a fault is injected. The docs of [`FaultRequest`] and [`SealRequest`] repeat it in
/// milliseconds, and docs/operations.md as an hour.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// The longest delay that is added to a request or a statement. The help and the schema's `max` of `delay`, twice in
/// [`Fault`], repeat it.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Statuses of injected errors: those that the API documents for a service in trouble. The messages of [`Fault::check`]
/// and `status` repeat them.
pub const STATUSES: [u16; 2] = [500, 503];
/// The upper bound of `connections`: more than any pool has.
const MOST_CONNECTIONS: u32 = 1_000;
/// The largest clock step in either direction, in seconds: a day. docs/operations.md gives it.
const LARGEST_STEP: i64 = 86_400;
/// The upper bound of `cores`: more than any host of this service has.
const MOST_CORES: u32 = 1_024;

/// A fault with its parameters.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Subcommand, EnumDiscriminants,
)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[strum_discriminants(
    name(FaultKind),
    doc = "A kind of fault. A server has one of each at most; its name stands in the path and in\n`concert_fault_active{fault}`.",
    derive(
        Hash,
        PartialOrd,
        Ord,
        Serialize,
        Deserialize,
        JsonSchema,
        strum::EnumCount,
        strum::IntoStaticStr,
        strum::VariantArray
    ),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", const_into_str)
)]
pub enum Fault {
    /// Answer a share of the requests with an error
    Errors {
        /// Share of the requests, 0 to 1
        #[arg(long, value_name = "SHARE", value_parser = share)]
        share: f64,
        /// 500 or 503
        #[arg(long, default_value_t = STATUSES[0], value_parser = status)]
        #[serde(default = "first_status", deserialize_with = "integer::whole")]
        status: u16,
        /// A route such as 'POST /reservations'; may be given several times [default: the steps of
        /// buying]
        #[arg(long = "route", value_name = "ROUTE")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        routes: Option<Vec<String>>,
    },
    /// Delay requests
    Latency {
        /// Delay to add to each request, at most 30s
        #[arg(long, value_name = "DURATION", value_parser = delay)]
        #[serde(rename = "delayMs", with = "delay_ms")]
        #[schemars(with = "u64", range(min = 1, max = 30_000))]
        delay: Duration,
        /// Share of the requests, 0 to 1
        #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
        #[serde(default = "all_requests")]
        share: f64,
        /// A route such as 'POST /reservations'; may be given several times [default: the steps of
        /// buying and the queue]
        #[arg(long = "route", value_name = "ROUTE")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        routes: Option<Vec<String>>,
    },
    /// Slow a statement down, or all of them
    #[command(alias = "slow_statement")]
    SlowStatement {
        /// Delay to add to the statement, at most 30s
        #[arg(long, value_name = "DURATION", value_parser = delay)]
        #[serde(rename = "delayMs", with = "delay_ms")]
        #[schemars(with = "u64", range(min = 1, max = 30_000))]
        delay: Duration,
        /// Name of the statement, as in the metric label db_operation_name [default: all]
        #[arg(long, value_name = "NAME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        statement: Option<String>,
    },
    /// Take the connections to the database
    #[command(alias = "pool_exhaustion")]
    PoolExhaustion {
        /// Number of connections to take, 1 to 1000 [default: all]
        #[arg(long, value_name = "N", value_parser = some_connections)]
        #[serde(
            default,
            deserialize_with = "connections",
            skip_serializing_if = "Option::is_none"
        )]
        connections: Option<u32>,
    },
    /// Cut the link to Redis
    #[command(alias = "redis_cut")]
    RedisCut {
        /// Behaviour of the cut link
        #[arg(long, value_enum, default_value_t)]
        #[serde(default)]
        how: LinkCut,
    },
    /// Lose the metrics, and all pushes over OTLP
    #[command(alias = "telemetry_gone")]
    TelemetryGone {
        /// Behaviour of /metrics and of the pushes
        #[arg(long, value_enum, default_value_t)]
        #[serde(default)]
        how: LinkCut,
    },
    /// Refuse the writes, as a full disk does
    #[command(alias = "disk_full")]
    DiskFull {},
    /// Set the clock forward or back, until the end
    #[command(alias = "clock_step")]
    ClockStep {
        /// Seconds to set the clock forward, at most a day; negative: back
        #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = whole_seconds)]
        #[serde(deserialize_with = "integer::whole")]
        seconds: i64,
    },
    /// Break nothing, and raise the alert FireAlarm
    #[command(alias = "fire_alarm")]
    FireAlarm {},
    /// Kill the server's process (SIGKILL), and start it again at the end
    #[command(skip)]
    KillServer {},
    /// Stop the server's process (SIGSTOP), and continue it at the end
    #[command(skip)]
    FreezeServer {},
    /// Keep the processors busy with other work
    #[command(skip)]
    CpuHog {
        /// Number of processors, 1 to 1024 [default: all]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cores: Option<u32>,
    },
    /// Run a command, and at the end another one that undoes it
    #[command(skip)]
    Command {
        /// Command for `sh -c` that begins the fault
        run: String,
        /// Command for `sh -c` that ends the fault
        undo: String,
    },
    /// Lose one of several servers, by commands of the user's own, and check that the others still answer
    #[command(skip)]
    LoseOneOfN {
        /// For `sh -c`; it ends one server
        run: String,
        /// For `sh -c`; it starts that server again
        undo: String,
    },
}

/// The behaviour of a cut link towards its callers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum LinkCut {
    /// Requests get no answer
    #[default]
    Hang,
    /// Requests are refused at once
    Refuse,
}

/// The part of the system that a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Requests to the ticketing API.
    Requests,
    /// Statements and connections of the database.
    Database,
    /// The link to Redis.
    Redis,
    /// The telemetry that the server exports.
    Telemetry,
    /// The server's wall clock.
    Clock,
    /// No part: the fault only shows in `concert_fault_active`.
    Nothing,
    /// The server's process, its host, its files, or the programs that observe it. A server cannot inject such a fault
    /// into itself; drills do. The variants of [`Fault`] with this site have `#[command(skip)]`, so `concertctl fault`
    /// does not offer them.
    Outside,
}

impl FaultKind {
    /// All kinds; `ALL[kind as usize] == kind`.
    pub const ALL: &'static [FaultKind] = FaultKind::VARIANTS;
    /// The number of kinds.
    pub const NUMBER: usize = FaultKind::COUNT;

    /// The name in the operations API, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// The kinds that a server can inject into itself.
    pub fn injectable() -> impl Iterator<Item = FaultKind> {
        let all = FaultKind::ALL.iter().copied();
        all.filter(|kind| kind.site() != Site::Outside)
    }

    /// The kind of that name that a server can inject into itself.
    ///
    /// # Errors
    /// There is no such kind. The message lists the kinds.
    pub fn injectable_named(name: &str) -> Result<FaultKind, String> {
        FaultKind::injectable()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| {
                let known: Vec<_> = FaultKind::injectable().map(FaultKind::as_str).collect();
                format!("there is no fault {name:?}; there are {}", known.join(", "))
            })
    }

    /// The part of the system that a fault of this kind breaks.
    #[must_use]
    pub const fn site(self) -> Site {
        match self {
            FaultKind::Errors | FaultKind::Latency => Site::Requests,
            FaultKind::SlowStatement | FaultKind::PoolExhaustion | FaultKind::DiskFull => {
                Site::Database
            }
            FaultKind::RedisCut => Site::Redis,
            FaultKind::TelemetryGone => Site::Telemetry,
            FaultKind::ClockStep => Site::Clock,
            FaultKind::FireAlarm => Site::Nothing,
            FaultKind::KillServer
            | FaultKind::FreezeServer
            | FaultKind::CpuHog
            | FaultKind::Command
            | FaultKind::LoseOneOfN => Site::Outside,
        }
    }

    /// Returns whether the user's own commands begin and end a fault of this kind.
    #[must_use]
    pub const fn runs_commands(self) -> bool {
        matches!(self, FaultKind::Command | FaultKind::LoseOneOfN)
    }
}

impl Fault {
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.into()
    }

    /// The fault of kind `kind` with these parameters, which are named as on the wire.
    ///
    /// # Errors
    /// A parameter is missing, is not one of this kind, or has a value of another type.
    pub fn with_settings(
        kind: FaultKind,
        mut settings: Map<String, Value>,
    ) -> Result<Fault, WrongSetting> {
        settings.retain(|_, value| !value.is_null());
        settings.insert("kind".to_owned(), kind.as_str().into());
        let fault: Result<Fault, _> = serde_json::from_value(settings.into());
        fault.map_err(|error| WrongSetting::of(&error.to_string()))
    }

    /// The parameters, named as on the wire.
    #[must_use]
    pub fn settings(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut settings)) => {
                settings.remove("kind");
                settings
            }
            _ => Map::new(),
        }
    }

    /// Checks the bounds of the parameters.
    ///
    /// # Errors
    /// A parameter is out of bounds. The message begins with its name and gives its value and its bounds.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Fault::Errors { share, status, .. } => {
                if !STATUSES.contains(status) {
                    return Err(format!("status is {status}: it can be 500 or 503"));
                }
                check_share(*share)
            }
            Fault::Latency { share, delay, .. } => {
                check_share(*share)?;
                check_millis("delay", *delay, LONGEST_DELAY)
            }
            Fault::SlowStatement { statement, delay } => {
                check_statement(statement.as_deref())?;
                check_millis("delay", *delay, LONGEST_DELAY)
            }
            Fault::PoolExhaustion { connections } => match connections {
                Some(number) => check_connections((*number).into()).map(drop),
                None => Ok(()),
            },
            Fault::CpuHog { cores: Some(cores) } => match cores {
                1..=MOST_CORES => Ok(()),
                _ => Err(format!("cores is {cores}: it can be 1 to {MOST_CORES}")),
            },
            Fault::ClockStep { seconds } => check_step(*seconds),
            Fault::RedisCut { .. }
            | Fault::TelemetryGone { .. }
            | Fault::DiskFull {}
            | Fault::FireAlarm {}
            | Fault::KillServer {}
            | Fault::FreezeServer {}
            | Fault::CpuHog { cores: None } => Ok(()),
            Fault::Command { run, .. } | Fault::LoseOneOfN { run, .. } => {
                match run.trim().is_empty() {
                    true => Err("run is empty: write the command that begins the fault".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }
}

/// Checks the time for which a fault is to be injected.
///
/// # Errors
/// It is zero, or longer than [`LONGEST`].
pub fn check_length(length: Duration) -> Result<(), String> {
    check_millis("for", length, LONGEST)
}

/// Checks a share of the requests.
///
/// # Errors
/// It is not from 0 to 1. The message begins with `share`.
pub(crate) fn check_share(share: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(format!("share is {share}: it can be 0 to 1"))
}

fn check_millis(name: &str, given: Duration, most: Duration) -> Result<(), String> {
    if !given.is_zero() && given <= most {
        return Ok(());
    }
    Err(format!(
        "{name} is {}: it can be 1ms to {}",
        duration::show(given),
        duration::show(most)
    ))
}

fn check_statement(name: Option<&str>) -> Result<(), String> {
    match name {
        Some(name) if !statement::ALL.contains(&name) => Err(format!(
            "statement {name:?} is not known; there are {}; without one, all are slow",
            statement::ALL.join(", ")
        )),
        _ => Ok(()),
    }
}

fn check_step(seconds: i64) -> Result<(), String> {
    if seconds != 0 && seconds.saturating_abs() <= LARGEST_STEP {
        return Ok(());
    }
    Err(format!(
        "seconds is {seconds}: it can be -{LARGEST_STEP} to {LARGEST_STEP}, but not 0"
    ))
}

fn check_connections(number: i64) -> Result<u32, String> {
    let number = u32::try_from(number).map_err(|_| number);
    match number {
        Ok(number) if (1..=MOST_CONNECTIONS).contains(&number) => Ok(number),
        _ => Err(format!(
            "connections is {}: it can be 1 to {MOST_CONNECTIONS}; without it, all are taken",
            number.map_or_else(i64::from, i64::from)
        )),
    }
}

/// The mistake in the parameters of a fault. Its `Display` uses the words of the operations API; files have other names
/// for some of the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongSetting {
    /// This parameter is missing.
    Missing(String),
    /// This parameter is not one of the kind's parameters, which follow.
    Unknown(String, Vec<String>),
    /// A value is wrong, for this reason.
    Value(String),
}

impl WrongSetting {
    /// Translates serde's error.
    fn of(text: &str) -> WrongSetting {
        let mut names = text.split('`').skip(1).step_by(2).map(str::to_owned);
        match names.next() {
            Some(name) if text.starts_with("missing field") => WrongSetting::Missing(name),
            Some(name) if text.starts_with("unknown field") => {
                WrongSetting::Unknown(name, names.collect())
            }
            _ => WrongSetting::Value(text.to_owned()),
        }
    }
}

impl std::fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WrongSetting::Missing(name) => write!(f, "{name} is missing"),
            WrongSetting::Unknown(name, known) => {
                // The fields of a [`FaultRequest`] beside the parameters.
                let own = ["forMs".to_owned(), "by".to_owned()];
                let known = [&own, known.as_slice()].concat().join(", ");
                write!(f, "{name} is no setting of this fault; it takes {known}")
            }
            WrongSetting::Value(problem) => f.write_str(problem),
        }
    }
}

/// Parses a share such as `0.01` or `1`.
///
/// # Errors
/// The text is not a number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is not a share from 0 to 1, such as 0.05"))
}

fn delay(text: &str) -> Result<Duration, String> {
    let most = duration::show(LONGEST_DELAY);
    let is_negative = text.trim().strip_prefix('-').and_then(duration::parse);
    match duration::parse(text) {
        Some(delay) if !delay.is_zero() && delay <= LONGEST_DELAY => Ok(delay),
        None if is_negative.is_none() => {
            Err(format!("{text:?} is not a duration such as 250ms or 2s"))
        }
        _ => Err(format!("must be from 1ms to {most}")),
    }
}

fn whole_seconds(text: &str) -> Result<i64, String> {
    let seconds = text.parse();
    seconds.map_err(|_| format!("{text:?} is not a number of seconds such as 3600 or -3600"))
}

fn some_connections(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok();
    let number = number.filter(|number| (1..=MOST_CONNECTIONS).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {MOST_CONNECTIONS}"))
}

fn status(text: &str) -> Result<u16, String> {
    let status: Option<u16> = text.parse().ok();
    status
        .filter(|status| STATUSES.contains(status))
        .ok_or_else(|| "must be 500 or 503".to_owned())
}

const fn first_status() -> u16 {
    STATUSES[0]
}

const fn all_requests() -> f64 {
    1.0
}

fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let given: Option<i64> = integer::optional(deserializer)?;
    let given = given.map(check_connections).transpose();
    given.map_err(D::Error::custom)
}

mod delay_ms {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        delay: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let given: i64 = integer::whole(deserializer)?;
        millis("delayMs", given).map_err(D::Error::custom)
    }
}

/// The duration of a setting in milliseconds.
///
/// # Errors
/// It is negative.
pub fn millis(setting: &str, value: i64) -> Result<Duration, String> {
    let millis =
        u64::try_from(value).map_err(|_| format!("{setting} is {value}: it cannot be negative"))?;
    Ok(Duration::from_millis(millis))
}

/// `PUT /ops/v1/faults/{kind}`: injects a fault; it replaces one of the same kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultRequest {
    /// The duration, 1 to 3,600,000 ms. The fault ends by itself after it.
    #[serde(deserialize_with = "integer::whole")]
    pub for_ms: i64,
    /// The author, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The parameters of the [`Fault`].
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// The request header with the key of a seal: `PUT` and `DELETE` of faults need it while faults are withheld.
pub const SEAL_HEADER: &str = "concertctl-seal-key";

/// `PUT /ops/v1/seal`: withholds faults, for a blind drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealRequest {
    /// The longest duration, 1 to 3,600,000 ms. After it the faults are shown again.
    #[serde(deserialize_with = "integer::whole")]
    pub for_ms: i64,
}

/// The answer of `PUT /ops/v1/seal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealAnswer {
    /// The value of the header [`SEAL_HEADER`]. Only this answer contains it.
    pub key: String,
}

/// An active fault of a server; also the answer of PUT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFault {
    /// Serialized as `kind` and `settings`, defaults included.
    #[serde(flatten, with = "kind_and_settings")]
    pub fault: Fault,
    /// The author.
    pub by: String,
    /// ISO 8601, UTC.
    pub started_at: String,
    /// The time at which it ends by itself, ISO 8601, UTC.
    pub ends_at: String,
}

mod kind_and_settings {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Pair {
        kind: FaultKind,
        settings: Map<String, Value>,
    }

    pub(super) fn serialize<S: Serializer>(
        fault: &Fault,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let (kind, settings) = (fault.kind(), fault.settings());
        Pair { kind, settings }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Fault, D::Error> {
        let Pair { kind, settings } = Pair::deserialize(deserializer)?;
        Fault::with_settings(kind, settings).map_err(D::Error::custom)
    }
}

/// `GET /ops/v1/faults`, and the answer of DELETE: the active faults of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultList {
    /// At most one of each kind.
    pub faults: Vec<ActiveFault>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        _fault: Fault,
    }

    /// The parameters of a kind on the wire, taken from the error for an unknown parameter.
    fn parameters(kind: FaultKind) -> Vec<String> {
        let settings = Map::from_iter([("none".to_owned(), Value::from(1))]);
        match Fault::with_settings(kind, settings) {
            Err(WrongSetting::Unknown(_, known)) => known,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn command_line_wire_and_page_have_the_same_kinds_and_parameters() {
        let page = include_str!("../../docs/operations.md");
        let line = Line::command();
        let injectable = FaultKind::injectable().count();
        assert_eq!(line.get_subcommands().count(), injectable);
        for kind in FaultKind::injectable() {
            let name = kind.as_str();
            let row = page
                .lines()
                .find(|row| row.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row {name}"));
            let command = line.find_subcommand(name.replace('_', "-")).unwrap();
            let flags = command
                .get_arguments()
                .filter(|flag| flag.get_id() != "help");
            let parameters = parameters(kind);
            assert_eq!(flags.count(), parameters.len(), "{name}: {parameters:?}");
            for parameter in parameters {
                assert!(
                    row.contains(&format!("`{parameter}`")),
                    "{name}: {parameter}"
                );
            }
        }
    }

    #[test]
    fn a_written_fault_is_read_back() {
        for text in [
            r#"{"kind":"errors","share":0.3,"status":503,"routes":["GET /queue"]}"#,
            r#"{"kind":"latency","delayMs":200,"share":1.0}"#,
            r#"{"kind":"slow_statement","delayMs":50,"statement":"ping"}"#,
            r#"{"kind":"pool_exhaustion","connections":3}"#,
            r#"{"kind":"redis_cut","how":"refuse"}"#,
            r#"{"kind":"telemetry_gone","how":"hang"}"#,
            r#"{"kind":"disk_full"}"#,
            r#"{"kind":"clock_step","seconds":-3600}"#,
        ] {
            let fault: Fault = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), text);
            let again = Fault::with_settings(fault.kind(), fault.settings()).unwrap();
            assert_eq!(again, fault);
        }
    }

    #[test]
    fn a_message_about_a_delay_is_in_the_units_of_people() {
        for wrong in ["0s", "31s", "1d", "-1s"] {
            assert_eq!(
                delay(wrong).unwrap_err(),
                "must be from 1ms to 30s",
                "{wrong}"
            );
        }
        assert!(delay("soon").unwrap_err().contains("such as 250ms"));
        let slow = Fault::SlowStatement {
            delay: Duration::from_secs(3600),
            statement: None,
        };
        assert_eq!(
            slow.check().unwrap_err(),
            "delay is 1h: it can be 1ms to 30s"
        );
    }

    #[test]
    fn numbers_and_nulls_are_read_as_everywhere_in_the_api() {
        let text = r#"{"delayMs":2e2,"share":null,"routes":null}"#;
        let fault = Fault::with_settings(FaultKind::Latency, serde_json::from_str(text).unwrap());
        let expected = Fault::Latency {
            delay: Duration::from_millis(200),
            share: 1.0,
            routes: None,
        };
        assert_eq!(fault, Ok(expected));
    }
}
