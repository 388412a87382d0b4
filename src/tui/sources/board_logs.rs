//! Fetches what a board's log panels ask: the newest lines, while the panels are seen.

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clients::ClientError;
use crate::clients::loki::Loki;
use crate::tui::connection::Source;
use crate::tui::dashboard::Query;
use crate::tui::event::Event;
use crate::tui::sources::answers::MAX_LINES;
use crate::tui::sources::fetch::{Backoff, EVERY, now_ms, pause};
use crate::tui::sources::plan::Plan;

/// How far back the lines go.
const SPAN_NS: i64 = 3_600_000_000_000;
/// Most log queries of one round.
const MAX_QUERIES: usize = 8;

/// The task of the log panels.
pub(crate) async fn follow(
    source: Loki,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        let wanted = plan.borrow_and_update().board_logs.clone();
        if wanted.is_empty() {
            if plan
                .wait_for(|plan| !plan.board_logs.is_empty())
                .await
                .is_err()
            {
                return;
            }
            continue;
        }
        let event = match asked(&source, wanted.iter()).await {
            Ok(event) => {
                backoff = Backoff::default();
                event
            }
            Err(error) => {
                let (event, wait) = backoff.down(Source::Loki, &error);
                if events.send(event).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
        let until = started + 2 * EVERY;
        pause(until, &mut plan, &wanted, |plan| plan.board_logs.clone()).await;
    }
}

/// The lines once, if any panel wants some.
pub(crate) async fn once(source: &Loki, plan: &Plan) -> Option<Event> {
    if plan.board_logs.is_empty() {
        return None;
    }
    let asked = asked(source, plan.board_logs.iter()).await;
    Some(asked.unwrap_or_else(|error| Backoff::default().down(Source::Loki, &error).0))
}

/// Asks each query; one that is refused has been answered.
async fn asked<'a>(
    source: &Loki,
    queries: impl Iterator<Item = &'a Query>,
) -> Result<Event, ClientError> {
    let end = now_ms().saturating_mul(1_000_000);
    let mut answers = Vec::new();
    for query in queries.take(MAX_QUERIES) {
        let answer = match source.newest(query, end - SPAN_NS, end, MAX_LINES).await {
            Ok(lines) => Ok(lines),
            Err(
                error @ (ClientError::Refused {
                    status: 400..=499, ..
                }
                | ClientError::Malformed(_)
                | ClientError::TooLarge),
            ) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        answers.push((Query::clone(query), answer));
    }
    Ok(Event::BoardLogs(answers))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tui::tests::fake;

    #[tokio::test]
    async fn a_board_of_many_log_panels_asks_for_some_and_for_so_many_lines() {
        let (source, limits) = fake::no_lines().await;
        let many: BTreeSet<Query> = (0..50).map(|n| format!("{{n=\"{n}\"}}").into()).collect();
        let Ok(Event::BoardLogs(answers)) = asked(&source, many.iter()).await else {
            panic!("it answers");
        };
        assert_eq!(answers.len(), MAX_QUERIES);
        assert_eq!(*limits.lock(), [MAX_LINES; MAX_QUERIES]);
    }
}
