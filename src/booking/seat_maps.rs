//! Seat maps: read once per change, shared by all requests.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

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

/// The cache entry of a date.
#[derive(Debug, Default)]
struct Slot {
    /// What the last reading came to.
    last: Mutex<Last>,
    /// Held by the one who reads.
    reader: tokio::sync::Mutex<()>,
    /// A reading ended, whatever it came to.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Last {
    map: Option<Arc<SeatMap>>,
    failed: Option<(Instant, StoreError)>,
}

impl Slot {
    /// The last map, if it is fresh enough for somebody who asked at `asked`: as of the last commit, or
    /// read since they asked. An error, when a reading failed since they asked: it has failed for all
    /// who waited for it, who would wait out the time-outs of those before them otherwise.
    fn known(
        &self,
        asked: Instant,
        is_fresh: impl FnOnce(&SeatMap) -> bool,
    ) -> Result<Option<Arc<SeatMap>>, StoreError> {
        let last = self.last.lock();
        if let Some(map) = &last.map
            && (map.read_at >= asked || is_fresh(map))
        {
            return Ok(Some(Arc::clone(map)));
        }
        match &last.failed {
            Some((at, error)) if *at >= asked => Err(error.clone()),
            _ => Ok(None),
        }
    }
}

/// The turn to read. Dropping it, also on cancellation, wakes those who wait.
struct Turn<'s> {
    // Field order is drop order: the turn is free before those who wait wake up.
    _reader: tokio::sync::MutexGuard<'s, ()>,
    _ends: Ends<'s>,
}

struct Ends<'s>(&'s Notify);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// The maps last read.
#[derive(Debug, Default)]
pub(crate) struct SeatMaps(Mutex<HashMap<PerformanceDateId, Arc<Slot>>>);

impl SeatMaps {
    /// The map of `date`, not older than this server's last commit before the call, and than
    /// [`Store::shared_for`] as regards other servers'. Of many who ask at once, one reads for all.
    pub(crate) async fn get(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, StoreError> {
        let (slot, asked) = (self.slot(date), Instant::now());
        loop {
            // Registered before the check, so that a reading that ends in between is not missed.
            let mut ended = std::pin::pin!(slot.ended.notified());
            ended.as_mut().enable();
            let version = store.date_version(date).unwrap_or(0);
            if let Some(map) = slot.known(asked, |map| map.is_fresh(store, version))? {
                return Ok(map);
            }
            let Ok(reader) = slot.reader.try_lock() else {
                // All who wait continue together; with the lock they would continue one after the other.
                ended.await;
                continue;
            };
            let _turn = Turn {
                _reader: reader,
                _ends: Ends(&slot.ended),
            };
            return read(&slot, store, date).await;
        }
    }

    /// Whether any seat of `date` is free. Mostly without reading: every change of the version is one
    /// seat, so a map with more free seats than there were changes since still has one.
    pub(crate) async fn any_free(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<bool, StoreError> {
        let version = store.date_version(date).unwrap_or(0);
        let most = store.shared_for().map(|most| most * LISTED_FOR);
        let known = self.slot(date).last.lock().map.clone();
        if let Some(map) = known.filter(|map| map.is_younger(most)) {
            let changed =
                usize::try_from(version.saturating_sub(map.version)).unwrap_or(usize::MAX);
            if changed < map.free || changed == 0 {
                return Ok(map.free > changed);
            }
        }
        Ok(self.get(store, date).await?.free > 0)
    }

    fn slot(&self, date: PerformanceDateId) -> Arc<Slot> {
        let mut slots = self.0.lock();
        if slots.len() >= KEPT && !slots.contains_key(&date) {
            slots.clear();
        }
        Arc::clone(slots.entry(date).or_default())
    }
}

/// Reads the map, and keeps it or the error for those who wait.
async fn read(
    slot: &Slot,
    store: &Store,
    date: PerformanceDateId,
) -> Result<Arc<SeatMap>, StoreError> {
    let read_at = Instant::now();
    // The version is read before the rows: a commit in between makes the map look older than it is,
    // never newer.
    let version = store.date_version(date).unwrap_or(0);
    let read = store.seats_of(date).await;
    let seats = read.inspect_err(|error| {
        slot.last.lock().failed = Some((Instant::now(), error.clone()));
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
    slot.last.lock().map = Some(Arc::clone(&map));
    Ok(map)
}
