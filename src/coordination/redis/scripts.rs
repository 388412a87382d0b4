//! The Lua scripts and the names of their keys.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use crate::domain::{Epoch, SeatId};

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!($file)));)*
    };
}

scripts! {
    REGISTER = "register.lua",
    ABANDON = "abandon.lua",
    RAISE = "raise.lua",
    KEEP = "keep.lua",
    END = "end.lua",
    CLAIM = "claim.lua",
    PUBLISH = "publish.lua",
    PUT_BACK = "put_back.lua",
    SET_ADMISSION = "set_admission.lua",
    TURN = "turn.lua",
    DECIDE = "decide.lua",
    FOLLOW = "follow.lua",
    RESTORE_PLACES = "restore_places.lua",
    RESTORE_BATCHES = "restore_batches.lua",
    RESTORE_QUEUE = "restore_queue.lua",
    LOCK = "lock.lua",
    UNLOCK = "unlock.lua",
}

/// A call of `script` on `keys`. The caller adds the arguments.
pub(super) fn call<'a>(script: &'a Script, keys: &[&str]) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    for key in keys {
        call.key(*key);
    }
    call
}

/// The keys of one dataset's queue. The part in braces selects the node of the cluster, so one node holds all keys,
/// and a script may use any of them.
#[derive(Debug)]
pub(super) struct Keys {
    tag: String,
    /// Exists while the queue is complete; holds the generation.
    pub(super) ready: String,
    /// Hash: numbers and settings.
    pub(super) queue: String,
    /// Hash: user → the user's latest place.
    pub(super) users: String,
    /// Sorted set: `mark:since` by mark.
    pub(super) batches: String,
    /// Sorted set: ended place by running number.
    pub(super) ended: String,
    /// Hash: server → time and figures of its latest measurement.
    pub(super) figures: String,
    /// Counter: the last fencing value.
    pub(super) fence: String,
}

impl Keys {
    pub(super) fn of(epoch: Epoch) -> Keys {
        let tag = format!("{{concertctl:{:016x}}}", epoch.0);
        let key = |name: &str| format!("{tag}:{name}");
        Keys {
            ready: key("ready"),
            queue: key("queue"),
            users: key("users"),
            batches: key("batches"),
            ended: key("ended"),
            figures: key("figures"),
            fence: key("fence"),
            tag,
        }
    }

    /// The lock of a seat.
    pub(super) fn lock(&self, seat: SeatId) -> String {
        format!("{}:lock:{seat}", self.tag)
    }
}
