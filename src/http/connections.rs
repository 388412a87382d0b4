//! The open connections of a listener. This module counts them, also per address, and chooses the one to evict at the
//! limit.
//!
//! A connection is idle, receiving, busy, upgraded or evicted. Eviction is one atomic step. It succeeds while the
//! connection is idle or receives the body of a request, because such a request has had no effect. A request whose body
//! is complete gets its answer:
//!
//! ```text
//!          answered and flushed                 evict
//!   busy  ─────────────────────►  idle       ─────────►  evicted: its task ends and closes the socket
//!     ▲                             │ begin                  ▲
//!     │        complete             ▼            evict       │
//!     └───────────────────────  receiving  ──────────────────┘
//! ```
//!
//! There is one exception: a busy connection may be evicted when its client has read nothing of an answer for
//! [`STALLED`]. A request without a body is busy from its beginning.
//!
//! The task of the connection makes every transition except eviction. A connection that is upgraded to another protocol
//! (WebSocket) never becomes idle again.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const EVICTED: u8 = 2;
const UPGRADED: u8 = 3;
const RECEIVING: u8 = 4;

/// The value of `stalled_since` while no write waits for the client.
const NOT_STALLED: u64 = u64::MAX;

/// A connection may be evicted when a write has made no progress for this long.
const STALLED: Duration = Duration::from_secs(2);

/// While all connections are busy, a new one tries again to evict an idle one after this pause.
const EVICT_INTERVAL: Duration = Duration::from_millis(50);

/// Limits on the open connections of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// The largest number of connections of the listener.
    pub(super) connections: usize,
    /// The largest number of connections from one address.
    pub(super) per_address: usize,
    /// The largest number of bytes of unfinished headers and bodies over all connections.
    pub(super) unfinished: usize,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    peer: IpAddr,
    state: AtomicU8,
    /// The time at which the connection became idle or began to receive a body, in milliseconds after the start of the
    /// listener.
    idle_since: AtomicU64,
    /// The time since which a write makes no progress, or [`NOT_STALLED`].
    stalled_since: AtomicU64,
    /// Whether the request that began last is still being received.
    receives: AtomicBool,
    /// The number of requests whose answer is not yet written.
    in_flight: AtomicUsize,
    /// The number of requests that began.
    begun: AtomicU64,
    /// The bytes of an unfinished header.
    unfinished: AtomicUsize,
    /// The bytes of an unfinished body.
    body: AtomicUsize,
    refused: OnceLock<(u64, &'static str)>,
    evicted: Notify,
    all: Arc<Connections>,
}

impl Connection {
    /// Begins a request, which `has_body` or not. Returns also the reason if the request must be refused. `None` when
    /// the connection is evicted.
    pub(super) fn begin(
        self: &Arc<Self>,
        has_body: bool,
    ) -> Option<(InFlight, Option<&'static str>)> {
        if has_body {
            self.idle_since.store(self.all.now(), SeqCst);
        }
        self.receives.store(has_body, SeqCst);
        let begun = if has_body { RECEIVING } else { BUSY };
        // A connection that still sends an earlier answer stays busy until that answer is flushed.
        let begins = self.state.compare_exchange(IDLE, begun, SeqCst, SeqCst);
        if begins == Err(EVICTED) {
            return None;
        }
        self.in_flight.fetch_add(1, SeqCst);
        let number = self.begun.fetch_add(1, SeqCst);
        let refused = self.refused.get().filter(|(at, _)| *at == number);
        Some((InFlight(Arc::clone(self)), refused.map(|(_, why)| *why)))
    }

    /// Marks the request with this number, counted from 0, as one to refuse.
    pub(super) fn refuse(&self, refused: (u64, &'static str)) {
        // The first mark stays, because no later request is served.
        let _ = self.refused.set(refused);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(SeqCst) > 0
    }

    /// Returns whether the connection was upgraded to a protocol other than HTTP.
    pub(super) fn is_upgraded(&self) -> bool {
        self.state.load(SeqCst) == UPGRADED
    }

    /// The stream calls this when everything that was written has been sent.
    pub(super) fn flushed(&self) {
        let state = self.state.load(SeqCst);
        let next = match self.is_busy() {
            false => IDLE,
            true if self.receives.load(SeqCst) => RECEIVING,
            true => BUSY,
        };
        // A request may be refused and answered before its body is complete.
        let ends = matches!((state, next), (BUSY, IDLE | RECEIVING) | (RECEIVING, IDLE));
        if ends {
            self.idle_since.store(self.all.now(), SeqCst);
            let _evicted_meanwhile = self.state.compare_exchange(state, next, SeqCst, SeqCst);
        }
    }

    /// The socket calls this when a write begins to wait for the client.
    pub(super) fn write_waits(&self) {
        self.stalled_since.store(self.all.now(), SeqCst);
    }

    /// The socket calls this when such a write makes progress.
    pub(super) fn write_continues(&self) {
        self.stalled_since.store(NOT_STALLED, SeqCst);
    }

    /// Records how many bytes of an unfinished header the connection holds.
    pub(super) fn set_unfinished(&self, unfinished: usize) {
        self.all.bound(&self.unfinished, unfinished);
    }

    /// Resolves when the connection is evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The time since which the connection may be evicted. `None` if it may not.
    fn evictable_since(&self) -> Option<u64> {
        match self.state.load(SeqCst) {
            IDLE | RECEIVING => Some(self.idle_since.load(SeqCst)),
            BUSY => {
                let since = self.stalled_since.load(SeqCst);
                let stalled = u64::try_from(STALLED.as_millis()).unwrap_or(u64::MAX);
                (self.all.now().checked_sub(since)? >= stalled).then_some(since)
            }
            _ => None,
        }
    }

    fn evict(&self) -> bool {
        let state = self.state.load(SeqCst);
        let evicted = self.evictable_since().is_some()
            && self
                .state
                .compare_exchange(state, EVICTED, SeqCst, SeqCst)
                .is_ok();
        if evicted {
            self.forget_bytes();
            self.evicted.notify_one();
        }
        evicted
    }

    fn bytes(&self) -> usize {
        self.unfinished.load(SeqCst) + self.body.load(SeqCst)
    }

    fn forget_bytes(&self) {
        self.all.count(&self.unfinished, 0);
        self.all.count(&self.body, 0);
    }
}

/// Attached to a request whose body is being received.
#[derive(Clone, Debug)]
pub(super) struct Receiving(Arc<Connection>);

impl Receiving {
    /// Records how many bytes of the body have arrived.
    pub(super) fn arrived(&self, bytes: usize) {
        self.0.all.bound(&self.0.body, bytes);
    }

    /// Ends the receiving: the request becomes busy. `false` when the connection is evicted, so that the request must
    /// have no effect.
    pub(super) fn complete(&self) -> bool {
        let connection = &self.0;
        connection.receives.store(false, SeqCst);
        connection.all.count(&connection.body, 0);
        let state = &connection.state;
        state.compare_exchange(RECEIVING, BUSY, SeqCst, SeqCst) != Err(EVICTED)
    }
}

/// A request that counts as in flight until its answer is written or given up.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Connection>);

impl InFlight {
    /// The handle to the body of the request.
    pub(super) fn receiving(&self) -> Receiving {
        Receiving(Arc::clone(&self.0))
    }

    /// Marks the connection as upgraded to another protocol.
    pub(super) fn upgrade(&self) {
        self.0.state.store(UPGRADED, SeqCst);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

/// The slot of an open connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.forget_bytes();
        connection.all.open.lock().remove(connection);
    }
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_id: HashMap<u64, Arc<Connection>>,
    by_address: HashMap<IpAddr, usize>,
    /// The connections that could be evicted at the last refresh, oldest first. An entry whose time is unchanged is
    /// still older than every idle connection that is not listed.
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

    fn refresh_oldest(&mut self) {
        let all = self.by_id.values();
        let mut evictable: Vec<_> = all
            .filter_map(|one| Some((one.evictable_since()?, Arc::clone(one))))
            .collect();
        evictable.sort_unstable_by_key(|(since, one)| (*since, one.id));
        self.oldest = evictable.into();
    }

    fn evict_oldest(&mut self) -> bool {
        for refresh in [false, true] {
            if refresh {
                self.refresh_oldest();
            }
            while let Some((since, one)) = self.oldest.pop_front() {
                if one.evictable_since() == Some(since) && one.evict() {
                    self.remove(&one);
                    return true;
                }
            }
        }
        false
    }

    fn evict_oldest_of(&mut self, peer: IpAddr) -> bool {
        let theirs = self.by_id.values().filter(|one| one.peer == peer);
        let mut theirs: Vec<_> = theirs
            .filter_map(|one| Some((one.evictable_since()?, Arc::clone(one))))
            .collect();
        theirs.sort_unstable_by_key(|(since, one)| (*since, one.id));
        let evicted = theirs.into_iter().find(|(_, one)| one.evict());
        evicted.map(|(_, one)| self.remove(&one)).is_some()
    }
}

/// All open connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    started: Instant,
    slots: Arc<Semaphore>,
    unfinished: AtomicUsize,
    open: Mutex<Open>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Connections> {
        Arc::new(Connections {
            limits,
            started: Instant::now(),
            slots: Arc::new(Semaphore::new(limits.connections)),
            unfinished: AtomicUsize::new(0),
            open: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Replaces a number of unfinished bytes, and evicts connections if the sum is too large.
    fn bound(&self, part: &AtomicUsize, unfinished: usize) {
        if self.count(part, unfinished) > self.limits.unfinished {
            self.free_memory();
        }
    }

    /// Replaces `part`, a number of unfinished bytes, and returns the new sum over all connections.
    fn count(&self, part: &AtomicUsize, unfinished: usize) -> usize {
        let before = part.swap(unfinished, SeqCst);
        let sum = self.unfinished.fetch_add(unfinished, SeqCst) + unfinished;
        self.unfinished.fetch_sub(before, SeqCst);
        sum - before.min(sum)
    }

    /// Gives a slot to a connection from `peer`. At the limit it evicts the oldest one that may be evicted, or waits
    /// while all are busy. `None` when the address is at its own limit and all its connections are busy.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        {
            let mut open = self.open.lock();
            let theirs = open.by_address.get(&peer).copied().unwrap_or_default();
            if theirs >= self.limits.per_address && !open.evict_oldest_of(peer) {
                return None;
            }
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
                break permit;
            }
            self.evict_oldest();
            let freed = Arc::clone(&self.slots).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(EVICT_INTERVAL, freed).await {
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
            stalled_since: AtomicU64::new(NOT_STALLED),
            receives: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            unfinished: AtomicUsize::new(0),
            body: AtomicUsize::new(0),
            refused: OnceLock::new(),
            evicted: Notify::new(),
            all: Arc::clone(self),
        });
        open.by_id.insert(connection.id, Arc::clone(&connection));
        *open.by_address.entry(peer).or_default() += 1;
        Some(Slot {
            connection,
            _permit: permit,
        })
    }

    /// Evicts the oldest connection that may be evicted. `false` when there is none.
    pub(super) fn evict_oldest(&self) -> bool {
        self.open.lock().evict_oldest()
    }

    /// Evicts the connections with the largest unfinished headers and bodies, until a quarter of the memory is free.
    fn free_memory(&self) {
        let mut open = self.open.lock();
        let enough = self.limits.unfinished / 4 * 3;
        let holding = open.by_id.values().map(|one| (one.bytes(), one));
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
        Connections::new(ConnectionLimits {
            connections,
            per_address,
            unfinished,
        })
    }

    #[tokio::test]
    async fn an_upgraded_connection_is_never_idle_again() {
        let all = room(3, 100, 1_000);
        let slot = all.admit(HERE).await.unwrap();
        let (request, _) = slot.connection.begin(false).unwrap();
        request.upgrade();
        drop(request);
        slot.connection.flushed();
        assert!(slot.connection.is_upgraded());
        assert!(!all.evict_oldest());
    }

    fn is_evicted(slot: &Slot) -> bool {
        slot.connection.state.load(SeqCst) == EVICTED
    }

    #[tokio::test]
    async fn the_one_that_is_idle_longest_goes_and_never_a_busy_one() {
        let all = room(3, 100, 1_000);
        let first = all.admit(HERE).await.unwrap();
        let second = all.admit(HERE).await.unwrap();
        let third = all.admit(HERE).await.unwrap();
        let (request, _) = first.connection.begin(false).unwrap();
        assert!(all.evict_oldest());
        assert!(is_evicted(&second) && !is_evicted(&first) && !is_evicted(&third));
        assert!(second.connection.begin(false).is_none(), "too late");
        assert!(all.evict_oldest());
        assert!(is_evicted(&third));
        assert!(!all.evict_oldest(), "only a busy one is left");
        drop(request);
        assert!(!all.evict_oldest(), "its answer has not left");
        first.connection.flushed();
        assert!(all.evict_oldest());
    }

    #[tokio::test]
    async fn a_connection_that_receives_a_body_is_evicted_until_the_body_is_complete() {
        let all = room(1, 100, 1_000);
        let slot = all.admit(HERE).await.unwrap();
        let (request, _) = slot.connection.begin(true).unwrap();
        assert!(request.receiving().complete());
        assert!(!all.evict_oldest(), "the request may have an effect");
        // The next request begins before the answer is flushed.
        let (next, _) = slot.connection.begin(true).unwrap();
        drop(request);
        assert!(!all.evict_oldest(), "the answer has not left");
        slot.connection.flushed();
        next.receiving().arrived(10);
        assert_eq!(all.unfinished.load(SeqCst), 10);
        assert!(all.evict_oldest(), "it only receives");
        assert!(!next.receiving().complete(), "the request has no effect");
        assert_eq!(all.unfinished.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn a_request_that_is_answered_before_its_body_is_complete_leaves_an_idle_connection() {
        let all = room(1, 100, 1_000);
        let slot = all.admit(HERE).await.unwrap();
        let (request, _) = slot.connection.begin(true).unwrap();
        drop(request);
        slot.connection.flushed();
        let (_request, _) = slot.connection.begin(false).unwrap();
        assert!(!all.evict_oldest(), "busy again");
    }

    #[tokio::test]
    async fn unfinished_bodies_are_bounded_together() {
        let all = room(100, 100, 1_000);
        let small = all.admit(HERE).await.unwrap();
        let large = all.admit(HERE).await.unwrap();
        let (one, _) = small.connection.begin(true).unwrap();
        let (other, _) = large.connection.begin(true).unwrap();
        other.receiving().arrived(700);
        one.receiving().arrived(400);
        assert!(is_evicted(&large) && !is_evicted(&small));
        assert!(one.receiving().complete());
        assert_eq!(all.unfinished.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn a_busy_connection_whose_client_reads_nothing_is_evicted() {
        let all = room(1, 100, 1_000);
        let slot = all.admit(HERE).await.unwrap();
        let (_request, _) = slot.connection.begin(false).unwrap();
        slot.connection.write_waits();
        assert!(!all.evict_oldest(), "it may still read");
        slot.connection.write_continues();
        tokio::time::sleep(STALLED).await;
        assert!(!all.evict_oldest(), "it has read");
        // The same if the write had begun to wait at the start of the listener.
        slot.connection.stalled_since.store(0, SeqCst);
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
        let busy = (
            _second.connection.begin(false),
            third.connection.begin(false),
        );
        assert!(all.admit(HERE).await.is_none(), "all of it are busy");
        assert!(all.admit([10, 0, 0, 1].into()).await.is_some());
        drop(busy);
    }

    #[tokio::test]
    async fn the_largest_unfinished_headers_go_when_memory_is_short() {
        let all = room(100, 100, 1_000);
        let small = all.admit(HERE).await.unwrap();
        let large = all.admit(HERE).await.unwrap();
        small.connection.set_unfinished(300);
        large.connection.set_unfinished(600);
        assert!(!is_evicted(&large), "within bounds");
        small.connection.set_unfinished(500);
        assert!(is_evicted(&large) && !is_evicted(&small));
        assert_eq!(all.unfinished.load(SeqCst), 500);
        drop((small, large));
        assert_eq!(all.unfinished.load(SeqCst), 0);
        assert!(all.open.lock().by_address.is_empty());
    }
}
