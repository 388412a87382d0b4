//! Reads a dashboard file that Grafana exported into a [`Dashboard`]. The classic form is JSON with panels in a grid;
//! older and newer schemas are converted to it first. The file is untrusted: a required field of a wrong type is an
//! error with its path, and decorative fields are ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::tui::dashboard::data_source::DataSources;
use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::json::{
    FIXED, PATH, error, kind_of, list, object, text, tidy, too_large,
};
use crate::tui::dashboard::mappings::{mappings, of_nothing};
use crate::tui::dashboard::panel::{Bound, Kind, Panel, Place, Repeat};
use crate::tui::dashboard::thresholds::{coloured, steps};
use crate::tui::dashboard::{
    Dashboard, MAX_BYTES, old_rows, options, schema_v2, targets, text as words, vars,
};
use crate::tui::format;
use crate::yaml;

pub(crate) fn dashboard(source: &str) -> Result<Dashboard, DashboardError> {
    if source.len() > MAX_BYTES {
        let most = MAX_BYTES / 1024 / 1024;
        return Err(too_large("the file", format!("larger than {most} MiB")));
    }
    let source = source.trim_start_matches('\u{feff}');
    if source.trim().is_empty() {
        let what = "is empty: export the dashboard from Grafana as JSON";
        return Err(error("the file", what));
    }
    let json: Value = serde_json::from_str(source).map_err(|no| {
        let place = format!("line {}, column {}", no.line(), no.column());
        error(&place, yaml::of_json(&no))
    })?;
    let (root, path) = unwrapped(&json);
    object(root, &path)?;
    let root = classic(root, &path)?;
    let mut bound = Bound::default();
    count(&root, &mut bound);
    bound.check(&format!("{path}.panels"))?;
    let variables = vars::read(&root, &path)?;
    let reader = Reader {
        sources: DataSources::read(&root),
        by_id: by_id(&root),
        root: &root,
    };
    let mut panels = reader.panels_of(&root, &path, 0)?;
    for (index, panel) in panels.iter_mut().enumerate() {
        panel.origin = index;
    }
    Ok(Dashboard {
        title: match tidy(text(&root, "title")) {
            empty if empty.is_empty() => "(no title)".into(),
            title => title,
        },
        variables,
        panels,
    })
}

/// The dashboard inside the file, with its path: the API wraps it beside `meta`, a resource has it as its `spec`.
fn unwrapped(json: &Value) -> (&Value, String) {
    let (mut root, mut path) = (json, "$".to_owned());
    if let Some(inner) = root.get("dashboard") {
        (root, path) = (inner, format!("{path}.dashboard"));
    }
    let has_panels = ["panels", "rows", "elements"]
        .iter()
        .any(|name| root.get(name).is_some());
    if let Some(inner) = root.get("spec").filter(|_| !has_panels) {
        (root, path) = (inner, format!("{path}.spec"));
    }
    (root, path)
}

/// The dashboard in the classic form, with its panels in `panels`.
fn classic<'a>(root: &'a Value, path: &str) -> Result<Cow<'a, Value>, DashboardError> {
    if root.get("elements").is_some() {
        return schema_v2::classic(root, path).map(Cow::Owned);
    }
    let rows = root.get("rows").and_then(Value::as_array);
    let rows = rows.filter(|rows| !rows.is_empty());
    match root.get("panels") {
        Some(Value::Array(panels)) if !panels.is_empty() || rows.is_none() => {
            return Ok(Cow::Borrowed(root));
        }
        None | Some(Value::Null | Value::Array(_)) if root.get("rows").is_some() => {
            return old_rows::classic(root, path).map(Cow::Owned);
        }
        _ => {}
    }
    let what = match root.get("panels") {
        Some(other) => format!("expected a list, found {}", kind_of(other)),
        None => "missing: is this a dashboard that Grafana exported?".into(),
    };
    Err(error(&format!("{path}.panels"), what))
}

/// The panels in the field `panels`: of the dashboard, or of a folded row.
fn inside(of: &Value) -> &[Value] {
    let panels = of.get("panels").and_then(Value::as_array);
    panels.map(Vec::as_slice).unwrap_or_default()
}

/// Counts the panels and rows in the field `panels`, including those inside folded rows.
pub(crate) fn count(of: &Value, bound: &mut Bound) {
    for json in inside(of) {
        bound.add(tidy(text(json, "type")) == "row");
        count(json, bound);
    }
}

/// The parts of the file that are needed to read a panel.
struct Reader<'a> {
    root: &'a Value,
    sources: DataSources,
    by_id: BTreeMap<u64, &'a Value>,
}

/// Indexes all panels of the file by their id, including those of folded rows.
fn by_id(root: &Value) -> BTreeMap<u64, &Value> {
    let mut by_id = BTreeMap::new();
    let mut open = vec![root];
    while let Some(of) = open.pop() {
        for panel in inside(of) {
            if let Some(id) = panel.get("id").and_then(Value::as_u64) {
                by_id.insert(id, panel);
            }
            open.push(panel);
        }
    }
    by_id
}

/// The id of the panel whose answers `json` shows, if its source is "-- Dashboard --".
fn reused(json: &Value) -> Option<u64> {
    let uid = json
        .pointer("/datasource/uid")
        .or_else(|| json.get("datasource"));
    if uid.and_then(Value::as_str) != Some("-- Dashboard --") {
        return None;
    }
    json.pointer("/targets/0/panelId").and_then(Value::as_u64)
}

impl Reader<'_> {
    /// Reads the panels of the dashboard or of a row, from top to bottom. Those of a folded row follow it.
    fn panels_of(&self, of: &Value, path: &str, nested: u8) -> Result<Vec<Panel>, DashboardError> {
        let mut panels = Vec::new();
        for (index, json) in list(of, "panels", path)?.iter().enumerate() {
            let path = format!("{path}.panels[{index}]");
            let panel = Panel {
                nested,
                ..self.panel(json, &path)?
            };
            // The positions inside a folded row are from the time when it was open, so they are sorted separately.
            let inside = match panel.kind {
                Kind::Row => self.panels_of(json, &path, nested.saturating_add(1))?,
                _ => Vec::new(),
            };
            panels.push((panel, inside));
        }
        panels.sort_by_key(|(panel, _)| (panel.place.y, panel.kind != Kind::Row, panel.place.x));
        let panels = panels.into_iter();
        let panels = panels.flat_map(|(panel, inside)| std::iter::once(panel).chain(inside));
        Ok(panels.collect())
    }

    fn panel(&self, json: &Value, path: &str) -> Result<Panel, DashboardError> {
        let path = match text(json, PATH) {
            "" => path,
            original => original,
        };
        object(json, path)?;
        let library = json.get("libraryPanel");
        let panel = match library.filter(|library| library.is_object()) {
            Some(library) => self.of_library(library, json, path),
            None => match reused(json) {
                Some(id) => self.of_other(id, json, path),
                None => panel(json, path, &self.sources),
            },
        };
        Ok(Panel {
            fixed: fixed(json),
            ..panel?
        })
    }

    /// A panel that shows the answers of panel `id`: it gets the same queries.
    fn of_other(&self, id: u64, json: &Value, path: &str) -> Result<Panel, DashboardError> {
        let there = self.by_id.get(&id);
        let other = there.filter(|other| reused(other).is_none());
        let mut own = json.clone();
        if let Some(fields) = own.as_object_mut() {
            for name in ["targets", "datasource", "interval"] {
                let value = other.and_then(|other| other.get(name)).cloned();
                fields.insert(name.into(), value.unwrap_or(Value::Null));
            }
        }
        let mut read = panel(&own, path, &self.sources)?;
        let why = match (there, other) {
            (_, Some(_)) => return Ok(read),
            (Some(_), None) => "shows another panel's answers itself",
            (None, None) => "the file does not have",
        };
        read.why_not = format!("it shows the answers of panel {id}, which {why}");
        Ok(read)
    }

    /// A library panel; it is drawn if the file contains it (`__elements`).
    fn of_library(
        &self,
        library: &Value,
        json: &Value,
        path: &str,
    ) -> Result<Panel, DashboardError> {
        let model = library.get("model").or_else(|| {
            let elements = self.root.get("__elements")?;
            elements.get(text(library, "uid"))?.get("model")
        });
        if let Some(model) = model.filter(|model| model.is_object()) {
            let panel = panel(model, path, &self.sources)?;
            return Ok(Panel {
                place: place(json, path)?,
                ..panel
            });
        }
        let name = tidy(text(library, "name"));
        let own = tidy(text(json, "title"));
        Ok(Panel {
            why_not: format!("library panel {name}: not in the file"),
            place: place(json, path)?,
            ..Panel::new(
                if own.is_empty() { &name } else { &own },
                Kind::NotDrawn,
                "",
            )
        })
    }
}

fn kind(type_name: &str) -> Kind {
    match type_name {
        "row" => Kind::Row,
        "timeseries" | "graph" => Kind::TimeSeries,
        "stat" | "singlestat" => Kind::Stat,
        "gauge" => Kind::Gauge,
        "bargauge" | "barchart" => Kind::BarGauge,
        "piechart" | "grafana-piechart-panel" => Kind::Pie,
        "histogram" => Kind::Histogram,
        "table" | "table-old" => Kind::Table,
        "logs" => Kind::Logs,
        "heatmap" => Kind::Heatmap,
        "state-timeline" => Kind::StateTimeline,
        "status-history" => Kind::StatusHistory,
        "text" => Kind::Text,
        _ => Kind::NotDrawn,
    }
}

fn panel(json: &Value, path: &str, sources: &DataSources) -> Result<Panel, DashboardError> {
    let type_name = tidy(text(json, "type"));
    let mut kind = kind(&type_name);
    if kind == Kind::Stat && json.pointer("/gauge/show") == Some(&Value::Bool(true)) {
        kind = Kind::Gauge;
    }
    let nothing = Value::Null;
    let defaults = json.pointer("/fieldConfig/defaults").unwrap_or(&nothing);
    let (low, high) = options::scale(defaults, json);
    let mut panel = Panel {
        place: place(json, path)?,
        unit: options::unit(defaults, json),
        low,
        high,
        steps: steps(kind, defaults, json),
        mappings: mappings(defaults, json),
        calc: options::calc(json),
        display_name: tidy(text(defaults, "displayName")),
        no_value: of_nothing(defaults, json),
        repeat: repeat(json),
        folded: json.get("collapsed") == Some(&Value::Bool(true)),
        ..Panel::new(&tidy(text(json, "title")), kind, "")
    };
    let old = type_name == "singlestat" && !panel.steps.is_empty();
    if !old && !coloured(kind, defaults, json) {
        let mapped = panel.mappings.iter_mut();
        mapped.for_each(|mapping| mapping.severity = None);
    }
    match kind {
        Kind::Row => {}
        Kind::Text => match words::lines(json) {
            Ok(lines) => panel.words = lines,
            Err(why_not) => {
                panel.kind = Kind::NotDrawn;
                panel.why_not = why_not.to_owned();
            }
        },
        Kind::NotDrawn => panel.why_not = why_not(&type_name),
        _ => {
            targets::read(json, path, sources, &mut panel)?;
            if let Some(note) = options::not_applied(json).filter(|_| panel.kind != Kind::NotDrawn)
            {
                let separator = if panel.why_not.is_empty() { "" } else { "; " };
                panel.why_not = format!("{}{separator}{note}", panel.why_not);
            }
        }
    }
    if panel.title.is_empty() {
        panel.title = match type_name.as_str() {
            "" => "(no title)".into(),
            name => name.to_owned(),
        };
    }
    panel.type_name = type_name;
    Ok(panel)
}

/// The reason why panels of that type are not drawn.
fn why_not(type_name: &str) -> String {
    match type_name {
        "" => "it has no type".into(),
        "dashlist" | "alertlist" | "annolist" | "news" | "welcome" | "gettingstarted" => {
            "it shows what Grafana itself knows, not what a source measured".into()
        }
        other => format!("the console has no panels of type {other}"),
    }
}

/// The values of the variables of its row or tab whose names another variable has too.
fn fixed(json: &Value) -> Vec<(String, String)> {
    let fixed = json.get(FIXED).and_then(Value::as_object);
    let value = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    fixed.into_iter().flatten().filter_map(value).collect()
}

fn repeat(json: &Value) -> Option<Repeat> {
    let variable = text(json, "repeat");
    let per_line = json.get("maxPerRow").and_then(Value::as_u64);
    let per_line = u16::try_from(per_line.unwrap_or(4)).unwrap_or(u16::MAX);
    (!variable.is_empty()).then(|| Repeat {
        variable: tidy(variable),
        down: text(json, "repeatDirection") == "v",
        per_line: per_line.clamp(1, 24),
    })
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
            // Grafana writes integers; other programs may write 8.0.
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
