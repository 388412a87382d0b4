//! The seal of a blind drill: while it is set, this server does not show injected faults. The faults API lists none,
//! the gauge stays 0, log records wait, and errors do not name them. Faults change only for the holder of the key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::{FaultKind, Faults, Injected, Inner, Refused};
use crate::api::faults::check_length;

/// Log records that wait. A drill has some dozens; beyond this the oldest are lost.
const MOST: usize = 256;

/// The key to a seal: what opens it, and changes faults meanwhile.
pub type SealKey = String;

/// A seal that is set. Only the hash of its key is kept.
pub(super) struct Seal {
    key: [u8; 32],
    waiting: Vec<Event>,
}

/// The beginning or the end of a fault, for the log.
pub(super) struct Event {
    fault: Arc<Injected>,
    at: SystemTime,
    /// Why it ended; `None` when it began.
    ended: Option<String>,
}

impl Event {
    pub(super) fn begin(fault: &Arc<Injected>) -> Event {
        Event {
            fault: Arc::clone(fault),
            at: fault.started,
            ended: None,
        }
    }

    /// Writes the record; `late` when it waited for the end of a seal.
    fn write(&self, late: bool) {
        let kind = self.fault.fault.kind().as_str();
        let at = late.then(|| jiff::Timestamp::try_from(self.at).unwrap_or_default());
        let at = at.map(tracing::field::display);
        match &self.ended {
            None => tracing::warn!(
                fault = kind,
                by = self.fault.by,
                settings = ?self.fault.fault,
                for_seconds = self.fault.length.as_secs_f64(),
                at,
                "a fault is injected: {kind}"
            ),
            Some(why) => tracing::warn!(
                fault = kind,
                by = self.fault.by,
                why,
                at,
                "an injected fault has ended: {kind}"
            ),
        }
    }
}

impl Faults {
    /// Withholds faults for at most `length`, and returns the key. Must be called in a tokio runtime: its timer
    /// ends the seal.
    ///
    /// # Errors
    /// The length is out of bounds, faults are withheld already, or a fault is active.
    pub fn seal(&self, length: Duration) -> Result<SealKey, Refused> {
        check_length(length).map_err(Refused::Setting)?;
        let key: SealKey = hex::encode(rand::random::<[u8; 32]>());
        let mut seal = self.0.changing.lock();
        if seal.is_some() {
            return Err(Refused::Sealed(
                "a blind drill runs already: wait for its end",
            ));
        }
        if !self.list().is_empty() {
            let why = "a fault is active and already visible: end it first";
            return Err(Refused::NothingToBreak(why));
        }
        *seal = Some(Seal {
            key: hash(&key),
            waiting: Vec::new(),
        });
        self.0.sealed.store(true, Ordering::Relaxed);
        drop(seal);
        let (inner, hash) = (Arc::downgrade(&self.0), hash(&key));
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            if let Some(inner) = inner.upgrade() {
                inner.unseal(|seal| seal.key == hash);
            }
        });
        Ok(key)
    }

    /// Ends the withholding: gauge, list and log show faults again. `false` when the key is not that of the seal.
    #[must_use]
    pub fn unseal(&self, key: &str) -> bool {
        let key = hash(key);
        self.0.unseal(|seal| seal.key == key)
    }

    /// Ends the withholding without its key, because the server stops: the waiting records would be lost with it.
    pub fn unseal_at_stop(&self) {
        self.0.unseal(|_| true);
    }

    /// Whether faults are withheld.
    #[must_use]
    pub fn are_sealed(&self) -> bool {
        self.0.sealed.load(Ordering::Relaxed)
    }

    /// The active faults that may be shown, by kind.
    #[must_use]
    pub fn shown(&self) -> Vec<Arc<Injected>> {
        match self.are_sealed() {
            true => Vec::new(),
            false => self.list(),
        }
    }

    /// The reason of a failure that a fault causes: `named`, or `withheld`, which does not name it.
    #[must_use]
    pub fn reason(&self, named: &'static str, withheld: &'static str) -> &'static str {
        match self.are_sealed() {
            true => withheld,
            false => named,
        }
    }

    /// Whether a caller with this key may change faults. `true` when the key is that of the current seal, `false` when
    /// nothing is withheld and every caller may.
    ///
    /// # Errors
    /// Faults are withheld, and the key is missing or wrong.
    pub fn check_key(&self, key: Option<&str>) -> Result<bool, Refused> {
        if !self.are_sealed() {
            return Ok(false);
        }
        let key = key.map(hash);
        match &*self.0.changing.lock() {
            Some(seal) if key == Some(seal.key) => Ok(true),
            Some(_) => Err(Refused::Sealed(
                "a blind drill runs on this server: nothing is injected or ended by hand before its end",
            )),
            None => Ok(false),
        }
    }
}

impl Inner {
    /// Logs what happened to a fault, now or at the end of the seal.
    pub(super) fn log(&self, event: Event) {
        if let Some(seal) = &mut *self.changing.lock() {
            if seal.waiting.len() == MOST {
                seal.waiting.remove(0);
            }
            seal.waiting.push(event);
            return;
        }
        event.write(false);
    }

    pub(super) fn log_end(&self, fault: Arc<Injected>, why: &str) {
        self.log(Event {
            fault,
            at: SystemTime::now(),
            ended: Some(why.to_owned()),
        });
    }

    /// Ends the seal if it `may`.
    fn unseal(&self, may: impl FnOnce(&Seal) -> bool) -> bool {
        let mut seal = self.changing.lock();
        let Some(open) = seal.take_if(|seal| may(seal)) else {
            return false;
        };
        self.sealed.store(false, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            let table = self.table.load();
            for kind in FaultKind::injectable() {
                metrics.set_fault(kind.as_str(), table[kind as usize].is_some());
            }
        }
        drop(seal);
        open.waiting.iter().for_each(|event| event.write(true));
        true
    }
}

/// Keys are compared by their hashes, so that the time of a wrong guess reveals no part of the key.
fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
