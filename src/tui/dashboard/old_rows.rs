//! Dashboards from before Grafana 5: panels are in rows, and a panel's width is a number of twelve columns.

use serde_json::{Map, Value, json};

use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::json::{PATH, list, number, object, text};
use crate::tui::dashboard::panel::Bound;
use crate::tui::dashboard::read::count;

/// The height of a line of the grid in pixels, its gap included.
const PIXELS: f64 = 38.0;
/// The height of a row whose file gives none.
const DEFAULT_PIXELS: f64 = 250.0;

/// Converts the dashboard: its panels are placed in a grid.
pub(crate) fn classic(root: &Value, path: &str) -> Result<Value, DashboardError> {
    let rows = list(root, "rows", path)?;
    let mut bound = Bound::default();
    for row in rows {
        bound.add(true);
        count(row, &mut bound);
    }
    bound.check(&format!("{path}.rows"))?;
    // As in Grafana, all rows are headings if one of them is.
    let headed = |row: &Value| {
        let on = |name: &str| row.get(name) == Some(&Value::Bool(true));
        on("showTitle") || on("collapse") || !text(row, "repeat").is_empty()
    };
    let headings = rows.iter().any(headed);
    let (mut panels, mut y) = (Vec::new(), 0_u32);
    for (index, row) in rows.iter().enumerate() {
        let path = format!("{path}.rows[{index}]");
        object(row, &path)?;
        let folded = row.get("collapse") == Some(&Value::Bool(true));
        let mut heading = json!({
            "type": "row", "title": row.get("title"), "collapsed": folded,
            "repeat": row.get("repeat"),
            "gridPos": { "x": 0, "y": y, "w": 24, "h": 1 },
        });
        set(&mut heading, PATH, Value::from(path.as_str()));
        y = y.saturating_add(u32::from(headings));
        let inside = placed(row, &path, &mut y)?;
        if folded && headings {
            set(&mut heading, "panels", Value::Array(inside));
            panels.push(heading);
        } else {
            panels.extend(headings.then_some(heading));
            panels.extend(inside);
        }
    }
    let mut classic: Map<String, Value> = root.as_object().cloned().unwrap_or_default();
    classic.remove("rows");
    classic.insert("panels".into(), Value::Array(panels));
    Ok(Value::Object(classic))
}

fn set(of: &mut Value, name: &str, to: Value) {
    if let Some(fields) = of.as_object_mut() {
        fields.insert(name.to_owned(), to);
    }
}

/// A height in lines of the grid: `250`, `"250"` or `"250px"`.
fn lines(height: Option<f64>) -> u32 {
    let lines = (height.unwrap_or(DEFAULT_PIXELS) / PIXELS)
        .ceil()
        .clamp(2.0, 100.0);
    u32::try_from(crate::tui::format::whole(lines)).unwrap_or(2)
}

fn height(of: &Value) -> Option<f64> {
    number(of, "height").or_else(|| {
        let pixels = text(of, "height").trim().strip_suffix("px")?;
        pixels
            .trim()
            .parse()
            .ok()
            .filter(|pixels: &f64| pixels.is_finite())
    })
}

/// Places the panels of a row from left to right; a panel that does not fit begins a new line.
fn placed(row: &Value, path: &str, y: &mut u32) -> Result<Vec<Value>, DashboardError> {
    let of_row = height(row);
    let (mut panels, mut x, mut tallest) = (Vec::new(), 0, 0);
    for (index, panel) in list(row, "panels", path)?.iter().enumerate() {
        let path = format!("{path}.panels[{index}]");
        object(panel, &path)?;
        let span = number(panel, "span").unwrap_or(4.0).clamp(1.0, 12.0);
        let width = crate::tui::format::whole(span * 2.0);
        let high = lines(height(panel).or(of_row));
        if x + width > 24 {
            *y = y.saturating_add(tallest);
            (x, tallest) = (0, 0);
        }
        let mut panel = panel.clone();
        let place = json!({ "x": x, "y": *y, "w": width, "h": high });
        set(&mut panel, "gridPos", place);
        set(&mut panel, PATH, Value::from(path));
        panels.push(panel);
        x += width;
        tallest = tallest.max(high);
    }
    *y = y.saturating_add(tallest);
    Ok(panels)
}
