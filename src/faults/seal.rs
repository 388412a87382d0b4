//! The seal of a blind drill: while it is set, this server withholds injected faults. The faults API lists none, the
//! gauge stays 0, log records wait, and errors do not name them. Only the holder of the key may change faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::{FaultKind, Faults, Injected, Inner, Refused};
use crate::api::faults::check_length;

/// The most log records that wait for the end of the seal. A drill has some dozens; beyond this bound the oldest are
/// lost.
const MAX_WAITING: usize = 256;

/// The key of a seal. It ends the seal, and allows changes of faults until then.
pub type SealKey = String;

/// A seal that is set. Only the hash of its key is kept.
pub(super) struct Seal {
    key: [u8; 32],
    /// The log records that are written when the seal ends.
    waiting: Vec<Event>,
}

/// A log record: the beginning or the end of a fault.
pub(super) struct Event {
    fault: Arc<Injected>,
    at: SystemTime,
    /// The reason of the end; `None` for the beginning of a fault.
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

    /// Writes the record. `late` means that it waited for the end of a seal, so the record states the time of the
    /// event.
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
    /// Sets the seal for at most `length`, and returns its key. Must be called in a tokio runtime, whose timer ends the
    /// seal.
    ///
    /// # Errors
    /// The length is out of bounds, a seal is set already, or a fault is active.
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

    /// Ends the seal: gauge, list and log show faults again. `false` when the key is not that of a set seal.
    #[must_use]
    pub fn unseal(&self, key: &str) -> bool {
        let key = hash(key);
        self.0.unseal(|seal| seal.key == key)
    }

    /// Ends the seal without its key, because the server stops: the waiting records would be lost with it.
    pub fn unseal_at_stop(&self) {
        self.0.unseal(|_| true);
    }

    /// Returns whether a seal withholds faults.
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

    /// The reason of a failure that a fault causes. `named` names the fault; `withheld` does not, and is used during a
    /// seal.
    #[must_use]
    pub fn reason(&self, named: &'static str, withheld: &'static str) -> &'static str {
        match self.are_sealed() {
            true => withheld,
            false => named,
        }
    }

    /// Checks whether a caller with this key may change faults. Returns `true` if a seal is set and the key belongs to
    /// it, and `false` if no seal is set, so that every caller may.
    ///
    /// # Errors
    /// A seal is set, and the key is missing or wrong.
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
    /// Writes the record, or keeps it until the end of the seal.
    pub(super) fn log(&self, event: Event) {
        if let Some(seal) = &mut *self.changing.lock() {
            if seal.waiting.len() == MAX_WAITING {
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

    /// Ends the seal if there is one and `may` allows it. Returns whether it did.
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
