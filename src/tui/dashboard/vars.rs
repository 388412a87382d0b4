//! A dashboard's variables as its file defines them: the possible values, the current one, and the query that learns
//! more.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::tui::dashboard::adhoc;
use crate::tui::dashboard::adhoc::Filter;
use crate::tui::dashboard::data_source::{DataSource, DataSources};
use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::json::{list, object, text};
use crate::tui::dashboard::reference::Reference;

/// The most variables of a dashboard, and the most values of one.
pub(crate) const MAX_VARIABLES: usize = 64;
pub(crate) const MAX_VALUES: usize = 100;
/// The longest value that is kept, in bytes.
const MAX_VALUE: usize = 1_024;
/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Grafana's word for all values at once.
pub(crate) const ALL: &str = "$__all";
/// The value of an automatic interval variable: this, optionally followed by `_NAME`.
pub(crate) const AUTO: &str = "$__auto";

/// A value, and its name for readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) value: String,
}

impl Choice {
    pub(crate) fn of(value: &str) -> Choice {
        Choice {
            text: value.to_owned(),
            value: value.to_owned(),
        }
    }
}

/// The query that learns values, and the label that holds them. Without a label the series themselves, as texts, are
/// the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) query: String,
    pub(crate) label: String,
}

/// An interval that follows the time range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Auto {
    pub(crate) least_ms: i64,
    /// The time range is divided into this number of intervals.
    pub(crate) count: i64,
}

/// A regular expression that selects values or a part of each.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A variable of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// The values that the file lists.
    pub(crate) choices: Vec<Choice>,
    /// The values that are selected in the file.
    pub(crate) current: Vec<Choice>,
    pub(crate) asks: Option<Ask>,
    pub(crate) pattern: Option<Pattern>,
    /// The console does not support its regular expression.
    pub(crate) unfiltered: bool,
    /// Grafana's number for the sort order.
    pub(crate) sort: u64,
    pub(crate) has_all: bool,
    /// Several values may be selected, so queries expect a pattern.
    pub(crate) several: bool,
    /// The text that stands for all values.
    pub(crate) all_value: Option<String>,
    pub(crate) auto: Option<Auto>,
    /// Ad hoc filters, which are added to all queries.
    pub(crate) filters: Vec<Filter>,
    pub(crate) hidden: bool,
    /// Its position in the order of resolution: after the variables that its query refers to.
    pub(crate) rank: usize,
}

pub(crate) fn read(root: &Value, path: &str) -> Result<Vec<Variable>, DashboardError> {
    let mut variables = inputs(root);
    let Some(templating) = root.get("templating").filter(|of| !of.is_null()) else {
        return Ok(variables);
    };
    let path = format!("{path}.templating");
    let all = list(object(templating, &path)?, "list", &path)?;
    let sources = DataSources::read(root);
    for (index, json) in all.iter().take(MAX_VARIABLES).enumerate() {
        let json = object(json, &format!("{path}.list[{index}]"))?;
        let name = text(json, "name");
        let usable = !name.is_empty() && name.bytes().all(is_name);
        if usable && variables.len() < MAX_VARIABLES {
            variables.push(variable(json, name, &sources));
        }
    }
    rank(&mut variables);
    Ok(variables)
}

/// Ranks the variables so that each comes after those that its query refers to, in any order of the file. In a cycle
/// of references, the first in the file comes first.
fn rank(variables: &mut [Variable]) {
    let position = |name: &str| variables.iter().position(|one| one.name == name);
    let needs: Vec<Vec<usize>> = variables
        .iter()
        .map(|variable| {
            let texts = variable
                .asks
                .iter()
                .flat_map(|ask| [&ask.query, &ask.label]);
            let names = texts.flat_map(|text| Reference::all(text));
            names.filter_map(|of| position(of.name)).collect()
        })
        .collect();
    let mut left: Vec<usize> = (0..variables.len()).collect();
    let mut rank = 0;
    while !left.is_empty() {
        let free = |at: &usize| needs[*at].iter().all(|need| !left.contains(need));
        let next = left.iter().position(free).unwrap_or(0);
        variables[left.remove(next)].rank = rank;
        rank += 1;
    }
}

/// The constants that an exported file asks for when it is imported.
fn inputs(root: &Value) -> Vec<Variable> {
    let listed = root.get("__inputs").and_then(Value::as_array);
    let constant = |input: &Value| {
        let name = text(input, "name");
        let usable = text(input, "type") == "constant" && !name.is_empty();
        (usable && name.bytes().all(is_name)).then(|| Variable {
            name: name.to_owned(),
            current: choices(input.get("value").unwrap_or(&Value::Null)),
            hidden: true,
            ..Variable::default()
        })
    };
    let constants = listed.into_iter().flatten().filter_map(constant);
    constants.take(MAX_VARIABLES / 2).collect()
}

fn variable(json: &Value, name: &str, sources: &DataSources) -> Variable {
    let kind = text(json, "type");
    let nothing = Value::Null;
    let (pattern, unfiltered) = pattern(text(json, "regex"));
    let mut read = Variable {
        name: name.to_owned(),
        choices: options(json),
        current: current(json),
        asks: (kind == "query" && asks_metrics(json, sources))
            .then(|| ask(json))
            .flatten(),
        pattern: pattern.filter(|_| kind == "query"),
        unfiltered: unfiltered && kind == "query",
        sort: order(json.get("sort").unwrap_or(&nothing)),
        has_all: json.get("includeAll") == Some(&Value::Bool(true)),
        several: json.get("multi") == Some(&Value::Bool(true)),
        all_value: kept(text(json, "allValue")),
        auto: (kind == "interval").then(|| auto(json)).flatten(),
        filters: Vec::new(),
        rank: 0,
        hidden: matches!(kind, "constant" | "datasource" | "adhoc")
            || json.get("hide").and_then(Value::as_u64) == Some(2),
    };
    let query = text(json, "query");
    match kind {
        "constant" | "textbox" if read.current.is_empty() => {
            read.current = kept(query).iter().map(|value| Choice::of(value)).collect();
        }
        "custom" | "interval" if read.choices.is_empty() => read.choices = listed(query),
        "adhoc" => read.filters = adhoc::filters(json),
        _ => {}
    }
    if read.auto.is_some() && !read.choices.iter().any(|choice| is_auto(&choice.value)) {
        let value = format!("{AUTO}_interval_{name}");
        read.choices.insert(
            0,
            Choice {
                text: "auto".into(),
                value,
            },
        );
    }
    if read.current.is_empty() && read.has_all {
        read.current = vec![Choice::of(ALL)];
    } else if read.current.is_empty() {
        read.current = read.choices.first().cloned().into_iter().collect();
    }
    read
}

/// The value that the file selects, if it is a single one that no time range and no source changes.
pub(crate) fn first_value(json: &Value) -> Option<String> {
    let read = variable(json, text(json, "name"), &DataSources::default());
    let [only] = read.current.as_slice() else {
        return None;
    };
    let is_plain = only.value != ALL && !is_auto(&only.value);
    is_plain.then(|| only.value.clone())
}

/// Returns whether a value is an automatic interval.
pub(crate) fn is_auto(value: &str) -> bool {
    value == AUTO || value == "auto" || value.starts_with("$__auto_interval")
}

/// Parses `one, two : 2`: values, or a name and its value.
fn listed(query: &str) -> Vec<Choice> {
    let parts = query.split(',').take(MAX_VALUES);
    let choice = |one: &str| {
        let one = one.trim();
        let (text, value) = one.split_once(" : ").unwrap_or((one, one));
        Some(Choice {
            text: text.trim().to_owned(),
            value: kept(value.trim())?,
        })
    };
    parts.filter_map(choice).collect()
}

/// The values that the file lists, without the one for all.
fn options(json: &Value) -> Vec<Choice> {
    let options = json.get("options").and_then(Value::as_array);
    let choice = |option: &Value| {
        let value = strings(option.get("value").unwrap_or(&Value::Null));
        let text = strings(option.get("text").unwrap_or(&Value::Null));
        let value = value.into_iter().next().filter(|value| value != ALL)?;
        let text = text.into_iter().next().unwrap_or_else(|| value.clone());
        Some(Choice { text, value })
    };
    let found = options.into_iter().flatten().filter_map(choice);
    found.take(MAX_VALUES).collect()
}

/// The values that are selected in the file.
fn current(json: &Value) -> Vec<Choice> {
    let nothing = Value::Null;
    let at = |place: &str| json.pointer(place).unwrap_or(&nothing);
    let texts = strings(at("/current/text"));
    let mut chosen = choices(at("/current/value"));
    if texts.len() == chosen.len() {
        for (choice, text) in chosen.iter_mut().zip(texts) {
            choice.text = text;
        }
    }
    chosen
}

fn choices(value: &Value) -> Vec<Choice> {
    strings(value)
        .iter()
        .map(|value| Choice::of(value))
        .collect()
}

pub(crate) fn kept(value: &str) -> Option<String> {
    (!value.is_empty() && value.len() <= MAX_VALUE).then(|| value.to_owned())
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => kept(text).into_iter().collect(),
        Value::Number(number) => vec![number.to_string()],
        Value::Array(list) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.take(MAX_VALUES).filter_map(kept).collect()
        }
        _ => Vec::new(),
    }
}

fn asks_metrics(json: &Value, sources: &DataSources) -> bool {
    matches!(sources.of(json), DataSource::Metrics | DataSource::Unknown)
}

/// The query of a query variable, as PromQL, or as a request for labels alone.
fn ask(json: &Value) -> Option<Ask> {
    let query = match json.get("query")? {
        Value::String(query) => query.trim(),
        other => match text(other, "query").trim() {
            "" => text(json, "definition").trim(),
            query => query,
        },
    };
    if query.is_empty() || query.len() > MAX_VALUE {
        return None;
    }
    let of = |function: &str| {
        let inner = query
            .strip_prefix(function)?
            .trim_start()
            .strip_prefix('(')?;
        Some(inner.strip_suffix(')')?.trim())
    };
    let ask = |query: String, label: &str| {
        let label = label.trim();
        let known = !label.is_empty() && label.bytes().all(|byte| is_name(byte) || byte == b'$');
        known.then(|| Ask {
            query,
            label: label.to_owned(),
        })
    };
    if let Some(inner) = of("label_values") {
        return match inner.rsplit_once(',') {
            Some((selector, label)) => ask(
                format!("group by ({}) ({})", label.trim(), selector.trim()),
                label,
            ),
            None => ask(format!("label_values({inner})"), inner),
        };
    }
    if of("label_names").is_some() {
        return ask("label_names()".into(), "label");
    }
    if let Some(pattern) = of("metrics") {
        let pattern = pattern.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("group by (__name__) ({{__name__=~\".*(?:{pattern}).*\"}})");
        return ask(query, "__name__");
    }
    Some(Ask {
        query: of("query_result").unwrap_or(query).to_owned(),
        label: String::new(),
    })
}

/// Compiles `/pattern/flags` or a bare pattern. Returns also whether the pattern is not supported.
fn pattern(source: &str) -> (Option<Pattern>, bool) {
    let source = source.trim();
    if source.is_empty() {
        return (None, false);
    }
    let delimited = source
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'));
    let (pattern, flags) = delimited.unwrap_or((source, ""));
    // A slash needs a backslash only between the delimiters.
    let built = RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .size_limit(MAX_PATTERN)
        .build();
    match built {
        Ok(regex) => (Some(Pattern(regex)), false),
        Err(_) => (None, true),
    }
}

impl Pattern {
    /// The selected part of `value`: the groups `text` and `value`, else the first group, else all of it. `None` if the
    /// pattern does not match.
    pub(crate) fn of(&self, value: &str) -> Option<Choice> {
        let found = self.0.captures(value)?;
        let named = |name: &str| found.name(name).map(|part| part.as_str());
        let choice = |text: &str, value: &str| {
            Some(Choice {
                text: text.to_owned(),
                value: kept(value)?,
            })
        };
        match (named("text"), named("value")) {
            (None, None) => {
                let group = found.get(1).map(|part| part.as_str());
                group.map_or_else(
                    || kept(value).map(|v| Choice::of(&v)),
                    |part| choice(part, part),
                )
            }
            (text, value) => choice(text.or(value)?, value.or(text)?),
        }
    }
}

/// Grafana's sort order, by its number or by its name in schema v2.
fn order(sort: &Value) -> u64 {
    let names = [
        "disabled",
        "alphabeticalAsc",
        "alphabeticalDesc",
        "numericalAsc",
        "numericalDesc",
        "alphabeticalCaseInsensitiveAsc",
        "alphabeticalCaseInsensitiveDesc",
    ];
    let by_name = |name: &str| names.iter().position(|known| *known == name);
    let named = sort.as_str().and_then(by_name);
    let named = named.and_then(|at| u64::try_from(at).ok());
    sort.as_u64().or(named).unwrap_or(0)
}

fn auto(json: &Value) -> Option<Auto> {
    let on = json.get("auto") == Some(&Value::Bool(true));
    let chosen = current(json)
        .first()
        .is_some_and(|choice| is_auto(&choice.value));
    let count = json.get("auto_count").and_then(Value::as_i64).unwrap_or(30);
    (on || chosen).then(|| Auto {
        least_ms: crate::tui::dashboard::interval::milliseconds(text(json, "auto_min"))
            .unwrap_or(10_000),
        count: count.clamp(1, 1_000),
    })
}

pub(crate) const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
