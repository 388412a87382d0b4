//! The polling loop: asks on a schedule, on demand and when the plan changes; backs off while the source fails, and
//! reports the state of the connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clients::{ClientError, HttpSource};
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::sources::plan::Plan;
use crate::tui::sources::reason::reason;

/// The events of an answer, and the interval until the next request.
pub(crate) type Answer = Result<(Vec<Event>, Duration), ClientError>;

/// A request to a source that is repeated.
pub(crate) trait Poll: Send + Sync {
    /// The part of the plan that determines the request.
    type Wanted: PartialEq + Send + Sync;

    /// Whether a changed plan ends a back-off. Only for sources whose plan changes no faster than a user acts.
    const RETRIES_ON_CHANGE: bool = false;

    /// The request; `None` if there is nothing to ask until the plan changes.
    fn wanted(&self, plan: &Plan) -> Option<Self::Wanted>;

    fn ask(&mut self, wanted: &Self::Wanted) -> impl Future<Output = Answer> + Send;

    /// The event that reports a failure.
    fn failure(source: Source, error: &ClientError, retry_ms: i64) -> Event {
        Event::Down {
            source,
            reason: reason(source, error),
            retry_ms,
        }
    }
}

/// A running poll.
pub(crate) struct Follow<P> {
    source: Source,
    http: HttpSource,
    poll: P,
    backoff: Backoff,
}

impl<P: Poll> Follow<P> {
    pub(crate) fn new(source: Source, http: HttpSource, poll: P) -> Follow<P> {
        Follow {
            source,
            http,
            poll,
            backoff: Backoff::default(),
        }
    }

    /// Polls until the receiver of events or the publisher of plans is dropped.
    pub(crate) async fn run(
        mut self,
        mut plan: watch::Receiver<Plan>,
        refresh: Arc<Notify>,
        events: mpsc::Sender<Event>,
    ) {
        loop {
            let started = Instant::now();
            let wanted = self.poll.wanted(&plan.borrow_and_update());
            let Some(wanted) = wanted else {
                let is_wanted = |plan: &Plan| self.poll.wanted(plan).is_some();
                if plan.wait_for(is_wanted).await.is_err() {
                    return;
                }
                continue;
            };
            let (answer, until, ends_on_change) = match self.poll.ask(&wanted).await {
                Ok((answer, every)) => {
                    self.backoff = Backoff::default();
                    (answer, started + every, true)
                }
                Err(error) => {
                    let retry_after = self.http.response_meta().retry_after();
                    let (event, pause) = self.failure(&error, retry_after);
                    (vec![event], Instant::now() + pause, P::RETRIES_ON_CHANGE)
                }
            };
            for event in answer {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let is_changed = |plan: &Plan| self.poll.wanted(plan).as_ref() != Some(&wanted);
            tokio::select! {
                () = sleep_until(until) => {}
                () = refresh.notified() => {}
                changed = plan.wait_for(is_changed), if ends_on_change => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Polls once.
    pub(crate) async fn once(mut self, plan: &Plan) -> Vec<Event> {
        let Some(wanted) = self.poll.wanted(plan) else {
            return Vec::new();
        };
        match self.poll.ask(&wanted).await {
            Ok((answer, _)) => answer,
            Err(error) => vec![self.failure(&error, None).0],
        }
    }

    /// The event that reports the failure, and the pause until the next attempt, which is at least as long as the
    /// source asked for.
    fn failure(&mut self, error: &ClientError, retry_after: Option<Duration>) -> (Event, Duration) {
        let asked = retry_after.unwrap_or_default().min(Backoff::LONGEST);
        let pause = self.backoff.next().max(asked);
        let retry_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        (P::failure(self.source, error, retry_ms), pause)
    }
}

/// The pauses between attempts: doubled from one second to a maximum, with a jitter of a fifth, so that several
/// consoles do not ask at the same instant.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const CEILING: f64 = 15.0;
    /// The longest pause that a source may ask for.
    const LONGEST: Duration = Duration::from_secs(60);

    fn next(&mut self) -> Duration {
        let pause = 2f64
            .powi(i32::try_from(self.failures.min(10)).unwrap_or(10))
            .min(Self::CEILING);
        self.failures = self.failures.saturating_add(1);
        Duration::from_secs_f64(pause * rand::random_range(0.8..1.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sources::metadata::Metadata;

    #[test]
    fn pauses_grow_to_a_maximum_with_jitter() {
        let mut backoff = Backoff::default();
        let pauses: Vec<f64> = (0..12).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.8..=1.2).contains(&pauses[0]), "{pauses:?}");
        assert!((1.6..=2.4).contains(&pauses[1]), "{pauses:?}");
        assert!(
            pauses.iter().all(|pause| *pause <= Backoff::CEILING * 1.2),
            "{pauses:?}"
        );
        assert!(
            pauses[8..].windows(2).any(|two| two[0] != two[1]),
            "{pauses:?}"
        );
    }

    #[test]
    fn a_pause_that_a_source_asks_for_is_kept_up_to_a_bound() {
        let busy = ClientError::Refused {
            status: 503,
            message: String::new(),
        };
        let http = HttpSource::new("http://127.0.0.1:1").unwrap();
        let pause = |asked| {
            let asked = Some(Duration::from_secs(asked));
            let metadata = Metadata::default();
            let mut follow = Follow::new(Source::Loki, http.clone(), metadata);
            let (event, pause) = follow.failure(&busy, asked);
            let ms = i64::try_from(pause.as_millis()).unwrap();
            assert!(matches!(event, Event::Down { retry_ms, .. } if retry_ms == ms));
            pause.as_secs_f64()
        };
        assert_eq!(pause(7), 7.0);
        assert_eq!(pause(3_600), 60.0);
        assert!(pause(0) >= 0.8, "never at once");
    }
}
