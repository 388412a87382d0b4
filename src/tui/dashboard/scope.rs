//! The current values of a dashboard's variables, and their substitution in queries and titles.

use std::collections::BTreeMap;

use crate::tui::dashboard::adhoc::{Filter, filtered};
use crate::tui::dashboard::formats::{formatted, instant, words};
use crate::tui::dashboard::interval;
use crate::tui::dashboard::json::tidy;
use crate::tui::dashboard::panel::Query;
use crate::tui::dashboard::reference::Reference;
use crate::tui::dashboard::vars::{ALL, AUTO, Choice, MAX_VALUES, Variable, is_auto};

/// The longest query after substitution, in bytes.
const MAX_FILLED: usize = 64 * 1024;
/// Answers are cut at this number of series. Fewer learned values than this are therefore all values.
const MAX_LEARNED: usize = 60;
/// The scrape interval that Grafana assumes, in milliseconds.
const SCRAPE_MS: i64 = 15_000;
/// A query that contains the time range changes with it at most once in this time, in milliseconds.
const TIME_STEP_MS: i64 = 60_000;

/// The time range of the charts, in Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// The time between two points.
    pub(crate) step_ms: i64,
    pub(crate) span_ms: i64,
    pub(crate) end_ms: i64,
}

/// A variable with its current value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filled {
    name: String,
    values: Vec<Choice>,
    /// All values are chosen.
    is_all: bool,
    /// The text that stands for all values, if they are not listed.
    stand_in: Option<String>,
    choices: Vec<Choice>,
    several: bool,
    note: &'static str,
    hidden: bool,
}

/// The current values of the variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    filled: Vec<Filled>,
    queries: Vec<Query>,
    times: Times,
    filters: Vec<Filter>,
}

/// The values that hold for one text only.
#[derive(Clone, Copy)]
struct Local<'a> {
    /// The fixed variables of a repeated panel.
    fixed: &'a [(String, String)],
    /// The least interval, in milliseconds.
    least_ms: i64,
    /// The text is for readers, not a query.
    for_people: bool,
}

impl Scope {
    /// The variables with the picked values, or else those of the file. `learned` gives the values of a label in the
    /// answer to a query, or, without a label, the series as texts.
    pub(crate) fn new(
        variables: &[Variable],
        picks: &BTreeMap<String, String>,
        learned: impl Fn(&str, &str) -> Vec<String>,
        times: Times,
    ) -> Scope {
        let mut scope = Scope {
            times,
            ..Scope::default()
        };
        let mut ranked: Vec<&Variable> = variables.iter().collect();
        ranked.sort_by_key(|variable| variable.rank);
        for variable in ranked {
            let mut known = Vec::new();
            let mut whole = true;
            if let Some(ask) = &variable.asks {
                let (query, label) = (scope.fill(&ask.query), scope.fill(&ask.label));
                let texts = learned(&query, &label);
                whole = !texts.is_empty() && texts.len() < MAX_LEARNED;
                known = kept(variable, &texts);
                scope.queries.push(Query::from(query));
            }
            scope.filters.extend(variable.filters.iter().cloned());
            let pick = picks.get(&variable.name);
            let filled = filled(variable, pick.map(String::as_str), known, whole, times);
            scope.filled.push(filled);
        }
        // The screen shows the variables in the order of the file.
        let place = |one: &Filled| variables.iter().position(|of| of.name == one.name);
        scope.filled.sort_by_key(place);
        scope
    }

    /// A scope with the variable `name` alone.
    pub(crate) fn of_one(name: &str, value: &str) -> Scope {
        let variable = Variable {
            name: name.to_owned(),
            hidden: true,
            ..Variable::default()
        };
        let times = Times::default();
        Scope {
            filled: vec![filled(&variable, Some(value), Vec::new(), true, times)],
            ..Scope::default()
        }
    }

    /// The queries that learn the values of variables.
    pub(crate) fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// For the screen: names and values, and whether there is another value to pick.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&str, String, bool)> {
        let seen = self.filled.iter().filter(|one| !one.hidden);
        seen.map(|one| {
            let value = format!("{}{}", tidy(&one.words()), one.note);
            (one.name.as_str(), value, one.choices.len() > 1)
        })
    }

    /// The ad hoc filters as the screen shows them.
    pub(crate) fn filters(&self) -> impl Iterator<Item = String> {
        self.filters.iter().map(Filter::shown)
    }

    /// The name and the next value of the variable at `index` among the shown ones.
    pub(crate) fn next(&self, index: usize) -> Option<(String, String)> {
        let one = self.filled.iter().filter(|one| !one.hidden).nth(index)?;
        let now = match one.is_all {
            true => Some(ALL),
            false => one.values.first().map(|choice| choice.value.as_str()),
        };
        let is_now = |choice: &Choice| Some(choice.value.as_str()) == now;
        let at = one.choices.iter().position(is_now);
        let next = at.map_or(0, |at| at + 1) % one.choices.len().max(1);
        Some((one.name.clone(), one.choices.get(next)?.value.clone()))
    }

    /// The current values of the variable, separately.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let one = self.filled.iter().find(|one| one.name == name);
        let values = one.map(|one| one.values.as_slice()).unwrap_or_default();
        let single = values.iter().filter(|choice| choice.value != ALL);
        single.map(|choice| choice.value.clone()).collect()
    }

    /// The number of values that the variable at `index` may have.
    #[cfg(test)]
    pub(crate) fn choices(&self, index: usize) -> usize {
        self.filled[index].choices.len()
    }

    /// `source` with the values of all known variables; references to others are unchanged.
    pub(crate) fn fill(&self, source: &str) -> String {
        self.fill_in(source, &[], "")
    }

    /// The same for a query of a panel, with the ad hoc filters. `fixed` are the panel's own values of variables, and
    /// its points are at least `interval` apart.
    pub(crate) fn fill_in(
        &self,
        source: &str,
        fixed: &[(String, String)],
        interval: &str,
    ) -> String {
        let mut local = Local {
            fixed,
            least_ms: 0,
            for_people: false,
        };
        if !interval.is_empty() {
            let interval = self.filled_text(interval, local, 0);
            local.least_ms = interval::milliseconds(&interval).unwrap_or(0);
        }
        filtered(self.filled_text(source, local, 0), &self.filters)
    }

    /// A title or a legend with the names of the variables' values.
    pub(crate) fn words(&self, source: &str, fixed: &[(String, String)]) -> String {
        if !source.contains(['$', '[']) {
            return source.to_owned();
        }
        let local = Local {
            fixed,
            least_ms: 0,
            for_people: true,
        };
        tidy(&self.filled_text(source, local, 0))
    }

    fn filled_text(&self, source: &str, local: Local<'_>, depth: usize) -> String {
        let mut filled = String::with_capacity(source.len());
        let mut rest = source;
        while let Some(at) = rest.find(['$', '[']) {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match Reference::at(rest) {
                Some(found) if filled.len() < MAX_FILLED => {
                    match self.value(&found, local) {
                        // A value may refer to a built-in variable of Grafana, such as `$__rate_interval`.
                        Some(value) if depth == 0 && value.contains("$__") => {
                            filled.push_str(&self.filled_text(&value, local, 1));
                        }
                        Some(value) => filled.push_str(&value),
                        None => filled.push_str(&rest[..found.length]),
                    }
                    rest = &rest[found.length..];
                }
                _ => {
                    filled.push_str(&rest[..1]);
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, of: &Reference<'_>, local: Local<'_>) -> Option<String> {
        if let Some(own) = self.own(of, local) {
            return Some(own);
        }
        let (field, format) = (of.field, of.format);
        let default = if local.for_people || field == "text" {
            "text"
        } else {
            ""
        };
        let format = if format.is_empty() { default } else { format };
        let one = self.filled.iter().find(|one| one.name == of.name);
        if let Some((_, value)) = local.fixed.iter().find(|(name, _)| name == of.name) {
            let named = one.and_then(|one| one.values.iter().find(|known| known.value == *value));
            let choice = named.cloned().unwrap_or_else(|| Choice::of(value));
            return Some(formatted(of.name, &[choice], format, true));
        }
        let one = one?;
        matches!(field, "" | "text" | "value").then(|| one.text(format))
    }

    /// The built-in variables of Grafana.
    fn own(&self, of: &Reference<'_>, local: Local<'_>) -> Option<String> {
        let seconds = |ms: i64| (ms / 1000).max(1);
        let Times {
            step_ms,
            span_ms,
            end_ms,
        } = self.times;
        let step = step_ms.max(local.least_ms).max(1);
        let end = end_ms.saturating_add(TIME_STEP_MS - 1);
        let end = end - end.rem_euclid(TIME_STEP_MS);
        let text = match of.name {
            // Grafana's definition: four scrapes certainly contain the two samples that a rate needs.
            "__rate_interval" => {
                let scrape = local.least_ms.max(SCRAPE_MS);
                interval::text(scrape.saturating_mul(4).max(step.saturating_add(scrape)))
            }
            "__interval" => format!("{}s", seconds(step)),
            "__interval_ms" => step.to_string(),
            "__range" => format!("{}s", seconds(span_ms)),
            "__range_s" => seconds(span_ms).to_string(),
            "__range_ms" => span_ms.max(1).to_string(),
            "__from" => instant(end.saturating_sub(span_ms), of.format),
            "__to" => instant(end, of.format),
            "__searchFilter" => String::new(),
            auto if is_auto(auto_name(of)) => {
                let of_name = |one: &&Filled| {
                    auto.strip_prefix("__auto_interval_") == Some(one.name.as_str())
                };
                let known = self.filled.iter().find(of_name);
                let found = known.and_then(|one| one.values.first());
                found.map_or_else(
                    || interval::text(interval::round(span_ms / 30)),
                    |choice| choice.value.clone(),
                )
            }
            _ => return None,
        };
        Some(text)
    }
}

/// The value of an automatic interval variable that this reference stands for; empty for any other reference.
fn auto_name<'a>(of: &Reference<'a>) -> &'a str {
    match of.name {
        "__auto" => AUTO,
        name if name.starts_with("__auto_interval") => "$__auto_interval",
        _ => "",
    }
}

/// Turns the received texts into values of the variable, by its pattern and in its order.
fn kept(variable: &Variable, texts: &[String]) -> Vec<Choice> {
    let mut known: Vec<Choice> = Vec::new();
    for text in texts {
        let choice = match &variable.pattern {
            Some(pattern) => pattern.of(text),
            None => Some(Choice::of(text)),
        };
        let new = choice.filter(|new| known.iter().all(|known| known.value != new.value));
        known.extend(new);
        if known.len() >= MAX_VALUES {
            break;
        }
    }
    let number = |choice: &Choice| {
        let digits = choice.text.find(|c: char| c.is_ascii_digit());
        let rest = digits
            .and_then(|at| choice.text.get(at..))
            .unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        number.parse::<f64>().unwrap_or(f64::MAX)
    };
    match variable.sort {
        3 | 4 => known.sort_by(|a, b| number(a).total_cmp(&number(b))),
        5..=8 => known.sort_by_key(|choice| choice.text.to_lowercase()),
        _ => known.sort_by(|a, b| a.text.cmp(&b.text)),
    }
    if matches!(variable.sort, 2 | 4 | 6 | 8) {
        known.reverse();
    }
    known
}

/// A variable's value: the picked one, else that of the file, else the first one, as in Grafana.
fn filled(
    variable: &Variable,
    pick: Option<&str>,
    known: Vec<Choice>,
    whole: bool,
    times: Times,
) -> Filled {
    let mut choices = if known.is_empty() {
        variable.choices.clone()
    } else {
        known.clone()
    };
    let mut values = match pick {
        Some(pick) => {
            let named = choices.iter().find(|choice| choice.value == pick);
            vec![named.cloned().unwrap_or_else(|| Choice::of(pick))]
        }
        None => variable.current.clone(),
    };
    let is_missing =
        |value: &Choice| value.value != ALL && known.iter().all(|one| one.value != value.value);
    if !known.is_empty() && values.iter().all(is_missing) {
        values = known[..1].to_vec();
    }
    let is_all = values.iter().any(|choice| choice.value == ALL);
    let listed = whole && !choices.is_empty();
    let stand_in = match (is_all, &variable.all_value, listed) {
        (false, ..) | (true, None, true) => None,
        (true, Some(given), _) => Some(given.clone()),
        (true, None, false) => Some(".*".into()),
    };
    if is_all && listed {
        values.clone_from(&choices);
    }
    for choice in values.iter_mut().filter(|choice| is_auto(&choice.value)) {
        let auto = variable
            .auto
            .map_or((10_000, 30), |auto| (auto.least_ms, auto.count));
        let value = interval::round(times.span_ms / auto.1).max(auto.0);
        *choice = Choice {
            text: "auto".into(),
            value: interval::text(value),
        };
    }
    if variable.has_all {
        choices.insert(
            0,
            Choice {
                text: "All".into(),
                value: ALL.into(),
            },
        );
    }
    Filled {
        name: variable.name.clone(),
        values,
        is_all,
        stand_in,
        choices,
        several: variable.several || variable.has_all,
        note: if variable.unfiltered {
            " (regex not applied)"
        } else {
            ""
        },
        hidden: variable.hidden,
    }
}

impl Filled {
    fn words(&self) -> String {
        if self.is_all {
            "All".into()
        } else {
            words(&self.values)
        }
    }

    fn text(&self, format: &str) -> String {
        match (format, &self.stand_in) {
            ("text", _) => self.words(),
            (_, Some(stand_in)) => stand_in.clone(),
            (_, None) if self.values.is_empty() => String::new(),
            // The only value of a variable with several is still formatted as a list.
            (_, None) => formatted(&self.name, &self.values, format, self.several),
        }
    }
}
