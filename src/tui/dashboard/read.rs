//! A dashboard file as Grafana exports it ("classic" JSON, `schemaVersion` 16 and up) into a
//! [`Dashboard`]. Untrusted: what is needed and of the wrong kind is an error with its path; what
//! only adorns is left out.

use serde_json::Value;

use super::options::{calc, mappings, steps};
use super::{
    Dashboard, DashboardError, Kind, MAX_BYTES, MAX_PANELS, MAX_TARGETS, Panel, Place, Target,
    Unit, vars,
};
use crate::cells;
use crate::tui::format;
use crate::tui::logs::one_line;

/// Longest title, legend or text kept, in characters.
const MAX_TEXT: usize = 120;
/// Longest query kept, in bytes.
const MAX_QUERY: usize = 16 * 1024;

pub(super) fn error(place: &str, what: impl Into<String>) -> DashboardError {
    DashboardError {
        place: place.to_owned(),
        what: what.into(),
    }
}

/// A text on one line and not too long.
pub(super) fn tidy(text: &str) -> String {
    cells::cut(one_line(text).trim(), MAX_TEXT)
}

pub(super) fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An array, or nothing where there is none.
pub(super) fn list<'a>(
    of: &'a Value,
    name: &str,
    path: &str,
) -> Result<&'a [Value], DashboardError> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(error(
            &format!("{path}.{name}"),
            format!("expected a list, found {}", kind_of(other)),
        )),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Value, DashboardError> {
    if value.is_object() {
        return Ok(value);
    }
    let what = format!("expected an object, found {}", kind_of(value));
    Err(error(path, what))
}

pub(super) fn dashboard(source: &str) -> Result<Dashboard, DashboardError> {
    if source.len() > MAX_BYTES {
        let most = MAX_BYTES / 1024 / 1024;
        return Err(error("the file", format!("larger than {most} MiB")));
    }
    let json: Value =
        serde_json::from_str(source.trim_start_matches('\u{feff}')).map_err(|no| {
            let place = format!("line {}, column {}", no.line(), no.column());
            let said = no.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            error(&place, format!("not JSON: {what}"))
        })?;
    // As the API gives it, the dashboard is wrapped.
    let (root, path) = match json.get("dashboard") {
        Some(inner) => (inner, "$.dashboard"),
        None => (&json, "$"),
    };
    object(root, path)?;
    if root.get("elements").is_some() || root.pointer("/spec/elements").is_some() {
        let what = "this is Grafana's schema v2: export the dashboard as classic JSON";
        return Err(error(path, what));
    }
    if !root.get("panels").is_some_and(Value::is_array) {
        let what = match root.get("panels") {
            Some(other) => format!("expected a list, found {}", kind_of(other)),
            None if root.get("rows").is_some() => {
                "panels in rows, as before Grafana 5: open it in Grafana and export it anew".into()
            }
            None => "missing: is this a dashboard that Grafana exported?".into(),
        };
        return Err(error(&format!("{path}.panels"), what));
    }
    let variables = vars::read(root, path)?;
    let mut panels = Vec::new();
    collect(root, path, &mut panels)?;
    Ok(Dashboard {
        title: match tidy(text(root, "title")) {
            empty if empty.is_empty() => "(no title)".into(),
            title => title,
        },
        variables,
        panels: in_order(panels),
    })
}

/// Panels from the top down; those that a row holds come right after it.
fn in_order(mut panels: Vec<(u32, Panel)>) -> Vec<Panel> {
    panels.sort_by_key(|(at, panel)| {
        let inside = panel.kind != Kind::Row;
        (*at, inside, panel.place.y, panel.place.x)
    });
    panels.into_iter().map(|(_, panel)| panel).collect()
}

/// The panels of `of`, each with where its row begins if that row holds it.
fn collect(of: &Value, path: &str, panels: &mut Vec<(u32, Panel)>) -> Result<(), DashboardError> {
    for (index, json) in list(of, "panels", path)?.iter().enumerate() {
        let path = format!("{path}.panels[{index}]");
        if panels.len() >= MAX_PANELS {
            return Err(error(&path, format!("more than {MAX_PANELS} panels")));
        }
        let panel = panel(object(json, &path)?, &path)?;
        let at = panel.place.y;
        let row = panel.kind == Kind::Row;
        panels.push((at, panel));
        if row {
            // A folded row holds its panels; their own places are from when it was open.
            for (inner, json) in list(json, "panels", &path)?.iter().enumerate() {
                let path = format!("{path}.panels[{inner}]");
                if panels.len() >= MAX_PANELS {
                    return Err(error(&path, format!("more than {MAX_PANELS} panels")));
                }
                let panel = self::panel(object(json, &path)?, &path)?;
                panels.push((
                    at,
                    Panel {
                        nested: true,
                        ..panel
                    },
                ));
            }
        }
    }
    Ok(())
}

/// Which program a panel or target asks.
fn asks(json: &Value) -> Option<String> {
    match json.get("datasource")? {
        Value::String(name) => Some(name.to_lowercase()),
        Value::Object(of) => {
            let kind = of.get("type").or(of.get("uid"))?;
            kind.as_str().map(str::to_lowercase)
        }
        _ => None,
    }
}

fn panel(json: &Value, path: &str) -> Result<Panel, DashboardError> {
    let type_name = tidy(text(json, "type"));
    let kind = match type_name.as_str() {
        "row" => Kind::Row,
        "timeseries" | "graph" => Kind::TimeSeries,
        "stat" => Kind::Stat,
        "gauge" => Kind::Gauge,
        "bargauge" => Kind::BarGauge,
        "table" => Kind::Table,
        "logs" => Kind::Logs,
        "heatmap" => Kind::Heatmap,
        _ => Kind::NotDrawn,
    };
    let nothing = Value::Null;
    let defaults = json.pointer("/fieldConfig/defaults").unwrap_or(&nothing);
    let old_axis = json.pointer("/yaxes/0").unwrap_or(&nothing);
    let unit = [text(defaults, "unit"), text(old_axis, "format")];
    let unit = unit.into_iter().find(|unit| !unit.is_empty());
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
    let decimals = defaults.get("decimals").and_then(Value::as_u64);
    let mut panel = Panel {
        place: place(json, path)?,
        unit: Unit::new(&tidy(unit.unwrap_or_default()), decimals),
        low: number(defaults, "min").filter(|low| low.is_finite()),
        high: number(defaults, "max").filter(|high| high.is_finite()),
        steps: steps(defaults, json),
        mappings: mappings(defaults),
        calc: calc(json),
        folded: json.get("collapsed") == Some(&Value::Bool(true)),
        ..Panel::new(&tidy(text(json, "title")), kind, "")
    };
    match kind {
        Kind::Row => {}
        Kind::NotDrawn if type_name.is_empty() => panel.why_not = "it has no type".into(),
        Kind::NotDrawn => {
            panel.why_not = format!("the console has no panels of type {type_name}");
        }
        _ => targets(json, path, &mut panel)?,
    }
    if panel.title.is_empty() {
        panel.title = if type_name.is_empty() {
            "(no title)".into()
        } else {
            type_name.clone()
        };
    }
    panel.type_name = type_name;
    Ok(panel)
}

fn targets(json: &Value, path: &str, panel: &mut Panel) -> Result<(), DashboardError> {
    let of_panel = asks(json);
    let (mut others, mut hidden, mut beyond) = (Vec::new(), 0, 0);
    let wanted = if panel.kind == Kind::Logs {
        "loki"
    } else {
        "prometheus"
    };
    for (index, target) in list(json, "targets", path)?.iter().enumerate() {
        let path = format!("{path}.targets[{index}]");
        object(target, &path)?;
        if target.get("hide") == Some(&Value::Bool(true)) {
            hidden += 1;
            continue;
        }
        let mixed = |source: &String| source != "mixed" && source != "-- mixed --";
        let source = asks(target).or_else(|| of_panel.clone().filter(mixed));
        // A name or a variable tells nothing of the kind: the panel's own kind is tried then.
        let known = |source: &&String| {
            [
                "loki",
                "tempo",
                "prometheus",
                "jaeger",
                "influxdb",
                "elasticsearch",
                "graphite",
            ]
            .iter()
            .chain(&[
                "mysql",
                "postgres",
                "cloudwatch",
                "testdata",
                "datasource",
                "alertmanager",
            ])
            .any(|kind| source.contains(kind))
        };
        if let Some(other) = source.as_ref().filter(known)
            && !other.contains(wanted)
        {
            others.push(tidy(other));
            continue;
        }
        let expr = match target.get("expr") {
            None | Some(Value::Null) => continue,
            Some(Value::String(expr)) if expr.len() <= MAX_QUERY => expr.trim(),
            Some(Value::String(_)) => return Err(error(&path, "a query of more than 16 KiB")),
            Some(other) => {
                let what = format!("expected a text, found {}", kind_of(other));
                return Err(error(&format!("{path}.expr"), what));
            }
        };
        if expr.is_empty() {
            continue;
        }
        if panel.targets.len() >= MAX_TARGETS {
            beyond += 1;
            continue;
        }
        let legend = match text(target, "legendFormat") {
            "__auto" => "",
            legend => legend,
        };
        panel.targets.push(Target {
            expr: expr.to_owned(),
            legend: tidy(legend),
        });
    }
    others.dedup();
    if panel.targets.is_empty() {
        panel.kind = Kind::NotDrawn;
        panel.why_not = if others.is_empty() && hidden == 0 {
            "it has no query".into()
        } else if others.is_empty() {
            "its queries are hidden".into()
        } else {
            format!(
                "it asks {}, which the console's boards do not",
                others.join(", ")
            )
        };
    } else if beyond > 0 {
        panel.why_not = format!("{beyond} more queries not asked");
    } else if !others.is_empty() {
        panel.why_not = format!("what it asks {} is left out", others.join(", "));
    }
    Ok(())
}

fn place(json: &Value, path: &str) -> Result<Place, DashboardError> {
    let Some(of) = json.get("gridPos") else {
        return Ok(Place {
            w: 12,
            h: 8,
            ..Place::default()
        });
    };
    let number = |name: &str, most: u64, default: u64| match of.get(name) {
        None => Ok(default),
        Some(value) => match value.as_f64() {
            // Grafana itself writes whole numbers, other makers sometimes 8.0.
            Some(number) if number >= 0.0 => Ok(format::whole(number).min(most)),
            _ => Err(error(
                &format!("{path}.gridPos.{name}"),
                "expected a number, 0 or more",
            )),
        },
    };
    let small = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    Ok(Place {
        x: small(number("x", 23, 0)?),
        y: u32::try_from(number("y", u64::from(u32::MAX), 0)?).unwrap_or(u32::MAX),
        w: small(number("w", 24, 12)?.max(1)),
        h: small(number("h", 1_000, 8)?.max(1)),
    })
}
