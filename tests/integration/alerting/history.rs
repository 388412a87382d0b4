//! Samples in which the condition of every shipped rule begins to hold and ends.
//!
//! They begin half an hour before the start, because of the longest windows, and end after it. A store accepts samples
//! with times in the future, and a rule sees each one once its time has come.

use concertctl::embedded::prometheus::labels::Labels;
use concertctl::embedded::prometheus::tsdb::STALE_NAN_BITS;

use crate::promql_differential::Series;

/// Seconds after the start at which conditions begin to hold.
pub(super) const ON: i64 = 8;
/// Seconds after the start at which they cease to.
pub(super) const OFF: i64 = ON + 16;
/// Seconds after the start of the last sample.
pub(super) const END: i64 = OFF + 10;

pub(super) struct History {
    start_ms: i64,
    pub(super) series: Vec<Series>,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

const A: (&str, &str) = ("instance", "a:1");
const B: (&str, &str) = ("instance", "b:1");
const JOB: (&str, &str) = ("job", "concertctl");

/// So many requests that the earlier ones no longer matter in a ratio.
const FLOOD: f64 = 1e7;

fn gauge(t: i64, else_: f64, on: f64) -> f64 {
    if (ON..OFF).contains(&t) { on } else { else_ }
}

/// A counter that grows by `each` per second, and by a flood when the conditions are to end.
fn steady(t: i64, each: f64) -> f64 {
    each * (t + 2000) as f64 + if t >= OFF { FLOOD } else { 0.0 }
}

/// A counter that grows by `each` per second for four seconds from `ON`, and is constant otherwise.
fn burst(t: i64, each: f64) -> f64 {
    each * (t - ON + 1).clamp(0, 4) as f64
}

impl History {
    pub(super) fn new(start_ms: i64) -> History {
        let mut history = History {
            start_ms,
            series: Vec::new(),
        };
        history.buying();
        history.queue();
        history.database();
        history.redis();
        history.servers();
        history.host();
        history
    }

    fn add(&mut self, name: &str, labels: Pairs<'_>, value: impl Fn(i64) -> f64) {
        let past = (-1900..-75).step_by(5);
        let times = past.chain(-75..=END);
        self.add_at(name, labels, times.map(|t| (t, value(t))));
    }

    fn add_at(&mut self, name: &str, labels: Pairs<'_>, samples: impl Iterator<Item = (i64, f64)>) {
        let labels = labels.iter().copied().chain([("__name__", name), JOB]);
        // A series may have another job: then the default one, which comes last, is dropped.
        let mut pairs: Vec<_> = labels.collect();
        if pairs.iter().filter(|(n, _)| *n == "job").count() > 1 {
            pairs.pop();
        }
        let labels = Labels::from_pairs(pairs);
        let late = self.series.len() as i64 * 7 % 400;
        let at = |t: i64| self.start_ms + t * 1000 + late;
        self.series
            .push((labels, samples.map(|(t, v)| (at(t), v)).collect()));
    }

    /// Adds a histogram with two bounds: `fast` counts are below the first, `slow` counts between them.
    fn histogram(
        &mut self,
        name: &str,
        labels: Pairs<'_>,
        bounds: [&str; 2],
        counts: [&dyn Fn(i64) -> f64; 2],
    ) {
        let [fast, slow] = counts;
        let all = |t| fast(t) + slow(t);
        let bucket = format!("{name}_bucket");
        let with = |le| [labels, &[("le", le)]].concat();
        self.add(&bucket, &with(bounds[0]), fast);
        self.add(&bucket, &with(bounds[1]), all);
        self.add(&bucket, &with("+Inf"), all);
        self.add(&format!("{name}_count"), labels, all);
    }

    fn buying(&mut self) {
        let name = "http_server_request_duration_seconds";
        let of = |status| {
            [
                A,
                ("http_route", "/reservations"),
                ("http_response_status_code", status),
            ]
        };
        let slow = |t| burst(t, 20.0);
        self.histogram(
            name,
            &of("200"),
            ["0.5", "1"],
            [&|t| steady(t, 20.0), &slow],
        );
        self.add(&format!("{name}_count"), &of("500"), |t| burst(t, 10.0));
    }

    fn queue(&mut self) {
        let name = "http_server_request_duration_seconds_count";
        let of = |status| {
            [
                A,
                ("http_route", "/queue"),
                ("http_response_status_code", status),
            ]
        };
        self.add(name, &of("200"), |t| steady(t, 30.0));
        self.add(name, &of("503"), |t| burst(t, 10.0));
        for (name, value) in [
            ("concert_queue_waiting", 10.0),
            ("concert_admission_open", 1.0),
            ("concert_admission_paused", 0.0),
            ("concert_admission_interval_seconds", 5.0),
        ] {
            self.add(name, &[A], |_| value);
        }
        self.add(
            "concert_coordination_up",
            &[A, ("backend", "embedded")],
            |_| 1.0,
        );
        // The watermark stands still for the whole window of the rule.
        self.add("concert_queue_admitted_mark", &[A], |t| {
            let moving = if t < ON - 14 { t } else { ON - 14 };
            (moving + 2000 + (t - OFF).max(0)) as f64
        });
        // The samples that an earlier rule of the group would have recorded.
        self.add_at(
            "job:concert_queue_due:min",
            &[],
            (-75..-5).map(|t| (t, 1.0)),
        );
    }

    fn database(&mut self) {
        self.add("concert_database_up", &[A, ("backend", "sqlite")], |t| {
            gauge(t, 1.0, 0.0)
        });
        self.add("db_client_connection_max", &[A], |_| 4.0);
        self.add("db_client_connection_count", &[A, ("state", "used")], |t| {
            if (ON - 20..OFF).contains(&t) {
                4.0
            } else {
                1.0
            }
        });
        let slow = |t| burst(t, 20.0);
        let fast = |t| steady(t, 20.0);
        let wait = "db_client_connection_wait_time_seconds";
        self.histogram(wait, &[A], ["0.25", "0.5"], [&fast, &slow]);
        let operation = "db_client_operation_duration_seconds";
        for name in ["seat.reserve", "audit.seats"] {
            let labels = [A, ("db_operation_name", name)];
            self.histogram(operation, &labels, ["0.25", "0.5"], [&fast, &slow]);
        }
    }

    fn redis(&mut self) {
        self.add("concert_coordination_up", &[B, ("backend", "redis")], |t| {
            gauge(t, 1.0, 0.0)
        });
        let name = "concert_seat_lock_wait_seconds_count";
        let of = |outcome| [A, ("backend", "redis"), ("outcome", outcome)];
        self.add(name, &of("acquired"), |t| steady(t, 10.0));
        self.add(name, &of("timed_out"), |t| burst(t, 20.0));
    }

    fn servers(&mut self) {
        self.add("concert_clock_offset_seconds", &[A], |t| {
            gauge(t, 0.0, -3.0)
        });
        let start = (self.start_ms / 1000) as f64;
        let days = 86_400.0;
        self.add(
            "concert_tls_certificate_expiry_timestamp_seconds",
            &[A],
            |t| start + gauge(t, 90.0, 1.0) * days,
        );
        // Both series end for some seconds, while one server does not answer.
        let missing = ON + 8..ON + 12;
        for instance in [A, B] {
            let value = |t| match t {
                t if t == missing.start => f64::from_bits(STALE_NAN_BITS),
                t if instance == B => gauge(t, 1.0, 0.0),
                _ => 1.0,
            };
            let there = |t: &i64| *t == missing.start || !missing.contains(t);
            let times = (-75..=END).filter(there);
            self.add_at("up", &[instance], times.map(|t| (t, value(t))));
        }
        self.add("up", &[("job", "node"), B], |t| gauge(t, 1.0, 0.0));
        self.add("process_start_time_seconds", &[A], |t| {
            gauge(t, 1000.0, 1100.5)
        });
        self.add("process_open_fds", &[A], |t| gauge(t, 100.0, 1000.0));
        self.add("process_max_fds", &[A], |_| 1024.0);
        // Two samples, the earlier one a minute before `OFF`. From `OFF` on the window has only one, so there is no
        // increase.
        let two = || [(OFF - 60, 0.0), (ON, 5.0)].into_iter();
        self.add_at("concert_log_dropped_total", &[A], two());
        self.add_at(
            "concert_telemetry_dropped_total",
            &[A, ("signal", "traces")],
            two(),
        );
        for fault in ["errors", "fire_alarm"] {
            self.add("concert_fault_active", &[A, ("fault", fault)], |t| {
                gauge(t, 0.0, 1.0)
            });
        }
    }

    fn host(&mut self) {
        for cpu in ["0", "1"] {
            // Busy for the whole window of the rule, then a jump of a minute of idle time.
            self.add(
                "node_cpu_seconds_total",
                &[A, ("cpu", cpu), ("mode", "idle")],
                |t| {
                    let idle = t.min(ON - 58) + 2000;
                    idle as f64 + if t >= OFF { 60.0 } else { 0.0 }
                },
            );
        }
        self.add("node_load5", &[A], |t| gauge(t, 1.0, 20.25));
        self.add("node_memory_MemTotal_bytes", &[A], |_| 8e9);
        self.add("node_memory_MemAvailable_bytes", &[A], |t| {
            gauge(t, 4e9, 1.5e8)
        });
        let full = [A, ("device", "/dev/sda1"), ("mountpoint", "/")];
        self.add("node_filesystem_size_bytes", &full, |_| 1e11);
        self.add("node_filesystem_avail_bytes", &full, |t| {
            gauge(t, 6e10, 1e9)
        });
        self.add("node_filesystem_files", &full, |_| 1e6);
        self.add("node_filesystem_files_free", &full, |t| gauge(t, 5e5, 1e4));
        // It fills all the time. The alert ends when the reported size grows, because then it is less than half full.
        let filling = [A, ("device", "/dev/sdb1"), ("mountpoint", "/data")];
        self.add("node_filesystem_avail_bytes", &filling, |t| {
            2e9 - 1e6 * t as f64
        });
        self.add("node_filesystem_size_bytes", &filling, |t| {
            gauge(t, 3e9, 1e10)
        });
        let disk = [A, ("device", "sda")];
        let busy = |t: i64, each: f64| {
            let began = ON - 57;
            each * (0.1 * t.min(began) as f64 + (t.clamp(began, OFF) - began) as f64 + 300.0)
        };
        self.add("node_disk_io_time_seconds_total", &disk, |t| busy(t, 1.0));
        self.add("node_disk_io_time_weighted_seconds_total", &disk, |t| {
            busy(t, 10.0)
        });
        let network = [A, ("device", "eth0")];
        for way in ["receive", "transmit"] {
            let name = |what: &str| format!("node_network_{way}_{what}_total");
            self.add(&name("packets"), &network, |t| steady(t, 10.0));
            self.add(&name("errs"), &network, |t| burst(t, 10.0));
            self.add(&name("drop"), &network, |t| burst(t, 30.0));
        }
    }
}
