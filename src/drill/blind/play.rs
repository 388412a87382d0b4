//! The drill's side of a blind drill. It injects the fault behind a seal, carries out the player's mitigations, and
//! records all actions of the player.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::task::AbortOnDropHandle;

use super::action::{Action, Mitigation};
use super::grading::Played;
use super::plan::AROUND;
use super::script::{self, Sources};
use super::{Blind, Board, MOST_ACTIONS, NAME};
use crate::api::faults::{LONGEST, Site};
use crate::api::ops::AdmissionChange;
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::{Access, HttpSource, Secret};
use crate::drill::alerts::{Alerts, Spell};
use crate::drill::embedded::inject_with;
use crate::drill::error::DrillError;
use crate::drill::file::{Drill, Fault, Inject, Kind};
use crate::drill::system::System;
use crate::drill::verdict::Injected;
use crate::drill::{Moment, now, seconds};

/// A restarted server must answer within this time.
const START: Duration = Duration::from_secs(30);
/// The pause between two checks of a restarted server.
const ASK: Duration = Duration::from_millis(100);

/// A blind drill under way.
#[derive(Debug)]
pub(in crate::drill) struct Play {
    pub(in crate::drill) blind: Arc<Blind>,
    /// The operations API without the key of the seal: for the player's actions, and to set a new seal.
    open: Ops,
    /// The operations API with the key. A server that starts again needs a new seal.
    sealed: AsyncMutex<Ops>,
    /// The time after which a seal ends by itself.
    length: Duration,
    /// The drill has noticed that the guard started a killed server again.
    is_back: AtomicBool,
    lacks: Mutex<Lacks>,
    /// The time at which the player last restarted the server.
    restarted: Mutex<Option<Moment>>,
    /// True if the fault could not be injected again after a restart, so that it is gone for the rest of its time.
    is_lost: AtomicBool,
    played: Mutex<Played>,
    board: Mutex<Board>,
    began: Moment,
    _script: Option<AbortOnDropHandle<()>>,
}

/// The parts of the drill that a new process of the server lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacks {
    Nothing,
    Fault,
    SealAndFault,
}

/// The length of a seal: a little longer than the sale, so that a killed drill does not withhold faults for long.
fn seal_length(drill: &Drill) -> Duration {
    let injects = drill.injects.iter();
    let ends = injects.map(|inject| inject.at.to.0 + inject.fault.length.0);
    (ends.max().unwrap_or_default() + AROUND).min(LONGEST)
}

/// Returns whether the action is a guess at the mechanism. The player must not see whether a guess was right, neither
/// by an error nor by the time that it takes. The report shows both.
fn is_guess(action: &Action) -> bool {
    matches!(action, Action::Mitigate(Mitigation::Clear(_)))
}

/// The line that the player sees for an action.
fn line(action: &Action, problem: Option<&str>) -> String {
    match problem.filter(|_| !is_guess(action)) {
        Some(problem) => format!("{}: {problem}", action.words()),
        None => action.words(),
    }
}

impl Play {
    /// Withholds faults on the system, and starts the player.
    pub(in crate::drill) async fn begin(
        blind: &Arc<Blind>,
        drill: &Drill,
        system: &System,
    ) -> Result<Play, DrillError> {
        let failed = |problem: String| DrillError::Server(format!("a blind drill: {problem}"));
        let target = system.target();
        let server = HttpSource::new(&target.ops_url).map_err(|error| failed(error.to_string()))?;
        let token = target.ops_token.as_deref().map(Secret::new);
        // The operations token guards logs.
        let mut access = Access::default();
        if let Some(token) = &token {
            access.bearer(token).map_err(failed)?;
        }
        let logs = HttpSource::with_access(&target.ops_url, access);
        let logs = logs.map_err(|error| failed(error.to_string()))?;
        let open = Ops::new(server.clone(), token);
        let (prometheus, alertmanager) = system.alert_sources()?;
        let length = seal_length(drill);
        let sealed = open.seal(length).await;
        let sealed = sealed.map_err(|error| failed(error.to_string()))?;
        let sources = Sources {
            prometheus,
            alertmanager,
            loki: Loki::new(logs),
            server,
        };
        let script = blind.script.clone().map(|script| {
            let following = script::follow(script, sources, blind.player());
            AbortOnDropHandle::new(tokio::spawn(following))
        });
        let board = Board {
            sha256: blind.sealed.sha256.clone(),
            ops_url: target.ops_url,
            token_file: system.token_file(),
            ..Board::default()
        };
        Ok(Play {
            blind: Arc::clone(blind),
            open,
            sealed: AsyncMutex::new(sealed),
            length,
            is_back: AtomicBool::new(false),
            lacks: Mutex::new(Lacks::Nothing),
            restarted: Mutex::new(None),
            is_lost: AtomicBool::new(false),
            played: Mutex::default(),
            board: Mutex::new(board),
            began: now(),
            _script: script,
        })
    }

    /// The player's view of the drill.
    pub(in crate::drill) fn board(&self, alerts: &Alerts) -> Board {
        let last = |(name, spells): (&String, &Vec<Spell>)| {
            let spell = spells.last()?;
            let is_listed = spell.shown.is_some() && spell.resolved.is_none();
            is_listed.then(|| name.clone())
        };
        Board {
            alerts: alerts.spells.iter().filter_map(last).collect(),
            ..self.board.lock().clone()
        }
    }

    /// The player's actions.
    pub(in crate::drill) fn played(&self) -> Played {
        self.played.lock().clone()
    }

    /// The time at which a mitigation ended the fault.
    pub(in crate::drill) fn cleared(&self) -> Option<Moment> {
        self.played.lock().cleared
    }

    /// Returns why the drill proves nothing about the player; `None` unless a restart removed the fault for good.
    pub(in crate::drill) fn fault_lost(&self) -> Option<String> {
        self.is_lost.load(Ordering::Relaxed).then(|| {
            "the server was restarted, and the fault could not be injected again".to_owned()
        })
    }

    /// Injects the fault. Returns its beginning as recorded by the process that injected it.
    pub(in crate::drill) async fn inject(
        &self,
        system: &System,
        fault: &Fault,
    ) -> Result<Moment, String> {
        match fault.kind.site() {
            Site::Outside => system.inject(fault, NAME).await,
            _ => {
                let sealed = self.sealed.lock().await;
                inject_with(&sealed, fault, fault.length.0, NAME).await
            }
        }
    }

    /// Carries out the actions that the player has sent since the last call.
    pub(in crate::drill) async fn act(
        &self,
        system: &System,
        drill: &Drill,
        injected: Option<Injected>,
    ) {
        self.find_after_kill(drill, injected);
        self.renew(drill, injected).await;
        while let Some(action) = self.blind.next_action() {
            let at = now();
            let is_guess = is_guess(&action);
            if is_guess {
                self.show(at, line(&action, None));
            }
            let is_active = injected.is_some_and(|it| at < it.ended) && self.cleared().is_none();
            let active = drill.injects.first().zip(injected).filter(|_| is_active);
            let problem = match &action {
                Action::Mitigate(mitigation) => {
                    self.mitigate(mitigation, system, drill, active).await.err()
                }
                _ => None,
            };
            self.renew(drill, injected).await;
            if !is_guess {
                self.show(at, line(&action, problem.as_deref()));
            }
            self.record(at, action, problem);
        }
    }

    /// Adds a line to the player's view.
    fn show(&self, at: Moment, words: String) {
        let second = seconds(self.began, at);
        self.board.lock().done.push((second, words));
    }

    fn record(&self, at: Moment, action: Action, problem: Option<String>) {
        let mut played = self.played.lock();
        played.actions.push((at, action, problem));
        if played.actions.len() == MOST_ACTIONS {
            self.show(at, format!("no more actions: a drill takes {MOST_ACTIONS}"));
        }
    }

    /// Notes that the guard has started a killed server again at the end of the fault.
    fn find_after_kill(&self, drill: &Drill, injected: Option<Injected>) {
        let is_kill = |inject: &Inject| inject.fault.kind == Kind::KillServer;
        let is_back = drill.injects.first().is_some_and(is_kill)
            && injected.is_some_and(|it| now() >= it.ended)
            && self.cleared().is_none();
        if is_back && !self.is_back.swap(true, Ordering::Relaxed) {
            *self.lacks.lock() = Lacks::SealAndFault;
        }
    }

    /// Gives a new process of the server the seal and the fault that it lacks. A step that fails is tried again at the
    /// next call. The player gets no error: the restart itself succeeded, and an error would reveal that there is a
    /// fault to inject again.
    async fn renew(&self, drill: &Drill, injected: Option<Injected>) {
        let lacks = *self.lacks.lock();
        if lacks == Lacks::SealAndFault {
            let Ok(sealed) = self.open.seal(self.length).await else {
                return;
            };
            *self.sealed.lock().await = sealed;
            *self.lacks.lock() = Lacks::Fault;
        }
        if lacks != Lacks::Nothing && self.put_back(drill, injected).await.is_ok() {
            *self.lacks.lock() = Lacks::Nothing;
        }
    }

    async fn mitigate(
        &self,
        mitigation: &Mitigation,
        system: &System,
        drill: &Drill,
        active: Option<(&Inject, Injected)>,
    ) -> Result<(), String> {
        let ends =
            active.is_some_and(|(inject, _)| mitigation.clears(inject.fault.kind, &inject.cause));
        match mitigation {
            Mitigation::PauseAdmission => self.admission(Some(true), None).await?,
            Mitigation::ResumeAdmission => self.admission(Some(false), None).await?,
            Mitigation::ChangeBatch(batch) => self.admission(None, Some(*batch)).await?,
            Mitigation::RestartServer => {
                self.restart(system).await?;
            }
            Mitigation::Clear(_) => {
                if let Some((inject, _)) = active.filter(|_| ends) {
                    self.clear(system, drill, inject.fault.kind).await?;
                }
            }
        }
        if ends {
            self.played.lock().cleared = Some(now());
        }
        Ok(())
    }

    async fn admission(&self, paused: Option<bool>, batch: Option<u64>) -> Result<(), String> {
        let change = AdmissionChange {
            paused,
            batch,
            ..AdmissionChange::default()
        };
        let changed = self.open.set_admission(&change).await;
        changed.map(drop).map_err(|error| error.to_string())
    }

    async fn clear(&self, system: &System, drill: &Drill, kind: Kind) -> Result<(), String> {
        match kind.site() {
            Site::Outside if kind == Kind::KillServer => self.restart(system).await,
            Site::Outside => {
                system.release(drill).await;
                Ok(())
            }
            _ => self.end(kind).await,
        }
    }

    /// Ends the fault of this kind behind the seal.
    async fn end(&self, kind: Kind) -> Result<(), String> {
        let ended = self.sealed.lock().await.end_faults(Some(kind)).await;
        ended.map(drop).map_err(|error| error.to_string())
    }

    async fn restart(&self, system: &System) -> Result<(), String> {
        system.restart().await?;
        *self.restarted.lock() = Some(now());
        *self.lacks.lock() = Lacks::SealAndFault;
        let answers = async {
            while self.open.status().await.is_err() {
                tokio::time::sleep(ASK).await;
            }
        };
        let late = |_| format!("it does not answer within {} s", START.as_secs());
        tokio::time::timeout(START, answers).await.map_err(late)
    }

    /// Injects the fault again for the rest of its time, because a restart removes an injected fault but would not
    /// repair a real one.
    async fn put_back(&self, drill: &Drill, injected: Option<Injected>) -> Result<(), String> {
        let Some((inject, injected)) = drill.injects.first().zip(injected) else {
            return Ok(());
        };
        if inject.fault.kind.site() == Site::Outside || self.cleared().is_some() {
            return Ok(());
        }
        let left = u64::try_from(injected.ended - now()).unwrap_or(0);
        if left == 0 {
            let restarted = *self.restarted.lock();
            if restarted.is_some_and(|at| at < injected.ended) {
                self.is_lost.store(true, Ordering::Relaxed);
            }
            return Ok(());
        }
        let (sealed, left) = (self.sealed.lock().await, Duration::from_millis(left));
        inject_with(&sealed, &inject.fault, left, NAME)
            .await
            .map(drop)
    }

    /// Ends the fault and the seal.
    pub(in crate::drill) async fn reveal(&self, drill: &Drill) {
        for inject in &drill.injects {
            if inject.fault.kind.site() != Site::Outside {
                // A fault that cannot be ended now ends at the end of its length.
                drop(self.end(inject.fault.kind).await);
            }
        }
        // A server that was killed has lost its seal already.
        drop(self.sealed.lock().await.unseal().await);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use axum::extract::Path as Name;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::{get, put};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ops::{AdmissionState, Follow, QueueState, Status};
    use crate::drill::blind::plan::Sealed;

    #[test]
    fn a_right_and_a_wrong_mechanism_look_the_same_to_the_player() {
        let clear = Action::Mitigate(Mitigation::Clear("kill_server".to_owned()));
        let problem = Some("it does not answer within 30 s");
        // Only the right mechanism can fail: a wrong one does nothing.
        assert_eq!(line(&clear, problem), line(&clear, None));
        let restart = Action::Mitigate(Mitigation::RestartServer);
        assert!(line(&restart, problem).ends_with("within 30 s"));
    }

    /// The requests that a server got, in order, and the kinds of requests whose next one fails.
    #[derive(Clone, Default)]
    struct Asked(Arc<Mutex<(Vec<String>, Vec<&'static str>)>>);

    impl Asked {
        fn fail_once(&self, kinds: &[&'static str]) {
            self.0.lock().1.extend(kinds);
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().0)
        }

        fn answer(&self, kind: &'static str, answer: Value) -> Response {
            let mut asked = self.0.lock();
            let fails = asked.1.iter().position(|it| *it == kind);
            let fails = fails.map(|at| asked.1.remove(at)).is_some();
            let outcome = if fails { "fails" } else { "is done" };
            asked.0.push(format!("{kind} {outcome}"));
            match fails {
                true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                false => axum::Json(answer).into_response(),
            }
        }
    }

    /// Starts a server that is always up, and returns its address.
    async fn server(asked: &Asked) -> std::net::SocketAddr {
        let status = Status {
            version: String::new(),
            api_addr: String::new(),
            dataset: None,
            queue: QueueState::default(),
            admission: AdmissionState {
                batch: 1,
                every_ms: 1_000,
                paused: false,
                opens_at_ms: None,
                open: true,
                follow: Follow::Settings,
                rate: 1.0,
            },
            consoles: 0,
            memory_bytes: None,
        };
        let (sealing, injecting) = (asked.clone(), asked.clone());
        let seal = move || async move { sealing.answer("seal", json!({ "key": "the key" })) };
        let inject = move |Name(kind): Name<String>, request: axum::Json<Value>| async move {
            let for_ms = request.0["forMs"].as_u64().unwrap();
            assert!(0 < for_ms && for_ms <= 60_000, "the rest of its time");
            injecting.answer(
                "fault",
                json!({
                    "kind": kind, "settings": { "share": 0.5 }, "by": "a drill",
                    "startedAt": "2026-11-30T09:00:00Z", "endsAt": "2026-11-30T09:01:00Z"
                }),
            )
        };
        let router = axum::Router::new()
            .route(
                "/ops/v1/status",
                get(move || async move { axum::Json(status) }),
            )
            .route("/ops/v1/seal", put(seal))
            .route("/ops/v1/faults/{kind}", put(inject));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        addr
    }

    /// A program that acts as the guard. To restart the server at `addr` it does nothing; at its end it removes the
    /// drill's data.
    fn guard(dir: &Path, addr: std::net::SocketAddr) -> PathBuf {
        let file = json!({ "api_addr": addr, "ops_addr": addr });
        let script = format!(
            "#!/bin/sh\nread -r order\n\
             data=$(printf %s \"$order\" | sed 's/.*\"dir\":\"\\([^\"]*\\)\".*/\\1/')\n\
             echo token >\"$data/ops-token\"\nprintf %s '{file}' >\"$data/server.json\"\n\
             echo '\"started\"'\nwhile read -r order; do echo '\"started\"'; done\nrm -r \"$data\"\n"
        );
        let program = dir.join("guard");
        std::fs::write(&program, script).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, mode).unwrap();
        program
    }

    /// A drill that a player has begun, on a server that answers as `asked` says.
    struct Begun {
        play: Play,
        system: System,
        drill: Drill,
        _dir: tempfile::TempDir,
    }

    impl Begun {
        async fn on(asked: &Asked) -> Begun {
            let dir = tempfile::tempdir().unwrap();
            let program = guard(dir.path(), server(asked).await);
            let system = System::start(None, &program, &[], "http://127.0.0.1:1").await;
            let system = system.unwrap();
            let drill = Drill::load("errors").unwrap();
            let blind = Blind::new(Sealed::of(&drill, 7), None);
            let play = Play::begin(&blind, &drill, &system).await.unwrap();
            Begun {
                play,
                system,
                drill,
                _dir: dir,
            }
        }

        fn restart(&self) {
            let restart = Action::Mitigate(Mitigation::RestartServer);
            self.play.blind.player().try_send(restart).unwrap();
        }

        async fn act(&self, injected: Injected) {
            self.play
                .act(&self.system, &self.drill, Some(injected))
                .await;
        }
    }

    #[tokio::test]
    async fn a_restart_that_is_done_has_no_error_and_the_fault_is_put_back_when_it_can_be() {
        let asked = Asked::default();
        let begun = Begun::on(&asked).await;
        assert_eq!(asked.take(), ["seal is done"]);

        asked.fail_once(&["seal", "fault"]);
        let injected = Injected {
            began: now(),
            ended: now() + 60_000,
        };
        begun.restart();
        for _ in 0..4 {
            begun.act(injected).await;
        }
        let done = begun.play.board(&Alerts::default()).done;
        let done: Vec<&str> = done.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(done, ["restarted the server"]);
        let expected = ["seal fails", "seal is done", "fault fails", "fault is done"];
        assert_eq!(asked.take(), expected);
        assert_eq!(begun.play.fault_lost(), None);
        begun.system.end().await;
    }

    #[tokio::test]
    async fn a_drill_whose_fault_a_restart_took_away_for_good_is_inconclusive() {
        let asked = Asked::default();
        let begun = Begun::on(&asked).await;
        asked.fail_once(&["fault"]);
        let began = now();
        let until = |ended| Injected { began, ended };
        begun.restart();
        begun.act(until(began + 60_000)).await;
        assert_eq!(begun.play.fault_lost(), None, "there is time to try again");
        let restarted = now();
        while now() == restarted {
            tokio::task::yield_now().await;
        }
        // The fault's time ends before the server accepts the fault again.
        begun.act(until(now())).await;
        assert!(begun.play.fault_lost().is_some());
        begun.system.end().await;
    }
}
