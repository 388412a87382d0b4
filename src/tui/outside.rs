//! Carries out effects: each in a task of its own that sends its outcome as an event.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::event::{Effect, Event};
use super::fetch::{Clients, Nudges};
use super::load_port::{LoadPort, Run, StartRequest};
use super::model::Model;
use super::reason::of_a_write;
use crate::clients::Secret;

/// The rehearsal's progress is taken over at most this often.
const EVERY_PROGRESS: Duration = Duration::from_millis(250);
/// How long a stopped rehearsal may take to end when the console leaves.
const LEAVE: Duration = Duration::from_secs(5);

/// What effects are carried out with.
pub(super) struct Outside {
    pub(super) clients: Clients,
    pub(super) load: Arc<dyn LoadPort>,
    pub(super) nudges: Nudges,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) ops_url: String,
    pub(super) token: Option<Secret>,
    tasks: JoinSet<()>,
    run: JoinSet<()>,
    stop: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Outside {
    pub(super) fn new(
        clients: Clients,
        load: Arc<dyn LoadPort>,
        nudges: Nudges,
        events: mpsc::Sender<Event>,
        ops_url: String,
        token: Option<Secret>,
    ) -> Outside {
        let (tasks, run) = (JoinSet::new(), JoinSet::new());
        Outside {
            clients,
            load,
            nudges,
            events,
            ops_url,
            token,
            tasks,
            run,
            stop: None,
        }
    }

    /// Begins to carry out `effect`; never waits. The loop itself sees to what concerns the
    /// terminal.
    pub(super) fn carry_out(&mut self, effect: Effect, model: &Model) {
        while self.tasks.try_join_next().is_some() {}
        let ops = self.clients.ops.clone();
        match effect {
            Effect::Quit | Effect::Bell | Effect::Redraw | Effect::Play(_) => {}
            Effect::Seed(request) => {
                let what = format!("seeding {}", request.profile.clone().unwrap_or_default());
                self.act(
                    what,
                    async move { ops.seed(&request).await.map(|_| "began") },
                );
            }
            Effect::CancelSeed => {
                self.act("cancelling the seeding".into(), async move {
                    ops.cancel_seed().await.map(|_| "asked")
                });
            }
            Effect::Admission(change, said) => {
                self.act(said.into(), async move {
                    ops.set_admission(&change).await.map(|_| "")
                });
            }
            Effect::PostAlert(alert, said) => {
                let alertmanager = self.clients.alertmanager.clone();
                self.act(said, async move {
                    alertmanager.post(&[alert]).await.map(|()| "")
                });
            }
            Effect::StartLoad {
                scenario,
                phase,
                reseed,
            } => self.start(scenario, phase, reseed, model),
            Effect::StopLoad => {
                if let Some(stop) = &self.stop {
                    stop();
                }
            }
        }
    }

    /// The outcome reads `what`, or `what: word` / `what: why not`.
    fn act(
        &mut self,
        what: String,
        action: impl Future<Output = Result<&'static str, crate::clients::ClientError>> + Send + 'static,
    ) {
        let (events, nudges) = (self.events.clone(), self.nudges.clone());
        self.tasks.spawn(async move {
            let event = match action.await {
                Ok("") => Event::Done {
                    what,
                    result: Ok(()),
                },
                Ok(word) => Event::Done {
                    what: format!("{what}: {word}"),
                    result: Ok(()),
                },
                Err(error) => Event::Done {
                    what: format!("not done: {what}"),
                    result: Err(of_a_write(&error)),
                },
            };
            nudges.ops.notify_one();
            nudges.alerts.notify_one();
            // The loop may have left meanwhile; then nobody wants to know.
            let _ = events.send(event).await;
        });
    }

    fn start(&mut self, scenario: String, phase: Option<String>, reseed: bool, model: &Model) {
        let Some(status) = &model.status else {
            self.ended(Err("the server's address is not known".into()));
            return;
        };
        let request = StartRequest {
            scenario,
            phase,
            reseed,
            api_url: api_url(&status.api_addr, &self.ops_url),
            ops_url: self.ops_url.clone(),
            token: self.token.clone(),
        };
        match self.load.start(request) {
            Ok(run) => {
                let Run {
                    progress,
                    stop,
                    ended,
                } = run;
                self.stop = Some(stop);
                self.run.spawn(follow(progress, ended, self.events.clone()));
            }
            Err(reason) => self.ended(Err(reason)),
        }
    }

    fn ended(&mut self, result: Result<super::load_port::Outcome, String>) {
        let events = self.events.clone();
        self.tasks.spawn(async move {
            let _ = events.send(Event::LoadEnded(result)).await;
        });
    }

    /// Stops what is under way and waits for it, but not for long.
    pub(super) async fn leave(mut self, seeding: bool) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if seeding {
            let _ = self.clients.ops.cancel_seed().await;
        }
        drop(self.events);
        let all = async {
            while self.tasks.join_next().await.is_some() {}
            while self.run.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(LEAVE, all).await;
    }
}

/// Sends a run's progress, not too often, then its end.
async fn follow(
    mut progress: tokio::sync::watch::Receiver<super::load_port::Progress>,
    mut ended: super::load_port::Ended,
    events: mpsc::Sender<Event>,
) {
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            result = &mut ended => {
                let last = progress.borrow().clone();
                let _ = events.send(Event::LoadProgress(Box::new(last))).await;
                let _ = events.send(Event::LoadEnded(result)).await;
                return;
            }
            changed = progress.changed(), if open => {
                open = changed.is_ok();
                let now = progress.borrow_and_update().clone();
                if events.send(Event::LoadProgress(Box::new(now))).await.is_err() {
                    // Nobody listens any more, but the run has to come to its end.
                    let _ = ended.await;
                    return;
                }
                tokio::time::sleep(EVERY_PROGRESS).await;
            }
        }
    }
}

/// The ticketing API's address as seen from here: a server that listens everywhere is asked where
/// its operations listener was found.
fn api_url(api_addr: &str, ops_url: &str) -> String {
    let everywhere = ["0.0.0.0:", "[::]:"]
        .iter()
        .find_map(|prefix| api_addr.strip_prefix(prefix));
    let host = ops_url.strip_prefix("http://").and_then(|rest| {
        let end = rest.rfind(':')?;
        Some(&rest[..end])
    });
    match (everywhere, host) {
        (Some(port), Some(host)) => format!("http://{host}:{port}"),
        _ => format!("http://{api_addr}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_where_it_was_found() {
        assert_eq!(
            api_url("127.0.0.1:8080", "http://10.1.1.1:8081/"),
            "http://127.0.0.1:8080"
        );
        assert_eq!(
            api_url("0.0.0.0:8080", "http://10.1.1.1:8081/"),
            "http://10.1.1.1:8080"
        );
        assert_eq!(
            api_url("[::]:8080", "http://[::1]:8081/"),
            "http://[::1]:8080"
        );
    }
}
