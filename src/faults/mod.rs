//! Faults that are injected into a running server to rehearse the response.
//!
//! This module knows which faults are active and until when. A fault ends when its time is over, when an operator
//! ends it, and when its server stops. The code that a fault breaks first asks its [`Faults`]. While no fault is
//! injected, this costs one relaxed load.

mod points;
mod seal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::api::faults::{Fault, FaultKind, LONGEST, LinkCut};
use crate::api::faults::{Site, check_length};
use crate::telemetry::Metrics;
pub use seal::SealKey;

/// The reason why a fault was not injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A parameter is out of bounds.
    #[error("{0}")]
    Setting(String),
    /// This server has no part that the fault could break.
    #[error("{0}")]
    NothingToBreak(&'static str),
    /// A seal withholds faults, and the caller does not have its key.
    #[error("{0}")]
    Sealed(&'static str),
}

/// An active or ended fault.
#[derive(Debug)]
pub struct Injected {
    pub fault: Fault,
    /// The person who injected it.
    pub by: String,
    pub started: SystemTime,
    /// The planned duration. The fault may be ended earlier.
    pub length: Duration,
    ends: Instant,
    id: u64,
    ended: CancellationToken,
}

impl Injected {
    /// Returns whether its time is over or an operator has ended it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.is_cancelled() || Instant::now() >= self.ends
    }

    /// The number of database connections that it takes. `None` means all.
    #[must_use]
    pub fn connections(&self) -> Option<usize> {
        match self.fault {
            Fault::PoolExhaustion { connections } => connections.map(|number| number as usize),
            _ => Some(0),
        }
    }

    /// Waits for its end.
    pub async fn over(&self) {
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = tokio::time::sleep_until(self.ends.into()) => {}
        }
    }
}

type Table = [Option<Arc<Injected>>; FaultKind::NUMBER];

/// The faults of one server. Clones share them.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    /// The kinds that may be active, one bit each. While no fault is injected, only this is read.
    maybe_active: AtomicU32,
    table: ArcSwap<Table>,
    /// Serialises changes of `maybe_active`, `table` and the seal. A bit is set after its fault is in `table`, and
    /// cleared after the fault is removed. So a reader that finds a bit must still look for the fault in `table`.
    changing: Mutex<Option<seal::Seal>>,
    /// Whether there is a seal, for readers.
    sealed: AtomicBool,
    changes: watch::Sender<()>,
    ids: AtomicU64,
    metrics: Option<Metrics>,
    /// Whether this server has a link to Redis that can be cut.
    redis: bool,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.list()).finish()
    }
}

/// Faults of a server without fault injection.
impl Default for Faults {
    fn default() -> Self {
        Faults::create(None, false)
    }
}

impl Faults {
    /// No fault is active yet. `redis` says whether this server has a link to Redis that can be cut.
    #[must_use]
    pub fn new(metrics: Metrics, redis: bool) -> Faults {
        for kind in FaultKind::injectable() {
            metrics.set_fault(kind.as_str(), false);
        }
        Faults::create(Some(metrics), redis)
    }

    fn create(metrics: Option<Metrics>, redis: bool) -> Faults {
        Faults(Arc::new(Inner {
            maybe_active: AtomicU32::new(0),
            table: ArcSwap::from_pointee(Table::default()),
            changing: Mutex::default(),
            sealed: AtomicBool::new(false),
            changes: watch::Sender::new(()),
            ids: AtomicU64::new(0),
            metrics,
            redis,
        }))
    }

    /// Injects `fault` for `length`. It replaces a fault of the same kind. Must be called in a tokio runtime, whose
    /// timer ends the fault.
    ///
    /// # Errors
    /// [`Refused`]. No fault changes then.
    pub fn inject(
        &self,
        fault: Fault,
        length: Duration,
        by: &str,
    ) -> Result<Arc<Injected>, Refused> {
        let checked = fault.check().and_then(|()| check_length(length));
        checked.map_err(Refused::Setting)?;
        let kind = fault.kind();
        self.0.check_site(kind)?;
        let injected = Arc::new(Injected {
            fault,
            by: by.to_owned(),
            started: SystemTime::now(),
            length,
            ends: Instant::now() + length,
            id: self.0.ids.fetch_add(1, Ordering::Relaxed),
            ended: CancellationToken::new(),
        });
        let before = self.0.put(kind, Some(Arc::clone(&injected)));
        if let Some(before) = before {
            self.0.log_end(before, "it is replaced");
        }
        self.0.log(seal::Event::begin(&injected));
        let (inner, timed) = (Arc::downgrade(&self.0), Arc::clone(&injected));
        tokio::spawn(async move { end_in_time(inner, timed).await });
        Ok(injected)
    }

    /// The active faults in the order of their kinds, also while a seal withholds them.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Injected>> {
        let table = self.0.table.load();
        let active = table.iter().flatten().filter(|it| !it.is_over());
        active.cloned().collect()
    }

    /// Ends the fault of that kind. `false` when none was active.
    pub fn end(&self, kind: FaultKind, why: &str) -> bool {
        let ended = self.0.put(kind, None);
        let was_active = ended.is_some();
        if let Some(ended) = ended {
            self.0.log_end(ended, why);
        }
        was_active
    }

    /// Ends all faults.
    pub fn end_all(&self, why: &str) {
        for kind in FaultKind::ALL {
            self.end(*kind, why);
        }
    }

    /// The active fault of that kind.
    #[inline]
    fn active(&self, kind: FaultKind) -> Option<Arc<Injected>> {
        match self.may_be_active(bit(kind)) {
            true => self.0.find(kind),
            false => None,
        }
    }

    /// Returns whether one of these kinds may be active. `bits` has one bit per kind.
    #[inline]
    fn may_be_active(&self, bits: u32) -> bool {
        // Relaxed is enough: the bit only says that `table` must be read, and `table` has its own ordering.
        self.0.maybe_active.load(Ordering::Relaxed) & bits != 0
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }
}

const fn bit(kind: FaultKind) -> u32 {
    1 << kind as u32
}

impl Inner {
    fn check_site(&self, kind: FaultKind) -> Result<(), Refused> {
        let why = match kind.site() {
            Site::Redis if !self.redis => {
                "this server keeps the queue in its own process: there is no Redis to cut off"
            }
            Site::Outside => "a server cannot inject this into itself: it comes from outside",
            _ => return Ok(()),
        };
        Err(Refused::NothingToBreak(why))
    }

    #[cold]
    fn find(&self, kind: FaultKind) -> Option<Arc<Injected>> {
        let found = self.table.load()[kind as usize].clone();
        found.filter(|injected| !injected.is_over())
    }

    /// Replaces the fault of that kind, or removes it for `None`. Ends the earlier one and returns it.
    fn put(&self, kind: FaultKind, injected: Option<Arc<Injected>>) -> Option<Arc<Injected>> {
        let seal = self.changing.lock();
        self.replace(kind, injected, seal.is_some())
    }

    fn replace(
        &self,
        kind: FaultKind,
        injected: Option<Arc<Injected>>,
        is_sealed: bool,
    ) -> Option<Arc<Injected>> {
        let mut table = Table::clone(&self.table.load());
        let is_active = injected.is_some();
        let before = std::mem::replace(&mut table[kind as usize], injected);
        self.table.store(Arc::new(table));
        match is_active {
            true => self.maybe_active.fetch_or(bit(kind), Ordering::Relaxed),
            false => self.maybe_active.fetch_and(!bit(kind), Ordering::Relaxed),
        };
        if let Some(metrics) = self.metrics.as_ref().filter(|_| !is_sealed) {
            metrics.set_fault(kind.as_str(), is_active);
        }
        if let Some(before) = &before {
            before.ended.cancel();
        }
        self.changes.send_replace(());
        before
    }

    /// Ends this fault, unless it was ended or replaced already. Returns whether it ended it.
    fn end_this(&self, injected: &Injected) -> bool {
        let seal = self.changing.lock();
        let kind = injected.fault.kind();
        let current = self.table.load()[kind as usize].clone();
        let is_current = current.is_some_and(|it| it.id == injected.id);
        is_current && self.replace(kind, None, seal.is_some()).is_some()
    }
}

async fn end_in_time(inner: Weak<Inner>, injected: Arc<Injected>) {
    injected.over().await;
    if let Some(inner) = inner.upgrade()
        && inner.end_this(&injected)
    {
        inner.log_end(injected, "its time is over");
    }
}
