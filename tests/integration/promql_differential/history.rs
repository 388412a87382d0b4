//! An hour of samples with everything that makes queries hard: counter resets, gaps, series that end or begin late, NaN
//! and infinities, valid and broken histograms, odd label values.

use std::fmt::Write;

use concertctl::embedded::prometheus::labels::Labels;
use concertctl::embedded::prometheus::tsdb::STALE_NAN_BITS;

/// The beginning of the history in Unix milliseconds, which is not a whole minute.
pub(super) const START_MS: i64 = 1_700_000_003_000;

const STEP_MS: i64 = 10_000;
const STEPS: i64 = 360;

/// A series: its labels and its samples in time order.
pub(crate) type Series = (Labels, Vec<(i64, f64)>);

/// Series with their samples.
pub(super) struct History(Vec<Series>);

/// A small pseudo-random generator with the same sequence in each run.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % 1_000_000) as f64 / 1e6
    }
}

impl History {
    pub(super) fn new() -> Self {
        let mut history = Self(vec![]);
        history.counters();
        history.gauges();
        history.histograms();
        history.oddities();
        history
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = (&Labels, i64, f64)> {
        self.0
            .iter()
            .flat_map(|(labels, samples)| samples.iter().map(move |(t, v)| (labels, *t, *v)))
    }

    /// Ten further minutes with staleness markers, which no text format has.
    pub(super) fn with_ends() -> Vec<Series> {
        let series = |n: &str, ends: &[i64], f: fn(i64) -> f64| {
            let labels = Labels::from_pairs([("__name__", "ended"), ("n", n)]);
            let samples = (400..460)
                .filter(|i| !ends.contains(&(i - 1)))
                .map(|i| {
                    let v = if ends.contains(&i) {
                        f64::from_bits(STALE_NAN_BITS)
                    } else {
                        f(i)
                    };
                    (START_MS + i * STEP_MS, v)
                })
                .collect();
            (labels, samples)
        };
        vec![
            series("once", &[420], |i| i as f64),
            series("twice", &[415, 430], |i| ((i * 3) % 40) as f64),
            series("at the end", &[459], |i| -i as f64),
        ]
    }

    /// The text that `promtool tsdb create-blocks-from openmetrics` reads.
    pub(super) fn openmetrics(&self) -> String {
        let mut out = String::new();
        for (labels, t, v) in self.samples() {
            let inner: Vec<String> = labels
                .iter()
                .filter(|(n, _)| *n != "__name__")
                .map(|(n, v)| {
                    let v = v
                        .replace('\\', r"\\")
                        .replace('"', "\\\"")
                        .replace('\n', r"\n");
                    format!("{n}=\"{v}\"")
                })
                .collect();
            let value = match v {
                v if v.is_nan() => "NaN".to_owned(),
                v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
                v => format!("{v:?}"),
            };
            let (name, seconds, ms) = (labels.metric_name(), t / 1000, t % 1000);
            writeln!(
                out,
                "{name}{{{}}} {value} {seconds}.{ms:03}",
                inner.join(",")
            )
            .unwrap();
        }
        out + "# EOF\n"
    }

    /// A series with the value of `f` at each step that has one.
    fn add(&mut self, name: &str, labels: &[(&str, &str)], mut f: impl FnMut(i64) -> Option<f64>) {
        let labels = Labels::from_pairs(labels.iter().copied().chain([("__name__", name)]));
        // Scrapes are a few milliseconds late, by a different amount for each series.
        let mut late = Noise(self.0.len() as u64 * 7919 + 1);
        let samples = (0..STEPS)
            .filter_map(|i| Some((START_MS + i * STEP_MS + (late.next() * 40.0) as i64, f(i)?)))
            .collect();
        self.0.push((labels, samples));
    }

    fn counters(&mut self) {
        for (n, instance) in ["web-1", "web-2"].into_iter().enumerate() {
            for (m, method) in ["GET", "POST"].into_iter().enumerate() {
                for (c, code) in ["200", "404", "500"].into_iter().enumerate() {
                    let labels = [
                        ("job", "web"),
                        ("instance", instance),
                        ("method", method),
                        ("code", code),
                    ];
                    let mut noise = Noise((n * 100 + m * 10 + c + 1) as u64);
                    let mut total = 0.0;
                    // Each instance restarts at a different time.
                    let restart = [130, 251][n];
                    self.add("http_requests_total", &labels, |i| {
                        if i == restart {
                            total = 0.0;
                        }
                        total += (noise.next() * [50.0, 5.0, 0.6][c]).floor();
                        Some(total)
                    });
                }
            }
            let labels = [("job", "web"), ("instance", instance)];
            let mut cpu = Noise(n as u64 + 77);
            let mut seconds = 123.456;
            self.add("node_cpu_seconds_total", &labels, |_| {
                seconds += cpu.next() * 9.7;
                Some(seconds)
            });
            self.add("up", &labels, |i| Some(f64::from(u8::from(i % 97 != 5))));
        }
        self.add("idle_total", &[("job", "web")], |_| Some(0.0));
        self.add("fast_total", &[("job", "web")], |i| {
            (i >= 3).then(|| ((i - 3) * (i - 3)) as f64)
        });
        self.add("late_total", &[("job", "web")], |i| {
            (i >= 180).then(|| (5000 + i * 3) as f64)
        });
        self.add("flapping_total", &[("job", "web")], |i| {
            Some(((i * 37) % 11) as f64)
        });
        self.add("nan_total", &[("job", "web")], |i| {
            Some(if i % 50 == 7 { f64::NAN } else { i as f64 })
        });
    }

    fn gauges(&mut self) {
        for (n, sensor) in ["a", "b", "c"].into_iter().enumerate() {
            let labels = [("sensor", sensor), ("room", ["x", "x", "y"][n])];
            self.add("temperature", &labels, |i| {
                let v = (i as f64 / 17.0 + n as f64).sin() * 30.0;
                Some(match (n, i) {
                    (2, 100..110) => f64::NAN,
                    (2, 200..205) => f64::INFINITY,
                    (2, 205..209) => f64::NEG_INFINITY,
                    _ => v,
                })
            });
            self.add("humidity", &labels[..1], |i| {
                Some(((i * 13 + n as i64 * 5) % 100) as f64)
            });
        }
        for (n, instance) in ["web-1", "web-2", "db-1"].into_iter().enumerate() {
            let labels = [
                ("instance", instance),
                ("job", if n < 2 { "web" } else { "db" }),
            ];
            self.add("node_memory_free_bytes", &labels, |i| {
                Some(4e9 - (i * i) as f64 * 997.0)
            });
            self.add("node_memory_total_bytes", &labels, |_| Some(8e9));
            self.add("node_load1", &labels, |i| {
                (i % (n as i64 + 2) != 1).then_some((i % 40) as f64 / 4.0)
            });
        }
        self.add("vanishing", &[("instance", "web-1")], |i| {
            (i < 120).then_some(i as f64)
        });
        self.add("gappy", &[("instance", "web-1")], |i| {
            (!(90..150).contains(&i)).then_some(i as f64 * 0.1)
        });
        self.add("sparse", &[("instance", "web-1")], |i| {
            (i % 24 == 0).then_some(i as f64)
        });
        self.add("single", &[("instance", "web-1")], |i| {
            (i == 60).then_some(42.0)
        });
    }

    fn histograms(&mut self) {
        let bounds = ["0.005", "0.01", "0.025", "0.1", "0.5", "1", "2.5", "+Inf"];
        for (n, route) in ["/seats", "/queue/{id}", "/slow"].into_iter().enumerate() {
            for (m, instance) in ["web-1", "web-2"].into_iter().enumerate() {
                let mut sum = 0.0;
                for (b, le) in bounds.into_iter().enumerate() {
                    let labels = [("route", route), ("instance", instance), ("le", le)];
                    let mut noise = Noise((n * 10 + m + 5) as u64);
                    let mut total = 0.0;
                    self.add("request_seconds_bucket", &labels, |i| {
                        if m == 1 && i == 222 {
                            total = 0.0;
                        }
                        let requests = (noise.next() * 40.0).floor();
                        // No request of "/slow" is within any bucket except the last.
                        let share = ((b + 1) as f64 / 8.0).powi(n as i32 + 1);
                        total += if n == 2 && b < 7 {
                            0.0
                        } else {
                            (requests * share).floor()
                        };
                        Some(total)
                    });
                }
                let labels = [("route", route), ("instance", instance)];
                self.add("request_seconds_sum", &labels, |i| {
                    sum += 0.3 + (i % 5) as f64 * 0.11;
                    Some(sum)
                });
                self.add("request_seconds_count", &labels, |i| Some((i * 3) as f64));
            }
        }
        for (le, v) in [
            ("1", 10.0),
            ("2", 7.0),
            ("5", 30.0),
            ("5.0", 4.0),
            ("+Inf", 29.0),
        ] {
            self.add("broken_bucket", &[("le", le)], |_| Some(v));
        }
        for (le, v) in [("1", 10.0), ("2", 12.0)] {
            self.add("endless_bucket", &[("le", le)], |_| Some(v));
        }
        for (le, v) in [
            ("-5", 3.0),
            ("0", 5.0),
            ("x", 1.0),
            ("", 1.0),
            ("+Inf", 9.0),
        ] {
            self.add("negative_bucket", &[("le", le)], |_| Some(v));
        }
        for (le, v) in [("1", f64::NAN), ("2", 3.0), ("4", f64::NAN), ("+Inf", 9.0)] {
            self.add("nan_bucket", &[("le", le)], |_| Some(v));
        }
    }

    fn oddities(&mut self) {
        for path in ["/a\"b", "C:\\dir", "zwei\nZeilen", "日本", "a.b"] {
            self.add("odd", &[("path", path)], |i| Some(i as f64));
        }
        self.add("huge", &[("n", "1")], |i| Some(1e300 * (i + 1) as f64));
        self.add("huge", &[("n", "2")], |i| Some(-1.5e308 + i as f64));
        self.add("huge", &[("n", "3")], |_| Some(1.7e308));
        self.add("tiny", &[("n", "1")], |i| Some(1e-300 * (i + 1) as f64));
        self.add("tiny", &[("n", "2")], |i| Some(-1e-7 / (i + 1) as f64));
        self.add("left", &[("k", "1"), ("extra", "l")], |i| Some(i as f64));
        self.add("left", &[("k", "2"), ("extra", "l")], |i| Some(-i as f64));
        self.add("right", &[("k", "1"), ("other", "r")], |i| {
            Some(2.0 * i as f64)
        });
        self.add("right", &[("k", "2"), ("other", "r")], |i| {
            (i > 90).then_some(3.0)
        });
        self.add("right", &[("k", "3"), ("other", "r")], |_| Some(4.0));
        // Versions on instances: replaced at once, or after a time without samples.
        for (instance, version, steps) in [
            ("web-1", "1", 0..150),
            ("web-1", "2", 185..STEPS),
            ("web-2", "1", 0..STEPS),
            ("db-1", "1", 0..150),
            ("db-1", "2", 150..STEPS),
        ] {
            let labels = [("instance", instance), ("version", version)];
            self.add("build_info", &labels, |i| steps.contains(&i).then_some(1.0));
        }
        // Times from the distant past to the distant future, and values that are not times.
        self.add("moments", &[("n", "1")], |i| Some((i * 12_345_678) as f64));
        self.add("moments", &[("n", "2")], |i| {
            Some((i * -98_765_432) as f64 - 0.5)
        });
        self.add("moments", &[("n", "3")], |i| {
            Some(1.7e9 + (i * 86_399) as f64)
        });
        self.add("moments", &[("n", "4")], |i| {
            let odd = [
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                1e17,
                -1e17,
                9.3e18,
            ];
            Some(odd[(i / 60) as usize % odd.len()])
        });
        // Two series that differ in one label only, and never exist at the same time.
        self.add("shift", &[("half", "1")], |i| (i < 100).then_some(1.0));
        self.add("shift", &[("half", "2")], |i| (i > 160).then_some(2.0));
        self.add("twin_a", &[("k", "1")], |i| (i < 100).then_some(1.0));
        self.add("twin_b", &[("k", "1")], |i| (i > 160).then_some(2.0));
    }
}
