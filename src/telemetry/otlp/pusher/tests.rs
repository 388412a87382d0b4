use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::telemetry::otlp::{Deliveries, Signal};
use crate::telemetry::subscription::Subscribers;

/// Fails a number of times, and then accepts everything.
struct Flaky {
    failures: usize,
    calls: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<u32>>>,
}

impl SendBatch<u32> for Flaky {
    fn send(&mut self, batch: &[u32]) -> Result<(), String> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.failures {
            return Err("not now".to_owned());
        }
        self.taken.lock().extend(batch);
        Ok(())
    }
}

struct Bench {
    subscribers: Subscribers<u32>,
    deliveries: Deliveries,
    calls: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<u32>>>,
    pusher: Pusher,
}

fn bench(capacity: usize, failures: usize) -> Bench {
    let subscribers = Subscribers::default();
    let (deliveries, calls, taken) = Default::default();
    let deliveries: Deliveries = deliveries;
    let sender = Flaky {
        failures,
        calls: Arc::clone(&calls),
        taken: Arc::clone(&taken),
    };
    let records = subscribers.subscribe(capacity);
    let pusher = Pusher::start(records, sender, deliveries.of(Signal::Logs)).unwrap();
    Bench {
        subscribers,
        deliveries,
        calls,
        taken,
        pusher,
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < until, "it did not happen in time");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Bench {
    fn end(self) -> (Vec<u32>, u64) {
        self.pusher.stop();
        self.pusher
            .ended_by(Instant::now() + Duration::from_secs(20));
        let taken = self.taken.lock().clone();
        (taken, self.deliveries.dropped(Signal::Logs))
    }
}

#[test]
fn waiting_records_are_sent_at_the_end() {
    let bench = bench(100, 0);
    bench.subscribers.offer(0..50);
    assert_eq!(bench.end(), ((0..50).collect(), 0));
}

#[test]
fn a_batch_that_is_refused_is_sent_again() {
    let bench = bench(100, 2);
    bench.subscribers.offer(0..3);
    wait_for(|| !bench.taken.lock().is_empty());
    assert_eq!(bench.calls.load(Ordering::SeqCst), 3);
    assert_eq!(bench.end(), (vec![0, 1, 2], 0));
}

#[test]
fn records_that_no_collector_accepts_are_counted_and_do_not_delay_the_end() {
    let bench = bench(100, usize::MAX);
    bench.subscribers.offer(0..7);
    assert_eq!(bench.end(), (vec![], 7));
}

#[test]
fn records_that_do_not_fit_the_buffer_are_counted() {
    let bench = bench(4, usize::MAX);
    // The thread takes out some records meanwhile. These are lost too.
    bench.subscribers.offer(0..1_000);
    assert_eq!(bench.end(), (vec![], 1_000));
}

/// Records the number of records in each batch.
struct Sizes(Arc<Mutex<Vec<usize>>>);

impl SendBatch<u32> for Sizes {
    fn send(&mut self, batch: &[u32]) -> Result<(), String> {
        self.0.lock().push(batch.len());
        Ok(())
    }
}

#[test]
fn waiting_records_are_sent_in_batches_of_a_bounded_size() {
    let subscribers = Subscribers::default();
    let records = subscribers.subscribe(3 * BATCH);
    subscribers.offer(0..3 * BATCH as u32);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let sender = Sizes(Arc::clone(&sizes));
    let pusher = Pusher::start(records, sender, Deliveries::default().of(Signal::Logs)).unwrap();
    pusher.stop();
    pusher.ended_by(Instant::now() + Duration::from_secs(20));
    assert_eq!(*sizes.lock(), [BATCH; 3]);
}

/// Reports each attempt, and refuses when the test says so.
struct Held {
    asked: mpsc::Sender<()>,
    refuse: mpsc::Receiver<()>,
}

impl SendBatch<u32> for Held {
    fn send(&mut self, _batch: &[u32]) -> Result<(), String> {
        // The test may have dropped the receiver already.
        let _ = self.asked.send(());
        let _ = self.refuse.recv();
        Err("not now".to_owned())
    }
}

/// A pusher during its first attempt. Returns it with its deliveries, the channel that reports further attempts, and
/// the channel that makes them fail.
fn held_up() -> (Pusher, Deliveries, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let subscribers = Subscribers::default();
    let deliveries = Deliveries::default();
    let (asked, is_asked) = mpsc::channel();
    let (fail, refuse) = mpsc::channel();
    let records = subscribers.subscribe(10);
    subscribers.offer(0..7);
    let held = Held { asked, refuse };
    let pusher = Pusher::start(records, held, deliveries.of(Signal::Logs)).unwrap();
    is_asked.recv_timeout(Duration::from_secs(20)).unwrap();
    (pusher, deliveries, is_asked, fail)
}

#[test]
fn a_try_that_fails_at_the_end_is_the_last_one() {
    let (pusher, deliveries, is_asked, fail) = held_up();
    pusher.stop();
    drop(fail);
    pusher.ended_by(Instant::now() + Duration::from_secs(20));
    assert_eq!(is_asked.try_iter().count(), 0);
    assert_eq!(deliveries.dropped(Signal::Logs), 7);
}

#[test]
fn the_wait_for_the_end_is_bounded_whatever_the_sender_does() {
    let (pusher, _, _, fail) = held_up();
    let (over, is_over) = mpsc::channel();
    pusher.stop();
    thread::spawn(move || {
        pusher.ended_by(Instant::now() + Duration::from_millis(20));
        over.send(())
    });
    is_over.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(fail);
}
