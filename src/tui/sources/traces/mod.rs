//! Polls traces while a screen shows them. One request at the start checks whether the source answers.

pub(crate) mod list;

use crate::clients::ClientError;
use crate::clients::tempo::Tempo;
use crate::tui::event::Event;
use crate::tui::screens::traces::Asked;
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;
use crate::tui::sources::traces::list::Lister;

/// The interval of polls.
const EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// The most that the source's clock may be ahead, in seconds.
const CLOCK_SKEW_S: i64 = 5;

/// The list, and a trace by its id.
type Wanted = (Option<Asked>, Option<String>);

pub(crate) struct Traces {
    source: Tempo,
    lister: Lister,
    /// Whether the source has answered, so that no probe is needed.
    is_known: bool,
}

impl Traces {
    pub(crate) fn new(source: Tempo) -> Traces {
        Traces {
            source,
            lister: Lister::default(),
            is_known: false,
        }
    }
}

impl Poll for Traces {
    type Wanted = Wanted;
    const RETRIES_ON_CHANGE: bool = true;

    fn wanted(&self, plan: &Plan) -> Option<Wanted> {
        let wanted = (plan.traces, plan.trace.clone());
        (!self.is_known || wanted != (None, None)).then_some(wanted)
    }

    async fn ask(&mut self, wanted: &Wanted) -> Answer {
        self.is_known = false;
        let event = match wanted {
            (_, Some(id)) => trace(&self.source, id).await?,
            (Some(asked), None) => self.lister.list(&self.source, *asked).await?,
            (None, None) => {
                let probe = list::search(Asked::default(), 1);
                self.source.search(&probe).await?;
                Event::TracesThere
            }
        };
        self.is_known = true;
        Ok((vec![event], EVERY))
    }
}

async fn trace(source: &Tempo, id: &str) -> Result<Event, ClientError> {
    let trace = match source.trace(id).await {
        Ok(trace) => Ok(trace),
        // The source answered, so only this trace is the problem.
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
    use std::sync::Arc;

    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::tui::connection::Source;
    use crate::tui::screens::traces::{Coverage, Order};
    use crate::tui::sources::follow::Follow;

    /// A source without traces.
    async fn empty() -> Tempo {
        use axum::routing::get;
        let none = || async { axum::Json(serde_json::json!({"traces": []})) };
        let routes = axum::Router::new().route("/api/search", get(none));
        Tempo::new(crate::tui::tests::fake::source(routes).await)
    }

    #[tokio::test]
    async fn the_poll_follows_the_plan_from_nothing_to_the_list_to_a_trace() {
        let (plan, follow_plan) = watch::channel(Plan::default());
        let (sender, mut events) = mpsc::channel(1);
        let tempo = empty().await;
        let (http, traces) = (tempo.source().clone(), Traces::new(tempo));
        let follow = Follow::new(Source::Tempo, http, traces);
        let task = tokio::spawn(follow.run(follow_plan, Arc::default(), sender));
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
            // The previous trace may be requested once more before the change of the plan arrives.
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
