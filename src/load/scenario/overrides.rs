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

/// A setting that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSetting {
    /// Its index among the settings.
    pub index: usize,
    /// The field that is invalid with the settings, if each of them fits by itself.
    pub field: Option<String>,
    /// The mistake.
    pub problem: String,
}

impl Scenario {
    /// Applies `overrides` (`path=value`) in order and checks the result.
    ///
    /// # Errors
    /// A path does not exist, or a value does not fit.
    pub fn with_overrides(self, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        let wrong = |text: &str, problem| ScenarioError::new(format!("--set {text}"), problem);
        let setting = |text: &String| -> Result<(String, Value), ScenarioError> {
            let split = text.split_once('=').ok_or_else(|| {
                let problem = "write path=value, for example admission.every=1s";
                wrong(text, problem.to_owned())
            });
            let (path, value) = split?;
            Ok((path.trim().to_owned(), value.trim().into()))
        };
        let settings = overrides.iter().map(setting);
        let settings = settings.collect::<Result<Vec<(String, Value)>, _>>()?;
        self.with_settings(&settings).map_err(|error| {
            let problem = match error.field {
                Some(field) => format!("{field}: {}", error.problem),
                None => error.problem,
            };
            wrong(&overrides[error.index], problem)
        })
    }

    /// Gives the fields at these paths other values, in order, and checks the result. A text is read as YAML, like the
    /// value of `--set`.
    ///
    /// # Errors
    /// A path does not exist, or a value does not fit.
    pub fn with_settings(self, settings: &[(String, Value)]) -> Result<Scenario, WrongSetting> {
        let mut scenario = self;
        for (index, (path, value)) in settings.iter().enumerate() {
            let set = scenario.with_setting(path, value);
            scenario = set.map_err(|problem| WrongSetting {
                index,
                field: None,
                problem,
            })?;
        }
        // The check comes last, because one setting may need another.
        let wrong = scenario.check().into_iter().next();
        let (Some((field, problem)), Some(last)) = (wrong, settings.len().checked_sub(1)) else {
            return Ok(scenario);
        };
        let about =
            |(path, _): &(String, Value)| field.starts_with(path) || path.starts_with(&field);
        // If a setting made another field invalid, the message names the setting.
        Err(WrongSetting {
            index: settings.iter().rposition(about).unwrap_or(last),
            field: Some(field),
            problem,
        })
    }

    fn with_setting(self, path: &str, value: &Value) -> Result<Scenario, String> {
        let name = self.name.clone();
        let mut tree = serde_json::to_value(&self).map_err(|error| error.to_string())?;
        add_empty_fields(&mut tree);
        let set = |value: Value| {
            let mut tree = tree.clone();
            *find(&mut tree, path)? = value;
            serde_json::from_value::<Scenario>(tree).map_err(|error| yaml::of_json(&error))
        };
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let literal = match &text {
            Some(text) => read(text),
            None => value.clone(),
        };
        let mut scenario = set(literal.clone()).or_else(|error| match (&literal, text) {
            // A text field also accepts a value that looks like a number, a list or nothing.
            (literal, Some(text)) if !literal.is_string() => set(text.clone().into())
                .map_err(|as_text| better(path, literal, error, &text, as_text)),
            _ => Err(of_literal(path, &literal, error)),
        })?;
        scenario.name = name;
        Ok(scenario)
    }
}

/// The value that a text means as YAML. A text that is not YAML means itself.
fn read(text: &str) -> Value {
    let read = serde_saphyr::from_str_with_options(text, yaml::options(yaml::SMALL));
    read.unwrap_or_else(|_| text.into())
}

/// Of the errors of a value as YAML and as a text, the one that fits the field's type.
fn better(path: &str, literal: &Value, error: String, text: &str, as_text: String) -> String {
    match literal {
        Value::Null | Value::Array(_) | Value::Object(_) => of_literal(path, literal, error),
        // A text field names the expected value in its error. All other fields refuse any text in the same way.
        _ if as_text.starts_with(&format!("`{text}` is not a")) => error,
        _ => as_text,
    }
}

/// The error of a value that is a list, a map or empty. A map replaces all fields at its path.
fn of_literal(path: &str, literal: &Value, error: String) -> String {
    let error = yaml::of_shape(&error);
    let field = literal.as_object().and_then(|map| map.keys().next());
    match field {
        Some(field) => {
            format!("{error}; to change one field only, write its path: {path}.{field}")
        }
        None => error,
    }
}

/// Adds the fields that a written scenario leaves out if they are empty.
fn add_empty_fields(tree: &mut Value) {
    if let Value::Object(fields) = tree {
        let faults = fields.entry("faults");
        faults.or_insert_with(|| Value::Array(Vec::new()));
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
