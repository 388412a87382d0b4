//! The scraper. It polls targets over HTTP and stores their samples with Prometheus's bookkeeping.
//!
//! Every target has its own task, so a slow target delays no other. A failed scrape writes staleness markers for its
//! series, and so does a series that is missing from a successful scrape. `up`, `scrape_duration_seconds` and
//! `scrape_samples_scraped` are written either way (<https://prometheus.io/docs/concepts/jobs_instances/>).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::exposition::{self, Line, Sample};
use super::labels::{Labels, METRIC_NAME};
use super::tsdb::{SeriesId, Tsdb};
use crate::embedded::now_ms;

/// The largest answer, in bytes. A larger one fails its scrape.
const MAX_BODY_BYTES: usize = 16 << 20;

/// A target that exposes metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScrapeTarget {
    /// The `job` label of all its series.
    pub job: String,
    /// The `instance` label, usually `host:port`.
    pub instance: String,
    /// The URL of the metrics, for example `http://127.0.0.1:8081/metrics`.
    pub url: String,
}

/// The reason why a scrape failed.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("server returned HTTP status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not UTF-8 text")]
    NotText,
    #[error("{0}")]
    Format(#[from] exposition::ParseError),
}

/// Polls targets. Targets can be added and removed while it runs, and clones share them.
#[derive(Debug, Clone)]
pub struct Scraper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tsdb: Arc<Tsdb>,
    client: reqwest::Client,
    interval: Duration,
    shutdown: CancellationToken,
    running: Mutex<HashMap<ScrapeTarget, Running>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Scraper {
    /// A scraper without targets, with the client of `client`, that stops when `shutdown` is cancelled. A `timeout`
    /// longer than `interval` is lowered to it.
    pub fn new(
        client: reqwest::ClientBuilder,
        tsdb: Arc<Tsdb>,
        interval: Duration,
        timeout: Duration,
        shutdown: CancellationToken,
    ) -> reqwest::Result<Self> {
        let client = client.timeout(timeout.min(interval)).build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                tsdb,
                client,
                interval,
                shutdown,
                running: Mutex::default(),
            }),
        })
    }

    /// Scrapes a target now and then at each interval. A target that is already there stays unchanged.
    ///
    /// Must be called within a Tokio runtime.
    pub fn add_target(&self, target: ScrapeTarget) {
        let mut running = self.shared.running.lock();
        if running.contains_key(&target) || self.shared.shutdown.is_cancelled() {
            return;
        }
        let stop = self.shared.shutdown.child_token();
        let job = Target::new(
            self.shared.tsdb.clone(),
            self.shared.client.clone(),
            target.clone(),
        );
        let task = tokio::spawn(job.run(self.shared.interval, stop.clone()));
        running.insert(target, Running { stop, task });
    }

    /// Stops scraping a target. Its series end with staleness markers. Returns whether the target was there.
    pub fn remove_target(&self, target: &ScrapeTarget) -> bool {
        let removed = self.shared.running.lock().remove(target);
        removed.inspect(|r| r.stop.cancel()).is_some()
    }

    /// The current targets in no particular order.
    pub fn targets(&self) -> Vec<ScrapeTarget> {
        self.shared.running.lock().keys().cloned().collect()
    }

    /// Waits for the shutdown and then for the running scrapes, each of which its time-out bounds.
    pub async fn wait(&self) {
        self.shared.shutdown.cancelled().await;
        let running = std::mem::take(&mut *self.shared.running.lock());
        for (_, target) in running {
            // The panic hook has already reported a panic of a scrape task.
            let _ = target.task.await;
        }
    }
}

/// Scrapes `targets` until `shutdown`. The task ends when the last scrape has ended. For targets that change, use a
/// [`Scraper`].
pub fn spawn_scraper(
    client: reqwest::ClientBuilder,
    tsdb: Arc<Tsdb>,
    targets: Vec<ScrapeTarget>,
    interval: Duration,
    timeout: Duration,
    shutdown: CancellationToken,
) -> reqwest::Result<JoinHandle<()>> {
    let scraper = Scraper::new(client, tsdb, interval, timeout, shutdown)?;
    for target in targets {
        scraper.add_target(target);
    }
    Ok(tokio::spawn(async move { scraper.wait().await }))
}

/// A target, and the series of its last scrape.
struct Target {
    tsdb: Arc<Tsdb>,
    client: reqwest::Client,
    target: ScrapeTarget,
    current: HashSet<SeriesId>,
    /// The series of `up` and the other report metrics.
    reports: HashSet<SeriesId>,
}

impl Target {
    fn new(tsdb: Arc<Tsdb>, client: reqwest::Client, target: ScrapeTarget) -> Self {
        Self {
            tsdb,
            client,
            target,
            current: HashSet::new(),
            reports: HashSet::new(),
        }
    }

    async fn run(mut self, interval: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let at = now_ms();
            let started = Instant::now();
            let fetched = tokio::select! {
                () = stop.cancelled() => break,
                fetched = fetch(&self.client, &self.target.url) => fetched,
            };
            let outcome = fetched.and_then(|body| self.store(&body, at));
            if let Err(error) = &outcome {
                tracing::debug!(target = %self.target.url, %error, "scrape failed");
                self.end_series(HashSet::new(), at);
            }
            self.report(at, started.elapsed(), outcome.ok());
        }
        let at = now_ms();
        self.end_series(HashSet::new(), at);
        self.tsdb.mark_stale(self.reports.drain(), at);
    }

    /// Stores the samples of a scrape. If the exposition has an error, none are stored.
    fn store(&mut self, body: &str, at: i64) -> Result<usize, ScrapeError> {
        let mut samples = Vec::new();
        let mut meta = Vec::new();
        let mut timed = Vec::new();
        for line in exposition::parse(body) {
            match line? {
                Line::Sample(sample) => {
                    timed.push(sample.timestamp.is_some());
                    let t = sample.timestamp.unwrap_or(at);
                    samples.push((self.labels_of(&sample), t, sample.value));
                }
                other => meta.push(other),
            }
        }
        for line in meta {
            match line {
                Line::Type(metric, kind) => self.tsdb.set_metadata(metric, |m| m.kind = kind),
                Line::Help(metric, help) => {
                    self.tsdb
                        .set_metadata(metric, |m| m.help = help.into_owned());
                }
                Line::Sample(_) => {}
            }
        }
        let outcomes = self.tsdb.append_all(&samples);
        // Samples with their own time are not tracked, because the target decides about their age.
        let seen = outcomes
            .into_iter()
            .zip(timed)
            .filter_map(|(outcome, timed)| outcome.ok().filter(|_| !timed))
            .collect();
        self.end_series(seen, at);
        Ok(samples.len())
    }

    /// Marks series as stale that were in the last scrape but not in this one.
    fn end_series(&mut self, seen: HashSet<SeriesId>, at: i64) {
        let ended = self.current.difference(&seen).copied();
        self.tsdb.mark_stale(ended, at);
        self.current = seen;
    }

    fn labels_of(&self, sample: &Sample<'_>) -> Labels {
        let own = [
            ("job", self.target.job.as_str()),
            ("instance", self.target.instance.as_str()),
        ];
        let taken = |name: &str| {
            own.iter().any(|(n, _)| *n == name) || sample.labels.iter().any(|(n, _)| *n == name)
        };
        let scraped = sample.labels.iter().map(|(name, value)| {
            if !own.iter().any(|(n, _)| n == name) {
                return ((*name).to_owned(), value.to_string());
            }
            // The target's own label wins. The exposed label is renamed.
            let mut renamed = format!("exported_{name}");
            while taken(&renamed) {
                renamed.insert_str(0, "exported_");
            }
            (renamed, value.to_string())
        });
        Labels::from_pairs(
            scraped
                .chain(own.map(|(n, v)| (n.to_owned(), v.to_owned())))
                .chain([(METRIC_NAME.to_owned(), sample.name.to_owned())]),
        )
    }

    fn report(&mut self, at: i64, took: Duration, scraped: Option<usize>) {
        let up = if scraped.is_some() { 1.0 } else { 0.0 };
        let values = [
            ("up", up),
            ("scrape_duration_seconds", took.as_secs_f64()),
            ("scrape_samples_scraped", scraped.unwrap_or(0) as f64),
        ];
        for (name, value) in values {
            let labels = self.labels_of(&Sample {
                name,
                labels: vec![],
                value,
                timestamp: None,
            });
            // The store refuses these samples only when it is full, and counts the refusals.
            self.reports.extend(self.tsdb.append(&labels, at, value));
        }
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<String, ScrapeError> {
    let mut response = client
        .get(url)
        .header(http::header::ACCEPT, "text/plain;version=0.0.4")
        .send()
        .await?;
    if !response.status().is_success() {
        return Err(ScrapeError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ScrapeError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| ScrapeError::NotText)
}

#[cfg(test)]
mod tests;
