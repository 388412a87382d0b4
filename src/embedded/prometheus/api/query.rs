//! `query` and `query_range`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;

use super::params::Params;
use super::{ApiError, ApiState, json, success};
use crate::embedded::now_ms;
use crate::embedded::prometheus::promql::{Context, Query};

pub(super) async fn instant(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let at = params.time("time")?.unwrap_or_else(now_ms);
    let timeout = params.timeout(state.limits.timeout)?;
    let text = params.text("query").to_owned();
    evaluate(state, timeout, move |ctx| {
        let result = Query::parse(&text, ctx.limits)?.instant(ctx, at)?;
        Ok(json::result(&result))
    })
    .await
}

pub(super) async fn range(
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::parameter(
            "end",
            "end timestamp must not be before start time",
        ));
    }
    let step = params.duration("step")?;
    if step <= 0.0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    // Time stamps are in milliseconds, so a finer step would not advance.
    let step = (step as i64).max(1);
    if (end - start) / step > state.limits.max_points as i64 {
        return Err(ApiError::bad_data(format!(
            "exceeded maximum resolution of {} points per timeseries. \
             Try decreasing the query resolution (?step=XX)",
            with_thousands(state.limits.max_points)
        )));
    }
    let timeout = params.timeout(state.limits.timeout)?;
    let text = params.text("query").to_owned();
    evaluate(state, timeout, move |ctx| {
        let result = Query::parse(&text, ctx.limits)?.range(ctx, start, end, step)?;
        Ok(json::result(&result))
    })
    .await
}

fn with_thousands(n: usize) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", with_thousands(n / 1000), n % 1000),
    }
}

/// Waits for its turn and computes an answer.
pub(super) async fn evaluate(
    state: ApiState,
    timeout: Duration,
    run: impl FnOnce(&Context<'_>) -> Result<String, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let started = Instant::now();
    let client = CancelOnDrop(Arc::default());
    let canceled = client.0.clone();
    let turns = state.turns.clone();
    let work = move || {
        run(&Context {
            tsdb: &state.tsdb,
            limits: &state.limits,
            deadline: started + timeout,
            canceled,
        })
    };
    let data = turns.compute(started, timeout, work).await?;
    Ok(success(&data))
}

/// Cancels the query when the future of the request is dropped, because the client closed its connection.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
