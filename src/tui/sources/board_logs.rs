//! Polls the log panels of the Board: the newest lines of their queries, while the panels are visible.

use std::collections::BTreeSet;

use crate::clients::ClientError;
use crate::clients::loki::Loki;
use crate::tui::dashboard::panel::Query;
use crate::tui::event::Event;
use crate::tui::sources::answers::MAX_LINES;
use crate::tui::sources::clients::{EVERY, now_ms};
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;

/// The time range in which lines are fetched. It ends now.
const SPAN_NS: i64 = 3_600_000_000_000;
/// The most log queries of a round.
const MAX_QUERIES: usize = 8;

pub(crate) struct BoardLogs(pub(crate) Loki);

impl Poll for BoardLogs {
    type Wanted = BTreeSet<Query>;

    fn wanted(&self, plan: &Plan) -> Option<BTreeSet<Query>> {
        Some(plan.board_logs.clone()).filter(|queries| !queries.is_empty())
    }

    async fn ask(&mut self, wanted: &BTreeSet<Query>) -> Answer {
        Ok((vec![asked(&self.0, wanted).await?], 2 * EVERY))
    }
}

/// Sends each query. A refusal counts as an answer.
async fn asked(source: &Loki, queries: &BTreeSet<Query>) -> Result<Event, ClientError> {
    let end = now_ms().saturating_mul(1_000_000);
    let mut answers = Vec::new();
    for query in queries.iter().take(MAX_QUERIES) {
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
    use super::*;
    use crate::tui::tests::fake;

    #[tokio::test]
    async fn a_board_with_many_log_panels_sends_a_bounded_number_of_queries_and_asks_for_bounded_lines()
     {
        let (source, limits) = fake::no_lines().await;
        let many: BTreeSet<Query> = (0..50).map(|n| format!("{{n=\"{n}\"}}").into()).collect();
        let Ok(Event::BoardLogs(answers)) = asked(&source, &many).await else {
            panic!("the poll must answer");
        };
        assert_eq!(answers.len(), MAX_QUERIES);
        assert_eq!(*limits.lock(), [MAX_LINES; MAX_QUERIES]);
    }
}
