//! Every schema that Grafana ever had is read into the same panels.

use serde_json::{Value, json};

use crate::tui::dashboard::panel::{Kind, MAX_PANELS, Panel};
use crate::tui::dashboard::tests::TIMES;
use crate::tui::dashboard::{Dashboard, Scope, contents};

fn read(json: &Value) -> Result<Dashboard, String> {
    Dashboard::read(&json.to_string()).map_err(|error| error.to_string())
}

fn stat(title: &str) -> Value {
    json!({ "type": "stat", "title": title, "targets": [{ "expr": "up" }] })
}

fn titles(dashboard: &Dashboard) -> Vec<&str> {
    let panels = dashboard.panels.iter();
    panels.map(|panel| panel.title.as_str()).collect()
}

#[test]
fn a_dashboard_is_found_inside_the_answer_of_the_api_and_inside_a_resource() {
    let inside = json!({ "title": "Inner", "panels": [stat("one")] });
    let forms = [
        inside.clone(),
        json!({ "dashboard": inside, "meta": {} }),
        json!({ "apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "spec": inside }),
    ];
    for form in forms {
        let dashboard = read(&form).unwrap();
        assert_eq!(
            (dashboard.title.as_str(), titles(&dashboard)),
            ("Inner", vec!["one"])
        );
    }
    let wrong = json!({ "spec": { "panels": [{ "type": "stat", "targets": 7 }] } });
    let mistake = read(&wrong).unwrap_err();
    assert!(mistake.starts_with("$.spec.panels[0].targets"), "{mistake}");
}

#[test]
fn panels_in_rows_are_placed_from_left_to_right() {
    let wide = |title: &str, span: u32| {
        let mut panel = stat(title);
        panel["span"] = json!(span);
        panel
    };
    let rows = json!([
        { "title": "Shown", "showTitle": true, "height": "200px",
          "panels": [wide("a", 6), wide("b", 6), wide("c", 12)] },
        { "title": "Folded", "collapse": true, "height": 300, "panels": [wide("d", 4)] },
    ]);
    let dashboard = read(&json!({ "title": "Old", "schemaVersion": 12, "rows": rows })).unwrap();
    assert_eq!(titles(&dashboard), ["Shown", "a", "b", "c", "Folded", "d"]);
    let panel = |index: usize| &dashboard.panels[index];
    let place = |index: usize| {
        (
            panel(index).place.x,
            panel(index).place.w,
            panel(index).place.h,
        )
    };
    assert_eq!(
        [place(1), place(2), place(3)],
        [(0, 12, 6), (12, 12, 6), (0, 24, 6)]
    );
    assert!(panel(4).folded && panel(5).nested == 1);
    let bare = json!({ "rows": [{ "title": "Nobody sees it", "panels": [stat("a")] }] });
    assert_eq!(
        titles(&read(&bare).unwrap()),
        ["a"],
        "rows without headings"
    );
    let wrong = json!({ "rows": [{ "panels": [{ "type": "stat", "targets": [7] }] }] });
    let mistake = read(&wrong).unwrap_err();
    assert!(
        mistake.starts_with("$.rows[0].panels[0].targets[0]"),
        "{mistake}"
    );
}

/// An element of schema v2 that asks `expr`.
fn element(title: &str, kind: &str, expr: &str) -> Value {
    json!({ "kind": "Panel", "spec": {
        "title": title,
        "data": { "kind": "QueryGroup", "spec": {
            "queries": [{ "kind": "PanelQuery", "spec": { "refId": "A", "hidden": false, "query": {
                "kind": "DataQuery", "group": "prometheus", "datasource": { "name": "p" },
                "spec": { "expr": expr, "legendFormat": "{{job}}" } } } }],
            "transformations": [{ "kind": "Transformation", "group": "organize", "spec": {} }],
        } },
        "vizConfig": { "kind": "VizConfig", "group": kind, "spec": {
            "options": { "reduceOptions": { "calcs": ["max"] } },
            "fieldConfig": { "defaults": { "unit": "s" } } } },
    } })
}

fn item(name: &str, x: u32, y: u32) -> Value {
    json!({ "kind": "GridLayoutItem", "spec": { "x": x, "y": y, "width": 12, "height": 6,
        "element": { "kind": "ElementReference", "name": name } } })
}

fn version_2(elements: Value, layout: Value) -> Value {
    json!({ "apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "spec": {
        "title": "Two", "elements": elements, "layout": layout,
        "variables": [{ "kind": "QueryVariable", "spec": { "name": "job", "hide": "dontHide",
            "query": { "kind": "DataQuery", "group": "prometheus",
                "spec": { "query": "label_values(up, job)" } } } }],
    } })
}

#[test]
fn elements_are_placed_by_grids_rows_and_tabs() {
    let mut old_form = element("of the first version", "gauge", "up");
    old_form["spec"]["vizConfig"] = json!({ "kind": "gauge", "spec": {} });
    let elements = json!({
        "a": element("a", "stat", "up{job=\"$job\"}"),
        "b": element("b", "timeseries", "up"),
        "c": old_form,
        "l": { "kind": "LibraryPanel", "spec": { "title": "Theirs",
            "libraryPanel": { "name": "shared one", "uid": "u" } } },
    });
    let grid = |items: Value| json!({ "kind": "GridLayout", "spec": { "items": items } });
    let row = |title: &str, collapse: bool, layout: Value| json!({ "kind": "RowsLayoutRow", "spec": { "title": title, "collapse": collapse, "layout": layout } });
    let flow = json!({ "kind": "AutoGridLayout", "spec": { "maxColumnCount": 2,
        "items": [{ "spec": { "element": { "name": "c" } } }, { "spec": { "element": { "name": "l" } } }] } });
    let rows = json!({ "kind": "RowsLayout", "spec": { "rows": [
        row("Grid", false, grid(json!([item("b", 12, 0), item("a", 0, 0)]))),
        row("Flow", true, flow),
    ] } });
    let tabs = json!({ "kind": "TabsLayout", "spec": { "tabs": [
        { "kind": "TabsLayoutTab", "spec": { "title": "Tab", "layout": rows } }] } });
    let dashboard = read(&version_2(elements, tabs)).unwrap();
    assert_eq!(
        titles(&dashboard),
        [
            "Tab",
            "Tab › Grid",
            "a",
            "b",
            "Tab › Flow",
            "of the first version",
            "Theirs"
        ]
    );
    let a = &dashboard.panels[2];
    assert_eq!((a.kind, a.text(0.25).as_str()), (Kind::Stat, "250 ms"));
    assert_eq!(a.targets[0].legend, "{{job}}");
    assert_eq!(a.why_not, "not applied: organize");
    assert_eq!(dashboard.panels[5].kind, Kind::Gauge);
    assert_eq!(
        dashboard.panels[6].why_not,
        "library panel shared one: not in the file"
    );
    assert_eq!(dashboard.variables[0].name, "job");
}

#[test]
fn an_error_in_a_layout_names_its_place() {
    let grid = json!({ "kind": "GridLayout", "spec": { "items": [item("nowhere", 0, 0)] } });
    let mistake = read(&version_2(json!({}), grid)).unwrap_err();
    assert_eq!(
        mistake,
        "$.spec.elements.nowhere: missing, but the layout places it"
    );
    let mut deep = json!({ "kind": "GridLayout", "spec": {} });
    for _ in 0..9 {
        deep =
            json!({ "kind": "RowsLayout", "spec": { "rows": [{ "spec": { "layout": deep } }] } });
    }
    let mistake = read(&version_2(json!({}), deep)).unwrap_err();
    assert!(mistake.contains("layouts within layouts"), "{mistake}");
    let items = vec![item("a", 0, 0); MAX_PANELS + 1];
    let grid = json!({ "kind": "GridLayout", "spec": { "items": items } });
    let mistake = read(&version_2(json!({ "a": element("a", "stat", "up") }), grid)).unwrap_err();
    let expected = "$.spec.layout: 1,001 panels, of which a board has at most 1,000";
    assert_eq!(mistake, expected);
}

fn rows(rows: &[Value]) -> Value {
    json!({ "kind": "RowsLayout", "spec": { "rows": rows } })
}

fn row(title: &str, more: Value, layout: &Value) -> Value {
    let mut spec = json!({ "title": title, "layout": layout });
    let fields = spec.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({ "kind": "RowsLayoutRow", "spec": spec })
}

#[test]
fn the_panels_of_a_folded_row_inside_a_folded_row_are_read() {
    let grid = |items: Value| json!({ "kind": "GridLayout", "spec": { "items": items } });
    let folded = json!({ "collapse": true });
    let inner = [
        row(
            "Inner",
            folded.clone(),
            &grid(json!([item("a", 0, 0), item("b", 12, 0)])),
        ),
        row("Open", json!({}), &grid(json!([item("a", 0, 0)]))),
    ];
    let layout = rows(&[
        row("Outer", folded, &rows(&inner)),
        row("Last", json!({}), &grid(json!([item("b", 0, 0)]))),
    ]);
    let elements = json!({ "a": element("a", "stat", "up"), "b": element("b", "stat", "up") });
    let dashboard = read(&version_2(elements, layout)).unwrap();
    let wanted = [
        "Outer",
        "Outer › Inner",
        "a",
        "b",
        "Outer › Open",
        "a",
        "Last",
        "b",
    ];
    assert_eq!(titles(&dashboard), wanted);
    let nested: Vec<_> = dashboard.panels.iter().map(|panel| panel.nested).collect();
    assert_eq!(nested, [0, 1, 2, 2, 1, 1, 0, 0]);
    let inside = |row: usize| contents(&dashboard.panels, row);
    assert_eq!([0, 1, 4, 6].map(inside), [1..6, 2..4, 5..6, 7..8]);
    assert!(inside(2).is_empty(), "a panel");
}

#[test]
fn a_row_has_variables_of_its_own() {
    let custom = |name: &str, value: &str| {
        json!({ "kind": "CustomVariable", "spec": { "name": name, "query": format!("{value},10"),
            "current": { "text": value, "value": value } } })
    };
    let grid = json!({ "kind": "GridLayout", "spec": { "items": [item("a", 0, 0)] } });
    let with = |title: &str, variables: Value| row(title, json!({ "variables": variables }), &grid);
    let layout = rows(&[
        with("Top $topn", json!([custom("topn", "5")])),
        with(
            "Top $topn",
            json!([custom("topn", "7"), custom("job", "api")]),
        ),
        row("Bare", json!({}), &grid),
    ]);
    let query = "topk($topn, up{job=\"$job\"})";
    let elements = json!({ "a": element("a", "stat", query) });
    let dashboard = read(&version_2(elements, layout)).unwrap();
    let names: Vec<_> = dashboard
        .variables
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["job", "topn"], "one of each name");
    let scope = |picks: &[(&str, &str)]| {
        let picks = picks
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let learned = |_: &str, _: &str| vec!["web".to_owned()];
        Scope::new(&dashboard.variables, &picks.collect(), learned, TIMES)
    };
    let asked = |scope: &Scope| -> Vec<String> {
        let asking = dashboard.panels.iter().filter(|panel| panel.asks_metrics());
        asking
            .map(|panel| panel.query(&panel.targets[0], scope))
            .collect()
    };
    let top = |n: u32, job: &str| format!("topk({n}, up{{job=\"{job}\"}})");
    let own = scope(&[]);
    assert_eq!(asked(&own), [top(5, "web"), top(7, "api"), top(5, "web")]);
    assert_eq!(dashboard.panels[2].heading(&own), "Top 7");
    let picked = asked(&scope(&[("topn", "10")]));
    assert_eq!(picked, [top(10, "web"), top(7, "api"), top(10, "web")]);
}

#[test]
fn a_panel_without_a_query_for_the_console_states_the_true_reason() {
    let why = |kind: &str, datasource: Value, targets: Value| {
        let panel = json!({ "type": kind, "datasource": datasource, "targets": targets });
        let panel = read(&json!({ "panels": [panel] }))
            .unwrap()
            .panels
            .remove(0);
        panel.why_not
    };
    let graphite = json!({ "target": "a.b.c" });
    let hidden = |target: &Value| {
        let mut target = target.clone();
        target["hide"] = json!(true);
        target
    };
    let none = "it has no query in PromQL or LogQL";
    assert_eq!(why("graph", json!(null), json!([graphite])), none);
    assert_eq!(
        why("graph", json!(null), json!([hidden(&graphite), graphite])),
        none
    );
    assert_eq!(
        why("graph", json!(null), json!([hidden(&graphite)])),
        "its queries are hidden"
    );
    assert_eq!(
        why(
            "graph",
            json!("InfluxDB (trending)"),
            json!([{ "query": "SELECT 1" }])
        ),
        "it has no query in PromQL or LogQL: its data source is InfluxDB (trending)"
    );
    let elastic = json!({ "type": "elasticsearch", "uid": "x" });
    for kind in ["logs", "timeseries"] {
        assert_eq!(
            why(kind, elastic.clone(), json!([{ "query": "level:error" }])),
            "it queries elasticsearch, which boards do not support"
        );
    }
    let up = json!({ "expr": "up", "refId": "A" });
    let computed = json!({ "refId": "B", "type": "math", "expression": "$A",
        "datasource": { "type": "__expr__", "uid": "${DS_EXPRESSION}" } });
    let prometheus = json!({ "type": "prometheus", "uid": "p" });
    assert_eq!(
        why("stat", prometheus.clone(), json!([hidden(&up), computed])),
        "Grafana computes it from other queries, which the console does not"
    );
    assert_eq!(
        why("stat", prometheus, json!([up, computed])),
        "what Grafana computes is left out"
    );
    let picture = json!({ "type": "text", "options": { "content": "![](a.png)" } });
    let panel = read(&json!({ "panels": [picture] }))
        .unwrap()
        .panels
        .remove(0);
    assert_eq!(panel.kind, Kind::NotDrawn);
    assert!(panel.why_not.contains("a picture"), "{}", panel.why_not);
}

#[test]
fn a_library_panel_is_drawn_if_the_file_contains_it() {
    let place = json!({ "x": 3, "y": 0, "w": 9, "h": 4 });
    let library = json!({ "gridPos": place, "libraryPanel": { "uid": "u", "name": "shared" } });
    let mut file = json!({ "title": "t", "panels": [library] });
    let one = |file: &Value| -> Panel { read(file).unwrap().panels.remove(0) };
    assert_eq!(one(&file).why_not, "library panel shared: not in the file");
    file["__elements"] = json!({ "u": { "name": "shared", "model": stat("Brought") } });
    let brought = one(&file);
    assert_eq!(
        (brought.kind, brought.title.as_str(), brought.place.x),
        (Kind::Stat, "Brought", 3)
    );
}

#[test]
fn a_panel_asks_the_data_source_that_its_file_names() {
    let with = |datasource: Value, expr: &str| {
        let mut panel = stat("p");
        panel["datasource"] = datasource;
        panel["targets"][0]["expr"] = json!(expr);
        let list = json!([{ "name": "ds", "type": "datasource", "query": "prometheus" },
            { "name": "logs", "type": "datasource", "query": "loki" }]);
        let file = json!({ "panels": [panel], "templating": { "list": list } });
        let panel = read(&file).unwrap().panels.remove(0);
        (panel.kind, panel.why_not)
    };
    let drawn = (Kind::Stat, String::new());
    assert_eq!(with(json!("$ds"), "up"), drawn);
    assert_eq!(with(json!({ "uid": "${ds}" }), "up"), drawn);
    assert_eq!(with(json!("a name"), "up"), drawn);
    let query = "sum(rate({job=\"a\"} |= \"error\" [1m]))";
    assert_eq!(with(json!("$logs"), query), drawn);
    assert_eq!(with(json!("a name"), query), drawn);
    let (kind, why) = with(json!({ "type": "influxdb" }), "up");
    assert_eq!(
        (kind, why.as_str()),
        (
            Kind::NotDrawn,
            "it queries influxdb, which boards do not support"
        )
    );
}

#[test]
fn a_panel_that_shows_the_answers_of_another_has_the_same_queries() {
    let shows = |id: u32| {
        json!({ "type": "timeseries", "title": format!("of {id}"), "gridPos": { "y": 20 },
            "datasource": { "type": "datasource", "uid": "-- Dashboard --" },
            "targets": [{ "panelId": id, "refId": "A" }] })
    };
    let mut first = stat("first");
    first["id"] = json!(1);
    first["datasource"] = json!({ "type": "prometheus", "uid": "p" });
    first["interval"] = json!("2m");
    let mut inside = stat("inside");
    inside["id"] = json!(2);
    inside["targets"][0]["expr"] = json!("inside");
    let mut old = shows(1);
    old["datasource"] = json!("-- Dashboard --");
    let mut chain = shows(9);
    chain["id"] = json!(3);
    let row = json!({ "type": "row", "collapsed": true, "panels": [inside] });
    let panels = json!([
        first,
        row,
        shows(1),
        shows(2),
        old,
        shows(8),
        chain,
        shows(3)
    ]);
    let dashboard = read(&json!({ "panels": panels })).unwrap();
    let asked: Vec<_> = dashboard.panels[3..]
        .iter()
        .map(|panel| match panel.targets.first() {
            Some(target) => (panel.kind, target.expr.as_str(), target.interval.as_str()),
            None => (panel.kind, panel.why_not.as_str(), ""),
        })
        .collect();
    let drawn = |expr, interval| (Kind::TimeSeries, expr, interval);
    let not = |why| (Kind::NotDrawn, why, "");
    let wanted = [
        drawn("up", "2m"),
        drawn("inside", ""),
        drawn("up", "2m"),
        not("it shows the answers of panel 8, which the file does not have"),
        not("it shows the answers of panel 9, which the file does not have"),
        not("it shows the answers of panel 3, which shows another panel's answers itself"),
    ];
    assert_eq!(asked, wanted);
}
