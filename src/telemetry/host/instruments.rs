//! The host metrics as OpenTelemetry instruments, for pushing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;

use super::exposition::{Described, Kind};
use super::{HostMetrics, Reader};

/// For this long, a later callback gets the same values. The SDK calls back for each instrument separately, so one
/// reading must serve all.
const REUSE_FOR: Duration = Duration::from_secs(1);

/// The values of the last reading.
struct Latest {
    reader: Arc<Reader>,
    read: Mutex<Option<(Instant, Arc<Figures>)>>,
}

/// Values by the family's name.
type Figures = HashMap<String, Vec<(Vec<KeyValue>, f64)>>;

impl Latest {
    fn figures(&self) -> Arc<Figures> {
        let mut read = self.read.lock();
        match &*read {
            Some((at, figures)) if at.elapsed() < REUSE_FOR => Arc::clone(figures),
            _ => {
                let families = self.reader.families().into_iter();
                let figures: Figures = families.map(|it| (it.name.clone(), samples(it))).collect();
                let figures = Arc::new(figures);
                *read = Some((Instant::now(), Arc::clone(&figures)));
                figures
            }
        }
    }
}

fn samples(family: Described) -> Vec<(Vec<KeyValue>, f64)> {
    let samples = family.samples.into_iter();
    samples
        .map(|(labels, number)| {
            let labels = labels.into_iter();
            let labels = labels.map(|(name, value)| KeyValue::new(name, value));
            (labels.collect(), number.into())
        })
        .collect()
}

impl HostMetrics {
    /// Creates an instrument of `meter` for each current family; a family that appears later is not pushed. The names
    /// have no `_total`, because a receiver that converts to Prometheus adds it to counters.
    ///
    /// Do not use it with a meter that `/metrics` is rendered from, because the values would appear twice.
    pub(in crate::telemetry) fn observe(&self, meter: &Meter) {
        let latest = Arc::new(Latest {
            reader: Arc::clone(&self.0),
            read: Mutex::new(None),
        });
        for family in self.0.families() {
            let latest = Arc::clone(&latest);
            let name = family.name.clone();
            let figures = move || latest.figures();
            let exported = name.strip_suffix("_total").unwrap_or(&name).to_owned();
            match family.kind {
                Kind::Counter => {
                    meter
                        .f64_observable_counter(exported)
                        .with_description(family.help)
                        .with_callback(move |observer| {
                            for (labels, value) in figures().get(&name).into_iter().flatten() {
                                observer.observe(*value, labels);
                            }
                        })
                        .build();
                }
                Kind::Gauge => {
                    meter
                        .f64_observable_gauge(exported)
                        .with_description(family.help)
                        .with_callback(move |observer| {
                            for (labels, value) in figures().get(&name).into_iter().flatten() {
                                observer.observe(*value, labels);
                            }
                        })
                        .build();
                }
            }
        }
    }
}
