//! `--set path=value`: one field of a scenario replaced from the command line.
//!
//! The scenario is turned into a tree of all its fields, so that every path that exists can be set
//! and every other is refused with the nearest names.

use serde_json::{Map, Value};

use super::read::ScenarioError;
use super::thresholds::{ALL, Business, Group};
use super::{Operation, Scenario};
use crate::load::model::PhaseName;

impl Scenario {
    /// This scenario with each of `overrides` (`path=value`) put over it, in order, and checked.
    ///
    /// # Errors
    /// When a path does not exist or a value does not fit.
    pub fn with_overrides(self, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        let wrong = |text: &str, problem| ScenarioError::new(format!("--set {text}"), problem);
        let all = overrides.iter().try_fold(self, |scenario, text| {
            let set = scenario.with_override(text);
            set.map_err(|problem| wrong(text, problem))
        })?;
        // Only now: one of them may need another.
        let Some((field, problem)) = all.check().into_iter().next() else {
            return Ok(all);
        };
        let about = |text: &&String| {
            let path = text.split_once('=').map_or("", |(path, _)| path.trim());
            field.starts_with(path) || path.starts_with(&field)
        };
        // A field that nobody set is at odds with one that somebody did.
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
            serde_json::from_value::<Scenario>(tree).map_err(|error| error.to_string())
        };
        let value = value.trim();
        let literal = serde_saphyr::from_str_with_options::<Value>(
            value,
            crate::yaml::options(crate::yaml::SMALL),
        )
        .unwrap_or_else(|_| Value::String(value.to_owned()));
        let is_text = literal.is_string();
        // A text field takes what looks like a number, too; the error of whichever reading fits the
        // field's type is the one that helps.
        let mut scenario = set(literal).or_else(|error| match is_text {
            true => Err(error),
            false => set(Value::String(value.to_owned())).map_err(|as_text| {
                if as_text.starts_with("invalid type") {
                    error
                } else {
                    as_text
                }
            }),
        })?;
        scenario.name = name;
        Ok(scenario)
    }
}

/// The place of `path` in the tree; a threshold group that is not there yet is made.
fn find<'t>(tree: &'t mut Value, path: &str) -> Result<&'t mut Value, String> {
    let crowds: Vec<String> = match tree.get("traffic") {
        Some(Value::Object(crowds)) => crowds.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut place = tree;
    let mut walked = String::new();
    for step in path.split('.') {
        if walked == "thresholds" {
            make_group(place, step, &crowds);
        }
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

fn make_group(thresholds: &mut Value, name: &str, crowds: &[String]) {
    let known = name == ALL
        || Operation::named(name).is_some()
        || PhaseName::named(name).is_some()
        || crowds.iter().any(|crowd| crowd == name);
    if !known || Business::NAMES.contains(&name) {
        return;
    }
    let empty =
        serde_json::to_value(Group::default()).unwrap_or_else(|_| Value::Object(Map::new()));
    if let Value::Object(groups) = thresholds {
        groups.entry(name).or_insert(empty);
    }
}

fn unknown(within: &str, step: &str, mut names: Vec<String>) -> String {
    let place = if within.is_empty() {
        "the scenario".to_owned()
    } else {
        format!("`{within}`")
    };
    if names.is_empty() {
        return format!("{place} has no fields of its own: end the path there");
    }
    names.sort_by_key(|name| distance(name, step));
    let near = names
        .first()
        .map_or(usize::MAX, |name| distance(name, step));
    let hint = match names.first() {
        Some(name) if near <= 2.max(step.len() / 3) => format!("; did you mean `{name}`?"),
        _ => ".".to_owned(),
    };
    names.sort();
    format!("{place} has no `{step}`{hint} It has {}", names.join(", "))
}

/// Edits that turn one name into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
