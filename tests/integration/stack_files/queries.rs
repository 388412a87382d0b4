//! Every query of dashboards, links and the console uses existing metrics and labels.

use std::collections::BTreeSet;

use concertctl::embedded::prometheus::QueryLimits;
use concertctl::embedded::prometheus::promql::Query;
use concertctl::telemetry::{Deliveries, LoadgenKind, LoadgenMetrics};

use super::dashboards::{Dashboard, all};
use super::{list, yaml};
use crate::support::metric_names::Catalogue;
use crate::support::{Server, SqliteRedis};

/// The metrics of the other programs of the stack that the dashboards use, with their labels.
const OF_OTHERS: &[(&str, &[&str])] = &[
    // Prometheus, about its rules and targets.
    ("ALERTS", &["alertname", "alertstate", "severity", "area"]),
    ("up", &[]),
    (
        "prometheus_rule_group_last_duration_seconds",
        &["rule_group"],
    ),
    ("prometheus_rule_evaluation_failures_total", &["rule_group"]),
    (
        "prometheus_rule_group_iterations_missed_total",
        &["rule_group"],
    ),
    // Alertmanager.
    ("alertmanager_alerts", &["state"]),
    ("alertmanager_silences", &["state"]),
    ("alertmanager_notifications_total", &["integration"]),
    ("alertmanager_notifications_failed_total", &["integration"]),
    // cAdvisor; the configuration of Prometheus makes service and project from Compose's labels.
    (
        "container_cpu_usage_seconds_total",
        &["name", "service", "project"],
    ),
    (
        "container_memory_working_set_bytes",
        &["name", "service", "project"],
    ),
    (
        "container_spec_memory_limit_bytes",
        &["name", "service", "project"],
    ),
    (
        "container_cpu_cfs_periods_total",
        &["name", "service", "project"],
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        &["name", "service", "project"],
    ),
    (
        "container_network_receive_bytes_total",
        &["name", "service", "project", "interface"],
    ),
    (
        "container_network_transmit_bytes_total",
        &["name", "service", "project", "interface"],
    ),
    (
        "container_start_time_seconds",
        &["name", "service", "project"],
    ),
    // The collector.
    ("otelcol_receiver_accepted_spans_total", &["receiver"]),
    (
        "otelcol_receiver_accepted_metric_points_total",
        &["receiver"],
    ),
    ("otelcol_receiver_accepted_log_records_total", &["receiver"]),
    ("otelcol_exporter_queue_size", &["exporter", "data_type"]),
    (
        "otelcol_exporter_queue_capacity",
        &["exporter", "data_type"],
    ),
    ("otelcol_exporter_send_failed_spans_total", &["exporter"]),
    (
        "otelcol_exporter_send_failed_log_records_total",
        &["exporter"],
    ),
];

/// Metrics that the service exports only after an event: a query to a database, a full queue of an exporter, an
/// injected fault.
const SOMETIMES: &[(&str, &[&str])] = &[
    ("concert_database_up", &["backend"]),
    ("concert_telemetry_dropped_total", &["signal"]),
    ("concert_fault_active", &["fault"]),
];

/// The metrics of the service with all its parts, and of the load generator.
async fn of_ours(server: &Server<SqliteRedis>) -> Catalogue {
    let mut known = Catalogue::of_server(server).await;
    let metrics = LoadgenMetrics::new(None, &Deliveries::default()).unwrap();
    let kind = LoadgenKind {
        traffic: "strangers".to_owned(),
        phase: "open",
        operation: "reserve",
        status: 201,
    };
    metrics.request(&kind, std::time::Duration::from_millis(5));
    metrics.users("waiting", 1);
    known.merge(Catalogue::of_exposition(&metrics.render()));
    known
}

/// The queries for the values of variables, from `label_values(SELECTOR, LABEL)`.
fn choices(dashboard: &Dashboard) -> Vec<String> {
    let definitions = dashboard.variables().map(|it| {
        assert_eq!(it["definition"], it["query"]["query"], "{}", it["name"]);
        it["definition"].as_str().unwrap()
    });
    let inner = definitions.map(|it| {
        let inner = it
            .strip_prefix("label_values(")
            .and_then(|it| it.strip_suffix(')'));
        let (selector, label) = inner.unwrap().rsplit_once(", ").unwrap();
        format!("group by ({label}) ({})", dashboard.filled_in(selector))
    });
    inner.collect()
}

/// The queries of the links from a trace.
fn of_links() -> Vec<String> {
    let file = yaml("otel/grafana/provisioning/datasources/datasources.yml");
    let links = list(&file["datasources"]).map(|it| &it["jsonData"]["tracesToMetrics"]);
    let with_tags = links.map(|link| {
        let labels =
            list(&link["tags"]).map(|tag| format!("{}=\"x\"", tag["value"].as_str().unwrap()));
        (link, labels.collect::<Vec<_>>().join(","))
    });
    with_tags
        .flat_map(|(link, tags)| {
            list(&link["queries"])
                .map(move |it| it["query"].as_str().unwrap().replace("$$__tags", &tags))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_uses_existing_metrics_and_labels() {
    crate::needs!(Server<SqliteRedis>);
    let server = Server::<SqliteRedis>::empty().await;
    let mut known = of_ours(&server).await;
    server.stop().await;
    let mut wrong: Vec<String> = Vec::new();
    let mut sometimes = Catalogue::default();
    for (name, labels) in SOMETIMES {
        sometimes.add(name, labels.iter().copied());
    }
    known.merge(sometimes);
    // The console reads one server, which has no metrics of other programs.
    for query in concertctl::tui::queries() {
        wrong.extend(
            known
                .check(&query)
                .iter()
                .map(|it| format!("console: {it}: {query}")),
        );
    }
    let mut others = Catalogue::default();
    for (name, labels) in OF_OTHERS {
        let ours = known.names().any(|known| known == *name);
        assert!(
            !ours,
            "{name} is a metric of this project: do not list its labels, a server must export them"
        );
        others.add(name, labels.iter().copied());
    }
    known.merge(others);
    let mut queries: Vec<(String, String)> = Vec::new();
    for dashboard in all() {
        let asked = dashboard
            .questions()
            .into_iter()
            .filter(|it| it.source == "prometheus");
        queries.extend(asked.map(|it| (it.place, it.query)));
        queries.extend(
            choices(&dashboard)
                .into_iter()
                .map(|it| (dashboard.name.clone(), it)),
        );
    }
    queries.extend(of_links().into_iter().map(|it| ("links".to_owned(), it)));
    assert!(queries.len() > 80, "{}", queries.len());
    for (place, query) in &queries {
        wrong.extend(
            known
                .check(query)
                .iter()
                .map(|it| format!("{place}: {it}: {query}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let listed = OF_OTHERS.iter().chain(SOMETIMES);
    let unused = listed.map(|(name, _)| *name);
    let unused: BTreeSet<_> = unused
        .filter(|name| !queries.iter().any(|(_, query)| query.contains(name)))
        .collect();
    assert!(
        unused.is_empty(),
        "listed, but no query uses it: {unused:?}"
    );
}

#[test]
fn the_embedded_log_store_accepts_every_query_for_log_lines() {
    let questions = all().into_iter().flat_map(|it| it.questions());
    let questions: Vec<_> = questions.filter(|it| it.source == "loki").collect();
    assert_eq!(questions.len(), 2);
    for question in questions {
        let checked = concertctl::embedded::loki::check_query(&question.query);
        assert_eq!(checked, Ok(()), "{}", question.place);
    }
}

#[test]
fn the_embedded_metrics_store_accepts_every_query_for_metrics() {
    let limits = QueryLimits::default();
    let questions = all().into_iter().flat_map(|it| it.questions());
    let mut queries: Vec<_> = questions
        .filter(|it| it.source == "prometheus")
        .map(|it| (it.place, it.query))
        .collect();
    queries.extend(of_links().into_iter().map(|it| ("links".to_owned(), it)));
    assert!(queries.len() > 80, "{}", queries.len());
    for (place, query) in queries {
        let parsed = Query::parse(&query, &limits);
        assert!(parsed.is_ok(), "{place}: {query}: {parsed:?}");
    }
}
