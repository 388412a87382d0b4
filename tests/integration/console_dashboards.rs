//! Dashboards as real users have them, drawn by the real binary with the embedded Prometheus of a running server: every
//! kind of panel, variable and file.

use serde_json::{Value, json};

use crate::console_boards::{file, until};
use crate::support::TestServer;

/// A panel with the query `expr` and more fields.
fn panel(kind: &str, title: &str, expr: &str, more: Value) -> Value {
    let mut panel = json!({
        "type": kind, "title": title,
        "gridPos": { "x": 0, "y": 0, "w": 24, "h": 6 },
        "datasource": { "type": "prometheus", "uid": "p" },
        "targets": [{ "expr": expr, "refId": "A" }],
    });
    let fields = panel.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    panel
}

/// Places panels one below the other.
fn stacked(mut panels: Vec<Value>) -> Value {
    for (at, panel) in panels.iter_mut().enumerate() {
        panel["gridPos"]["y"] = json!(at * 6);
    }
    Value::Array(panels)
}

/// Draws a file again and again until the screen shows all of `wanted`.
async fn drawn(server: &TestServer, json: &Value, wanted: &[&str]) -> String {
    let path = file(server.dir.path(), json);
    let args = ["--screen", "8", "--dashboard", &path];
    until(&server.ops_url, &args, "150", wanted).await
}

fn red_from(value: f64, colour: &str) -> Value {
    json!({ "mode": "absolute",
        "steps": [{ "color": "green", "value": null }, { "color": colour, "value": value }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_panel_shows_measured_values() {
    let server = TestServer::empty().await;
    let pie = json!({ "targets": [{ "expr": "vector(30)", "legendFormat": "thirty" },
        { "expr": "vector(10)", "legendFormat": "ten" }] });
    let running = json!({ "fieldConfig": { "defaults": {
        "mappings": [{ "type": "value", "options": { "1": { "text": "running" } } }] } } });
    let judged = json!({ "fieldConfig": { "defaults": { "thresholds": red_from(1.0, "rgba(245, 54, 54, 0.9)") } } });
    let single = json!({ "format": "percentunit", "valueName": "current", "colorValue": true,
        "thresholds": "0.5,0.9", "colors": ["#299c46", "rgba(237, 129, 40, 0.89)", "#F00"] });
    let unused = json!({ "options": { "colorMode": "none" },
        "fieldConfig": { "defaults": { "unit": "bytes", "thresholds": red_from(80.0, "red") } } });
    let words = json!({ "options": { "mode": "markdown", "content": "# Read **me** first" } });
    let organized = json!({ "transformations": [{ "id": "organize" }] });
    let nothing = json!({ "fieldConfig": { "defaults": { "noValue": "none so far" } } });
    let panels = stacked(vec![
        panel("piechart", "A pie", "", pie),
        panel("histogram", "How often", "vector(7)", json!({})),
        panel("state-timeline", "States", "vector(1)", running),
        panel("status-history", "Samples", "vector(1)", judged),
        panel("singlestat", "Busy", "vector(0.97)", single),
        panel("stat", "Unused", "vector(24576)", unused),
        panel("text", "Words", "", words),
        panel(
            "table-old",
            "Old table",
            "http_server_active_requests",
            organized,
        ),
        panel("stat", "Nothing", "no_such_metric", nothing),
        panel("barchart", "Bars", "vector(3)", json!({})),
    ]);
    let wanted = [
        "75.0%",
        "7–8",
        "running",
        "✖✖",
        "97.0%",
        "24 KiB",
        "Read me first",
        "not applied: organize",
        "none so far",
        "Bars",
    ];
    let text = drawn(
        &server,
        &json!({ "title": "Kinds", "panels": panels }),
        &wanted,
    )
    .await;
    let line = |title: &str| text.lines().find(|line| line.contains(title)).unwrap();
    assert!(
        line("Busy").contains('✖'),
        "a red colour in any notation: {text}"
    );
    assert!(
        !line("Unused").contains('✖'),
        "Grafana colours nothing there: {text}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_of_every_kind_find_their_values() {
    let server = TestServer::empty().await;
    let variable = |name: &str, kind: &str, query: &str, more: Value| {
        let mut variable = json!({ "name": name, "type": kind, "query": query });
        let fields = variable.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        variable
    };
    let metric = "http_server_active_requests";
    let list = json!([
        variable("datasource", "datasource", "prometheus", json!({})),
        variable(
            "job",
            "query",
            "label_values(job)",
            json!({ "includeAll": true, "multi": true,
            "current": { "value": ["$__all"] }, "regex": "/^(concert.*)$/" })
        ),
        variable(
            "one",
            "query",
            &format!("label_values({metric}, job)"),
            json!({})
        ),
        variable("n", "query", "metrics(http_server_active)", json!({})),
        variable(
            "f",
            "query",
            &format!("query_result(count by (job) ({metric}))"),
            json!({ "regex": "/job=\"([^\"]+)\"/" })
        ),
        variable(
            "every",
            "interval",
            "1m,5m",
            json!({ "auto": true,
            "current": { "value": "$__auto_interval_every" } })
        ),
        variable(
            "part",
            "custom",
            "north,south",
            json!({ "includeAll": true })
        ),
        variable(
            "filter",
            "adhoc",
            "",
            json!({
            "filters": [{ "key": "job", "operator": "=~", "value": "concert.*" }] })
        ),
    ]);
    let count = |title: &str, expr: &str, source: Value| {
        panel(
            "stat",
            title,
            &format!("41 + count({expr})"),
            json!({ "datasource": source }),
        )
    };
    let by_name = json!("$datasource");
    let panels = stacked(vec![
        count(
            "of all",
            &format!("{metric}{{job=~\"$job\"}}"),
            by_name.clone(),
        ),
        count(
            "of $one",
            "$n{job=\"$one\",job=~\"${f:regex}\"}",
            json!({ "uid": "${datasource}" }),
        ),
        count(
            "over time",
            &format!("count_over_time({metric}[$every]) and on () vector(${{__from}})"),
            by_name,
        ),
        panel(
            "stat",
            "part $part",
            "vector(1)",
            json!({ "repeat": "part" }),
        ),
    ]);
    let wanted = [
        "job=All",
        "one=concertctl",
        "n=http_server_active",
        "of concertctl",
        "every=auto",
        "part north",
        "part south",
        "job=~concert.*",
    ];
    let file = json!({ "title": "V", "panels": panels, "templating": { "list": list } });
    let text = drawn(&server, &file, &wanted).await;
    let found = text.matches(" 42 ").count();
    assert!(found >= 3, "{found} of the three counts: {text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_schema_are_drawn() {
    let server = TestServer::empty().await;
    let stat = |title: &str| panel("stat", title, "vector(42)", json!({ "span": 12 }));
    let library = json!({ "libraryPanel": { "uid": "u", "name": "the shared one" },
        "gridPos": { "x": 0, "y": 9, "w": 24, "h": 4 } });
    let inside = json!({ "title": "Inside", "panels": [stat("classic"), library] });
    let element = json!({ "kind": "Panel", "spec": {
        "title": "from elements",
        "data": { "spec": { "queries": [{ "spec": { "query": {
            "group": "prometheus", "spec": { "expr": "vector(42)" } } } }] } },
        "vizConfig": { "group": "stat", "spec": {} } } });
    let item =
        json!({ "spec": { "x": 0, "y": 0, "width": 24, "height": 4, "element": { "name": "a" } } });
    let forms = [
        (json!({ "dashboard": inside, "meta": {} }), "classic"),
        (
            json!({ "kind": "Dashboard", "apiVersion": "dashboard.grafana.app/v1", "spec": inside }),
            "classic",
        ),
        (
            json!({ "title": "Old", "rows": [{ "title": "r", "panels": [stat("from rows")] }] }),
            "from rows",
        ),
        (
            json!({ "kind": "Dashboard", "apiVersion": "dashboard.grafana.app/v2", "spec": {
            "title": "New", "elements": { "a": element },
            "layout": { "kind": "GridLayout", "spec": { "items": [item] } } } }),
            "from elements",
        ),
    ];
    for (form, title) in &forms {
        let text = drawn(&server, form, &[title, "42"]).await;
        let shared = text.contains("library panel the shared one: not in the file");
        assert_eq!(shared, *title == "classic", "{text}");
    }
    server.stop().await;
}
