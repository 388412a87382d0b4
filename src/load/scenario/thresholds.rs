//! Thresholds in scenarios: named groups of requests with limits, and business limits in the same map.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::durations::Time;
use super::percentile::Percentile;
use crate::load::model::{Operation, PhaseName};
use crate::size::Size;

/// Everything under `thresholds:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Limits on requests, in the file's order. A group without operations is named after an operation, a phase, or
    /// `all`.
    pub groups: Vec<(String, Group)>,
    /// Business limits.
    pub business: Business,
}

/// Limits on the requests of some operations.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
#[schemars(extend("patternProperties" = {
    "^p[0-9]{1,2}(\\.[0-9]{1,3})?$": {
        "description": "The percentile of the successes is at most this, from their due time.",
        "anyOf": [{ "$ref": "#/$defs/Time" }, { "type": "null" }],
    }
}))]
pub struct Group {
    /// The operations; without them, those after which the group is named.
    pub operations: Option<Vec<Operation>>,
    /// Only the operations of this phase.
    pub phase: Option<PhaseName>,
    /// The traffic group; without it, the buyers, or the traffic group after which this group is named.
    pub traffic: Option<String>,
    /// The mean latency of the successes is at most this.
    pub avg: Option<Time>,
    /// The percentiles of the successes, from their due time: `p95: 500ms`.
    #[schemars(skip)]
    pub percentiles: BTreeMap<Percentile, Time>,
    /// The latency of every success is at most this.
    pub max: Option<Time>,
    /// The share of requests that end in an error is at most this, 0 to 1. Intended refusals are not errors.
    pub error_rate: Option<f64>,
    /// The successes per second are at least this, from the first to the last.
    pub rate: Option<f64>,
    /// The number of successes is at most this.
    pub successes: Option<u64>,
    /// The number of requests is at least this.
    pub requests: Option<u64>,
    /// The length of a window. The limits on latency and errors hold in every window of this length, not only over the
    /// run.
    pub window: Option<Time>,
    /// The run ends when a limit is missed for this long without a break.
    pub abort: Option<Time>,
}

impl Group {
    /// The operations of the group. `name` is the group's name, `is_traffic` knows the traffic groups.
    #[must_use]
    pub fn resolve(&self, name: &str, is_traffic: impl Fn(&str) -> bool) -> Option<Vec<Operation>> {
        let all = Operation::ALL.iter().copied();
        let named: Vec<Operation> = match &self.operations {
            Some(operations) => operations.clone(),
            None if name == ALL || is_traffic(name) || self.traffic.is_some() => all.collect(),
            None => match (Operation::named(name), PhaseName::named(name)) {
                // `register` and `pay` are both phases and operations. The operation is meant.
                (Some(operation), _) => vec![operation],
                (None, Some(phase)) => all.filter(|operation| operation.phase() == phase).collect(),
                (None, None) => return None,
            },
        };
        let phase = self.phase;
        Some(
            named
                .into_iter()
                .filter(|op| phase.is_none_or(|phase| op.phase() == phase))
                .collect(),
        )
    }

    /// The traffic group that this group judges, or `None` for the buyers. `name` is the name of this group.
    #[must_use]
    pub fn traffic<'a>(
        &'a self,
        name: &'a str,
        is_traffic: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let own = || Some(name).filter(|name| is_traffic(name));
        self.traffic.as_deref().or_else(own)
    }

    /// Returns whether the group has no limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let times = [self.avg, self.max];
        let shares = [self.error_rate, self.rate];
        let counts = [self.successes, self.requests];
        self.percentiles.is_empty()
            && times.iter().all(Option::is_none)
            && shares.iter().all(Option::is_none)
            && counts.iter().all(Option::is_none)
    }
}

/// The fields of a group, besides the percentiles.
const GROUP_FIELDS: &[&str] = &[
    "operations",
    "phase",
    "traffic",
    "avg",
    "p50",
    "p95",
    "p99",
    "max",
    "error_rate",
    "rate",
    "successes",
    "requests",
    "window",
    "abort",
];

/// Percentiles that a group offers without a limit, so that `--set` and editors suggest them.
const USUAL: [&str; 3] = ["p50", "p95", "p99"];

struct GroupVisitor;

impl<'de> Visitor<'de> for GroupVisitor {
    type Value = Group;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group of limits such as { p95: 500ms, error_rate: 0.001 }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Group, A::Error> {
        let mut group = Group::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "operations" => group.operations = map.next_value()?,
                "phase" => group.phase = map.next_value()?,
                "traffic" => group.traffic = map.next_value()?,
                "avg" => group.avg = map.next_value()?,
                "max" => group.max = map.next_value()?,
                "error_rate" => group.error_rate = map.next_value()?,
                "rate" => group.rate = map.next_value()?,
                "successes" => group.successes = map.next_value()?,
                "requests" => group.requests = map.next_value()?,
                "window" => group.window = map.next_value()?,
                "abort" => group.abort = map.next_value()?,
                name if Percentile::is_meant(name) => {
                    let percentile = name.parse().map_err(de::Error::custom)?;
                    if let Some(limit) = map.next_value()? {
                        group.percentiles.insert(percentile, limit);
                    }
                }
                name => return Err(de::Error::unknown_field(name, GROUP_FIELDS)),
            }
        }
        Ok(group)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Group, D::Error> {
        deserializer.deserialize_map(GroupVisitor)
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("operations", &self.operations)?;
        map.serialize_entry("phase", &self.phase)?;
        map.serialize_entry("traffic", &self.traffic)?;
        map.serialize_entry("avg", &self.avg)?;
        for usual in USUAL {
            let limited = |known: &Percentile| known.to_string() == usual;
            if !self.percentiles.keys().any(limited) {
                map.serialize_entry(usual, &None::<Time>)?;
            }
        }
        for (percentile, limit) in &self.percentiles {
            map.serialize_entry(&percentile.to_string(), limit)?;
        }
        map.serialize_entry("max", &self.max)?;
        map.serialize_entry("error_rate", &self.error_rate)?;
        map.serialize_entry("rate", &self.rate)?;
        map.serialize_entry("successes", &self.successes)?;
        map.serialize_entry("requests", &self.requests)?;
        map.serialize_entry("window", &self.window)?;
        map.serialize_entry("abort", &self.abort)?;
        map.end()
    }
}

/// The name of the group with all operations.
pub(crate) const ALL: &str = "all";

/// Business limits. A figure without a limit is reported but not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema)]
pub struct Business {
    /// The number of seats with more than one live reservation is at most this.
    pub oversold: Option<u64>,
    /// The number of seats that are held or sold in the end is exactly this.
    pub sold: Option<u64>,
    /// The number of payments and balances that do not add up is at most this.
    pub double_charges: Option<u64>,
    /// The number of violations that the audit finds is at most this.
    pub audit_violations: Option<u64>,
    /// The number of successes that a client saw and the database lacks is at most this.
    pub lost: Option<u64>,
    /// The number of writes that the database has although the client saw them fail is at most this.
    pub unacknowledged: Option<u64>,
    /// The number of inversions is at most this: answers by which a user waited while a later place was already
    /// admitted.
    pub inversions: Option<u64>,
    /// The number of users who did not reach an end that the scenario intends is at most this.
    pub unfinished: Option<u64>,
    /// The number of arrivals that could not start on schedule is at most this; 0 by default.
    pub dropped: Option<u64>,
    /// 95 % of the users are admitted within this of the promised time.
    pub eta_error: Option<Time>,
    /// All buyers have registered within this, from the first answer to the last.
    pub register_time: Option<Time>,
    /// The peak memory of the generator is at most this. With the server in the same process it includes the server.
    pub generator_memory: Option<Size>,
    /// The resident memory of the server is at most this whenever the generator asks, once a second.
    pub server_memory: Option<Size>,
}

impl Business {
    /// The names in scenario files.
    pub const NAMES: [&str; 13] = [
        "oversold",
        "sold",
        "double_charges",
        "audit_violations",
        "lost",
        "unacknowledged",
        "inversions",
        "unfinished",
        "dropped",
        "eta_error",
        "register_time",
        "generator_memory",
        "server_memory",
    ];

    fn count(&mut self, name: &str) -> Option<&mut Option<u64>> {
        match name {
            "oversold" => Some(&mut self.oversold),
            "sold" => Some(&mut self.sold),
            "double_charges" => Some(&mut self.double_charges),
            "audit_violations" => Some(&mut self.audit_violations),
            "lost" => Some(&mut self.lost),
            "unacknowledged" => Some(&mut self.unacknowledged),
            "inversions" => Some(&mut self.inversions),
            "unfinished" => Some(&mut self.unfinished),
            "dropped" => Some(&mut self.dropped),
            _ => None,
        }
    }
}

struct ThresholdsVisitor;

impl<'de> Visitor<'de> for ThresholdsVisitor {
    type Value = Thresholds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a map of groups such as `buying: {{ p95: 500ms }}` and of {}",
            Business::NAMES.join(", ")
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Thresholds, A::Error> {
        let mut read = Thresholds::default();
        while let Some(name) = map.next_key::<String>()? {
            if let Some(count) = read.business.count(&name) {
                *count = map.next_value()?;
                continue;
            }
            let business = &mut read.business;
            match name.as_str() {
                "eta_error" => business.eta_error = map.next_value()?,
                "register_time" => business.register_time = map.next_value()?,
                "generator_memory" => business.generator_memory = map.next_value()?,
                "server_memory" => business.server_memory = map.next_value()?,
                _ => read.add_group(name, map.next_value()?)?,
            }
        }
        Ok(read)
    }
}
impl Thresholds {
    /// Adds the limits of a group, each group once.
    fn add_group<E: de::Error>(&mut self, name: String, group: Group) -> Result<(), E> {
        if self.groups.iter().any(|(known, _)| *known == name) {
            return Err(E::custom(format!(
                "the group `{name}` appears twice: write its limits in one group"
            )));
        }
        self.groups.push((name, group));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Thresholds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Thresholds, D::Error> {
        deserializer.deserialize_map(ThresholdsVisitor)
    }
}

impl Serialize for Thresholds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, group) in &self.groups {
            map.serialize_entry(name, group)?;
        }
        let business = &self.business;
        for (name, limit) in [
            ("oversold", business.oversold),
            ("sold", business.sold),
            ("double_charges", business.double_charges),
            ("audit_violations", business.audit_violations),
            ("lost", business.lost),
            ("unacknowledged", business.unacknowledged),
            ("inversions", business.inversions),
            ("unfinished", business.unfinished),
            ("dropped", business.dropped),
        ] {
            map.serialize_entry(name, &limit)?;
        }
        map.serialize_entry("eta_error", &business.eta_error)?;
        map.serialize_entry("register_time", &business.register_time)?;
        map.serialize_entry("generator_memory", &business.generator_memory)?;
        map.serialize_entry("server_memory", &business.server_memory)?;
        map.end()
    }
}
