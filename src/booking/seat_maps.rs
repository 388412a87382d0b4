//! Seat maps, read once per change and shared by everyone who asks.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::domain::{PerformanceDateId, SeatStatus};
use crate::store::{SeatRow, Store, StoreError};

/// Maps kept at a time; a map is some tens of kilobytes.
const KEPT: usize = 256;

/// A list of dates may be older than a seat map by this factor: it names twenty of them, and whether
/// any seat is left changes once.
const LISTED_FOR: u32 = 4;

/// The seats of a date as of one commit.
#[derive(Debug)]
pub struct SeatMap {
    version: u64,
    read_at: Instant,
    /// By number.
    pub seats: Vec<SeatRow>,
    /// How many are AVAILABLE.
    pub free: usize,
    body: OnceLock<Bytes>,
}

impl SeatMap {
    /// Whether it is as of the last commit; where several servers commit, whether it was a moment ago.
    fn is_fresh(&self, store: &Store, version: u64) -> bool {
        self.version == version && self.is_younger(store.shared_for())
    }

    fn is_younger(&self, most: Option<Duration>) -> bool {
        most.is_none_or(|most| self.read_at.elapsed() < most)
    }

    /// The answer's body, made by the first who needs it and shared by the rest.
    pub fn body(&self, render: impl FnOnce(&[SeatRow]) -> Bytes) -> Bytes {
        self.body.get_or_init(|| render(&self.seats)).clone()
    }
}

/// What the last reading of a date came to.
#[derive(Debug, Default)]
struct Kept {
    map: Option<Arc<SeatMap>>,
    failed: Option<(Instant, StoreError)>,
}

impl Kept {
    /// A reading that failed while somebody waited for it has failed for them too: one after another
    /// would wait out the time-out of each of those before.
    fn failed_since(&self, asked: Instant) -> Result<(), StoreError> {
        match &self.failed {
            Some((at, error)) if *at >= asked => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<Kept>>;

/// The maps last read.
#[derive(Debug, Default)]
pub(crate) struct SeatMaps(Mutex<HashMap<PerformanceDateId, Slot>>);

impl SeatMaps {
    /// The map of `date`, not older than this server's last commit before the call, and than
    /// [`Store::shared_for`] as regards other servers'. Of many who ask at once, one reads for all.
    pub(crate) async fn get(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, StoreError> {
        let (slot, asked) = (self.slot(date), Instant::now());
        let mut kept = slot.lock().await;
        // The version is read before the rows: a commit in between makes the map look older than it
        // is, never newer.
        let version = store.date_version(date).unwrap_or(0);
        if let Some(map) = &kept.map
            && map.is_fresh(store, version)
        {
            return Ok(Arc::clone(map));
        }
        kept.failed_since(asked)?;
        let read_at = Instant::now();
        let read = store.seats_of(date).await;
        let seats = read.inspect_err(|error| {
            kept.failed = Some((Instant::now(), error.clone()));
        })?;
        let free = seats
            .iter()
            .filter(|seat| seat.status == SeatStatus::Available)
            .count();
        let map = Arc::new(SeatMap {
            version,
            read_at,
            seats,
            free,
            body: OnceLock::new(),
        });
        kept.map = Some(Arc::clone(&map));
        Ok(map)
    }

    /// Whether any seat of `date` is free. Mostly without reading: every change of the version is one
    /// seat, so a map with more free seats than there were changes since still has one.
    pub(crate) async fn any_free(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<bool, StoreError> {
        let version = store.date_version(date).unwrap_or(0);
        let (slot, asked) = (self.slot(date), Instant::now());
        // Somebody is reading the map at this moment: wait for it rather than read beside it.
        let most = store.shared_for().map(|most| most * LISTED_FOR);
        let kept = slot.lock().await;
        if let Some(map) = kept.map.as_ref().filter(|map| map.is_younger(most)) {
            let changed =
                usize::try_from(version.saturating_sub(map.version)).unwrap_or(usize::MAX);
            if changed < map.free || changed == 0 {
                return Ok(map.free > changed);
            }
        }
        kept.failed_since(asked)?;
        drop(kept);
        Ok(self.get(store, date).await?.free > 0)
    }

    fn slot(&self, date: PerformanceDateId) -> Slot {
        let mut slots = self.0.lock();
        if slots.len() >= KEPT && !slots.contains_key(&date) {
            slots.clear();
        }
        Arc::clone(slots.entry(date).or_default())
    }
}
