//! OpenMetrics with exemplars, which link a bucket of the latency histogram to a kept trace.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>. The text format is rewritten
//! line by line: OpenMetrics names the family of a counter without `_total`, escapes quotes in help texts, and has an
//! end mark. The bounds of buckets do not change (`le="1"`, not `le="1.0"`), so that a series is the same in both
//! formats.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::instruments::LATENCY_BOUNDS;
use super::service::REQUEST_DURATION;

/// The bucket of a request: method, route, status, index of the bucket.
type Bucket = (&'static str, &'static str, u16, usize);

/// The latest kept trace of each bucket. The map is bounded: routes, methods, statuses and buckets are.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<HashMap<Bucket, Exemplar>>);

#[derive(Debug, Clone, Copy)]
struct Exemplar {
    trace_id: u128,
    took: Duration,
    at: SystemTime,
}

impl Exemplars {
    /// Stores a request whose trace was kept.
    pub(super) fn put(
        &self,
        (method, route): (&'static str, &'static str),
        status: u16,
        took: Duration,
        trace_id: u128,
    ) {
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        let exemplar = Exemplar {
            trace_id,
            took,
            at: SystemTime::now(),
        };
        let mut exemplars = self.0.lock();
        exemplars.insert((method, route, status, bucket), exemplar);
    }

    /// The exemplars as text, by the name and the labels of their sample. The labels have the order of the text format,
    /// because the lines are compared as text.
    fn by_sample(&self) -> HashMap<String, String> {
        let exemplars = self.0.lock();
        let all = exemplars.iter().map(|(bucket, exemplar)| {
            let (method, route, status, index) = *bucket;
            let bound = LATENCY_BOUNDS.get(index);
            let le = bound.map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let sample = format!(
                "{REQUEST_DURATION}_bucket{{http_request_method=\"{method}\",\
                 http_response_status_code=\"{status}\",http_route=\"{route}\",le=\"{le}\"}}"
            );
            (sample, exemplar.to_string())
        });
        all.collect()
    }
}

impl std::fmt::Display for Exemplar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(
            f,
            " # {{trace_id=\"{:032x}\"}} {} {:.3}",
            self.trace_id,
            self.took.as_secs_f64(),
            at.as_secs_f64()
        )
    }
}

/// Rewrites `text`, an exposition in the text format, as OpenMetrics 1.0.0.
pub(super) fn of_text(text: &str, exemplars: &Exemplars) -> String {
    let exemplars = exemplars.by_sample();
    let counters = counters(text);
    let mut out = String::with_capacity(text.len() + exemplars.len() * 96);
    for line in text.lines().filter(|line| !line.is_empty()) {
        // Writing to a string cannot fail.
        let _ = match line.strip_prefix("# ") {
            Some(comment) => describe(&mut out, comment, &counters),
            None => {
                let sample = line.rsplit_once(' ').map_or(line, |(sample, _)| sample);
                let exemplar = exemplars.get(sample).map_or("", String::as_str);
                writeln!(out, "{line}{exemplar}")
            }
        };
    }
    out.push_str("# EOF\n");
    out
}

/// The counters whose name ends with `_total`, as OpenMetrics requires. Other counters are exported as `unknown`.
fn counters(text: &str) -> Vec<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters = types.filter_map(|rest| rest.strip_suffix(" counter"));
    counters.filter(|name| name.ends_with("_total")).collect()
}

/// Writes a line of help or of type, with the family's name and type in OpenMetrics.
fn describe(out: &mut String, comment: &str, counters: &[&str]) -> std::fmt::Result {
    let mut words = comment.splitn(3, ' ');
    let (Some(keyword), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return Ok(());
    };
    let family = match counters.contains(&name) {
        true => name.trim_end_matches("_total"),
        false => name,
    };
    match (keyword, rest) {
        ("HELP", help) => writeln!(out, "# HELP {family} {}", help.replace('"', "\\\"")),
        ("TYPE", "counter") if family == name => writeln!(out, "# TYPE {family} unknown"),
        ("TYPE", "untyped") => writeln!(out, "# TYPE {family} unknown"),
        ("TYPE", kind) => writeln!(out, "# TYPE {family} {kind}"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_lose_their_suffix_in_the_family_and_nothing_else_changes() {
        let text = "# HELP a_total Says \"a\".\n# TYPE a_total counter\na_total{b=\"c d\"} 1\n\
                    # TYPE odd counter\nodd 2\n# TYPE g gauge\ng NaN\n";
        let expected = "# HELP a Says \\\"a\\\".\n# TYPE a counter\na_total{b=\"c d\"} 1\n\
                        # TYPE odd unknown\nodd 2\n# TYPE g gauge\ng NaN\n# EOF\n";
        assert_eq!(of_text(text, &Exemplars::default()), expected);
    }

    #[test]
    fn each_bucket_shows_its_latest_kept_trace_and_no_other() {
        let metrics = super::super::Metrics::new().unwrap();
        let route = metrics.route("GET", "/queue");
        for (took, trace_id) in [(50, 1), (60, 0xabc), (20_000, 2)] {
            route.start();
            let took = Duration::from_millis(took);
            route.finish(200, took);
            route.exemplar(200, took, trace_id);
        }
        let text = metrics.render_openmetrics();
        let with: Vec<_> = text.lines().filter(|line| line.contains(" # ")).collect();
        let bound = |le: &str| {
            let le = format!("le=\"{le}\"}} ");
            let mut found = with.iter().filter(|line| line.contains(&le));
            let only = found.next().unwrap_or_else(|| panic!("no {le} in {text}"));
            assert!(found.next().is_none());
            *only
        };
        assert!(bound("0.05").contains(&format!(" 1 # {{trace_id=\"{:032x}\"}} 0.05 ", 1)));
        assert!(bound("0.075").contains(&format!(" 2 # {{trace_id=\"{:032x}\"}} 0.06 ", 0xabc)));
        assert!(bound("+Inf").contains(&format!(" 3 # {{trace_id=\"{:032x}\"}} 20 ", 2)));
        assert_eq!(with.len(), 3);
        assert!(
            !metrics.render().contains("trace_id"),
            "the text format carries none"
        );
    }

    #[test]
    fn each_bucket_holds_one_trace_however_many_are_kept() {
        let metrics = super::super::Metrics::new().unwrap();
        let route = metrics.route("GET", "/queue");
        for n in 0..1_000_u64 {
            let took = Duration::from_millis(n * 20);
            route.start();
            route.finish(200, took);
            route.exemplar(200, took, u128::from(n));
        }
        let held = metrics.0.exemplars.0.lock().len();
        assert!(held <= LATENCY_BOUNDS.len() + 1, "{held}");
        let text = metrics.render_openmetrics();
        let last = format!("{{trace_id=\"{:032x}\"}} 19.98 ", 999);
        let mut lines = text.lines().filter(|line| line.contains("le=\"+Inf\"} "));
        assert!(lines.any(|line| line.contains(&last)), "{text}");
    }
}
