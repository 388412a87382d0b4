//! The drill's side of a blind drill: the fault is injected behind a seal, the player's mitigations are carried out,
//! and everything that the player does is recorded.

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

/// A blind drill that is played.
#[derive(Debug)]
pub(in crate::drill) struct Play {
    pub(in crate::drill) blind: Arc<Blind>,
    /// Without the key of the seal: for the player's actions, and for a new seal.
    open: Ops,
    /// With the key. A server that starts again needs a new seal.
    sealed: AsyncMutex<Ops>,
    /// The time after which a seal ends by itself.
    length: Duration,
    /// The server that the guard started again after a kill has its seal.
    resealed: AtomicBool,
    played: Mutex<Played>,
    board: Mutex<Board>,
    began: Moment,
    _script: Option<AbortOnDropHandle<()>>,
}

/// The seal lasts a little longer than the sale, so that a drill that was killed does not withhold faults for long.
fn seal_length(drill: &Drill) -> Duration {
    let injects = drill.injects.iter();
    let ends = injects.map(|inject| inject.at.to.0 + inject.fault.length.0);
    (ends.max().unwrap_or_default() + AROUND).min(LONGEST)
}

/// Whether the player must not see if it was right: neither by an error nor by the time that it takes. The report
/// shows both.
fn is_guess(action: &Action) -> bool {
    matches!(action, Action::Mitigate(Mitigation::Clear(_)))
}

/// What the player sees of an action.
fn line(action: &Action, problem: Option<&str>) -> String {
    match problem.filter(|_| !is_guess(action)) {
        Some(problem) => format!("{}: {problem}", action.words()),
        None => action.words(),
    }
}

impl Play {
    /// Withholds faults on the system, and lets the player begin.
    pub(in crate::drill) async fn begin(
        blind: &Arc<Blind>,
        drill: &Drill,
        system: &System,
    ) -> Result<Play, DrillError> {
        let failed = |problem: String| DrillError::Server(format!("a blind drill: {problem}"));
        let target = system.target();
        let server = HttpSource::new(&target.ops_url).map_err(|error| failed(error.to_string()))?;
        let token = target.ops_token.as_deref().map(Secret::new);
        // Logs are guarded by the operations token.
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
            resealed: AtomicBool::new(false),
            played: Mutex::default(),
            board: Mutex::new(board),
            began: now(),
            _script: script,
        })
    }

    /// What the player sees.
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

    /// What the player did.
    pub(in crate::drill) fn played(&self) -> Played {
        self.played.lock().clone()
    }

    /// When a mitigation ended the fault.
    pub(in crate::drill) fn cleared(&self) -> Option<Moment> {
        self.played.lock().cleared
    }

    /// Injects the fault. Returns its beginning by the record of the process that injected it.
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

    /// Carries out what the player has asked for since the last call.
    pub(in crate::drill) async fn act(
        &self,
        system: &System,
        drill: &Drill,
        injected: Option<Injected>,
    ) {
        self.seal_after_kill(drill, injected).await;
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
            if !is_guess {
                self.show(at, line(&action, problem.as_deref()));
            }
            self.record(at, action, problem);
        }
    }

    /// Shows a line to the player.
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

    /// Withholds faults on a killed server that the guard has started again because the fault's time is over.
    async fn seal_after_kill(&self, drill: &Drill, injected: Option<Injected>) {
        let is_kill = |inject: &Inject| inject.fault.kind == Kind::KillServer;
        let is_back = drill.injects.first().is_some_and(is_kill)
            && injected.is_some_and(|it| now() >= it.ended)
            && self.cleared().is_none()
            && !self.resealed.load(Ordering::Relaxed);
        if !is_back {
            return;
        }
        // It does not answer yet, or it has its seal. The next call tries again.
        if let Ok(sealed) = self.open.seal(self.length).await {
            *self.sealed.lock().await = sealed;
            self.resealed.store(true, Ordering::Relaxed);
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
                if let Some((inject, injected)) = active.filter(|_| !ends) {
                    self.put_back(system, &inject.fault, injected).await?;
                }
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

    /// Ends the fault of that kind behind the seal.
    async fn end(&self, kind: Kind) -> Result<(), String> {
        let ended = self.sealed.lock().await.end_faults(Some(kind)).await;
        ended.map(drop).map_err(|error| error.to_string())
    }

    async fn restart(&self, system: &System) -> Result<(), String> {
        system.restart().await?;
        let answers = async {
            while self.open.status().await.is_err() {
                tokio::time::sleep(ASK).await;
            }
        };
        let late = |_| format!("it does not answer within {} s", START.as_secs());
        tokio::time::timeout(START, answers).await.map_err(late)?;
        // The new process withholds nothing yet.
        let sealed = self.open.seal(self.length).await;
        *self.sealed.lock().await = sealed.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Injects the fault again for the rest of its time: a restart removes an injected fault, but would not repair it.
    async fn put_back(
        &self,
        system: &System,
        fault: &Fault,
        injected: Injected,
    ) -> Result<(), String> {
        if fault.kind.site() == Site::Outside {
            return Ok(());
        }
        let left = u64::try_from(injected.ended - now()).unwrap_or(0).max(1);
        let again = Fault {
            length: crate::load::scenario::Time::from_millis(left),
            ..fault.clone()
        };
        self.inject(system, &again).await.map(drop)
    }

    /// Ends the fault and the seal.
    pub(in crate::drill) async fn reveal(&self, drill: &Drill) {
        for inject in &drill.injects {
            if inject.fault.kind.site() != Site::Outside {
                // What cannot be ended now ends in its time.
                drop(self.end(inject.fault.kind).await);
            }
        }
        // A server that was killed has lost its seal.
        drop(self.sealed.lock().await.unseal().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_and_a_wrong_mechanism_look_the_same_to_the_player() {
        let clear = Action::Mitigate(Mitigation::Clear("kill_server".to_owned()));
        let problem = Some("it does not answer within 30 s");
        // Only the right one can fail: a wrong one does nothing.
        assert_eq!(line(&clear, problem), line(&clear, None));
        let restart = Action::Mitigate(Mitigation::RestartServer);
        assert!(line(&restart, problem).ends_with("within 30 s"));
    }
}
