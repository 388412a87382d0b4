//! Seat maps: read once per change, shared by all requests.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::shared_read::SharedRead;
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
    fn is_fresh(&self, store: &Store, date: PerformanceDateId) -> bool {
        let version = store.date_version(date).unwrap_or(0);
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

/// The cache of seat maps.
#[derive(Debug, Default)]
pub(crate) struct SeatMaps(Mutex<HashMap<PerformanceDateId, Arc<SharedRead<SeatMap>>>>);

impl SeatMaps {
    /// The map of `date`. It is not older than this server's last commit before the call, and not older than
    /// [`Store::shared_for`] with regard to commits of other servers. One of many concurrent requests reads for all of
    /// them.
    pub(crate) async fn get(
        &self,
        store: &Store,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, StoreError> {
        let slot = self.slot(date);
        let is_fresh = |map: &SeatMap| map.is_fresh(store, date);
        slot.get(is_fresh, || read(store, date)).await
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
        let known = self.slot(date).last();
        if let Some(map) = known.filter(|map| map.is_younger(most)) {
            let changed =
                usize::try_from(version.saturating_sub(map.version)).unwrap_or(usize::MAX);
            if changed < map.free || changed == 0 {
                return Ok(map.free > changed);
            }
        }
        Ok(self.get(store, date).await?.free > 0)
    }

    fn slot(&self, date: PerformanceDateId) -> Arc<SharedRead<SeatMap>> {
        let mut slots = self.0.lock();
        if slots.len() >= KEPT && !slots.contains_key(&date) {
            slots.clear();
        }
        Arc::clone(slots.entry(date).or_default())
    }
}

async fn read(store: &Store, date: PerformanceDateId) -> Result<SeatMap, StoreError> {
    let read_at = Instant::now();
    // The version is read before the rows: a commit in between makes the map look older than it is,
    // never newer.
    let version = store.date_version(date).unwrap_or(0);
    let seats = store.seats_of(date).await?;
    let free = seats
        .iter()
        .filter(|seat| seat.status == SeatStatus::Available)
        .count();
    Ok(SeatMap {
        version,
        read_at,
        seats,
        free,
        body: OnceLock::new(),
    })
}
