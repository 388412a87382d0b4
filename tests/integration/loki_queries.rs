//! Every query for log lines in runbooks, documents and dashboards finds its record, in the embedded store and in a
//! store with the same records in the form that Loki gives records from OTLP: the message is the line, all fields are
//! structured metadata.

use std::sync::Arc;
use std::time::Duration;

use concertctl::api::ops::Fault;
use concertctl::embedded::loki::{LokiConfig, LokiStore, routes};
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig, logs};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::support::collector::{Collector, attribute, text};
use crate::support::process::{ServerProcess, concertctl};
use crate::support::{User, eventually, profile, seed};

/// The queries of a Markdown file's `logql` blocks.
fn of_document(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut inside = false;
    let mut queries = Vec::new();
    for line in text.lines().map(str::trim) {
        match line {
            "```logql" => inside = true,
            line if line.starts_with("```") => inside = false,
            line if inside && !line.is_empty() => queries.push(line.to_owned()),
            _ => {}
        }
    }
    queries
}

/// The queries of every runbook and of the document on telemetry, each with its file.
fn of_documents() -> Vec<(String, String)> {
    let runbooks = std::fs::read_dir("docs/runbooks").unwrap();
    let mut paths: Vec<_> = runbooks
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    let documents = std::fs::read_dir("docs").unwrap();
    let documents = documents.map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|it| it == "md"));
    paths.extend(documents.map(|path| path.to_str().unwrap().to_owned()));
    paths.sort();
    let queries = paths.into_iter().flat_map(|path| {
        let mut queries = of_document(&path);
        queries.extend(of_code_spans(&path, "{service_name=\"concertctl"));
        queries.into_iter().map(move |query| (path.clone(), query))
    });
    queries.collect()
}

/// The code spans of a Markdown file that contain `part`; of a command, its parameter `query`.
fn of_code_spans(path: &str, part: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let outside = text.split("```").step_by(2);
    let spans = outside.flat_map(|text| text.split('`').skip(1).step_by(2));
    let wanted = spans.filter(|span| span.contains(part));
    let queries = wanted.map(|span| match span.split_once("query=") {
        Some((_, query)) => query.trim_end_matches('\''),
        None => span,
    });
    queries.map(str::to_owned).collect()
}

/// The queries of the dashboards to Loki about the service.
fn of_dashboards() -> Vec<(String, String)> {
    fn walk(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) => {
                let expr = object.get("expr").and_then(Value::as_str);
                let expr = expr.filter(|it| it.contains("service_name=~\"concertctl"));
                found.extend(expr.map(|it| ("on-sale.json".to_owned(), it.to_owned())));
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string("otel/grafana/dashboards/on-sale.json").unwrap();
    let mut found = Vec::new();
    walk(&serde_json::from_str(&text).unwrap(), &mut found);
    found
}

/// Stores a record as Loki stores one from OTLP, by the mapping in its documentation.
fn take_otlp(store: &LokiStore, resource: &[KeyValue], record: &LogRecord) {
    let service = attribute(resource, "service.name");
    let instance = attribute(resource, "service.instance.id");
    let labels = [
        ("service_instance_id", instance.as_str()),
        ("service_name", service.as_str()),
    ];
    let mut metadata: Vec<(String, String)> = vec![
        ("severity_text".into(), record.severity_text.clone()),
        ("severity_number".into(), record.severity_number.to_string()),
        ("detected_level".into(), record.severity_text.to_lowercase()),
    ];
    for (name, id) in [("trace_id", &record.trace_id), ("span_id", &record.span_id)] {
        if !id.is_empty() {
            metadata.push((name.into(), hex::encode(id)));
        }
    }
    for pair in &record.attributes {
        let value = pair.value.as_ref().map(text).unwrap_or_default();
        metadata.push((pair.key.replace('.', "_"), value));
    }
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let line = record.body.as_ref().map(text).unwrap_or_default();
    let at_ns = i64::try_from(record.time_unix_nano).unwrap();
    store.push_with_metadata(&labels, at_ns, &line, &metadata);
}

/// The API of a store on a port.
struct Api {
    url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Api {
    async fn of(store: LokiStore) -> Api {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let app = routes(Arc::new(store));
        let serving = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Api {
            url,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

/// The streams or series that a query finds.
async fn found(url: &str, token: &str, query: &str) -> Vec<Value> {
    let asked = [("query", query), ("since", "1h"), ("limit", "5000")];
    let client = crate::support::client();
    let url = format!("{url}/loki/api/v1/query_range");
    let asking = client.get(url).bearer_auth(token).query(&asked);
    let answer = asking.send().await.unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(status, 200, "{query}: {body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["data"]["result"].as_array().unwrap().clone()
}

/// Queries for records that the test below does not provoke. The record is logged as the code logs it.
const NOT_PROVOKED: &[(&str, &str)] = &[
    // A server with TLS; tls::renewal provokes it.
    ("CertificateExpires", "the TLS files were "),
    ("FileDescriptorsLow", "a connection could not be accepted"),
    ("RedisUnreachable", "the shared queue does not answer"),
    ("SeatLockFailures", "Redis is given up for the "),
];

/// A real server with problems that exports to a collector.
async fn in_trouble(dir: &std::path::Path, collector: &Collector) -> (ServerProcess, User) {
    let mut command = concertctl();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let more = ["--log", "info", "--slow-query", "50ms"];
    let server = ServerProcess::with(command, dir, &more).await;
    seed(&server.ops, &profile(1, 10, 10)).await;
    let user = {
        let mut user = server.user(1);
        assert_eq!(user.register().await.status, 201);
        let open = concertctl::api::ops::AdmissionChange {
            opening: Some(concertctl::api::ops::Opening::Now),
            every_ms: Some(100),
            follow: Some(concertctl::api::ops::Follow::Objective),
            ..Default::default()
        };
        server.ops.set_admission(&open).await.unwrap();
        user.until_active().await;
        user
    };
    let slow = Fault::SlowStatement {
        delay: std::time::Duration::from_millis(600),
        statement: Some("account.charge".to_owned()),
    };
    let errors = |status| Fault::Errors {
        share: 1.0,
        status,
        routes: None,
    };
    let inject = async |fault| {
        let length = std::time::Duration::from_secs(120);
        let injected = server.ops.inject_fault(&fault, length, None);
        injected.await.unwrap();
    };
    disk_is_full_for_a_moment(&server).await;
    inject(slow).await;
    assert_eq!(user.charge(json!(100)).await.status, 200);
    inject(errors(500)).await;
    assert_eq!(user.reserve(1).await.status, 500);
    inject(errors(503)).await;
    assert_eq!(user.reserve(1).await.status, 503);
    inject(Fault::ClockStep { seconds: -3_600 }).await;
    (server, user)
}

/// Returns when the server has reported the full disk and the database accepts writes again.
async fn disk_is_full_for_a_moment(server: &ServerProcess) {
    let is_up = async || {
        let metrics = server.ops.metrics().await.unwrap();
        metrics.contains("concert_database_up{backend=\"sqlite\"} 1")
    };
    let length = Duration::from_secs(120);
    let fault = Fault::DiskFull {};
    server.ops.inject_fault(&fault, length, None).await.unwrap();
    eventually("the database is down", || async {
        (!is_up().await).then_some(())
    })
    .await;
    server.ops.end_faults(None).await.unwrap();
    eventually("the database is up", || async {
        is_up().await.then_some(())
    })
    .await;
}

/// Checks that the console shows the duration and the details of the failed request in either form of the record.
async fn console_shows_the_same(server: &ServerProcess, by_otlp: &str) {
    let mut forms = Vec::new();
    for loki in [None, Some(by_otlp)] {
        let mut command = concertctl();
        command.args([
            "tui",
            "--once",
            "--screen",
            "3",
            "--ops-url",
            &server.ops_url,
        ]);
        command.env("CONCERTCTL_OPS_TOKEN", &server.ops_token);
        command.args(loki.map(|url| ["--loki-url", url]).into_iter().flatten());
        let shown = tokio::task::spawn_blocking(move || command.output());
        let shown = shown.await.unwrap().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let failed = shown
            .lines()
            .filter(|line| line.contains("POST /reservations failed with 503"));
        let failed: Vec<String> = failed.map(str::to_owned).collect();
        assert!(!failed.is_empty(), "{loki:?}:\n{shown}");
        for line in &failed {
            assert!(line.contains("ERROR") && line.contains(" ms "), "{line}");
            assert!(line.contains("weight=1"), "{line}");
        }
        forms.push(failed);
    }
    // The newest records differ, because one store gets its records a little later.
    let same = |line: &String| forms[1].contains(line);
    assert!(forms[0].iter().any(same), "{forms:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_for_log_lines_finds_its_record_in_both_kinds_of_stores() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let (server, user) = in_trouble(dir.path(), &collector).await;
    let received = eventually("the records are pushed", || async {
        let received = collector.received();
        let has = |part: &str| {
            let body = |record: &LogRecord| record.body.as_ref().map(text).unwrap_or_default();
            received.logs.iter().any(|(_, it)| body(it).contains(part))
        };
        let all = [
            "failed with 503",
            "slow query",
            "a batch was admitted",
            "clock was set",
            "the rate of admission was decided",
        ];
        all.into_iter().all(has).then_some(received)
    })
    .await;
    let store = LokiStore::new(LokiConfig::default());
    for (resource, record) in &received.logs {
        take_otlp(&store, resource, record);
    }
    let by_otlp = Api::of(store).await;

    let mut queries = of_documents();
    for named in ["find-the-bottleneck.md", "| unwrap weight", "runbooks"] {
        let is_it =
            |(place, query): &(String, String)| place.contains(named) || query.contains(named);
        assert!(queries.iter().any(is_it), "{named}: {queries:?}");
    }
    assert!(queries.len() >= 21, "{queries:?}");
    let of_dashboards = of_dashboards();
    assert!(!of_dashboards.is_empty());
    queries.extend(of_dashboards);
    let logged = |it: &&(_, LogRecord)| !it.1.trace_id.is_empty();
    let trace = hex::encode(&received.logs.iter().find(logged).unwrap().1.trace_id);
    for (place, query) in queries {
        if NOT_PROVOKED.iter().any(|(name, _)| place.contains(name)) {
            continue;
        }
        let query = query.replace("4bf92f3577b34da6a3ce929d0e0e4736", &trace);
        eventually(&format!("{place}: {query} finds a record"), || async {
            (!found(&server.ops_url, &server.ops_token, &query)
                .await
                .is_empty())
            .then_some(())
        })
        .await;
        assert!(
            !found(&by_otlp.url, "", &query).await.is_empty(),
            "{place}: {query}"
        );
    }
    // This comes first, because the checks below cause further failed requests.
    console_shows_the_same(&server, &by_otlp.url).await;
    links_lead_from_line_to_trace_and_back((&server, &user), &by_otlp, &trace).await;
    numbers_and_traces_of_the_documents_are_found((&server, &user)).await;
    for (what, query) in concertctl::tui::log_queries(&trace) {
        for (url, token) in [(&server.ops_url, &*server.ops_token), (&by_otlp.url, "")] {
            let lines = found(url, token, &query).await;
            assert!(!lines.is_empty(), "the console's {what} at {url}: {query}");
        }
    }
    // All signals have the same name for the server.
    let instance = attribute(&received.logs[0].0, "service.instance.id");
    assert!(server.ops_url.ends_with(&instance), "{instance}");
    let metric = format!(r#"up{{instance="{instance}"}}"#);
    has_a_number((&server, &user), &metric).await;
    let of_server = format!(r#"{{service_instance_id="{instance}"}}"#);
    assert!(
        !found(&server.ops_url, &server.ops_token, &of_server)
            .await
            .is_empty()
    );
    assert!(!found(&by_otlp.url, "", &of_server).await.is_empty());
    server.terminate();
    assert!(server.exited().await.success());
}

/// Checks the links of `datasources.yml` from the trace id of a line and from a span.
async fn links_lead_from_line_to_trace_and_back(
    (server, user): (&ServerProcess, &User),
    by_otlp: &Api,
    trace: &str,
) {
    let text = std::fs::read_to_string("otel/grafana/provisioning/datasources/datasources.yml");
    let sources: Value = serde_saphyr::from_str(&text.unwrap()).unwrap();
    let of = |uid: &str| {
        let sources = sources["datasources"].as_array().unwrap();
        sources.iter().find(|it| it["uid"] == uid).unwrap()["jsonData"].clone()
    };
    // Grafana's provisioning replaces `$$` by `$`.
    let (loki, tempo) = (of("loki"), of("tempo"));
    let query = tempo["tracesToLogsV2"]["query"].as_str().unwrap();
    let query = query.replace("$${__trace.traceId}", trace);
    let here = found(&server.ops_url, &server.ops_token, &query).await;
    let there = found(&by_otlp.url, "", &query).await;
    for field in loki["derivedFields"].as_array().unwrap() {
        assert_eq!(field["url"], "$${__value.raw}");
        let pattern = field["matcherRegex"].as_str().unwrap();
        if field["matcherType"] == "label" {
            for streams in [&here, &there] {
                let labels = streams.iter().map(|stream| &stream["stream"][pattern]);
                assert!(labels.clone().count() > 0, "{query}");
                assert!(labels.clone().all(|id| *id == trace), "{streams:?}");
            }
        } else {
            let regex = regex::Regex::new(pattern).unwrap();
            let line = here[0]["values"][0][1].as_str().unwrap();
            assert_eq!(&regex.captures(line).unwrap()[1], trace, "{line}");
        }
    }
    let tags = r#"http_route="/reservations",http_request_method="POST""#;
    for asked in tempo["tracesToMetrics"]["queries"].as_array().unwrap() {
        let query = asked["query"].as_str().unwrap().replace("$$__tags", tags);
        has_a_number((server, user), &query).await;
    }
}

/// Checks the PromQL and TraceQL of the document on finding a bottleneck.
async fn numbers_and_traces_of_the_documents_are_found((server, user): (&ServerProcess, &User)) {
    let path = "docs/find-the-bottleneck.md";
    let numbers = of_code_spans(path, "_bucket[30s]");
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    for query in numbers {
        has_a_number((server, user), &query).await;
    }
    let traces = of_code_spans(path, "ask /api/search 'q=");
    let slow = traces
        .iter()
        .find(|it| it.contains("account.charge"))
        .unwrap();
    let query = slow.split_once("q=").unwrap().1.trim_end_matches('\'');
    eventually(&format!("{query} finds a trace"), || async {
        let answer = ask(server, "/api/search", &[("q", query)]).await;
        answer["traces"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
            .then_some(())
    })
    .await;
}

/// Waits until a query has a number. A rate needs requests between two scrapes.
async fn has_a_number((server, user): (&ServerProcess, &User), query: &str) {
    eventually(&format!("{query} has a number"), || async {
        user.reserve(1).await;
        let answer = ask(server, "/api/v1/query", &[("query", query)]).await;
        let series = answer["data"]["result"].as_array().unwrap().clone();
        let mut values = series.iter().map(|one| one["value"][1].as_str().unwrap());
        values.any(|value| value != "NaN").then_some(())
    })
    .await;
}

async fn ask(server: &ServerProcess, path: &str, params: &[(&str, &str)]) -> Value {
    let client = crate::support::client();
    let asking = client
        .get(format!("{}{path}", server.ops_url))
        .query(params);
    let answer = asking.bearer_auth(&server.ops_token).send().await.unwrap();
    answer.json().await.unwrap()
}

/// A notification of Alertmanager as the alert receiver writes it and the collector forwards it: under the name of its
/// Compose service.
#[tokio::test]
async fn the_panel_of_notifications_shows_the_lines_of_the_alert_receiver() {
    let compose = std::fs::read_to_string("docker-compose.yml").unwrap();
    let compose: Value = serde_saphyr::from_str(&compose).unwrap();
    let collector = std::fs::read_to_string("otel/collector/config.yml").unwrap();
    assert!(
        collector.contains(r#"to: resource["service.name"]"#),
        "{collector}"
    );
    let text = std::fs::read_to_string("otel/grafana/dashboards/alerts.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let panels: Vec<&Value> = panels.filter(|it| it["type"] == "logs").collect();
    assert_eq!(panels.len(), 1);
    let query = panels[0]["targets"][0]["expr"].as_str().unwrap();
    let store = LokiStore::new(LokiConfig::default());
    let notice = r#"{"receiver":"receiver","status":"firing","alerts":[]}"#;
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    for service in compose["services"].as_object().unwrap().keys() {
        store.push(
            &[("service_name", service)],
            now,
            &format!("{service} {notice}"),
        );
    }
    let api = Api::of(store).await;
    let streams = found(&api.url, "", query).await;
    assert_eq!(streams.len(), 1, "{streams:?}");
    let line = streams[0]["values"][0][1].as_str().unwrap();
    assert!(line.starts_with("alert-receiver "), "{line}");
    // Without these options the collector cannot know which service wrote a line.
    assert!(!compose["services"]["alert-receiver"]["logging"].is_null());
}

#[tokio::test]
async fn queries_for_records_that_are_hard_to_provoke_find_them_in_both_kinds_of_stores() {
    let (subscriber, logs) = logs::build(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".into(),
        queue: 1000,
        traces: TraceConfig::default(),
        limits: LogLimits::default(),
    })
    .unwrap();
    let embedded = Arc::new(LokiStore::new(LokiConfig::default()));
    let by_otlp = LokiStore::new(LokiConfig::default());
    let ingest = tokio::spawn(Arc::clone(&embedded).ingest(logs.subscribe(1000)));
    let now = jiff::Timestamp::now().as_nanosecond();
    tracing::subscriber::with_default(subscriber, || {
        for (_, message) in NOT_PROVOKED {
            tracing::warn!("{message}");
        }
    });
    for (_, message) in NOT_PROVOKED {
        let labels = [("service_name", "concertctl-api")];
        let level = [("severity_text", "WARN")];
        by_otlp.push_with_metadata(&labels, i64::try_from(now).unwrap(), message, &level);
    }
    assert!(logs.close(Duration::from_secs(10)));
    ingest.await.unwrap();
    let embedded = Api::of(Arc::into_inner(embedded).unwrap()).await;
    let by_otlp = Api::of(by_otlp).await;
    let source: String = [
        "src/coordination",
        "src/booking",
        "src/store",
        "src/http",
        "src/serve",
    ]
    .into_iter()
    .map(texts_under)
    .collect();
    for (name, message) in NOT_PROVOKED {
        assert!(source.contains(message), "nothing logs \"{message}\"");
        for query in of_document(&format!("docs/runbooks/{name}.md")) {
            for api in [&embedded, &by_otlp] {
                assert!(
                    !found(&api.url, "", &query).await.is_empty(),
                    "{name}: {query}"
                );
            }
        }
    }
}

/// The text of all files below a directory.
fn texts_under(dir: &str) -> String {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| match path.is_dir() {
        true => texts_under(path.to_str().unwrap()),
        false => std::fs::read_to_string(path).unwrap(),
    });
    texts.collect()
}
