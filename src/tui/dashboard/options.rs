//! What a panel's file says of how values stand: thresholds, mappings, and which value counts.

use serde_json::Value;

use super::read::{text, tidy};
use super::{Calc, Mapping, Step};
use crate::tui::theme::Severity;

/// Most thresholds and mappings of a panel.
const MAX_STEPS: usize = 32;

pub(super) fn steps(defaults: &Value, json: &Value) -> Vec<Step> {
    let modern = defaults
        .pointer("/thresholds/steps")
        .and_then(Value::as_array);
    let percentage = defaults.pointer("/thresholds/mode") == Some(&Value::from("percentage"));
    if let Some(list) = modern {
        if percentage {
            return Vec::new(); // Of a scale that may not be known.
        }
        let step = |step: &Value| Step {
            from: step.get("value").and_then(Value::as_f64),
            severity: severity(text(step, "color")),
        };
        let mut steps: Vec<Step> = list.iter().take(MAX_STEPS).map(step).collect();
        let from = |step: &Step| step.from.unwrap_or(f64::NEG_INFINITY);
        steps.sort_by(|a, b| from(a).total_cmp(&from(b)));
        return steps;
    }
    // Of the old graph: each line is a limit of its own.
    let old = json.get("thresholds").and_then(Value::as_array);
    let step = |step: &Value| {
        let severity = match text(step, "colorMode") {
            "critical" => Severity::Bad,
            "warning" => Severity::Warn,
            "ok" => Severity::Good,
            _ => Severity::Plain,
        };
        Some(Step {
            from: Some(step.get("value")?.as_f64()?),
            severity,
        })
    };
    let mut steps: Vec<Step> = old
        .into_iter()
        .flatten()
        .take(MAX_STEPS)
        .filter_map(step)
        .collect();
    if !steps.is_empty() {
        steps.insert(
            0,
            Step {
                from: None,
                severity: Severity::Plain,
            },
        );
    }
    steps.sort_by(|a, b| {
        let from = |step: &Step| step.from.unwrap_or(f64::NEG_INFINITY);
        from(a).total_cmp(&from(b))
    });
    steps
}

/// What a colour says: Grafana's names, with `dark-`, `semi-dark-` and the like before them.
fn severity(colour: &str) -> Severity {
    let name = colour.rsplit('-').next().unwrap_or_default();
    match name {
        "green" => Severity::Good,
        "yellow" | "orange" => Severity::Warn,
        "red" => Severity::Bad,
        _ => by_hue(colour).unwrap_or(Severity::Plain),
    }
}

/// Of `#F2495C` and `rgb(…)`-less hex colours: red, yellow or green by what is strongest.
fn by_hue(colour: &str) -> Option<Severity> {
    let digits = colour
        .strip_prefix('#')
        .filter(|digits| digits.len() >= 6)?;
    let part = |at: usize| {
        let digits = digits.get(at..at + 2)?;
        u8::from_str_radix(digits, 16).ok().map(f64::from)
    };
    let (red, green, blue) = (part(0)?, part(2)?, part(4)?);
    let strongest = red.max(green).max(blue);
    Some(
        if strongest == blue || strongest - red.min(green).min(blue) < 30.0 {
            Severity::Plain
        } else if green < red * 0.5 {
            Severity::Bad
        } else if red < green * 0.75 {
            Severity::Good
        } else {
            Severity::Warn
        },
    )
}

pub(super) fn mappings(defaults: &Value) -> Vec<Mapping> {
    let mut found = Vec::new();
    let all = defaults.get("mappings").and_then(Value::as_array);
    for mapping in all.into_iter().flatten() {
        let Some(options) = mapping.get("options") else {
            continue;
        };
        let shown = |of: &Value, from: f64, to: f64| Mapping {
            from,
            to,
            text: tidy(text(of, "text")),
            severity: of.get("color").and_then(Value::as_str).map(severity),
        };
        match text(mapping, "type") {
            "value" => {
                let of = options.as_object().into_iter().flatten();
                found.extend(of.filter_map(|(value, to)| {
                    let value: f64 = value.parse().ok()?;
                    Some(shown(to, value, value))
                }));
            }
            "range" => {
                let end = |name: &str| options.get(name).and_then(Value::as_f64);
                let from = end("from").unwrap_or(f64::NEG_INFINITY);
                let to = end("to").unwrap_or(f64::INFINITY);
                if let Some(result) = options.get("result") {
                    found.push(shown(result, from, to));
                }
            }
            _ => {}
        }
    }
    found.retain(|mapping| !mapping.text.is_empty());
    found.truncate(MAX_STEPS);
    found
}

pub(super) fn calc(json: &Value) -> Calc {
    let asked = json.pointer("/options/reduceOptions/calcs/0");
    match asked.and_then(Value::as_str) {
        Some("mean") => Calc::Mean,
        Some("min") => Calc::Min,
        Some("max") => Calc::Max,
        _ => Calc::Last,
    }
}
