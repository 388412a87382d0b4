//! The kinds of instruments, and the macro that declares a set of them, one per line.
//!
//! Labels that are known in advance are bound once, because an addition to a bound counter takes a few nanoseconds and
//! one with labels about ninety. A metric is one line of an `instruments!` block (`service.rs`, `loadgen.rs`). A new
//! kind of instrument implements [`Instrument`] here.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Gauge, Histogram, Meter};
use parking_lot::RwLock;

/// The upper bounds of the latency buckets, in seconds. 0.05, 0.15 and 0.5 are the objectives for p95, p99 and the
/// whole service. With these exact bounds, the share of requests within an objective is a count and not an estimate.
pub(super) const LATENCY_BOUNDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5,
    5.0, 10.0,
];

/// Declares a set of instruments: `field: kind = name, help;`. The exporter adds `_total` to the name of a counter.
macro_rules! instruments {
    ($(#[$meta:meta])* $Set:ident { $($field:ident: $kind:ty = $name:expr, $help:literal;)+ }) => {
        $(#[$meta])*
        pub(super) struct $Set { $(pub(super) $field: $kind),+ }

        impl $Set {
            pub(super) fn declare(meter: &opentelemetry::metrics::Meter) -> $Set {
                use $crate::telemetry::metrics::instruments::Instrument as _;
                $Set { $($field: <$kind>::declare(meter, $name, $help)),+ }
            }

            /// The exported names and kinds.
            #[cfg(test)]
            pub(super) fn declared() -> Vec<(String, &'static str)> {
                use $crate::telemetry::metrics::instruments::exported;
                vec![$(exported::<$kind>($name)),+]
            }
        }
    };
}
pub(super) use instruments;

/// A kind of instrument.
pub(super) trait Instrument {
    /// The kind in the exposition: counter, gauge, histogram.
    #[cfg(test)]
    const KIND: &'static str;

    fn declare(meter: &Meter, name: &'static str, help: &'static str) -> Self;
}

/// The name under which `/metrics` shows an instrument, and its kind.
#[cfg(test)]
pub(super) fn exported<I: Instrument>(name: &str) -> (String, &'static str) {
    let suffix = if I::KIND == "counter" { "_total" } else { "" };
    (format!("{name}{suffix}"), I::KIND)
}

/// Implements [`Instrument`] for a type: its kind in the exposition, and the function that makes it.
macro_rules! instrument {
    ($kind:literal, $Type:ty, $make:expr $(, $bound:ident)*) => {
        impl$(<$bound>)* Instrument for $Type {
            #[cfg(test)]
            const KIND: &'static str = $kind;

            fn declare(meter: &Meter, name: &'static str, help: &'static str) -> Self {
                $make(meter, name, help)
            }
        }
    };
}

instrument!("counter", Counter<u64>, counter);
instrument!("gauge", Gauge<u64>, |meter: &Meter, name, help| {
    meter.u64_gauge(name).with_description(help).build()
});
instrument!("gauge", Gauge<f64>, |meter: &Meter, name, help| {
    meter.f64_gauge(name).with_description(help).build()
});
instrument!("histogram", Histogram<f64>, latency);

// A counter without labels is exported as zero from the start, because `increase()` over a counter that appears with
// 1 misses the first event.
instrument!("counter", BoundCounter<u64>, |meter: &Meter, name, help| {
    let bound = counter(meter, name, help).bind(&[]);
    bound.add(0);
    bound
});
instrument!(
    "histogram",
    BoundHistogram<f64>,
    |meter: &Meter, name, help| { latency(meter, name, help).bind(&[]) }
);

fn counter(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(help).build()
}

fn latency(meter: &Meter, name: &'static str, help: &'static str) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_description(help)
        .with_boundaries(LATENCY_BOUNDS.to_vec())
        .build()
}

/// A label with a few values that are known at compile time.
pub(super) trait Label: Copy + 'static {
    /// The name of the label.
    const NAME: &'static str;
    /// `VALUES[value.index()]` is `value`.
    const VALUES: &'static [Self];

    fn index(self) -> usize;
    fn value(self) -> &'static str;
}

/// A counter by one label. Each value is exported as zero from the start.
pub(super) struct CounterBy<L> {
    bound: Vec<BoundCounter<u64>>,
    label: PhantomData<L>,
}

impl<L: Label> CounterBy<L> {
    pub(super) fn add(&self, label: L, n: u64) {
        self.bound[label.index()].add(n);
    }
}

impl<L: Label> Instrument for CounterBy<L> {
    #[cfg(test)]
    const KIND: &'static str = "counter";

    fn declare(meter: &Meter, name: &'static str, help: &'static str) -> Self {
        let counter = counter(meter, name, help);
        let bind = |label: &L| {
            let bound = counter.bind(&[KeyValue::new(L::NAME, label.value())]);
            bound.add(0);
            bound
        };
        CounterBy {
            bound: L::VALUES.iter().map(bind).collect(),
            label: PhantomData,
        }
    }
}

/// A latency histogram that is bound at the first use of a key. Keys are names in the program text, so the table
/// stays small.
pub(super) struct LatencyBy<K> {
    histogram: Histogram<f64>,
    bound: RwLock<HashMap<K, BoundHistogram<f64>>>,
}

impl<K> Instrument for LatencyBy<K> {
    #[cfg(test)]
    const KIND: &'static str = "histogram";

    fn declare(meter: &Meter, name: &'static str, help: &'static str) -> Self {
        LatencyBy {
            histogram: latency(meter, name, help),
            bound: RwLock::new(HashMap::new()),
        }
    }
}

impl<K: Hash + Eq + Copy> LatencyBy<K> {
    pub(super) fn record(
        &self,
        key: K,
        value: Duration,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        let seconds = value.as_secs_f64();
        if let Some(bound) = self.bound.read().get(&key) {
            bound.record(seconds);
            return;
        }
        self.bound
            .write()
            .entry(key)
            .or_insert_with(|| self.histogram.bind(&attributes()))
            .record(seconds);
    }
}

/// A gauge for a count that rises and falls. A collection reads the shared atomic, so a change costs one addition.
pub(super) struct Level(pub(super) Arc<AtomicI64>);

instrument!("gauge", Level, |meter: &Meter, name, help| {
    let level = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&level);
    meter
        .i64_observable_gauge(name)
        .with_description(help)
        .with_callback(move |observer| observer.observe(read.load(Ordering::Relaxed), &[]))
        .build();
    Level(level)
});

/// A counter that another module keeps and that each collection reads. It is not exported until [`CounterFrom::read`]
/// has set its source.
pub(super) struct CounterFrom(Arc<OnceLock<Source>>);

type Source = Box<dyn Fn(&dyn Fn(u64, &[KeyValue])) + Send + Sync>;

instrument!("counter", CounterFrom, |meter: &Meter, name, help| {
    let source: Arc<OnceLock<Source>> = Arc::default();
    let read = Arc::clone(&source);
    meter
        .u64_observable_counter(name)
        .with_description(help)
        .with_callback(move |observer| {
            if let Some(source) = read.get() {
                source(&|count, labels| observer.observe(count, labels));
            }
        })
        .build();
    CounterFrom(source)
});

impl CounterFrom {
    /// Sets the source, which calls its argument with each count and its labels. The first source stays.
    pub(super) fn read(&self, source: impl Fn(&dyn Fn(u64, &[KeyValue])) + Send + Sync + 'static) {
        let _already_set = self.0.set(Box::new(source));
    }
}
