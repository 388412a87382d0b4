//! The reading part of Loki's HTTP API (<https://grafana.com/docs/loki/latest/reference/loki-http-api/>).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::eval::{self, Budget, ResultSeries, Value, Window};
use super::explore;
use super::logql::{self, Metric, MetricExpr, Query};
use super::params::Params;
use super::responses::{Answer, CATEGORIZE_LABELS, Data, Stats, success};
use super::store::{Labels, LokiStore};
use super::{QueryError, QueryLimits};
use crate::embedded::matcher::Matcher;
use crate::embedded::now_ns;
use crate::embedded::request::get_or_post;

/// The largest form body, in bytes. A form with a query is far smaller.
const MAX_FORM_BYTES: usize = 64 << 10;
/// The default range of label and series look-ups, in nanoseconds.
const LABELS_SINCE_NS: i64 = 6 * 3_600_000_000_000;

/// Loki's API over a store. It only reads; clients cannot push lines.
pub fn routes(store: Arc<LokiStore>) -> Router {
    let api = Router::new()
        .route("/query_range", get_or_post(query_range))
        .route("/query", get_or_post(query))
        .route("/labels", get_or_post(labels))
        .route("/label/{name}/values", get_or_post(values))
        .route("/series", get_or_post(series))
        .merge(explore::routes())
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(store);
    Router::new().nest("/loki/api/v1", api)
}

pub(super) type Store = State<Arc<LokiStore>>;

async fn query_range(
    State(store): Store,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, QueryError> {
    let started = Instant::now();
    let limits = &store.config.limits;
    if params.get("interval").is_some_and(|text| text != "0") {
        return Err(QueryError::refused(
            "the parameter 'interval' is not supported",
        ));
    }
    let (start_ns, end_ns) = params.range(now_ns())?;
    check_range(end_ns.saturating_sub(start_ns), limits)?;
    match parse(&params, limits)? {
        Query::Log(expr) => {
            let window = Window {
                limit: params.limit(limits.max_entries)?,
                direction: params.direction()?,
                categorize: asks_to_categorize(&headers),
            };
            evaluate(store, started, move |store, budget| {
                let snapshot = store.snapshot(&[&expr.selector], start_ns, end_ns);
                let result = eval::log_query(&snapshot, &expr, (start_ns, end_ns), window, budget);
                result.map(|streams| Data::streams(streams, window.categorize))
            })
            .await
        }
        Query::Metric(expr) => {
            let steps = params.steps(start_ns, end_ns)?;
            evaluate(store, started, move |store, budget| {
                Ok(match metric(store, &expr, &steps, budget)? {
                    Value::Number(number) => Data::matrix([ResultSeries::constant(number, &steps)]),
                    Value::Series(series) => Data::matrix(series),
                })
            })
            .await
        }
    }
}

async fn query(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let started = Instant::now();
    let at_ns = params.time("time")?.unwrap_or_else(now_ns);
    match parse(&params, &store.config.limits)? {
        Query::Log(_) => Err(QueryError::refused(
            "log queries are not supported as an instant query type, please change your query to a \
             range query type",
        )),
        Query::Metric(expr) => {
            evaluate(store, started, move |store, budget| {
                Ok(match metric(store, &expr, &[at_ns], budget)? {
                    Value::Number(number) => Data::scalar(at_ns, number),
                    Value::Series(series) => Data::vector(series),
                })
            })
            .await
        }
    }
}

async fn labels(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let found = label_sets(&store, &params, params.get("query").into_iter())?;
    let names: BTreeSet<_> = found
        .into_iter()
        .flat_map(|labels| labels.keys().cloned().collect::<Vec<_>>())
        .collect();
    Ok(success(&names))
}

async fn values(
    State(store): Store,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, QueryError> {
    let found = label_sets(&store, &params, params.get("query").into_iter())?;
    let values: BTreeSet<_> = found
        .iter()
        .filter_map(|labels| labels.get(&name))
        .collect();
    Ok(success(&values))
}

async fn series(State(store): Store, params: Params) -> Result<Response, QueryError> {
    let selectors = params.all("match[]").chain(params.all("match"));
    let mut found = label_sets(&store, &params, selectors)?;
    found.sort();
    Ok(success(&found))
}

pub(super) fn parse(params: &Params, limits: &QueryLimits) -> Result<Query, QueryError> {
    let text = params.get("query").unwrap_or_default();
    if text.chars().count() > limits.max_query_length {
        return Err(QueryError::refused(format!(
            "parse error : input size too long ({} > {})",
            text.chars().count(),
            limits.max_query_length
        )));
    }
    let query = logql::parse(text)?;
    if let Query::Metric(metric) = &query {
        let mut longest = 0;
        metric.ranges(&mut |range| longest = longest.max(range.range_ns));
        check_range(longest, limits)?;
    }
    Ok(query)
}

pub(super) fn check_range(range_ns: i64, limits: &QueryLimits) -> Result<(), QueryError> {
    if u128::from(range_ns.unsigned_abs()) > limits.max_range.as_nanos() {
        return Err(QueryError::refused(format!(
            "the query time range exceeds the limit (query length: {}s, limit: {}s)",
            range_ns / 1_000_000_000,
            limits.max_range.as_secs()
        )));
    }
    Ok(())
}

fn metric(
    store: &LokiStore,
    metric: &Metric,
    steps: &[i64],
    budget: &mut Budget,
) -> Result<Value, QueryError> {
    eval::metric_value(metric, steps, &mut |range| {
        over_lines(store, range, steps, budget)
    })
}

/// Evaluates a function over the lines of windows.
fn over_lines(
    store: &LokiStore,
    expr: &MetricExpr,
    steps: &[i64],
    budget: &mut Budget,
) -> Result<Vec<ResultSeries>, QueryError> {
    let (first, last) = (steps.first().copied(), steps.last().copied());
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    let from = first
        .saturating_sub(expr.offset_ns)
        .saturating_sub(expr.range_ns);
    let to = last.saturating_sub(expr.offset_ns);
    let snapshot = store.snapshot(&[&expr.log.selector], from, to);
    eval::metric_query(&snapshot, expr, steps, budget)
}

/// The response to a query: its result and its cost.
async fn evaluate(
    store: Arc<LokiStore>,
    started: Instant,
    work: impl FnOnce(&LokiStore, &mut Budget) -> Result<Data, QueryError> + Send + 'static,
) -> Result<Response, QueryError> {
    in_turn(store, started, move |store, budget| {
        let data = work(store, budget)?;
        let stats = Stats::new(budget, started);
        Ok(success(&Answer { data, stats }))
    })
    .await
}

/// Waits for its turn and computes a response.
pub(super) async fn in_turn(
    store: Arc<LokiStore>,
    started: Instant,
    work: impl FnOnce(&LokiStore, &mut Budget) -> Result<Response, QueryError> + Send + 'static,
) -> Result<Response, QueryError> {
    let turns = store.turns.clone();
    let timeout = store.config.limits.timeout;
    let work = move || {
        let mut budget = Budget::new(&store.config.limits, started);
        work(&store, &mut budget)
    };
    turns.compute(started, timeout, work).await
}

/// The labels of the streams that have lines in the range of the parameters.
pub(super) fn label_sets<'a>(
    store: &LokiStore,
    params: &Params,
    selectors: impl Iterator<Item = &'a str>,
) -> Result<Vec<Arc<Labels>>, QueryError> {
    let limits = &store.config.limits;
    let (start_ns, end_ns) = params.bounds(now_ns(), LABELS_SINCE_NS)?;
    let groups = selectors
        .map(|text| selector(text, limits))
        .collect::<Result<Vec<Vec<Matcher>>, _>>()?;
    let groups: Vec<&[Matcher]> = groups.iter().map(Vec::as_slice).collect();
    let streams = store.snapshot(&groups, start_ns, end_ns);
    Ok(streams.into_iter().map(|stream| stream.labels).collect())
}

pub(super) fn selector(text: &str, limits: &QueryLimits) -> Result<Vec<Matcher>, QueryError> {
    if text.len() > limits.max_query_length {
        return Err(QueryError::refused("the selector is too long"));
    }
    logql::parse_selector(text)
}

/// Returns whether the client wants the labels of lines apart from those of streams.
pub(super) fn asks_to_categorize(headers: &HeaderMap) -> bool {
    let flags = headers.get_all("x-loki-response-encoding-flags").iter();
    flags
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|flag| flag.trim() == CATEGORIZE_LABELS)
}
