//! Asks for traces, but only while somebody looks at them, and once at the start to know whether
//! the source is there.

pub(crate) mod list;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clients::ClientError;
use crate::clients::tempo::Tempo;
use crate::tui::event::Event;
use crate::tui::model::{Plan, Source};
use crate::tui::screens::traces::Asked;
use crate::tui::sources::fetch::{Backoff, pause};
use crate::tui::sources::fetch_traces::list::Lister;

/// Pause between two rounds.
const EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// The source's clock may be this much ahead, in seconds.
const CLOCK_SKEW_S: i64 = 5;

/// What of the plan the traces follow: the list, or one trace by its id.
type Wanted = (Option<Asked>, Option<String>);

fn wanted(plan: &Plan) -> Wanted {
    (plan.traces, plan.trace.clone())
}

/// The task of the trace source.
pub(crate) async fn follow(
    source: Tempo,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    let mut lister = Lister::default();
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
        let (event, wait) = match round(&source, &mut lister, &now).await {
            Ok(event) => {
                backoff = Backoff::default();
                is_known = true;
                (event, EVERY)
            }
            Err(error) => {
                is_known = false;
                let asked = source.source().response_meta().retry_after();
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
pub(crate) async fn once(source: &Tempo, plan: &Plan) -> Event {
    let answer = round(source, &mut Lister::default(), &wanted(plan)).await;
    answer.unwrap_or_else(|error| Backoff::default().down(Source::Tempo, &error).0)
}

/// Asks for what is wanted, for next to nothing if that is nothing.
async fn round(source: &Tempo, lister: &mut Lister, wanted: &Wanted) -> Result<Event, ClientError> {
    match wanted {
        (_, Some(id)) => trace(source, id).await,
        (Some(asked), None) => lister.list(source, *asked).await,
        (None, None) => {
            source.search(&list::search(Asked::default(), 1)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::screens::traces::{Coverage, Order};

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
        assert!(
            matches!(next().await, Event::Traces { asked: of, coverage: Coverage::All, .. } if of == asked)
        );
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
}
