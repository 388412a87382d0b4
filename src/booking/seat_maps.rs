//! Seat maps: read once per change, shared by all requests.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::{PerformanceDateId, SeatStatus};
use crate::store::{SeatRow, Store, StoreError};

/// The most maps in the cache. A map takes some tens of kilobytes.
const KEPT: usize = 256;

/// A list of dates may be older than a seat map by this factor. It covers twenty dates, and the answer for a date
/// changes only when its last seat is taken.
const LISTED_FOR: u32 = 4;

/// The seats of a date as of one commit.
#[derive(Debug)]
pub struct SeatMap {
    version: u64,
    read_at: Instant,
    /// By number.
    pub seats: Vec<SeatRow>,
    /// The number of AVAILABLE seats.
    pub free: usize,
    body: OnceLock<Bytes>,
}

impl SeatMap {
    /// Returns whether the map shows the last commit. Where several servers commit, it must also be young.
    fn is_fresh(&self, store: &Store, version: u64) -> bool {
        self.version == version && self.is_younger(store.shared_for())
    }

    fn is_younger(&self, most: Option<Duration>) -> bool {
        most.is_none_or(|most| self.read_at.elapsed() < most)
    }

    /// The body of the answer. The first request renders it, all others share it.
    pub fn body(&self, render: impl FnOnce(&[SeatRow]) -> Bytes) -> Bytes {
        self.body.get_or_init(|| render(&self.seats)).clone()
    }
}

/// The cache entry of a date.
#[derive(Debug, Default)]
struct Slot {
    /// The result of the last read.
    last: Mutex<Last>,
    /// Held by the request that reads.
    reader: tokio::sync::Mutex<()>,
    /// Notified when a read ends, with a map or with an error.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Last {
    map: Option<Arc<SeatMap>>,
    failed: Option<(Instant, StoreError)>,
}

impl Slot {
    /// The last map, if it is fresh enough for a request that came at `asked`: it shows the last commit, or was read
    /// after `asked`. Returns an error if a read failed after `asked`, because that read failed for all requests that
    /// waited for it. Otherwise each of them would read in turn, and the last would wait for all time-outs.
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

/// The turn to read. Dropping it, also on cancellation, wakes the requests that wait.
struct Turn<'s> {
    // Fields are dropped in this order: the turn is free before the waiting requests wake up.
    _reader: tokio::sync::MutexGuard<'s, ()>,
    _ends: Ends<'s>,
}

struct Ends<'s>(&'s Notify);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// The cache of seat maps.
#[derive(Debug, Default)]
pub(crate) struct SeatMaps(Mutex<HashMap<PerformanceDateId, Arc<Slot>>>);

impl SeatMaps {
    /// The map of `date`. It is not older than this server's last commit before the call, and not older than
    /// [`Store::shared_for`] with regard to commits of other servers. One of many concurrent requests reads for all of
    /// them.
    pub(crate) async fn get(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, StoreError> {
        let (slot, asked) = (self.slot(date), Instant::now());
        loop {
            // Registered before the check, so that a read that ends in between is not missed.
            let mut ended = std::pin::pin!(slot.ended.notified());
            ended.as_mut().enable();
            let version = store.date_version(date).unwrap_or(0);
            if let Some(map) = slot.known(asked, |map| map.is_fresh(store, version))? {
                return Ok(map);
            }
            let Ok(reader) = slot.reader.try_lock() else {
                // All waiting requests continue together. If they took the lock, they would continue one after the
                // other.
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

    /// Returns whether `date` has a free seat, mostly without a read. Each change of the version changes one seat. So a
    /// map with more free seats than changes since its read still has a free seat.
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

/// Reads the map. Keeps the map, or the error, for the requests that wait.
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
