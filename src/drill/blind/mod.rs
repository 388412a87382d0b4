//! Blind drills: the player does not know the fault. The report grades how fast the player finds and mitigates it.
//!
//! - `plan`: the kind, strength and moment of the fault, drawn from the seed and sealed by a hash;
//! - `action`: the actions of a player;
//! - `script`: a player that follows a file;
//! - `play`: the drill's side, which withholds the fault, carries out mitigations and records the player's actions;
//! - `grading`: compares the player's actions with the plan.

pub mod action;
pub mod grading;
pub mod plan;
pub(super) mod play;
pub mod script;

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::action::Action;
use self::plan::Sealed;
use self::script::Script;

/// The most actions that wait for the drill, which takes them five times a second.
const WAITING: usize = 64;
/// The most actions in one drill. A person needs some dozens; the bound keeps memory and the report small.
pub const MOST_ACTIONS: usize = 200;
/// The name that a drill shows while its plan is sealed.
pub const NAME: &str = "blind";
/// The title that a drill shows while its plan is sealed.
pub const TITLE: &str = "A blind drill: find out what is broken";

/// The settings of a blind drill.
#[derive(Debug)]
pub struct Blind {
    /// The plan.
    pub sealed: Sealed,
    /// A player that follows a file. Without one, actions come from [`Blind::player`].
    pub script: Option<Script>,
    sender: mpsc::Sender<Action>,
    actions: Mutex<Actions>,
}

/// The player's actions, with the number of those that the drill has taken.
#[derive(Debug)]
struct Actions {
    waiting: mpsc::Receiver<Action>,
    taken: usize,
}

impl Blind {
    /// A blind drill with a sealed plan.
    #[must_use]
    pub fn new(sealed: Sealed, script: Option<Script>) -> Arc<Blind> {
        let (sender, waiting) = mpsc::channel(WAITING);
        Arc::new(Blind {
            sealed,
            script,
            sender,
            actions: Mutex::new(Actions { waiting, taken: 0 }),
        })
    }

    /// A sender for the player's actions.
    #[must_use]
    pub fn player(&self) -> mpsc::Sender<Action> {
        self.sender.clone()
    }

    /// The next action. The drill refuses all actions after the first [`MOST_ACTIONS`].
    fn next_action(&self) -> Option<Action> {
        let mut actions = self.actions.lock();
        if actions.taken == MOST_ACTIONS {
            return None;
        }
        let action = actions.waiting.try_recv().ok()?;
        actions.taken += 1;
        if actions.taken == MOST_ACTIONS {
            actions.waiting.close();
        }
        Some(action)
    }
}

/// The view of a blind drill's player.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// SHA-256 of salt and plan, in hexadecimal.
    pub sha256: String,
    /// The URL of the server's operations listener.
    pub ops_url: String,
    /// The file with the token of the operations API; absent on a running system.
    pub token_file: Option<String>,
    /// Alerts that Alertmanager lists now.
    pub alerts: Vec<String>,
    /// The player's actions, in order, with the second of the drill.
    pub done: Vec<(f64, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::file::Drill;

    #[test]
    fn a_drill_takes_a_bounded_number_of_actions() {
        let drill = Drill::load("slow-charge").unwrap();
        let blind = Blind::new(Sealed::of(&drill, 7), None);
        let player = blind.player();
        let act = || player.try_send(Action::Acknowledge("SlowBuying".to_owned()));
        for number in 0..MOST_ACTIONS {
            act().unwrap();
            assert!(blind.next_action().is_some(), "{number}");
        }
        assert!(act().is_err(), "the player gets an error");
        assert!(blind.next_action().is_none());
    }
}
