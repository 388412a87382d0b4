//! Further options of a panel: the calculation of its value, its unit and its scale.

use serde_json::Value;

use crate::tui::dashboard::Unit;
use crate::tui::dashboard::json::{number, text, tidy};
use crate::tui::dashboard::panel::Calc;

/// The calculation by which a panel of single numbers reduces a series to one value.
pub(crate) fn calc(json: &Value) -> Calc {
    let places = [
        "/options/reduceOptions/calcs/0",
        "/options/fieldOptions/calcs/0",
        "/valueName",
    ];
    let asked = places
        .iter()
        .find_map(|place| json.pointer(place)?.as_str());
    match asked.unwrap_or_default() {
        "mean" | "avg" => Calc::Mean,
        "min" => Calc::Min,
        "max" => Calc::Max,
        "sum" | "total" => Calc::Sum,
        "count" => Calc::Count,
        "first" | "firstNotNull" => Calc::First,
        "range" => Calc::Range,
        "diff" | "delta" => Calc::Difference,
        _ => Calc::Last,
    }
}

/// The unit and its decimals, in the current or an old notation.
pub(crate) fn unit(defaults: &Value, json: &Value) -> Unit {
    let nothing = Value::Null;
    let old_axis = json.pointer("/yaxes/0").unwrap_or(&nothing);
    let old_axis_of_heatmap = json.get("yAxis").unwrap_or(&nothing);
    let older = json.pointer("/y_formats/0").and_then(Value::as_str);
    let old_options = json
        .pointer("/options/fieldOptions/defaults")
        .unwrap_or(&nothing);
    let heatmap = json.pointer("/options/yAxis/unit").and_then(Value::as_str);
    let unit = [
        text(defaults, "unit"),
        text(old_options, "unit"),
        heatmap.unwrap_or_default(),
        text(json, "format"),
        text(old_axis, "format"),
        text(old_axis_of_heatmap, "format"),
        older.unwrap_or_default(),
    ];
    let unit = unit.into_iter().find(|unit| !unit.is_empty());
    let places = [defaults, old_options, json, old_axis];
    let whole = |of: &&Value| of.get("decimals").and_then(Value::as_u64);
    let decimals = places.iter().find_map(whole);
    Unit::new(&tidy(unit.unwrap_or_default()), decimals)
}

/// The ends of the scale, if the file gives them.
pub(crate) fn scale(defaults: &Value, json: &Value) -> (Option<f64>, Option<f64>) {
    let nothing = Value::Null;
    let axis = json.pointer("/yaxes/0").unwrap_or(&nothing);
    let gauge = json
        .get("gauge")
        .filter(|gauge| gauge.get("show") == Some(&Value::Bool(true)));
    let gauge = gauge.unwrap_or(&nothing);
    let low = [
        number(defaults, "min"),
        number(axis, "min"),
        number(gauge, "minValue"),
    ];
    let high = [
        number(defaults, "max"),
        number(axis, "max"),
        number(gauge, "maxValue"),
    ];
    let first = |of: [Option<f64>; 3]| of.into_iter().flatten().next();
    (first(low), first(high))
}

/// Names the options that the console does not apply, so that readers do not misread a number.
pub(crate) fn not_applied(json: &Value) -> Option<String> {
    let list = json.get("transformations").and_then(Value::as_array)?;
    let on = |of: &&Value| of.get("disabled") != Some(&Value::Bool(true));
    let mut names: Vec<String> = Vec::new();
    for transformation in list.iter().filter(on).take(16) {
        let name = tidy(text(transformation, "id"));
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| format!("not applied: {}", names.join(", ")))
}
