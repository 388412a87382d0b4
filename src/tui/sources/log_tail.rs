//! Polls the tail of the log: each request begins shortly before the last line that was read.

use std::time::Duration;

use crate::clients::ClientError;
use crate::clients::loki::{LogLine, Loki};
use crate::tui::event::Event;
use crate::tui::sources::clients::{EVERY, now_ms};
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;

/// The interval of probes while no screen shows the log.
const EVERY_PROBE: Duration = Duration::from_secs(10);
/// The most log lines of an answer.
const LINES: usize = 1_000;
/// The time range of the first request, which ends now.
const SPAN_NS: i64 = 3_600_000_000_000;
/// The latest arrival of a record after its time: requests overlap by this much.
const OVERLAP_NS: i64 = 2_000_000_000;
/// The most that the source's clock may be ahead.
const CLOCK_SKEW_NS: i64 = 5_000_000_000;

pub(crate) struct LogTail {
    source: Loki,
    tail: Tail,
}

impl LogTail {
    pub(crate) fn new(source: &Loki) -> LogTail {
        LogTail {
            source: source.clone(),
            tail: Tail::default(),
        }
    }
}

/// A query, and its time range.
type Wanted = (Option<String>, Option<(i64, i64)>);

impl Poll for LogTail {
    type Wanted = Wanted;

    fn wanted(&self, plan: &Plan) -> Option<Wanted> {
        Some((plan.logs.clone(), plan.log_window))
    }

    async fn ask(&mut self, wanted: &Wanted) -> Answer {
        let answer = match wanted {
            (Some(query), Some(window)) => of_window(&self.source, query, *window).await,
            (Some(query), None) => self.tail.next(&self.source, query).await,
            (None, _) => probe(&self.source).await,
        };
        match answer {
            Ok(event) => Ok((vec![event], every(wanted))),
            // The source answers, so only the filter is wrong.
            Err(error @ ClientError::Refused { status: 400, .. }) => {
                let reason = error.to_string();
                Ok((vec![Event::LogsRefused { reason }], EVERY_PROBE))
            }
            Err(error) => Err(error),
        }
    }
}

/// The interval of polls: longer for a past time range, where only late records are new, and while no screen shows the
/// log.
fn every(wanted: &Wanted) -> Duration {
    let is_over = |(_, to): &(i64, i64)| to.saturating_add(CLOCK_SKEW_NS / 1_000_000) < now_ms();
    match wanted {
        (Some(_), window) if !window.as_ref().is_some_and(is_over) => EVERY,
        _ => EVERY_PROBE,
    }
}

/// The newest lines of a time range, which is in Unix milliseconds.
async fn of_window(
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

/// Checks that the source answers by asking for one line.
async fn probe(source: &Loki) -> Result<Event, ClientError> {
    let end = now_ms().saturating_mul(1_000_000);
    let query = crate::tui::screens::logs::query("", crate::tui::screens::logs::Level::All);
    source.newest(&query, end - OVERLAP_NS, end, 1).await?;
    Ok(Event::Logs {
        query: String::new(),
        lines: Vec::new(),
        skipped: false,
    })
}

/// The position up to which the lines of a query were read.
#[derive(Debug, Default)]
struct Tail {
    query: String,
    newest: Option<i64>,
}

impl Tail {
    async fn next(&mut self, source: &Loki, query: &str) -> Result<Event, ClientError> {
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

    /// Notes the lines. Returns whether lines between the previous answer and this one may be missing.
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
    fn lines_that_do_not_fit_in_an_answer_are_reported_as_skipped() {
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
    async fn a_request_asks_for_a_bounded_number_of_lines() {
        let (source, limits) = crate::tui::tests::fake::no_lines().await;
        of_window(&source, "{a=\"b\"}", (0, 1)).await.unwrap();
        Tail::default().next(&source, "{a=\"b\"}").await.unwrap();
        assert_eq!(*limits.lock(), [LINES; 2]);
    }
}
