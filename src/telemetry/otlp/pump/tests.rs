use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::telemetry::otlp::{Deliveries, Signal};
use crate::telemetry::subscription::Subscribers;

/// Fails so many times, then takes everything.
struct Flaky {
    failures: usize,
    calls: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<u32>>>,
}

impl Send<u32> for Flaky {
    fn send(&mut self, batch: &[Arc<u32>]) -> Result<(), String> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.failures {
            return Err("not now".to_owned());
        }
        self.taken.lock().extend(batch.iter().map(|it| **it));
        Ok(())
    }
}

struct Bench {
    subscribers: Subscribers<u32>,
    deliveries: Deliveries,
    calls: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<u32>>>,
    pump: Pump,
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
    let pump = Pump::start(records, sender, deliveries.of(Signal::Logs)).unwrap();
    Bench {
        subscribers,
        deliveries,
        calls,
        taken,
        pump,
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
        self.pump.stop();
        self.pump.ended_by(Instant::now() + Duration::from_secs(20));
        let taken = self.taken.lock().clone();
        (taken, self.deliveries.dropped(Signal::Logs))
    }
}

#[test]
fn what_waits_at_the_end_is_sent() {
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
fn what_nobody_takes_is_given_up_and_counted_and_the_end_does_not_wait_for_more_tries() {
    let bench = bench(100, usize::MAX);
    bench.subscribers.offer(0..7);
    assert_eq!(bench.end(), (vec![], 7));
}

#[test]
fn what_does_not_fit_the_buffer_is_counted() {
    let bench = bench(4, usize::MAX);
    // The thread takes some out while they come; whatever it takes is lost too.
    bench.subscribers.offer(0..1_000);
    assert_eq!(bench.end(), (vec![], 1_000));
}
