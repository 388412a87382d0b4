//! The thresholds of a panel, by Grafana's rules.

use serde_json::Value;

use crate::tui::dashboard::colour::severity;
use crate::tui::dashboard::json::{number, text};
use crate::tui::dashboard::panel::{Kind, Step};
use crate::tui::theme::Severity;

/// The most thresholds of a panel.
const MAX_STEPS: usize = 32;

/// The thresholds of a panel, lowest first; none if Grafana colours nothing by them.
pub(crate) fn steps(kind: Kind, defaults: &Value, json: &Value) -> Vec<Step> {
    if text(json, "type") == "singlestat" {
        return of_singlestat(json);
    }
    let modern = defaults.pointer("/thresholds/steps");
    match modern.and_then(Value::as_array) {
        Some(list) if coloured(kind, defaults, json) => absolute(list, defaults),
        Some(_) => Vec::new(),
        None => of_graph(json),
    }
}

/// Returns whether Grafana colours anything in this panel by its thresholds or mappings.
pub(crate) fn coloured(kind: Kind, defaults: &Value, json: &Value) -> bool {
    let at = |of: &Value, place: &str| {
        let found = of.pointer(place).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let by_thresholds = at(defaults, "/color/mode") == "thresholds";
    let unless_fixed = by_thresholds || at(defaults, "/color/mode").is_empty();
    match kind {
        Kind::Stat => unless_fixed && at(json, "/options/colorMode") != "none",
        Kind::Gauge | Kind::BarGauge | Kind::StateTimeline | Kind::StatusHistory => unless_fixed,
        Kind::TimeSeries => {
            let style = at(defaults, "/custom/thresholdsStyle/mode");
            by_thresholds || !matches!(style.as_str(), "" | "off")
        }
        Kind::Table => {
            let cell = at(defaults, "/custom/cellOptions/type");
            let cell = [cell, at(defaults, "/custom/displayMode")].concat();
            cell.starts_with("color-") || cell.contains("gauge") || cell == "basic"
        }
        _ => false,
    }
}

fn absolute(list: &[Value], defaults: &Value) -> Vec<Step> {
    let percentage = defaults.pointer("/thresholds/mode") == Some(&Value::from("percentage"));
    let scale = (number(defaults, "min"), number(defaults, "max"));
    let of_scale = |value: f64| match (percentage, scale) {
        (false, _) => Some(value),
        (true, (Some(low), Some(high))) => Some(low + (high - low) * value / 100.0),
        // A percentage of a scale that depends on the data has no fixed value.
        (true, _) => None,
    };
    let mut steps: Vec<Step> = list
        .iter()
        .take(MAX_STEPS)
        .filter_map(|step| {
            let from = number(step, "value");
            Some(Step {
                from: from.map_or(Some(None), |from| of_scale(from).map(Some))?,
                severity: severity(text(step, "color")),
            })
        })
        .collect();
    sort(&mut steps);
    steps
}

fn sort(steps: &mut [Step]) {
    let from = |step: &Step| step.from.unwrap_or(f64::NEG_INFINITY);
    steps.sort_by(|a, b| from(a).total_cmp(&from(b)));
}

/// The thresholds of the old graph panel. Each is a separate limit, `gt` or `lt`.
fn of_graph(json: &Value) -> Vec<Step> {
    let listed = json.get("thresholds").and_then(Value::as_array);
    let limits: Vec<(f64, bool, Severity)> = listed
        .into_iter()
        .flatten()
        .take(MAX_STEPS)
        .filter_map(|limit| {
            let severity = match text(limit, "colorMode") {
                "critical" => Severity::Bad,
                "warning" => Severity::Warn,
                "ok" => Severity::Good,
                "custom" => [text(limit, "lineColor"), text(limit, "fillColor")]
                    .into_iter()
                    .map(severity)
                    .max()
                    .unwrap_or(Severity::Plain),
                _ => Severity::Plain,
            };
            Some((number(limit, "value")?, text(limit, "op") == "lt", severity))
        })
        .collect();
    if limits.is_empty() {
        return Vec::new();
    }
    let mut edges: Vec<f64> = limits.iter().map(|(at, ..)| *at).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    // Between two edges, the worst limit that applies there counts.
    let holding = |from: Option<f64>| {
        let holds = |(at, below, _): &&(f64, bool, Severity)| match (from, below) {
            (Some(from), false) => from >= *at,
            (Some(from), true) => from < *at,
            (None, below) => *below,
        };
        let severities = limits.iter().filter(holds).map(|(.., severity)| *severity);
        severities.max().unwrap_or(Severity::Plain)
    };
    let from = std::iter::once(None).chain(edges.into_iter().map(Some));
    from.map(|from| Step {
        from,
        severity: holding(from),
    })
    .collect()
}

/// The thresholds of the old singlestat panel: `"50,80"` and three colours, if it is coloured.
fn of_singlestat(json: &Value) -> Vec<Step> {
    let on = |name: &str| json.get(name) == Some(&Value::Bool(true));
    let gauge = json.pointer("/gauge/show") == Some(&Value::Bool(true));
    if !(on("colorValue") || on("colorBackground") || gauge) {
        return Vec::new();
    }
    let colours = json.get("colors").and_then(Value::as_array);
    let colours = colours.into_iter().flatten().filter_map(Value::as_str);
    let limits = text(json, "thresholds").split(',');
    let limits = limits.map(|limit| limit.trim().parse::<f64>().ok().filter(|at| at.is_finite()));
    let from = std::iter::once(None).chain(limits.flatten().map(Some));
    let mut steps: Vec<Step> = from
        .zip(colours)
        .take(MAX_STEPS)
        .map(|(from, colour)| Step {
            from,
            severity: severity(colour),
        })
        .collect();
    sort(&mut steps);
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tui::dashboard::panel::Panel;

    fn judged(kind: Kind, defaults: Value, json: Value, values: &[f64]) -> Vec<Severity> {
        let mut panel = Panel::new("", kind, "");
        panel.steps = steps(kind, &defaults, &json);
        values.iter().map(|value| panel.judge(*value)).collect()
    }

    fn red_from_80(more: Value) -> Value {
        let steps = json!([{ "color": "green", "value": null }, { "color": "red", "value": 80 }]);
        let mut defaults = json!({ "thresholds": { "mode": "absolute", "steps": steps } });
        let fields = defaults.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        defaults
    }

    #[test]
    fn thresholds_that_grafana_does_not_apply_have_no_effect() {
        let none = json!({});
        let line = json!({ "custom": { "thresholdsStyle": { "mode": "line" } } });
        let off = json!({ "custom": { "thresholdsStyle": { "mode": "off" } } });
        let fixed = json!({ "color": { "mode": "fixed" } });
        let cell = json!({ "custom": { "cellOptions": { "type": "color-text" } } });
        let no_colour = json!({ "options": { "colorMode": "none" } });
        let cases = [
            (Kind::Stat, &none, &none, Severity::Bad),
            (Kind::Stat, &none, &no_colour, Severity::Plain),
            (Kind::Stat, &fixed, &none, Severity::Plain),
            (Kind::TimeSeries, &none, &none, Severity::Plain),
            (Kind::TimeSeries, &off, &none, Severity::Plain),
            (Kind::TimeSeries, &line, &none, Severity::Bad),
            (Kind::Table, &none, &none, Severity::Plain),
            (Kind::Table, &cell, &none, Severity::Bad),
            (Kind::StateTimeline, &none, &none, Severity::Bad),
            (Kind::Pie, &none, &none, Severity::Plain),
        ];
        for (kind, more, json, wanted) in cases {
            let defaults = red_from_80(more.clone());
            let found = judged(kind, defaults, json.clone(), &[95.0]);
            assert_eq!(found, [wanted], "{kind:?} {more} {json}");
        }
    }

    #[test]
    fn a_percentage_threshold_becomes_a_value_on_the_scale() {
        let steps = json!([{ "color": "green", "value": null }, { "color": "red", "value": 50 }]);
        let thresholds = json!({ "mode": "percentage", "steps": steps });
        let known = json!({ "thresholds": thresholds, "min": 100, "max": 300 });
        let found = judged(Kind::Gauge, known, json!({}), &[199.0, 200.0]);
        assert_eq!(found, [Severity::Good, Severity::Bad]);
        let unknown = json!({ "thresholds": thresholds });
        assert_eq!(
            judged(Kind::Gauge, unknown, json!({}), &[99.0]),
            [Severity::Plain]
        );
    }

    #[test]
    fn limits_of_old_graphs_apply_above_or_below() {
        let limit = |value: f64, op: &str, colour: &str| json!({ "value": value, "op": op, "colorMode": colour });
        let both =
            json!({ "thresholds": [limit(10.0, "lt", "critical"), limit(90.0, "gt", "warning")] });
        let found = judged(Kind::TimeSeries, json!({}), both, &[5.0, 50.0, 95.0]);
        assert_eq!(found, [Severity::Bad, Severity::Plain, Severity::Warn]);
        let nested =
            json!({ "thresholds": [limit(50.0, "gt", "warning"), limit(80.0, "gt", "critical")] });
        let found = judged(Kind::TimeSeries, json!({}), nested, &[49.0, 50.0, 80.0]);
        assert_eq!(found, [Severity::Plain, Severity::Warn, Severity::Bad]);
    }

    #[test]
    fn an_old_singlestat_is_coloured_only_if_its_file_says_so() {
        let old = |on: bool| {
            json!({ "type": "singlestat", "thresholds": "50, 80", "colorBackground": on,
                "colors": ["#299c46", "rgba(237, 129, 40, 0.89)", "#d44a3a"] })
        };
        let found = judged(Kind::Stat, json!({}), old(true), &[1.0, 50.0, 80.0]);
        assert_eq!(found, [Severity::Good, Severity::Warn, Severity::Bad]);
        assert_eq!(
            judged(Kind::Stat, json!({}), old(false), &[80.0]),
            [Severity::Plain]
        );
    }
}
