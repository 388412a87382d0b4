//! Blind drills: the player does not know what is broken, and is graded by how fast it is found and mitigated.
//!
//! - `plan`: what is broken, how much and when, drawn from the seed and sealed by a hash;
//! - `action`: what a player can do;
//! - `script`: a player that follows a file;
//! - `play`: the drill's side: it withholds the fault, carries out mitigations and records what the player does;
//! - `grading`: the player's actions beside the plan.

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

/// Actions that wait for the drill, which takes them five times a second.
const WAITING: usize = 64;
/// The drill's name as long as the plan is sealed.
pub const NAME: &str = "blind";
/// Its title meanwhile.
pub const TITLE: &str = "A blind drill: find out what is broken";

/// How a blind drill is played.
#[derive(Debug)]
pub struct Blind {
    /// The plan.
    pub sealed: Sealed,
    /// A player that follows a file; none: actions come from [`Blind::player`].
    pub script: Option<Script>,
    sender: mpsc::Sender<Action>,
    actions: Mutex<mpsc::Receiver<Action>>,
}

impl Blind {
    /// Of a sealed plan.
    #[must_use]
    pub fn new(sealed: Sealed, script: Option<Script>) -> Arc<Blind> {
        let (sender, actions) = mpsc::channel(WAITING);
        Arc::new(Blind {
            sealed,
            script,
            sender,
            actions: Mutex::new(actions),
        })
    }

    /// Where the player's actions go.
    #[must_use]
    pub fn player(&self) -> mpsc::Sender<Action> {
        self.sender.clone()
    }

    fn next_action(&self) -> Option<Action> {
        self.actions.lock().try_recv().ok()
    }
}

/// What the player of a blind drill sees of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// SHA-256 of salt and plan, in hexadecimal.
    pub sha256: String,
    /// The operations listener of the server that is played on.
    pub ops_url: String,
    /// The file with its token; absent on a running system.
    pub token_file: Option<String>,
    /// Alerts that Alertmanager lists now.
    pub alerts: Vec<String>,
    /// What the player did, in order, with the second of the drill.
    pub done: Vec<(f64, String)>,
}
