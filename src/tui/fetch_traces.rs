//! Asks for traces, but only while somebody looks at them, and once at the start to know whether
//! the source is there.

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::event::Event;
use super::fetch::{Backoff, now_ms, pause};
use super::model::{Plan, Source};
use super::traces::{Asked, LIMIT, Order, SPAN_S};
use crate::clients::ClientError;
use crate::clients::tempo::{FoundTrace, Tempo, TraceSearch};

/// Pause between two rounds.
const EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// The source's clock may be this much ahead, in seconds.
const CLOCK_SKEW_S: i64 = 5;
/// Searches that one round takes at most to find the slowest.
const NARROWING: usize = 8;

/// What of the plan the traces follow: the list, or one trace by its id.
type Wanted = (Option<Asked>, Option<String>);

fn wanted(plan: &Plan) -> Wanted {
    (plan.traces, plan.trace.clone())
}

/// The task of the trace source.
pub(super) async fn follow(
    source: Tempo,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    let mut is_known = false;
    loop {
        let started = Instant::now();
        let now = wanted(&plan.borrow_and_update());
        if is_known && now == (None, None) {
            if plan.wait_for(|plan| wanted(plan) != now).await.is_err() {
                return;
            }
            continue;
        }
        let (event, wait) = match round(&source, &now).await {
            Ok(event) => {
                backoff = Backoff::default();
                is_known = true;
                (event, EVERY)
            }
            Err(error) => {
                is_known = false;
                let asked = source.source().heard().retry_after();
                backoff.down_for(Source::Tempo, &error, asked)
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
        pause(started + wait, &mut plan, &now, wanted).await;
    }
}

/// Asks once, and tells of a failure as it tells of anything.
pub(super) async fn once(source: &Tempo, plan: &Plan) -> Event {
    let answer = round(source, &wanted(plan)).await;
    answer.unwrap_or_else(|error| Backoff::default().down(Source::Tempo, &error).0)
}

/// Asks for what is wanted, for next to nothing if that is nothing.
async fn round(source: &Tempo, wanted: &Wanted) -> Result<Event, ClientError> {
    match wanted {
        (_, Some(id)) => trace(source, id).await,
        (Some(asked), None) => list(source, *asked).await,
        (None, None) => {
            source.search(&search(Asked::default(), 1)).await?;
            Ok(Event::TracesThere)
        }
    }
}

async fn trace(source: &Tempo, id: &str) -> Result<Event, ClientError> {
    let trace = match source.trace(id).await {
        Ok(trace) => Ok(trace),
        // The source, or its client, looked at this one: another one may be well.
        Err(
            error @ (ClientError::Refused { status: 400, .. }
            | ClientError::Malformed(_)
            | ClientError::TooLarge),
        ) => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    Ok(Event::Trace {
        id: id.to_owned(),
        trace,
    })
}

fn search(asked: Asked, limit: usize) -> TraceSearch {
    let now = now_ms() / 1000;
    let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
    let failed = (asked.order == Order::Failed).then(|| ("error".to_owned(), "true".to_owned()));
    TraceSearch {
        tags: failed.into_iter().collect(),
        min_ms: Some(asked.min_ms).filter(|ms| *ms > 0),
        max_ms: None,
        window: Some((seconds(now - SPAN_S), seconds(now + CLOCK_SKEW_S))),
        limit,
    }
}

async fn list(source: &Tempo, asked: Asked) -> Result<Event, ClientError> {
    let mut search = search(asked, LIMIT);
    let mut found = source.search(&search).await?;
    // A source tells the newest. Of those that took longer than half of them it is asked again,
    // until it can tell all.
    for _ in 0..NARROWING {
        let Some(longer) = longer(asked, &search, &found) else {
            break;
        };
        search.min_ms = Some(longer);
        found = source.search(&search).await?;
    }
    Ok(Event::Traces {
        asked,
        cut: found.len() >= LIMIT || search.min_ms.unwrap_or(0) > asked.min_ms,
        found,
    })
}

/// The duration from which on to ask again.
fn longer(asked: Asked, search: &TraceSearch, found: &[FoundTrace]) -> Option<u64> {
    if asked.order != Order::Slowest || found.len() < LIMIT {
        return None;
    }
    let mut durations: Vec<u64> = found.iter().map(|trace| trace.duration_ms).collect();
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).copied()?;
    (median > search.min_ms.unwrap_or(0)).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(durations: impl Iterator<Item = u64>) -> Vec<FoundTrace> {
        durations
            .map(|duration_ms| FoundTrace {
                id: String::new(),
                service: String::new(),
                name: String::new(),
                start_ns: 0,
                duration_ms,
                errors: None,
            })
            .collect()
    }

    /// A source without traces.
    async fn empty() -> Tempo {
        use axum::routing::get;
        let none = || async { axum::Json(serde_json::json!({"traces": []})) };
        let routes = axum::Router::new().route("/api/search", get(none));
        Tempo::new(crate::tui::tests::fake::source(routes).await)
    }

    #[tokio::test]
    async fn the_plan_is_followed_from_nothing_to_the_list_to_a_trace() {
        let (plan, follow_plan) = watch::channel(Plan::default());
        let (sender, mut events) = mpsc::channel(1);
        let task = tokio::spawn(follow(empty().await, follow_plan, sender));
        let mut next = async || {
            let event = tokio::time::timeout(std::time::Duration::from_secs(20), events.recv());
            event.await.expect("in time").expect("the task runs")
        };
        assert!(matches!(next().await, Event::TracesThere));
        let asked = Asked {
            order: Order::Failed,
            min_ms: 100,
        };
        plan.send_modify(|plan| plan.traces = Some(asked));
        assert!(matches!(next().await, Event::Traces { asked: of, cut: false, .. } if of == asked));
        for (id, is_missing) in [("ab", true), ("no id", false)] {
            plan.send_modify(|plan| plan.trace = Some(id.to_owned()));
            // What was wanted before may have been asked for once more.
            let trace = loop {
                match next().await {
                    Event::Trace { id: of, trace } if of == id => break trace,
                    Event::Trace { .. } | Event::Traces { .. } => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(trace.is_ok_and(|trace| trace.is_none()), is_missing, "{id}");
        }
        task.abort();
    }

    #[test]
    fn the_slowest_are_narrowed_down_to_until_all_of_them_are_told() {
        let asked = |order| Asked { order, min_ms: 0 };
        let slowest = asked(Order::Slowest);
        let full = found((0..LIMIT as u64).map(|n| n + 1));
        let begun = search(slowest, LIMIT);
        assert_eq!(longer(slowest, &begun, &full), Some(LIMIT as u64 / 2 + 1));
        assert_eq!(longer(slowest, &begun, &full[1..]), None, "all are told");
        assert_eq!(longer(asked(Order::Newest), &begun, &full), None);
        let narrowed = TraceSearch {
            min_ms: Some(7),
            ..search(slowest, LIMIT)
        };
        let equal = found((0..LIMIT).map(|_| 7));
        assert_eq!(
            longer(slowest, &narrowed, &equal),
            None,
            "it goes no further"
        );
    }

    #[test]
    fn a_search_looks_back_a_quarter_of_an_hour_and_for_failures_if_asked() {
        let failed = Asked {
            order: Order::Failed,
            min_ms: 100,
        };
        let search = search(failed, 5);
        assert_eq!(search.tags, [("error".to_owned(), "true".to_owned())]);
        assert_eq!((search.min_ms, search.limit), (Some(100), 5));
        let (from, to) = search.window.unwrap();
        assert_eq!(to - from, SPAN_S as u64 + CLOCK_SKEW_S as u64);
    }

    /// A source that has ever slower traces, as many as it is asked for; counts how often it is.
    async fn endless(asked: std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Tempo {
        use axum::extract::Query;
        use axum::routing::get;
        use std::collections::HashMap;
        let search = move |Query(search): Query<HashMap<String, String>>| {
            let nth = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) as u64;
            let limit: u64 = search["limit"].parse().unwrap();
            let trace = |n: u64| {
                serde_json::json!({"traceID": format!("{:x}", n + 1), "startTimeUnixNano": "1",
                    "durationMs": (nth + 1) * 1_000_000 + n})
            };
            let traces: Vec<_> = (0..limit.min(1_000)).map(trace).collect();
            async move { axum::Json(serde_json::json!({ "traces": traces })) }
        };
        let routes = axum::Router::new().route("/api/search", get(search));
        Tempo::new(crate::tui::tests::fake::source(routes).await)
    }

    #[tokio::test]
    async fn a_source_that_never_tells_all_is_not_asked_for_ever_nor_for_more_than_is_shown() {
        let asked = std::sync::Arc::default();
        let source = endless(std::sync::Arc::clone(&asked)).await;
        let slowest = Asked {
            order: Order::Slowest,
            min_ms: 0,
        };
        let Ok(Event::Traces { cut, found, .. }) = list(&source, slowest).await else {
            panic!("it answers");
        };
        assert_eq!((cut, found.len()), (true, LIMIT));
        let asked = asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(asked, 1 + NARROWING);
    }
}
