//! Follows the log: asks for what is new, from a little before what was read last.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clients::ClientError;
use crate::clients::loki::{LogLine, Loki};
use crate::tui::event::Event;
use crate::tui::model::{Plan, Source};
use crate::tui::sources::fetch::{Backoff, EVERY, now_ms, pause};

/// How often a log source that nobody looks at is asked whether it is there.
const EVERY_PROBE: Duration = Duration::from_secs(10);
/// Log lines that one answer holds at most.
const LINES: usize = 1_000;
/// How far back the log begins.
const SPAN_NS: i64 = 3_600_000_000_000;
/// Records arrive out of order by at most about this much.
const OVERLAP_NS: i64 = 2_000_000_000;
/// The source's clock may be this much ahead.
const CLOCK_SKEW_NS: i64 = 5_000_000_000;

/// The task of the log source.
pub(crate) async fn follow(
    source: Loki,
    mut plan: watch::Receiver<Plan>,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::default();
    let mut tail = Tail::default();
    loop {
        let started = Instant::now();
        let wanted = wanted(&plan.borrow_and_update());
        let asked = match &wanted {
            (Some(query), Some(window)) => of_window(&source, query, *window).await,
            (Some(query), None) => tail.next(&source, query).await,
            (None, _) => probe(&source).await,
        };
        let (event, wait) = match asked {
            Ok(event) => {
                backoff = Backoff::default();
                (event, every(&wanted))
            }
            // The source understood: it is there, and the filter is at fault.
            Err(error @ ClientError::Refused { status: 400, .. }) => (
                Event::LogsRefused {
                    reason: error.to_string(),
                },
                Backoff::default().next().max(EVERY_PROBE),
            ),
            Err(error) => {
                let asked = source.source().response_meta().retry_after();
                backoff.down_for(Source::Loki, &error, asked)
            }
        };
        let failed = matches!(event, Event::Down { .. });
        if events.send(event).await.is_err() {
            return;
        }
        if failed {
            tokio::time::sleep(wait).await;
        } else {
            pause(
                started + wait,
                &mut plan,
                &wanted,
                crate::tui::sources::tail::wanted,
            )
            .await;
        }
    }
}

/// What of the plan the log follows: a query, and for which time.
type Wanted = (Option<String>, Option<(i64, i64)>);

fn wanted(plan: &Plan) -> Wanted {
    (plan.logs.clone(), plan.log_window)
}

/// A time that is over changes no more, but for records that are late.
fn every(wanted: &Wanted) -> Duration {
    let is_over = |(_, to): &(i64, i64)| to.saturating_add(CLOCK_SKEW_NS / 1_000_000) < now_ms();
    match wanted {
        (Some(_), window) if !window.as_ref().is_some_and(is_over) => EVERY,
        _ => EVERY_PROBE,
    }
}

/// The newest lines of a time, given in Unix milliseconds.
pub(crate) async fn of_window(
    source: &Loki,
    query: &str,
    (from, to): (i64, i64),
) -> Result<Event, ClientError> {
    let start = from.saturating_mul(1_000_000);
    let end = to.saturating_add(1).saturating_mul(1_000_000);
    let lines = source.newest(query, start, end, LINES).await?;
    Ok(Event::Logs {
        query: crate::tui::screens::logs::asked(query, Some((from, to))),
        skipped: lines.len() >= LINES,
        lines,
    })
}

/// Asks for next to nothing: is it there?
pub(crate) async fn probe(source: &Loki) -> Result<Event, ClientError> {
    let end = now_ms().saturating_mul(1_000_000);
    let query = crate::tui::screens::logs::query("", crate::tui::screens::logs::Level::All);
    source.newest(&query, end - OVERLAP_NS, end, 1).await?;
    Ok(Event::Logs {
        query: String::new(),
        lines: Vec::new(),
        skipped: false,
    })
}

/// How far a query's lines were read.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    query: String,
    newest: Option<i64>,
}

impl Tail {
    pub(crate) async fn next(&mut self, source: &Loki, query: &str) -> Result<Event, ClientError> {
        if self.query != query {
            *self = Tail {
                query: query.to_owned(),
                newest: None,
            };
        }
        let end = now_ms().saturating_mul(1_000_000) + CLOCK_SKEW_NS;
        let start = self
            .newest
            .map_or(end - SPAN_NS, |newest| newest - OVERLAP_NS);
        let lines = source.newest(query, start, end, LINES).await?;
        let skipped = self.read(&lines);
        Ok(Event::Logs {
            query: query.to_owned(),
            lines,
            skipped,
        })
    }

    /// Notes what was read; whether lines between the last reading and this one are missing.
    fn read(&mut self, lines: &[LogLine]) -> bool {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
            return false;
        };
        let skipped =
            lines.len() >= LINES && self.newest.is_some_and(|newest| first.at_ns > newest);
        self.newest = Some(
            self.newest
                .map_or(last.at_ns, |newest| newest.max(last.at_ns)),
        );
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::Labels;

    #[test]
    fn lines_that_one_answer_could_not_hold_are_told() {
        let line = |at_ns| LogLine {
            at_ns,
            labels: Labels::new(),
            line: String::new(),
        };
        let mut tail = Tail::default();
        let full: Vec<_> = (0..LINES as i64).map(line).collect();
        assert!(!tail.read(&full), "the first answer begins somewhere");
        let later: Vec<_> = (5_000..5_000 + LINES as i64).map(line).collect();
        assert!(tail.read(&later));
        assert!(!tail.read(&[line(6_000)]));
        assert_eq!(tail.newest, Some(6_000));
    }

    #[tokio::test]
    async fn a_source_is_asked_for_so_many_lines() {
        let (source, limits) = crate::tui::tests::fake::no_lines().await;
        of_window(&source, "{a=\"b\"}", (0, 1)).await.unwrap();
        Tail::default().next(&source, "{a=\"b\"}").await.unwrap();
        assert_eq!(*limits.lock(), [LINES; 2]);
    }
}
