//! The open connections of a listener: how many, whose, and which one goes when there is no room.
//!
//! A connection is idle, busy, upgraded or evicted. Only an idle one is evicted, by one atomic step, so a request
//! that has begun always gets its answer:
//!
//! ```text
//!            begin                    evict
//!   busy  ◄─────────  idle (since)  ─────────►  evicted: its task ends and closes the socket
//!         ─────────►
//!          answered and flushed
//! ```
//!
//! A busy one that is upgraded to another protocol (WebSocket) is never idle again.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const EVICTED: u8 = 2;
const UPGRADED: u8 = 3;

/// How often a new connection looks for an idle one to evict while all are busy.
const RETRY: Duration = Duration::from_millis(50);

/// Bounds on the open connections of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// In all.
    pub(super) connections: usize,
    /// From one address.
    pub(super) per_address: usize,
    /// Bytes of unfinished headers in all.
    pub(super) unfinished: usize,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    peer: IpAddr,
    state: AtomicU8,
    /// Milliseconds after the start of the listener at which it became idle.
    idle_since: AtomicU64,
    /// Requests whose answer is not finished.
    under_way: AtomicUsize,
    /// Requests that began.
    begun: AtomicU64,
    /// Bytes of an unfinished header.
    unfinished: AtomicUsize,
    refused: OnceLock<(u64, &'static str)>,
    evicted: Notify,
    all: Arc<Connections>,
}

impl Connection {
    /// Begins a request; `None`: the connection is evicted. Gives why the request must be refused.
    pub(super) fn begin(self: &Arc<Self>) -> Option<(UnderWay, Option<&'static str>)> {
        let begins = self.state.compare_exchange(IDLE, BUSY, SeqCst, SeqCst);
        if begins == Err(EVICTED) {
            return None;
        }
        self.under_way.fetch_add(1, SeqCst);
        let number = self.begun.fetch_add(1, SeqCst);
        let refused = self.refused.get().filter(|(at, _)| *at == number);
        Some((UnderWay(Arc::clone(self)), refused.map(|(_, why)| *why)))
    }

    /// The request of that number, counted from 0, is to be refused.
    pub(super) fn refuse(&self, refused: (u64, &'static str)) {
        // The first one stays: nothing after it is served.
        let _ = self.refused.set(refused);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(SeqCst) > 0
    }

    /// Whether another protocol than HTTP is spoken.
    pub(super) fn is_upgraded(&self) -> bool {
        self.state.load(SeqCst) == UPGRADED
    }

    /// Everything that was written has left.
    pub(super) fn flushed(&self) {
        if self.state.load(SeqCst) == BUSY && !self.is_busy() {
            self.idle_since.store(self.all.now(), SeqCst);
            self.state.store(IDLE, SeqCst);
        }
    }

    /// Notes how many bytes of an unfinished header the connection holds.
    pub(super) fn holds(&self, unfinished: usize) {
        if self.all.count(self, unfinished) > self.all.room.unfinished {
            self.all.make_memory();
        }
    }

    /// Resolves when the connection is evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn evict(&self) -> bool {
        let evicted = self.state.compare_exchange(IDLE, EVICTED, SeqCst, SeqCst);
        if evicted.is_ok() {
            self.all.count(self, 0);
            self.evicted.notify_one();
        }
        evicted.is_ok()
    }
}

/// A request under way, until its answer is finished or given up.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Connection>);

impl UnderWay {
    /// From now on another protocol is spoken.
    pub(super) fn upgrade(&self) {
        self.0.state.store(UPGRADED, SeqCst);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
    }
}

/// A connection's place among the open ones, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.all.count(connection, 0);
        connection.all.open.lock().remove(connection);
    }
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_id: HashMap<u64, Arc<Connection>>,
    by_address: HashMap<IpAddr, usize>,
    /// Idle ones as of the last look, oldest first. One whose `idle_since` is still the same is still
    /// older than all that are not in here.
    oldest: VecDeque<(u64, Arc<Connection>)>,
}

impl Open {
    fn remove(&mut self, connection: &Connection) {
        if self.by_id.remove(&connection.id).is_none() {
            return;
        }
        if let Some(count) = self.by_address.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&connection.peer);
            }
        }
    }

    fn look_for_idle(&mut self) {
        let idle = self
            .by_id
            .values()
            .filter(|one| one.state.load(SeqCst) == IDLE);
        let mut idle: Vec<_> = idle
            .map(|one| (one.idle_since.load(SeqCst), Arc::clone(one)))
            .collect();
        idle.sort_unstable_by_key(|(since, one)| (*since, one.id));
        self.oldest = idle.into();
    }

    fn evict_oldest(&mut self) -> bool {
        for look in [false, true] {
            if look {
                self.look_for_idle();
            }
            while let Some((since, one)) = self.oldest.pop_front() {
                if one.idle_since.load(SeqCst) == since && one.evict() {
                    self.remove(&one);
                    return true;
                }
            }
        }
        false
    }

    fn evict_oldest_of(&mut self, peer: IpAddr) -> bool {
        let theirs = self.by_id.values().filter(|one| one.peer == peer);
        let mut theirs: Vec<_> = theirs.map(Arc::clone).collect();
        theirs.sort_unstable_by_key(|one| (one.idle_since.load(SeqCst), one.id));
        let evicted = theirs.into_iter().find(|one| one.evict());
        evicted.map(|one| self.remove(&one)).is_some()
    }
}

/// All open connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    room: Room,
    started: Instant,
    places: Arc<Semaphore>,
    unfinished: AtomicUsize,
    open: Mutex<Open>,
}

impl Connections {
    pub(super) fn new(room: Room) -> Arc<Connections> {
        Arc::new(Connections {
            room,
            started: Instant::now(),
            places: Arc::new(Semaphore::new(room.connections)),
            unfinished: AtomicUsize::new(0),
            open: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Replaces what `connection` counts for; the new sum.
    fn count(&self, connection: &Connection, unfinished: usize) -> usize {
        let before = connection.unfinished.swap(unfinished, SeqCst);
        let sum = self.unfinished.fetch_add(unfinished, SeqCst) + unfinished;
        self.unfinished.fetch_sub(before, SeqCst);
        sum - before.min(sum)
    }

    /// Finds a place for a connection from `peer`, at the cost of the one that has been idle longest.
    /// Waits while all are busy. `None`: too many of that address are busy.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        {
            let mut open = self.open.lock();
            let theirs = open.by_address.get(&peer).copied().unwrap_or_default();
            if theirs >= self.room.per_address && !open.evict_oldest_of(peer) {
                return None;
            }
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break permit;
            }
            self.evict_oldest();
            let freed = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(RETRY, freed).await {
                break permit;
            }
        };
        let mut open = self.open.lock();
        open.next += 1;
        let connection = Arc::new(Connection {
            id: open.next,
            peer,
            state: AtomicU8::new(IDLE),
            idle_since: AtomicU64::new(self.now()),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            unfinished: AtomicUsize::new(0),
            refused: OnceLock::new(),
            evicted: Notify::new(),
            all: Arc::clone(self),
        });
        open.by_id.insert(connection.id, Arc::clone(&connection));
        *open.by_address.entry(peer).or_default() += 1;
        Some(Place {
            connection,
            _permit: permit,
        })
    }

    /// Evicts the connection that has been idle longest; false: none is idle.
    pub(super) fn evict_oldest(&self) -> bool {
        self.open.lock().evict_oldest()
    }

    /// Evicts those that hold the largest unfinished headers, until a quarter of the memory is free.
    fn make_memory(&self) {
        let mut open = self.open.lock();
        let enough = self.room.unfinished / 4 * 3;
        let holding = open
            .by_id
            .values()
            .map(|one| (one.unfinished.load(SeqCst), one));
        let mut holding: Vec<_> = holding
            .filter(|(bytes, _)| *bytes > 0)
            .map(|(bytes, one)| (bytes, Arc::clone(one)))
            .collect();
        holding.sort_unstable_by_key(|(bytes, one)| (std::cmp::Reverse(*bytes), one.id));
        for (_, one) in holding {
            if self.unfinished.load(SeqCst) <= enough {
                break;
            }
            if one.evict() {
                open.remove(&one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn room(connections: usize, per_address: usize, unfinished: usize) -> Arc<Connections> {
        Connections::new(Room {
            connections,
            per_address,
            unfinished,
        })
    }

    #[tokio::test]
    async fn an_upgraded_connection_is_never_idle_again() {
        let all = room(3, 100, 1_000);
        let place = all.admit(HERE).await.unwrap();
        let (request, _) = place.connection.begin().unwrap();
        request.upgrade();
        drop(request);
        place.connection.flushed();
        assert!(place.connection.is_upgraded());
        assert!(!all.evict_oldest());
    }

    fn is_evicted(place: &Place) -> bool {
        place.connection.state.load(SeqCst) == EVICTED
    }

    #[tokio::test]
    async fn the_one_that_is_idle_longest_goes_and_never_a_busy_one() {
        let all = room(3, 100, 1_000);
        let first = all.admit(HERE).await.unwrap();
        let second = all.admit(HERE).await.unwrap();
        let third = all.admit(HERE).await.unwrap();
        let (request, _) = first.connection.begin().unwrap();
        assert!(all.evict_oldest());
        assert!(is_evicted(&second) && !is_evicted(&first) && !is_evicted(&third));
        assert!(second.connection.begin().is_none(), "too late");
        assert!(all.evict_oldest());
        assert!(is_evicted(&third));
        assert!(!all.evict_oldest(), "only a busy one is left");
        drop(request);
        assert!(!all.evict_oldest(), "its answer has not left");
        first.connection.flushed();
        assert!(all.evict_oldest());
    }

    #[tokio::test]
    async fn an_address_makes_room_among_its_own() {
        let all = room(100, 2, 1_000);
        let elsewhere = all.admit([10, 0, 0, 1].into()).await.unwrap();
        let first = all.admit(HERE).await.unwrap();
        let _second = all.admit(HERE).await.unwrap();
        let third = all.admit(HERE).await.unwrap();
        assert!(is_evicted(&first) && !is_evicted(&elsewhere));
        let busy = (_second.connection.begin(), third.connection.begin());
        assert!(all.admit(HERE).await.is_none(), "all of it are busy");
        assert!(all.admit([10, 0, 0, 1].into()).await.is_some());
        drop(busy);
    }

    #[tokio::test]
    async fn the_largest_unfinished_headers_go_when_memory_is_short() {
        let all = room(100, 100, 1_000);
        let small = all.admit(HERE).await.unwrap();
        let large = all.admit(HERE).await.unwrap();
        small.connection.holds(300);
        large.connection.holds(600);
        assert!(!is_evicted(&large), "within bounds");
        small.connection.holds(500);
        assert!(is_evicted(&large) && !is_evicted(&small));
        assert_eq!(all.unfinished.load(SeqCst), 500);
        drop((small, large));
        assert_eq!(all.unfinished.load(SeqCst), 0);
        assert!(all.open.lock().by_address.is_empty());
    }
}
