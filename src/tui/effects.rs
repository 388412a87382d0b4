//! Runs each effect in its own task and sends the outcome as an event.

mod drilling;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clients::Secret;
use crate::clients::alertmanager::Alertmanager;
use crate::load::{Command, PhaseName, Progress, RunResult, Verdict};
use crate::tui::audit::{AuditEntry, AuditFile};
use crate::tui::drill_runner::SendPlayerAction;
use crate::tui::event::ProfileFile;
use crate::tui::event::{Effect, Event};
use crate::tui::load_generator::{Control, Ended, LoadGenerator, Run, StartRequest};
use crate::tui::model::Model;
use crate::tui::sources::Refresh;
use crate::tui::sources::clients::{Clients, now_ms};
use crate::tui::sources::reason::Why;

/// The shortest interval between two events of a rehearsal's progress.
const EVERY_PROGRESS: Duration = Duration::from_millis(250);
/// The longest wait for a stopped rehearsal or drill when the console quits.
const LEAVE: Duration = Duration::from_secs(5);

/// Carries out effects.
pub(crate) struct Effects {
    pub(crate) clients: Clients,
    pub(crate) load: Arc<dyn LoadGenerator>,
    pub(crate) refresh: Refresh,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) ops_url: String,
    pub(crate) token: Option<Secret>,
    audit: Arc<AuditFile>,
    tasks: JoinSet<()>,
    run: JoinSet<()>,
    control: Option<Control>,
    stop_drill: Option<Box<dyn Fn() + Send + Sync>>,
    send_player_action: Option<SendPlayerAction>,
}

impl Effects {
    pub(crate) fn new(
        clients: Clients,
        load: Arc<dyn LoadGenerator>,
        refresh: Refresh,
        events: mpsc::Sender<Event>,
        token: Option<Secret>,
        audit: AuditFile,
    ) -> Effects {
        let (mut tasks, run) = (JoinSet::new(), JoinSet::new());
        let audit = Arc::new(audit);
        tasks.spawn(earlier(Arc::clone(&audit), events.clone()));
        tasks.spawn(drilling::list(Arc::clone(&load), events.clone()));
        Effects {
            // Without a password, because the load generator and the screen get this address.
            ops_url: clients.ops.source().base().to_owned(),
            clients,
            load,
            refresh,
            events,
            token,
            audit,
            tasks,
            run,
            control: None,
            stop_drill: None,
            send_player_action: None,
        }
    }

    /// Starts `effect` and returns at once. The loop itself handles effects on the terminal.
    pub(crate) fn carry_out(&mut self, effect: Effect, model: &Model) {
        while self.tasks.try_join_next().is_some() {}
        let ops = self.clients.ops.clone();
        match effect {
            Effect::Quit | Effect::Suspend | Effect::Bell | Effect::Redraw | Effect::Play(_) => {}
            Effect::Seed(request, what) => {
                self.act(
                    what,
                    async move { ops.seed(&request).await.map(|_| "began") },
                )
            }
            Effect::ReadScenario(path) => {
                self.read(move |load| Event::ScenarioRead(load.read_scenario(&at_home(&path))));
            }
            Effect::ReadProfile(path) => self.read(move |load| {
                let yaml = load.read_profile(&at_home(&path));
                Event::ProfileRead(yaml.map(|yaml| ProfileFile { path, yaml }))
            }),
            Effect::CancelSeed => {
                self.act("cancelling the seeding".into(), async move {
                    ops.cancel_seed().await.map(|_| "asked")
                });
            }
            Effect::Admission(change, what) => {
                self.act(
                    what,
                    async move { ops.set_admission(&change).await.map(|_| "") },
                );
            }
            Effect::InjectFault(fault, length, what) => {
                let by = self.audit.who.clone();
                self.act(what, async move {
                    let injected = ops.inject_fault(&fault, length, Some(&by)).await;
                    injected.map(|_| "injected")
                });
            }
            Effect::EndFaults(kind, what) => {
                self.act(what, async move { ops.end_faults(kind).await.map(|_| "") });
            }
            Effect::PostAlert(alert, what) => self.act_on_alerts(what, |alertmanager| async move {
                alertmanager.post(&[alert]).await.map(|()| "")
            }),
            Effect::Silence(silence, what) => self.act_on_alerts(what, |alertmanager| async move {
                alertmanager.silence(&silence).await.map(|_| "")
            }),
            Effect::EndSilence(id, what) => self.act_on_alerts(what, |alertmanager| async move {
                alertmanager.expire(&id).await.map(|()| "")
            }),
            Effect::Steer(command) => self.steer(command),
            Effect::StartLoad {
                scenario,
                file,
                phase,
                reseed,
            } => self.start((scenario, file), phase, reseed, model),
            Effect::StartDrill(drill) => self.start_drill(drill),
            Effect::PlayDrill(action) => {
                let send = self.send_player_action.as_ref();
                let sent = send.is_some_and(|send| send(&action));
                let why = "the drill is over";
                let result = if sent { Ok("") } else { Err(why) };
                let target = drilling::TARGET.to_owned();
                self.act_on(target, action.words(), std::future::ready(result));
            }
            Effect::StopDrill => self.stop_drill(),
            Effect::StopLoad => self.stop_load(),
        }
    }

    fn stop_drill(&mut self) {
        if let Some(stop) = &self.stop_drill {
            stop();
        }
        self.note_on(drilling::TARGET, "stop of the drill", Ok("asked"));
    }

    fn stop_load(&mut self) {
        if let Some(control) = &self.control {
            control(Command::Stop);
        }
        self.note("stop of the rehearsal", Ok("asked"));
    }

    /// Steers the rehearsal under way.
    fn steer(&mut self, command: Command) {
        let taken = self
            .control
            .as_ref()
            .is_some_and(|control| control(command));
        let why = "the rehearsal is over, or too many commands wait";
        let result = if taken { Ok("") } else { Err(why) };
        self.act(command.effect().into(), std::future::ready(result));
    }

    /// Logs an action on the server that has no answer.
    fn note(&mut self, action: &str, result: Result<&str, &str>) {
        self.note_on(&self.clients.ops.authority(), action, result);
    }

    fn note_on(&mut self, target: &str, action: &str, result: Result<&str, &str>) {
        let entry = AuditEntry::new(now_ms(), &self.audit.who, action, target, result);
        let (audit, events) = (Arc::clone(&self.audit), self.events.clone());
        self.tasks.spawn(record(audit, entry, events));
    }

    fn act<E: Why>(
        &mut self,
        what: String,
        action: impl Future<Output = Result<&'static str, E>> + Send + 'static,
    ) {
        self.act_on(self.clients.ops.authority(), what, action);
    }

    fn act_on_alerts<E: Why, F>(&mut self, what: String, action: impl FnOnce(Alertmanager) -> F)
    where
        F: Future<Output = Result<&'static str, E>> + Send + 'static,
    {
        let alertmanager = self.clients.alertmanager.clone();
        self.act_on(alertmanager.authority(), what, action(alertmanager));
    }

    /// Runs an action on a source, reports it as `what`, `what: detail` or `not done: what`, and logs it. Every action
    /// on a source uses this function, so that the audit log is complete.
    fn act_on<E: Why>(
        &mut self,
        target: String,
        what: String,
        action: impl Future<Output = Result<&'static str, E>> + Send + 'static,
    ) {
        let (events, refresh) = (self.events.clone(), self.refresh.clone());
        let audit = Arc::clone(&self.audit);
        self.tasks.spawn(async move {
            let result = action.await.map_err(|error| error.why());
            let noted = result.as_deref().map_err(String::as_str);
            let entry = AuditEntry::new(now_ms(), &audit.who, &what, &target, noted);
            let event = match result {
                Ok("") => Event::Done {
                    what,
                    result: Ok(()),
                },
                Ok(word) => Event::Done {
                    what: format!("{what}: {word}"),
                    result: Ok(()),
                },
                Err(reason) => Event::Done {
                    what: format!("not done: {what}"),
                    result: Err(reason),
                },
            };
            refresh.after_action();
            // The console may have quit meanwhile.
            let _ = events.send(event).await;
            record(audit, entry, events).await;
        });
    }

    /// Reads a file on a blocking thread.
    fn read(&mut self, read: impl FnOnce(&dyn LoadGenerator) -> Event + Send + 'static) {
        let (load, events) = (Arc::clone(&self.load), self.events.clone());
        self.tasks.spawn(async move {
            if let Ok(event) = tokio::task::spawn_blocking(move || read(load.as_ref())).await {
                let _ = events.send(event).await;
            }
        });
    }

    fn start(
        &mut self,
        (scenario, file): (String, Option<PathBuf>),
        phase: Option<PhaseName>,
        reseed: bool,
        model: &Model,
    ) {
        let Some(status) = &model.status else {
            self.ended(Err("the server's address is not known".into()));
            return;
        };
        let what = launch(&scenario, phase, reseed);
        let request = StartRequest {
            scenario,
            file,
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
                    control,
                    ended,
                } = run;
                self.control = Some(control);
                self.note(&what, Ok("began"));
                let written = Written {
                    what,
                    target: self.clients.ops.authority(),
                    audit: Arc::clone(&self.audit),
                };
                let events = self.events.clone();
                self.run.spawn(follow(progress, ended, events, written));
            }
            Err(reason) => {
                self.note(&what, Err(&reason));
                self.ended(Err(reason));
            }
        }
    }

    fn ended(&mut self, result: Result<RunResult, String>) {
        let events = self.events.clone();
        self.tasks.spawn(async move {
            let _ = events.send(Event::LoadEnded(result)).await;
        });
    }

    /// Stops the rehearsal, the drill and the seeding. Waits for their ends, at most [`LEAVE`].
    pub(crate) async fn leave(mut self, seeding: bool) {
        while self.run.try_join_next().is_some() {}
        if let Some(control) = self.control.take().filter(|_| !self.run.is_empty()) {
            control(Command::Stop);
            self.note("stop of the rehearsal", Ok("the console was left"));
        }
        if let Some(stop) = self.stop_drill.take().filter(|_| !self.run.is_empty()) {
            stop();
            let result = Ok("the console was left");
            self.note_on(drilling::TARGET, "stop of the drill", result);
        }
        if seeding {
            let cancelled = self.clients.ops.cancel_seed().await;
            let cancelled = cancelled.map_err(|error| error.to_string());
            let word = cancelled.as_ref().map(|_| "the console was left");
            self.note("cancelling the seeding", word.map_err(String::as_str));
        }
        drop(self.events);
        let all = async {
            while self.tasks.join_next().await.is_some() {}
            while self.run.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(LEAVE, all).await;
    }
}

/// The path for a typed text; `~/` is the home directory, as in a shell.
fn at_home(path: &str) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// The description of a launch in the audit log.
fn launch(scenario: &str, phase: Option<PhaseName>, reseed: bool) -> String {
    let phase = phase.map_or(String::new(), |phase| format!(", {phase} alone"));
    let data = if reseed { ", seeded first" } else { "" };
    format!("rehearsal {scenario}{phase}{data}")
}

/// Writes an action to the audit log and reports the result to the loop.
async fn record(audit: Arc<AuditFile>, entry: AuditEntry, events: mpsc::Sender<Event>) {
    let written = entry.clone();
    let written = tokio::task::spawn_blocking(move || audit.append(&written)).await;
    let failed = match written {
        Ok(written) => written.err(),
        Err(error) => Some(error.to_string()),
    };
    let _ = events.send(Event::Audited { entry, failed }).await;
}

/// Reads the actions of earlier sessions.
async fn earlier(audit: Arc<AuditFile>, events: mpsc::Sender<Event>) {
    if let Ok(entries) = tokio::task::spawn_blocking(move || audit.last()).await {
        let _ = events.send(Event::AuditRead(entries)).await;
    }
}

/// Writes the end of a run to the audit log.
struct Written {
    what: String,
    target: String,
    audit: Arc<AuditFile>,
}

impl Written {
    async fn end(self, result: &Result<RunResult, String>, events: mpsc::Sender<Event>) {
        let ended = match result {
            Ok(outcome) => {
                let verdict = match outcome.verdict {
                    Verdict::Passed => "passed",
                    Verdict::Failed => "thresholds missed",
                    Verdict::Inconclusive => "inconclusive",
                };
                Ok(format!("ended: {verdict}"))
            }
            Err(reason) => Err(reason.clone()),
        };
        let ended = match &ended {
            Ok(word) => Ok(word.as_str()),
            Err(reason) => Err(reason.as_str()),
        };
        let who = &self.audit.who;
        let entry = AuditEntry::new(now_ms(), who, &self.what, &self.target, ended);
        record(self.audit, entry, events).await;
    }
}

/// Sends the progress of a run at most once per [`EVERY_PROGRESS`], then its end.
async fn follow(
    mut progress: tokio::sync::watch::Receiver<Progress>,
    mut ended: Ended,
    events: mpsc::Sender<Event>,
    written: Written,
) {
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            result = &mut ended => {
                let last = progress.borrow().clone();
                let _ = events.send(Event::LoadProgress(Box::new(last))).await;
                written.end(&result, events.clone()).await;
                let _ = events.send(Event::LoadEnded(result)).await;
                return;
            }
            changed = progress.changed(), if open => {
                open = changed.is_ok();
                let now = progress.borrow_and_update().clone();
                if events.send(Event::LoadProgress(Box::new(now))).await.is_err() {
                    // The console quits, but the end of the run still goes into the audit log.
                    let result = ended.await;
                    written.end(&result, events).await;
                    return;
                }
                tokio::time::sleep(EVERY_PROGRESS).await;
            }
        }
    }
}

/// The address at which this machine reaches the ticketing API. If the server listens on all addresses, it is the
/// host of the operations listener.
fn api_url(api_addr: &str, ops_url: &str) -> String {
    let everywhere = ["0.0.0.0:", "[::]:"]
        .iter()
        .find_map(|prefix| api_addr.strip_prefix(prefix));
    let scheme = match ops_url.starts_with("https://") {
        true => "https",
        false => "http",
    };
    let place = ops_url
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_prefix("://"));
    let host = place.and_then(|rest| Some(&rest[..rest.rfind(':')?]));
    match (everywhere, host) {
        (Some(port), Some(host)) => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{api_addr}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_on_all_addresses_is_reached_at_the_host_of_its_operations_listener() {
        assert_eq!(
            api_url("127.0.0.1:8080", "http://10.1.1.1:8081/"),
            "http://127.0.0.1:8080"
        );
        assert_eq!(
            api_url("0.0.0.0:8080", "http://10.1.1.1:8081/"),
            "http://10.1.1.1:8080"
        );
        assert_eq!(
            api_url("0.0.0.0:8443", "https://10.1.1.1:8081/"),
            "https://10.1.1.1:8443"
        );
        assert_eq!(
            api_url("[::]:8080", "http://[::1]:8081/"),
            "http://[::1]:8080"
        );
    }
}
