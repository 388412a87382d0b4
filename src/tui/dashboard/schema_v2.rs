//! Dashboards as resources of schema v2: panels by name in `elements`, placed by a `layout`.

use serde_json::{Map, Value, json};

use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::json::{FIXED, PATH, error, list, number, text};
use crate::tui::dashboard::panel::Bound;
use crate::tui::dashboard::vars::{MAX_VARIABLES, first_value};
use crate::tui::format;

/// The deepest nesting of layouts: tabs of rows of grids, and one more.
const MAX_DEPTH: usize = 4;
/// The most variables of rows and tabs that have a value of their own for a panel.
const MAX_FIXED: usize = 16;
/// The height of a panel in an automatic layout, in lines.
const AUTO_HEIGHT: u64 = 8;

/// Converts the dashboard to the classic form: its panels in a grid, its variables in a list.
pub(crate) fn classic(root: &Value, path: &str) -> Result<Value, DashboardError> {
    let mut layout = Layout {
        elements: root.get("elements").and_then(Value::as_object),
        path,
        panels: Vec::new(),
        variables: list(root, "variables", path)?
            .iter()
            .take(MAX_VARIABLES)
            .map(variable)
            .collect(),
        fixed: Vec::new(),
        bound: Bound::default(),
        y: 0,
    };
    if layout.elements.is_none() {
        return Err(error(&format!("{path}.elements"), "expected an object"));
    }
    let nothing = Value::Null;
    layout.take(root.get("layout").unwrap_or(&nothing), "", 0)?;
    layout.bound.check(&format!("{path}.layout"))?;
    Ok(json!({
        "title": root.get("title"),
        "templating": { "list": layout.variables },
        "panels": layout.panels,
    }))
}

/// The panels placed so far, from top to bottom.
struct Layout<'a> {
    elements: Option<&'a Map<String, Value>>,
    path: &'a str,
    panels: Vec<Value>,
    /// The variables of the dashboard, and those of rows and tabs with other names.
    variables: Vec<Value>,
    /// The values of the other variables of the rows and tabs around the current place, the innermost last.
    fixed: Vec<(String, String)>,
    /// The number of panels and headings so far, including those inside folded rows.
    bound: Bound,
    y: u64,
}

impl Layout<'_> {
    /// Places the panels of `layout` below those already placed; `within` is the heading around them.
    fn take(&mut self, layout: &Value, within: &str, depth: usize) -> Result<(), DashboardError> {
        if depth > MAX_DEPTH {
            let what = format!("layouts within layouts, more than {MAX_DEPTH} deep");
            return Err(error(&format!("{}.layout", self.path), what));
        }
        let nothing = Value::Null;
        let spec = layout.get("spec").unwrap_or(&nothing);
        match text(layout, "kind") {
            "RowsLayout" => self.sections(spec, "rows", within, depth),
            "TabsLayout" => self.sections(spec, "tabs", within, depth),
            "AutoGridLayout" | "ResponsiveGridLayout" => self.flow(spec),
            _ => self.grid(spec),
        }
    }

    /// Places rows and tabs: a heading for each, then its panels.
    fn sections(
        &mut self,
        spec: &Value,
        name: &str,
        within: &str,
        depth: usize,
    ) -> Result<(), DashboardError> {
        for section in list(spec, name, &format!("{}.layout.spec", self.path))? {
            let nothing = Value::Null;
            let spec = section.get("spec").unwrap_or(&nothing);
            let on = |name: &str| spec.get(name) == Some(&Value::Bool(true));
            let title = match (within, text(spec, "title")) {
                ("", title) => title.to_owned(),
                (within, "") => within.to_owned(),
                (within, title) => format!("{within} › {title}"),
            };
            let folded = (on("collapse") || on("collapsed")) && !on("hideHeader");
            let around = self.fixed.len();
            self.declare(spec)?;
            // A row whose heading is hidden gets none here either, unless the tab around it has one.
            if !on("hideHeader") {
                self.heading(&title, folded, spec);
            }
            let held = self.panels.len();
            self.take(spec.get("layout").unwrap_or(&nothing), &title, depth + 1)?;
            self.fixed.truncate(around);
            if folded {
                let inside = self.panels.split_off(held);
                if let Some(fields) = self.panels.last_mut().and_then(Value::as_object_mut) {
                    fields.insert("panels".into(), Value::Array(inside));
                }
            }
        }
        Ok(())
    }

    /// Reads the variables of a row or a tab. They become variables of the dashboard. If there is one of that name
    /// already, the panels inside get the value of the file.
    fn declare(&mut self, spec: &Value) -> Result<(), DashboardError> {
        let place = format!("{}.layout.spec", self.path);
        for own in list(spec, "variables", &place)?.iter().take(MAX_VARIABLES) {
            let own = variable(own);
            let name = text(&own, "name");
            let is_new = self
                .variables
                .iter()
                .all(|known| text(known, "name") != name);
            if is_new && self.variables.len() < MAX_VARIABLES {
                self.variables.push(own);
            } else if let Some(value) = first_value(&own).filter(|_| self.fixed.len() < MAX_FIXED) {
                self.fixed.push((name.to_owned(), value));
            }
        }
        Ok(())
    }

    /// The values of variables that hold at the current place only. The innermost of a name replaces the others.
    fn fixed(&self) -> Value {
        let fixed = self.fixed.iter();
        let fixed = fixed.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        Value::Object(fixed.collect())
    }

    fn heading(&mut self, title: &str, folded: bool, spec: &Value) {
        // The number of headings is bounded before they are made.
        self.bound.add(true);
        if self.bound.is_exceeded() {
            return;
        }
        self.panels.push(json!({
            "type": "row", "title": title, "collapsed": folded, FIXED: self.fixed(),
            "repeat": spec.pointer("/repeat/value"),
            "gridPos": { "x": 0, "y": self.y, "w": 24, "h": 1 },
        }));
        self.y = self.y.saturating_add(1);
    }

    /// Places panels at the positions that the file gives.
    fn grid(&mut self, spec: &Value) -> Result<(), DashboardError> {
        let (top, mut bottom) = (self.y, self.y);
        for item in list(spec, "items", &format!("{}.layout.spec", self.path))? {
            let nothing = Value::Null;
            let item = item.get("spec").unwrap_or(&nothing);
            if item.get("elements").is_some() {
                // The first version of the schema had rows inside grids.
                self.y = bottom;
                self.heading(text(item, "title"), false, item);
                self.grid(&json!({ "items": item.get("elements") }))?;
                bottom = self.y;
                continue;
            }
            let whole = |name: &str, default: u64| {
                number(item, name).map_or(default, |value| format::whole(value.max(0.0)))
            };
            let y = top.saturating_add(whole("y", 0));
            let height = whole("height", AUTO_HEIGHT);
            let place = json!({ "x": whole("x", 0), "y": y, "w": whole("width", 12), "h": height });
            self.element(item, place)?;
            bottom = bottom.max(y.saturating_add(height));
        }
        self.y = bottom;
        Ok(())
    }

    /// Places panels side by side, as many on a line as the file says.
    fn flow(&mut self, spec: &Value) -> Result<(), DashboardError> {
        let per_line = number(spec, "maxColumnCount")
            .map_or(3, format::whole)
            .clamp(1, 12);
        let width = 24 / per_line;
        let items = list(spec, "items", &format!("{}.layout.spec", self.path))?;
        for (at, item) in (0_u64..).zip(items) {
            if at > 0 && at % per_line == 0 {
                self.y = self.y.saturating_add(AUTO_HEIGHT);
            }
            let x = at % per_line * width;
            let place = json!({ "x": x, "y": self.y, "w": width, "h": AUTO_HEIGHT });
            self.element(item.get("spec").unwrap_or(item), place)?;
        }
        self.y = self.y.saturating_add(AUTO_HEIGHT);
        Ok(())
    }

    /// Converts the element that an item names, at its position.
    fn element(&mut self, item: &Value, place: Value) -> Result<(), DashboardError> {
        let name = item.pointer("/element/name").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let path = format!("{}.elements.{name}", self.path);
        // Many items may name the same element, so the bound is checked before each copy.
        self.bound.add(false);
        if self.bound.is_exceeded() {
            return Ok(());
        }
        let Some(element) = self.elements.and_then(|elements| elements.get(name)) else {
            return Err(error(&path, "missing, but the layout places it"));
        };
        let mut panel = panel(element);
        let repeat = item.get("repeat").cloned().unwrap_or(Value::Null);
        if let Some(fields) = panel.as_object_mut() {
            fields.insert("gridPos".into(), place);
            fields.insert(PATH.into(), Value::from(path));
            let part = |name: &str| repeat.get(name).cloned().unwrap_or(Value::Null);
            fields.insert("repeat".into(), part("value"));
            fields.insert("repeatDirection".into(), part("direction"));
            fields.insert("maxPerRow".into(), part("maxPerRow"));
            fields.insert(FIXED.into(), self.fixed());
        }
        self.panels.push(panel);
        Ok(())
    }
}

/// Converts an element to the classic form.
fn panel(element: &Value) -> Value {
    let at = |place: &str| element.pointer(place).cloned().unwrap_or(Value::Null);
    if text(element, "kind") == "LibraryPanel" {
        return json!({ "title": at("/spec/title"), "libraryPanel": at("/spec/libraryPanel") });
    }
    let type_name = match at("/spec/vizConfig/group") {
        Value::Null => at("/spec/vizConfig/kind"),
        group => group,
    };
    let queries = at("/spec/data/spec/queries");
    let queries = queries.as_array().into_iter().flatten().map(target);
    let transformations = at("/spec/data/spec/transformations");
    let transformations = transformations.as_array().into_iter().flatten();
    let transformations = transformations.map(|of| {
        let group = of.get("group").or_else(|| of.pointer("/spec/id"));
        let id = group.or_else(|| of.get("kind")).cloned();
        json!({ "id": id, "disabled": of.pointer("/spec/disabled") })
    });
    json!({
        "type": type_name,
        "id": at("/spec/id"),
        "title": at("/spec/title"),
        "fieldConfig": at("/spec/vizConfig/spec/fieldConfig"),
        "options": at("/spec/vizConfig/spec/options"),
        "interval": at("/spec/data/spec/queryOptions/interval"),
        "targets": queries.collect::<Vec<_>>(),
        "transformations": transformations.collect::<Vec<_>>(),
    })
}

/// Converts a query to the classic form: its fields and its data source.
fn target(query: &Value) -> Value {
    let nothing = Value::Null;
    let spec = query.get("spec").unwrap_or(&nothing);
    let inner = spec.get("query").unwrap_or(&nothing);
    let mut target = inner.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let Some(fields) = target.as_object_mut() {
        fields.insert(
            "hide".into(),
            spec.get("hidden").cloned().unwrap_or(Value::Null),
        );
        fields.insert("datasource".into(), source(spec, inner));
    }
    target
}

/// The data source of a query: a field of the query, or, in the first version of the schema, of the object around it.
fn source(spec: &Value, query: &Value) -> Value {
    let group = match (text(query, "group"), text(query, "kind")) {
        ("", "DataQuery") => "",
        ("", kind) => kind,
        (group, _) => group,
    };
    let named = query
        .pointer("/datasource/name")
        .or_else(|| spec.pointer("/datasource/uid"));
    let own = text(spec.get("datasource").unwrap_or(&Value::Null), "type");
    json!({ "type": if group.is_empty() { own } else { group }, "uid": named })
}

/// Converts a variable to the classic form.
fn variable(variable: &Value) -> Value {
    let mut classic = variable.get("spec").cloned().unwrap_or_else(|| json!({}));
    let Some(fields) = classic.as_object_mut() else {
        return json!({});
    };
    let kind = match text(variable, "kind") {
        "QueryVariable" => "query",
        "DatasourceVariable" => "datasource",
        "CustomVariable" => "custom",
        "IntervalVariable" => "interval",
        "ConstantVariable" => "constant",
        "TextVariable" => "textbox",
        "AdhocVariable" => "adhoc",
        "SwitchVariable" => "custom",
        other => other,
    };
    fields.insert("type".into(), Value::from(kind));
    if let Some(plugin) = fields.get("pluginId").cloned() {
        fields.insert("query".into(), plugin);
    }
    let query = fields
        .get("query")
        .filter(|query| query.is_object())
        .cloned();
    if let Some(query) = query {
        let outer = Value::Object(fields.clone());
        fields.insert("datasource".into(), source(&outer, &query));
        let inner = query.get("spec").cloned().unwrap_or(Value::Null);
        let legacy = inner.get("__legacyStringValue").cloned();
        fields.insert("query".into(), legacy.unwrap_or(inner));
    }
    if fields.get("hide").and_then(Value::as_str) == Some("hideVariable") {
        fields.insert("hide".into(), Value::from(2));
    }
    classic
}
