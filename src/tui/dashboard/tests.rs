//! The shipped dashboards are read completely, other dashboards as far as possible; a broken file gets an error.

pub(crate) mod bounds;
pub(crate) mod forms;
pub(crate) mod variables;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tui::dashboard::panel::{Kind, MAX_PANELS};
use crate::tui::theme::Severity;

const ALL_SHIPPED: [&str; 3] = [
    SHIPPED,
    include_str!("../../../otel/grafana/dashboards/resources.json"),
    include_str!("../../../otel/grafana/dashboards/alerts.json"),
];

/// The time range of the charts in these tests.
pub(crate) const TIMES: Times = Times {
    step_ms: 2_000,
    span_ms: 300_000,
    end_ms: 1_780_315_200_000,
};

/// A dashboard with every known kind of panel and some unknown ones.
pub(crate) fn every_kind() -> Value {
    let asks = |expr: &str| json!([{ "expr": expr, "legendFormat": "{{instance}}" }]);
    let panel = |kind: &str, y: u32, targets: Value| {
        json!({
            "type": kind, "title": format!("a {kind}"), "targets": targets,
            "gridPos": { "x": 0, "y": y, "w": 12, "h": 8 },
            "datasource": { "type": "prometheus", "uid": "p" },
        })
    };
    let mut panels = Vec::new();
    for (index, kind) in [
        "timeseries",
        "stat",
        "gauge",
        "bargauge",
        "table",
        "heatmap",
    ]
    .iter()
    .enumerate()
    {
        panels.push(panel(kind, index as u32, asks("up{job=\"$job\"}")));
    }
    panels.push(json!({
        "type": "graph", "title": "an old one", "datasource": "Prometheus",
        "targets": [{ "expr": "rate(x[$__rate_interval])" }],
        "gridPos": { "x": 0, "y": 10, "w": 24, "h": 8 },
        "yaxes": [{ "format": "s" }, { "format": "short" }],
        "thresholds": [{ "value": 0.5, "colorMode": "critical", "op": "gt" }],
    }));
    panels.push(json!({
        "type": "logs", "title": "log", "targets": [{ "expr": "{job=\"[[job]]\"}" }],
        "datasource": { "type": "loki", "uid": "l" },
        "gridPos": { "x": 0, "y": 11, "w": 24, "h": 8 },
    }));
    panels.push(json!({
        "type": "row", "title": "folded", "collapsed": true,
        "gridPos": { "x": 0, "y": 30, "w": 24, "h": 1 },
        "panels": [panel("stat", 3, asks("inner"))],
    }));
    panels.push(panel("nodeGraph", 40, asks("up")));
    panels.push(panel("stat", 41, json!([])));
    let mut traces = panel(
        "table",
        42,
        json!([{ "query": "{}", "queryType": "traceql" }]),
    );
    traces["datasource"] = json!({ "type": "tempo", "uid": "t" });
    panels.push(traces);
    json!({
        "title": "Everything", "schemaVersion": 41, "panels": panels,
        "templating": { "list": [
            { "name": "job", "type": "custom", "query": "one, two : 2", "multi": true,
              "current": { "value": ["one", "2"] }, "includeAll": true },
            { "name": "fixed", "type": "constant", "query": "c" },
            { "name": "every", "type": "interval", "query": "1m,5m", "current": { "value": "5m" } },
        ] },
    })
}

fn read(json: &Value) -> Result<Dashboard, DashboardError> {
    Dashboard::read(&json.to_string())
}

#[test]
fn the_shipped_dashboards_are_read_whole() {
    for source in ALL_SHIPPED {
        let dashboard = Dashboard::read(source).unwrap();
        let json: Value = serde_json::from_str(source).unwrap();
        assert_eq!(
            dashboard.panels.len(),
            json["panels"].as_array().unwrap().len()
        );
        let not_drawn: Vec<_> = dashboard
            .panels
            .iter()
            .filter(|panel| panel.kind == Kind::NotDrawn)
            .map(|panel| (panel.title.as_str(), panel.why_not.as_str()))
            .collect();
        let known = [(
            "Slow and failed requests",
            "it queries tempo, which boards do not support",
        )];
        assert!(
            not_drawn.iter().all(|one| known.contains(one)),
            "{not_drawn:?}"
        );
        assert!(not_drawn.len() <= 1, "{not_drawn:?}");
    }
}

#[test]
fn every_query_of_the_shipped_dashboards_is_promql_after_substitution() {
    for source in ALL_SHIPPED {
        let dashboard = Dashboard::read(source).unwrap();
        let none = |_: &str, _: &str| Vec::new();
        let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), none, TIMES);
        let asking = dashboard.panels.iter().filter(|panel| panel.asks_metrics());
        let queries = asking
            .flat_map(|panel| &panel.targets)
            .map(|target| scope.fill(&target.expr));
        let variables = scope.queries().iter().map(ToString::to_string);
        let mut count = 0;
        for query in queries.chain(variables) {
            assert!(promql_parser::parser::parse(&query).is_ok(), "{query}");
            count += 1;
        }
        assert!(count > 10);
    }
}

#[test]
fn every_kind_of_panel_is_read_and_one_that_is_not_drawn_has_a_reason() {
    let dashboard = read(&every_kind()).unwrap();
    let kinds: Vec<_> = dashboard.panels.iter().map(|panel| panel.kind).collect();
    use Kind::*;
    assert_eq!(
        kinds,
        [
            TimeSeries, Stat, Gauge, BarGauge, Table, Heatmap, TimeSeries, Logs, Row, Stat,
            NotDrawn, NotDrawn, NotDrawn
        ]
    );
    let reasons: Vec<_> = dashboard.panels[10..]
        .iter()
        .map(|panel| panel.why_not.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "the console has no panels of type nodeGraph",
            "it has no query",
            "it queries tempo, which boards do not support"
        ]
    );
    let old = &dashboard.panels[6];
    assert_eq!(old.text(0.042), "42 ms");
    assert_eq!(old.judge(0.6), Severity::Bad);
    assert!(dashboard.panels[8].folded);
}

#[test]
fn variables_are_substituted_in_every_notation() {
    let dashboard = read(&every_kind()).unwrap();
    let none = |_: &str, _: &str| Vec::new();
    let scope = |picks: &[(&str, &str)]| {
        let picks = picks
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Scope::new(&dashboard.variables, &picks, none, TIMES)
    };
    let cases = [
        ("a{j=~\"$job\"}", "a{j=~\"(one|2)\"}"),
        ("${job:pipe} [[job]] ${job:csv}", "one|2 (one|2) one,2"),
        ("x[$every] $fixed", "x[5m] c"),
        (
            "x[$__rate_interval] [$__range] [$__interval]",
            "x[1m] [300s] [2s]",
        ),
        (
            "a{b=~\"c$\"} $1 $unknown ${unknown} [5m]",
            "a{b=~\"c$\"} $1 $unknown ${unknown} [5m]",
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(scope(&[]).fill(source), wanted);
    }
    assert_eq!(scope(&[("job", "$__all")]).fill("$job"), "(one|2)");
    let dotted = scope(&[("job", "a.b\"c")]);
    assert_eq!(dotted.fill("$job ${job:regex}"), "a.b\\\"c a\\\\.b\\\"c");
    assert_eq!(scope(&[]).next(0), Some(("job".into(), "2".into())));
    assert_eq!(
        scope(&[("job", "2")]).next(0),
        Some(("job".into(), "$__all".into()))
    );
}

#[test]
fn a_value_that_no_longer_exists_is_replaced_by_one_that_does() {
    let dashboard = Dashboard::shipped();
    let learned = |query: &str, label: &str| {
        let job = query == "group by (job) (http_server_active_requests)" && label == "job";
        if job {
            vec!["tickets".to_owned()]
        } else {
            Vec::new()
        }
    };
    let scope = Scope::new(&dashboard.variables, &BTreeMap::new(), learned, TIMES);
    assert_eq!(
        scope.fill("{job=~\"$job\",i=~\"$instance\"}"),
        "{job=~\"tickets\",i=~\".*\"}"
    );
}

#[test]
fn an_error_in_a_file_names_place_and_cause() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut json = every_kind();
        change(&mut json);
        read(&json).unwrap_err().to_string()
    };
    assert_eq!(
        Dashboard::read("{\n \"panels\": [}")
            .unwrap_err()
            .to_string(),
        "line 2, column 13: is not JSON: expected value"
    );
    assert_eq!(
        Dashboard::read("\u{feff}\n").unwrap_err().to_string(),
        "the file: is empty: export the dashboard from Grafana as JSON"
    );
    assert_eq!(
        Dashboard::read("{").unwrap_err().to_string(),
        "line 1, column 1: the JSON ends here too early: is it complete?"
    );
    assert_eq!(
        broken(&|json| json["panels"][2]["targets"] = json!(7)),
        "$.panels[2].targets: expected a list, found a number"
    );
    assert_eq!(
        broken(&|json| json["panels"][2]["targets"][0]["expr"] = json!([])),
        "$.panels[2].targets[0].expr: expected a text, found a list"
    );
    assert_eq!(
        broken(&|json| json["panels"][0]["gridPos"]["x"] = json!(-1)),
        "$.panels[0].gridPos.x: expected a number, 0 or more"
    );
    assert!(
        read(&json!({}))
            .unwrap_err()
            .to_string()
            .contains("$.panels: missing")
    );
    let many = json!({ "panels": vec![json!({}); MAX_PANELS + 1] });
    assert_eq!(
        read(&many).unwrap_err().to_string(),
        "$.panels: 1,001 panels, of which a board has at most 1,000"
    );
    let deep = "[".repeat(100_000);
    assert!(Dashboard::read(&deep).is_err());
}

#[test]
fn colours_of_thresholds_become_severities() {
    let mut json = every_kind();
    json["panels"][1]["fieldConfig"] = json!({ "defaults": { "thresholds": { "mode": "absolute",
        "steps": [{ "color": "dark-green", "value": null }, { "color": "#EAB839", "value": 1 },
                  { "color": "#F2495C", "value": 2 }] } } });
    let panel = &read(&json).unwrap().panels[1];
    let judged = [0.0, 1.0, 2.0].map(|value| panel.judge(value));
    assert_eq!(judged, [Severity::Good, Severity::Warn, Severity::Bad]);
}

#[test]
fn shelves_hold_every_panel_within_the_width() {
    for source in ALL_SHIPPED {
        let dashboard = Dashboard::read(source).unwrap();
        let all: Vec<usize> = (0..dashboard.panels.len()).collect();
        for width in [80, 120, 200, 20, 1] {
            let shelves = shelves(&dashboard.panels, &all, width);
            let placed: Vec<_> = shelves.iter().flat_map(|shelf| &shelf.cells).collect();
            assert!(placed.iter().map(|cell| cell.panel).eq(all.iter().copied()));
            for shelf in &shelves {
                let last = shelf.cells.last().unwrap();
                assert_eq!(last.x + last.width, width, "{shelf:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any file is either read or refused.
    #[test]
    fn no_text_makes_the_reader_panic(
        which in 0..3_usize,
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = ALL_SHIPPED[which].as_bytes().to_vec();
        for (place, byte) in &places {
            let at = place.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = Dashboard::read(&String::from_utf8_lossy(&bytes));
        bytes.truncate(cut.index(bytes.len()));
        let _ = Dashboard::read(&String::from_utf8_lossy(&bytes));
    }

    /// Any values in any place are read or refused, and a read dashboard can be laid out.
    #[test]
    fn no_value_in_a_dashboard_makes_the_reader_panic(
        panel in 0..9_usize,
        name in prop::sample::select(vec!["type", "title", "gridPos", "targets", "fieldConfig",
            "thresholds", "yaxes", "datasource", "options", "collapsed", "panels"]),
        value in prop::sample::select(vec![json!(null), json!(-1e308), json!("x"), json!([[]]),
            json!([{}]), json!({ "x": 1e300, "w": 0, "defaults": { "mappings": [1, {}],
            "thresholds": { "steps": [{}, 1] }, "min": 1e300, "decimals": 999 } })]),
    ) {
        let mut json = every_kind();
        json["panels"][panel][name] = value;
        if let Ok(dashboard) = read(&json) {
            let all: Vec<usize> = (0..dashboard.panels.len()).collect();
            shelves(&dashboard.panels, &all, 80);
            for panel in &dashboard.panels {
                for value in [0.0, -1e308, f64::NAN, f64::INFINITY] {
                    let _ = (panel.text(value), panel.judge(value));
                }
            }
        }
    }
}

/// A query without the dashboard's additions: its selection of servers, its window, zero for a missing value.
fn bare(query: &str) -> String {
    let mut bare = query
        .replace("job=~\"$job\",instance=~\"$instance\",", "")
        .replace("{job=~\"$job\",instance=~\"$instance\"}", "")
        .replace(" or vector(0))", ")")
        .replace("100 * ", "");
    bare.retain(|c| c != ' ' && c != '(' && c != ')');
    regex::Regex::new(r"\[[0-9]+s\]")
        .unwrap()
        .replace_all(&bare, "[]")
        .into_owned()
}

/// The Overview and the dashboard for Grafana must show the same figures.
#[test]
fn the_overview_and_the_on_sale_dashboard_have_the_same_queries_and_thresholds() {
    use crate::tui::sources::panels::{PanelId, panel};
    let dashboard = Dashboard::shipped();
    let cases = [
        (PanelId::Tps, "Requests a second", "1,284 /s", 1_284.0, 1.0),
        (PanelId::Errors, "5xx", "3.12%", 3.12, 100.0),
        (PanelId::P95, "p95 of buying", "412 ms", 0.412, 1.0),
        (PanelId::Waiting, "Waiting", "7", 7.0, 1.0),
        (PanelId::Seats, "Seats by status", "7", 7.0, 1.0),
    ];
    for (id, title, text, value, scale) in cases {
        let (ours, theirs) = (
            panel(id),
            dashboard
                .panels
                .iter()
                .find(|one| one.title == title)
                .unwrap(),
        );
        assert_eq!(bare(ours.query), bare(&theirs.targets[0].expr), "{title}");
        assert_eq!(theirs.text(value / scale), text, "{title}");
        let limits: Vec<f64> = theirs.limits().map(|limit| limit.at * scale).collect();
        let wanted: Vec<f64> = ours
            .thresholds
            .map_or(vec![], |limits| vec![limits.warn, limits.bad]);
        assert_eq!(limits, wanted, "{title}");
    }
}
