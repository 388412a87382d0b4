//! A server that answers like the sources, with numbers that a test chooses.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use concertctl::api::ops::{
    AdmissionChange, AdmissionState, Dataset, QueueState, SeedPhase, SeedProgress, SeedRequest,
    Status,
};
use concertctl::clients::alertmanager::{Alert, AlertState, PostableAlert};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The bearer token for writes.
pub(crate) const TOKEN: &str = "let-me-in";

/// The answers of the server, and the requests that it got.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) tps: f64,
    pub(crate) dataset: Option<Dataset>,
    pub(crate) paused: bool,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) lines: Vec<(i64, String)>,
    pub(crate) log_queries: Vec<String>,
    pub(crate) seeded: Vec<SeedRequest>,
}

/// A running server; it ends with the test.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    pub(crate) facts: Arc<Mutex<Facts>>,
}

type Shared = State<Arc<Mutex<Facts>>>;
type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

impl Fake {
    pub(crate) async fn start() -> Fake {
        let facts = Arc::new(Mutex::new(Facts {
            tps: 42.0,
            ..Facts::default()
        }));
        let routes = Router::new()
            .route("/api/v1/query", get(instant))
            .route("/api/v1/query_range", get(range))
            .route("/loki/api/v1/query_range", get(logs))
            .route("/api/search", get(no_traces))
            .route("/api/v2/alerts", get(alerts).post(post_alerts))
            .route("/ops/v1/status", get(status))
            .route(
                "/ops/v1/seed",
                get(seed_progress).post(seed).delete(seed_progress),
            )
            .route("/ops/v1/admission", axum::routing::put(admission))
            .with_state(Arc::clone(&facts));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Fake { addr, facts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// The demo dataset.
pub(crate) fn demo() -> Dataset {
    Dataset {
        profile: "demo".into(),
        concerts: 5,
        dates: 20,
        seats: 10_000,
        users: 2_000,
        on_sale_concert: 1,
        on_sale_seats: 2_000,
        popular_seats: 400,
        seats_per_date: 500,
        seeded_at: "2026-06-01T12:00:00Z".into(),
    }
}

fn text(asked: &Value, name: &str) -> String {
    asked[name].as_str().unwrap_or_default().to_owned()
}

fn value(facts: &Facts, query: &str) -> Option<f64> {
    if query.starts_with("sum(rate(http_server_request_duration_seconds_count") {
        Some(facts.tps)
    } else {
        query.contains("concert_queue_waiting").then_some(7_777.0)
    }
}

async fn instant(State(facts): Shared, Query(asked): Query<Value>) -> Answer {
    let query = text(&asked, "query");
    if query.contains("broken(") {
        let refusal = json!({"status": "error", "errorType": "bad_data", "error": "parse error: unknown function"});
        return Err((StatusCode::BAD_REQUEST, Json(refusal)));
    }
    let at: f64 = text(&asked, "time").parse().unwrap();
    let result: Vec<_> = value(&facts.lock(), &query)
        .map(|value| json!({"metric": {}, "value": [at, value.to_string()]}))
        .into_iter()
        .collect();
    Ok(Json(
        json!({"status": "success", "data": {"resultType": "vector", "result": result}}),
    ))
}

async fn range(State(facts): Shared, Query(asked): Query<Value>) -> Answer {
    let number = |name| text(&asked, name).parse::<f64>().unwrap();
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let points = |value: f64| {
        let mut at = start;
        let mut values = Vec::new();
        while at <= end {
            values.push(json!([at, value.to_string()]));
            at += step;
        }
        json!({"metric": {}, "values": values})
    };
    let result: Vec<_> = value(&facts.lock(), &text(&asked, "query"))
        .map(points)
        .into_iter()
        .collect();
    Ok(Json(
        json!({"status": "success", "data": {"resultType": "matrix", "result": result}}),
    ))
}

async fn logs(State(facts): Shared, Query(asked): Query<Value>) -> Answer {
    let mut facts = facts.lock();
    let query = text(&asked, "query");
    facts.log_queries.push(query.clone());
    let number = |name| text(&asked, name).parse::<i64>().unwrap();
    let (start, end) = (number("start"), number("end"));
    let wanted = query
        .split("|~ \"(?i)")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let values: Vec<_> = facts
        .lines
        .iter()
        .filter(|(at, line)| (start..end).contains(at) && line.contains(wanted))
        .map(|(at, line)| json!([at.to_string(), line]))
        .collect();
    let result = json!([{"stream": {"service_name": "concertctl-api"}, "values": values}]);
    Ok(Json(
        json!({"status": "success", "data": {"resultType": "streams", "result": result}}),
    ))
}

async fn no_traces() -> Json<Value> {
    Json(json!({"traces": [], "metrics": {}}))
}

async fn alerts(State(facts): Shared) -> Json<Vec<Alert>> {
    Json(facts.lock().alerts.clone())
}

async fn post_alerts(
    State(facts): Shared,
    headers: HeaderMap,
    Json(posted): Json<Vec<PostableAlert>>,
) -> Result<StatusCode, (StatusCode, Json<Value>)> {
    authorised(&headers)?;
    let mut facts = facts.lock();
    for alert in posted {
        facts.alerts.retain(|old| old.labels != alert.labels);
        let now = jiff::Timestamp::now();
        let over = alert
            .ends_at
            .as_ref()
            .is_some_and(|at| at.parse::<jiff::Timestamp>().unwrap() <= now);
        if !over {
            let mut listed = Alert {
                labels: alert.labels,
                annotations: alert.annotations,
                starts_at: alert.starts_at.unwrap_or_else(|| now.to_string()),
                ..Alert::default()
            };
            listed.status.state = AlertState::Active;
            facts.alerts.push(listed);
        }
    }
    Ok(StatusCode::OK)
}

fn authorised(headers: &HeaderMap) -> Result<(), (StatusCode, Json<Value>)> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if given == Some(&format!("Bearer {TOKEN}")) {
        return Ok(());
    }
    Err((
        StatusCode::UNAUTHORIZED,
        Json(json!({"detail": "the operations token is missing or wrong"})),
    ))
}

fn admission_of(facts: &Facts) -> AdmissionState {
    AdmissionState {
        batch: 500,
        every_ms: 15_000,
        paused: facts.paused,
        opens_at_ms: None,
        open: true,
        follow: Default::default(),
        rate: 0.0,
    }
}

async fn status(State(facts): Shared) -> Json<Status> {
    let facts = facts.lock();
    Json(Status {
        version: "test".into(),
        api_addr: "127.0.0.1:9".into(),
        dataset: facts.dataset.clone(),
        queue: QueueState::default(),
        admission: admission_of(&facts),
        consoles: 1,
        memory_bytes: None,
    })
}

async fn admission(
    State(facts): Shared,
    headers: HeaderMap,
    Json(change): Json<AdmissionChange>,
) -> Result<Json<AdmissionState>, (StatusCode, Json<Value>)> {
    authorised(&headers)?;
    let mut facts = facts.lock();
    facts.paused = change.paused.unwrap_or(facts.paused);
    Ok(Json(admission_of(&facts)))
}

async fn seed_progress() -> Json<SeedProgress> {
    Json(SeedProgress::default())
}

async fn seed(
    State(facts): Shared,
    headers: HeaderMap,
    Json(request): Json<SeedRequest>,
) -> Result<Json<SeedProgress>, (StatusCode, Json<Value>)> {
    authorised(&headers)?;
    let mut facts = facts.lock();
    if facts.dataset.is_some() && !request.replace {
        return Err((
            StatusCode::CONFLICT,
            Json(json!({"detail": "the dataset demo is there"})),
        ));
    }
    facts.dataset = Some(demo());
    facts.seeded.push(request);
    Ok(Json(SeedProgress {
        phase: SeedPhase::Done,
        ..SeedProgress::default()
    }))
}
