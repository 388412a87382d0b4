//! No file makes the console exceed its bounds on memory and queries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::tui::dashboard::panel::{Kind, MAX_PANELS, MAX_ROWS, MAX_TARGETS, Panel};
use crate::tui::dashboard::tests::TIMES;
use crate::tui::dashboard::{Dashboard, MAX_BYTES, Scope, repeated};

fn panel(more: Value) -> Value {
    let mut panel = json!({
        "type": "timeseries", "title": "a panel", "targets": [{ "expr": "up" }],
        "gridPos": { "x": 0, "y": 0, "w": 12, "h": 8 },
    });
    let fields = panel.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    panel
}

fn read(panels: Vec<Value>) -> Result<Dashboard, String> {
    let json = json!({ "title": "t", "panels": panels });
    Dashboard::read(&json.to_string()).map_err(|error| error.to_string())
}

fn one(more: Value) -> Panel {
    read(vec![panel(more)]).unwrap().panels.remove(0)
}

/// The number of values of the variable `v`, and `source` after substitution.
fn variable(more: Value, source: &str) -> (usize, String) {
    let mut json = json!({ "name": "v", "type": "custom" });
    let fields = json.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let json = json!({ "title": "t", "panels": [], "templating": { "list": [json] } });
    let dashboard = Dashboard::read(&json.to_string()).unwrap();
    let learned = |_: &str, _: &str| (0..1_000).map(|n| n.to_string()).collect();
    let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), learned, TIMES);
    (scope.choices(0), scope.fill(source))
}

#[test]
fn a_file_is_bounded_in_bytes_panels_and_queries() {
    let huge = " ".repeat(MAX_BYTES + 1);
    let mistake = Dashboard::read(&huge).unwrap_err().to_string();
    assert!(mistake.contains("larger than 8 MiB"), "{mistake}");
    let too_many = "1,001 panels, of which a board has at most 1,000";
    let mistake = read(vec![panel(json!({})); MAX_PANELS + 1]).unwrap_err();
    assert!(mistake.contains(too_many), "{mistake}");
    let folded = |count: usize| json!({ "type": "row", "panels": vec![panel(json!({})); count] });
    let mistake = read(vec![panel(folded(MAX_PANELS + 1))]).unwrap_err();
    assert!(mistake.contains(too_many), "{mistake}");
    let most = read(vec![panel(folded(MAX_PANELS))]).unwrap();
    assert_eq!(most.panels.len(), MAX_PANELS + 1, "a row does not count");
    let long = json!({ "targets": [{ "expr": "u".repeat(16 * 1024 + 1) }] });
    let mistake = read(vec![panel(long)]).unwrap_err();
    assert!(mistake.contains("more than 16 KiB"), "{mistake}");
    let many = one(json!({ "targets": vec![json!({ "expr": "up" }); 50] }));
    assert_eq!(many.targets.len(), MAX_TARGETS);
    let title = one(json!({ "title": "long ".repeat(100) })).title;
    assert!(title.chars().count() <= 120, "{title}");
}

#[test]
fn rows_are_bounded_before_they_are_converted() {
    let rows = |count: usize| vec![json!({ "type": "row" }); count];
    let too_many = "1,001 rows and tabs, of which a board has at most 1,000";
    let mistake = read(rows(MAX_ROWS + 1)).unwrap_err();
    assert_eq!(mistake, format!("$.panels: {too_many}"));
    assert_eq!(read(rows(MAX_ROWS)).unwrap().panels.len(), MAX_ROWS);
    let inside = json!({ "type": "row", "panels": rows(MAX_ROWS) });
    assert!(read(vec![inside]).unwrap_err().contains(too_many));
    let refused = |json: Value| {
        let mistake = Dashboard::read(&json.to_string()).unwrap_err();
        assert!(mistake.advice().starts_with("split"), "{mistake}");
        mistake.to_string()
    };
    let many = vec![json!({ "collapse": true }); MAX_ROWS + 1];
    assert_eq!(
        refused(json!({ "rows": many })),
        format!("$.rows: {too_many}")
    );
    let layout = json!({ "kind": "TabsLayout", "spec": { "tabs": vec![json!({}); MAX_ROWS + 1] } });
    let mistake = refused(json!({ "elements": {}, "layout": layout }));
    assert_eq!(mistake, format!("$.layout: {too_many}"));
    let mistake = Dashboard::read("{}").unwrap_err();
    assert!(mistake.advice().starts_with("export"), "{mistake}");
}

#[test]
fn repeated_panels_are_bounded_and_the_last_one_states_it() {
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let variable = |name: &str| {
        json!({ "name": name, "type": "custom", "query": values.join(","),
        "includeAll": true, "current": { "value": ["$__all"] } })
    };
    let inside = panel(json!({ "repeat": "b" }));
    let inner = json!({ "type": "row", "repeat": "c", "collapsed": true, "panels": [inside] });
    let row = json!({ "type": "row", "repeat": "a", "collapsed": true, "panels": [inner] });
    let list: Vec<_> = ["a", "b", "c"].map(variable).into();
    let json = json!({ "panels": [row], "templating": { "list": list } });
    let dashboard = Dashboard::read(&json.to_string()).unwrap();
    let none = |_: &str, _: &str| Vec::new();
    let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), none, TIMES);
    let shown = repeated(&dashboard.panels, &scope).unwrap();
    let drawn = shown.iter().filter(|panel| panel.kind != Kind::Row).count();
    assert_eq!(drawn, MAX_PANELS);
    let last = shown.last().unwrap();
    assert!(
        last.why_not.ends_with("the rest is left out"),
        "{}",
        last.why_not
    );
}

#[test]
fn steps_and_mappings_are_bounded() {
    let steps: Vec<Value> = (0..100).map(|n| json!({ "value": n })).collect();
    let modern = json!({ "type": "stat", "fieldConfig": { "defaults": { "thresholds": { "steps": &steps } } } });
    assert_eq!(one(modern).steps.len(), 32);
    let old = one(json!({ "type": "graph", "thresholds": &steps }));
    assert!((32..=33).contains(&old.steps.len()), "{}", old.steps.len());
    let options: serde_json::Map<_, _> = (0..100)
        .map(|n| (n.to_string(), json!({ "text": "x" })))
        .collect();
    let mappings = json!([{ "type": "value", "options": options }]);
    let mapped = one(json!({ "fieldConfig": { "defaults": { "mappings": mappings } } }));
    assert_eq!(mapped.mappings.len(), 32);
}

#[test]
fn variables_and_their_values_are_bounded() {
    let named = |n: i32| json!({ "name": format!("v{n}"), "type": "custom", "query": "a" });
    let list: Vec<_> = (0..100).map(named).collect();
    let json = json!({ "title": "t", "panels": [], "templating": { "list": list } });
    let dashboard = Dashboard::read(&json.to_string()).unwrap();
    assert_eq!(dashboard.variables.len(), 64);

    let many: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let options: Vec<_> = many.iter().map(|n| json!({ "value": n })).collect();
    assert_eq!(variable(json!({ "options": options }), "").0, 100);
    assert_eq!(variable(json!({ "query": many.join(",") }), "").0, 100);
    let asks = json!({ "type": "query", "query": "label_values(up, job)" });
    assert_eq!(variable(asks, "").0, 100);
    let current = json!({ "current": { "value": &many }, "options": [] });
    let (_, filled) = variable(current, "$v");
    assert!(filled.split('|').count() <= 100, "{filled}");
}

#[test]
fn values_and_substituted_queries_are_bounded() {
    let long = "x".repeat(1_025);
    let (_, filled) = variable(json!({ "query": &long }), "$v");
    assert!(!filled.contains('x'), "too long to be a value");
    let selector = format!("label_values({long}, job)");
    let asks = json!({ "type": "query", "query": selector });
    assert_eq!(variable(asks, "").0, 0, "too long to be asked");
    let value = "y".repeat(1_000);
    let (_, filled) = variable(json!({ "query": value }), &"$v".repeat(1_000));
    assert!(filled.len() < 70_000, "{}", filled.len());
}
