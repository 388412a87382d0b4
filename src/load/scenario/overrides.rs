//! `--set path=value` replaces one field of a scenario from the command line.
//!
//! The scenario is turned into a tree of all its fields. So every existing path can be set, and every other path is
//! refused with the most similar names.

use serde_json::{Map, Value};

use super::read::ScenarioError;
use super::thresholds::{ALL, Business, Group};
use super::{Operation, Percentile, Scenario};
use crate::load::model::PhaseName;
use crate::yaml::{self, suggestion};

impl Scenario {
    /// Applies `overrides` (`path=value`) in order and checks the result.
    ///
    /// # Errors
    /// A path does not exist, or a value does not fit.
    pub fn with_overrides(self, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        let wrong = |text: &str, problem| ScenarioError::new(format!("--set {text}"), problem);
        let all = overrides.iter().try_fold(self, |scenario, text| {
            let set = scenario.with_override(text);
            set.map_err(|problem| wrong(text, problem))
        })?;
        // The check comes last, because one override may need another.
        let Some((field, problem)) = all.check().into_iter().next() else {
            return Ok(all);
        };
        let about = |text: &&String| {
            let path = text.split_once('=').map_or("", |(path, _)| path.trim());
            field.starts_with(path) || path.starts_with(&field)
        };
        // An override made another field invalid, so the message names the override.
        let text = overrides.iter().rfind(about).or(overrides.last());
        let text = text.map_or("", String::as_str);
        Err(wrong(text, format!("{field}: {problem}")))
    }

    fn with_override(self, text: &str) -> Result<Scenario, String> {
        let (path, value) = text
            .split_once('=')
            .ok_or("write path=value, for example admission.every=1s")?;
        let path = path.trim();
        let name = self.name.clone();
        let tree = serde_json::to_value(&self).map_err(|error| error.to_string())?;
        let set = |value: Value| {
            let mut tree = tree.clone();
            *find(&mut tree, path)? = value;
            serde_json::from_value::<Scenario>(tree).map_err(|error| yaml::of_json(&error))
        };
        let value = value.trim();
        let literal =
            serde_saphyr::from_str_with_options::<Value>(value, yaml::options(yaml::SMALL))
                .unwrap_or_else(|_| Value::String(value.to_owned()));
        let is_text = literal.is_string();
        // A text field also accepts a value that looks like a number. Of the two readings, the error of the one that
        // fits the field's type is useful.
        let mut scenario = set(literal).or_else(|error| match is_text {
            true => Err(error),
            // A text field names the expected value in its error. All other fields refuse any text in the same way.
            false => set(Value::String(value.to_owned())).map_err(|as_text| {
                match as_text.starts_with(&format!("`{value}` is not a")) {
                    true => error,
                    false => as_text,
                }
            }),
        })?;
        scenario.name = name;
        Ok(scenario)
    }
}

/// The field of `path` in the tree. A missing threshold group is created.
fn find<'t>(tree: &'t mut Value, path: &str) -> Result<&'t mut Value, String> {
    let traffic_groups: Vec<String> = match tree.get("traffic") {
        Some(Value::Object(traffic_groups)) => traffic_groups.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut place = tree;
    let mut walked = String::new();
    for step in steps(path) {
        if walked == "thresholds" {
            make_group(place, &step, &traffic_groups);
        } else if walked.starts_with("thresholds.") && step.parse::<Percentile>().is_ok() {
            make_room(place, &step);
        }
        let step = step.as_str();
        let names = match &*place {
            Value::Object(map) => map.keys().cloned().collect(),
            Value::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
            _ => Vec::new(),
        };
        let next = match place {
            Value::Object(map) => map.get_mut(step),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            _ => None,
        };
        place = next.ok_or_else(|| unknown(&walked, step, names))?;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(step);
    }
    Ok(place)
}

/// The steps of a path. The point in `p99.9` does not separate steps.
fn steps(path: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for step in path.split('.') {
        match steps.last_mut() {
            Some(last) if Percentile::is_meant(last) && step.parse::<u32>().is_ok() => {
                last.push('.');
                last.push_str(step);
            }
            _ => steps.push(step.to_owned()),
        }
    }
    steps
}

/// Adds a percentile that the group does not limit yet.
fn make_room(group: &mut Value, name: &str) {
    if let Value::Object(limits) = group {
        limits.entry(name).or_insert(Value::Null);
    }
}

fn make_group(thresholds: &mut Value, name: &str, traffic_groups: &[String]) {
    let known = name == ALL
        || Operation::named(name).is_some()
        || PhaseName::named(name).is_some()
        || traffic_groups.iter().any(|traffic| traffic == name);
    if !known || Business::NAMES.contains(&name) {
        return;
    }
    let empty =
        serde_json::to_value(Group::default()).unwrap_or_else(|_| Value::Object(Map::new()));
    if let Value::Object(groups) = thresholds {
        groups.entry(name).or_insert(empty);
    }
}

fn unknown(within: &str, step: &str, names: Vec<String>) -> String {
    let place = if within.is_empty() {
        "the scenario".to_owned()
    } else {
        format!("`{within}`")
    };
    if names.is_empty() {
        return format!("{place} has no fields of its own: end the path there");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{place} has no `{step}`{}", suggestion::among(step, &names))
}
