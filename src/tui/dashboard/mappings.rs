//! Value mappings: the words that a panel shows instead of values.

use serde_json::Value;

use crate::tui::dashboard::colour::severity;
use crate::tui::dashboard::json::{text, tidy};
use crate::tui::dashboard::panel::Mapping;

/// The most mappings of a panel.
const MAX_MAPPINGS: usize = 32;

/// A panel's mappings in any notation: the current one, the one before Grafana 8, and the one of the old singlestat.
pub(crate) fn mappings(defaults: &Value, json: &Value) -> Vec<Mapping> {
    let listed = |of: &Value, name: &str| {
        let list = of.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let mut found = Vec::new();
    let old_options = json
        .pointer("/options/fieldOptions")
        .unwrap_or(&Value::Null);
    let lists = [
        listed(defaults, "mappings"),
        listed(old_options, "mappings"),
        listed(json, "valueMaps"),
        listed(json, "rangeMaps"),
    ];
    for mapping in lists.iter().flatten().take(MAX_MAPPINGS) {
        match mapping.get("options") {
            Some(options) => present(mapping, options, &mut found),
            None => found.extend(old(mapping)),
        }
    }
    found.retain(|mapping| !mapping.text.is_empty() || mapping.severity.is_some());
    found.truncate(MAX_MAPPINGS);
    found
}

fn shown(of: &Value, from: f64, to: f64) -> Mapping {
    Mapping {
        from,
        to,
        text: tidy(text(of, "text")),
        severity: of.get("color").and_then(Value::as_str).map(severity),
    }
}

fn present(mapping: &Value, options: &Value, found: &mut Vec<Mapping>) {
    match text(mapping, "type") {
        "value" => {
            let of = options.as_object().into_iter().flatten();
            found.extend(of.filter_map(|(value, to)| {
                let value: f64 = value.trim().parse().ok()?;
                Some(shown(to, value, value))
            }));
        }
        "range" => {
            let from = loose(options, "from").unwrap_or(f64::NEG_INFINITY);
            let to = loose(options, "to").unwrap_or(f64::INFINITY);
            if let Some(result) = options.get("result") {
                found.push(shown(result, from, to));
            }
        }
        // A chart never has the special values (null, NaN), and patterns match text only.
        _ => {}
    }
}

/// `{"value": "1", "op": "=", "text": "up"}` or `{"from": "1", "to": "5", "text": "few"}`.
fn old(mapping: &Value) -> Option<Mapping> {
    let (from, to) = match loose(mapping, "value") {
        Some(value) => (value, value),
        None => (loose(mapping, "from")?, loose(mapping, "to")?),
    };
    Some(shown(mapping, from, to))
}

/// A number, or a string that contains one.
fn loose(of: &Value, name: &str) -> Option<f64> {
    let value = of.get(name)?;
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    (!number.is_nan()).then_some(number)
}

/// The text for missing data: from a mapping of `null`, or from the panel's options.
pub(crate) fn of_nothing(defaults: &Value, json: &Value) -> String {
    let own = text(defaults, "noValue");
    if !own.is_empty() {
        return tidy(own);
    }
    let present = defaults.get("mappings").and_then(Value::as_array);
    let special = |mapping: &&Value| {
        let matched = mapping.pointer("/options/match").and_then(Value::as_str);
        matches!(matched, Some("null" | "null+nan" | "empty"))
    };
    let text_of = |mapping: &Value| mapping.pointer("/options/result/text").cloned();
    let found = present
        .into_iter()
        .flatten()
        .find(special)
        .and_then(text_of);
    let old = json.get("valueMaps").and_then(Value::as_array);
    let null = |mapping: &&Value| text(mapping, "value") == "null";
    let old = || old.into_iter().flatten().find(null)?.get("text").cloned();
    match found.or_else(old) {
        Some(Value::String(words)) => tidy(&words),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tui::dashboard::panel::{Kind, Panel};
    use crate::tui::theme::Severity;

    fn panel(defaults: Value, json: Value) -> Panel {
        let mut panel = Panel::new("", Kind::Stat, "s");
        panel.mappings = mappings(&defaults, &json);
        panel.no_value = of_nothing(&defaults, &json);
        panel
    }

    #[test]
    fn values_and_ranges_are_mapped_in_every_notation() {
        let present = json!({ "mappings": [
            { "type": "value", "options": { "0": { "text": "down", "color": "red" }, "2": { "color": "green" } } },
            { "type": "range", "options": { "from": 10, "to": null, "result": { "text": "many" } } },
            { "type": "special", "options": { "match": "null", "result": { "text": "N/A" } } },
        ] });
        let found = panel(present, json!({}));
        assert_eq!(
            [0.0, 2.0, 5.0, 1e9].map(|value| found.text(value)),
            ["down", "2 s", "5 s", "many"]
        );
        assert_eq!(found.judge(0.0), Severity::Bad);
        assert_eq!(found.judge(2.0), Severity::Good, "a colour without a text");
        assert_eq!(found.no_value, "N/A");
        let before_8 = json!({ "mappings": [
            { "type": 1, "value": "1", "text": "up", "op": "=" },
            { "type": 2, "from": "3", "to": "5", "text": "some" },
        ] });
        let found = panel(before_8, json!({}));
        assert_eq!([1.0, 4.0].map(|value| found.text(value)), ["up", "some"]);
        let single = json!({ "valueMaps": [{ "value": "null", "op": "=", "text": "none" },
            { "value": "1", "op": "=", "text": "yes" }] });
        let found = panel(json!({}), single);
        assert_eq!(
            (found.text(1.0).as_str(), found.no_value.as_str()),
            ("yes", "none")
        );
    }
}
