use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use super::*;
use crate::embedded::prometheus::tsdb::{MetricType, TsdbConfig, is_stale};

const INTERVAL: Duration = Duration::from_millis(20);
/// The longest wait of a test. The scraper's own time-out is at most [`INTERVAL`].
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A target whose answer the test changes.
#[derive(Clone)]
struct Exposer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    instance: String,
}

impl Exposer {
    async fn start(body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let instance = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new((StatusCode::OK, body.to_owned())));
        let shared = answer.clone();
        let app = Router::new().route("/metrics", get(async move || shared.lock().clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { answer, instance }
    }

    fn set(&self, status: StatusCode, body: &str) {
        *self.answer.lock() = (status, body.to_owned());
    }

    fn target(&self) -> ScrapeTarget {
        ScrapeTarget {
            job: "api".to_owned(),
            instance: self.instance.clone(),
            url: format!("http://{}/metrics", self.instance),
        }
    }
}

struct Running {
    tsdb: Arc<Tsdb>,
    scraper: Scraper,
    shutdown: CancellationToken,
}

fn start() -> Running {
    let tsdb = Arc::new(Tsdb::new(TsdbConfig::default()));
    let shutdown = CancellationToken::new();
    let client = crate::http_client::builder();
    let scraper =
        Scraper::new(client, tsdb.clone(), INTERVAL, TIME_LIMIT, shutdown.clone()).unwrap();
    Running {
        tsdb,
        scraper,
        shutdown,
    }
}

impl Running {
    /// All values of the series of a metric, one list per series in label order.
    fn values(&self, name: &str) -> Vec<Vec<f64>> {
        let found = self.tsdb.select(Some(name), |_| true, i64::MIN, i64::MAX);
        let values = found.iter().map(|s| s.decode(i64::MIN, i64::MAX).1);
        values.collect()
    }

    fn labels(&self, name: &str) -> Vec<Labels> {
        let found = self.tsdb.select(Some(name), |_| true, i64::MIN, i64::MAX);
        found.into_iter().map(|s| s.labels).collect()
    }

    fn last(&self, name: &str) -> Option<f64> {
        self.values(name).first()?.last().copied()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIME_LIMIT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn stop(&self) {
        self.shutdown.cancel();
        tokio::time::timeout(TIME_LIMIT, self.scraper.wait())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn samples_get_the_labels_of_their_target_and_keep_their_own_under_another_name() {
    let exposer = Exposer::start(concat!(
        "# HELP a_total Counts.\n# TYPE a_total counter\n",
        "a_total{job=\"mine\",exported_job=\"old\",x=\"1\"} 3\n",
    ))
    .await;
    let run = start();
    run.scraper.add_target(exposer.target());
    run.until("a scrape", |r| r.last("up") == Some(1.0)).await;
    run.stop().await;
    let expected = Labels::from_pairs([
        ("__name__", "a_total"),
        ("job", "api"),
        ("instance", exposer.instance.as_str()),
        ("exported_job", "old"),
        ("exported_exported_job", "mine"),
        ("x", "1"),
    ]);
    assert_eq!(run.labels("a_total"), [expected]);
    assert_eq!(run.values("scrape_samples_scraped")[0][0], 1.0);
    assert!(run.values("scrape_duration_seconds")[0][0] > 0.0);
    let metadata = run.tsdb.metadata();
    assert_eq!(metadata[0].0, "a_total");
    assert_eq!(metadata[0].1.kind, MetricType::Counter);
    assert_eq!(metadata[0].1.help, "Counts.");
}

#[tokio::test]
async fn a_series_that_vanishes_from_its_scrape_ends_there() {
    let exposer = Exposer::start("stays 1\ngoes 1\n").await;
    let run = start();
    run.scraper.add_target(exposer.target());
    run.until("both", |r| r.last("goes") == Some(1.0)).await;
    exposer.set(StatusCode::OK, "stays 2\n");
    run.until("the end", |r| r.last("goes").is_some_and(is_stale))
        .await;
    run.until("the other goes on", |r| r.last("stays") == Some(2.0))
        .await;
    exposer.set(StatusCode::OK, "stays 3\ngoes 3\n");
    run.until("its return", |r| r.last("goes") == Some(3.0))
        .await;
    run.stop().await;
}

#[tokio::test]
async fn a_failed_scrape_is_not_up_and_ends_all_series() {
    let exposer = Exposer::start("a 1\n").await;
    let run = start();
    run.scraper.add_target(exposer.target());
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "a 1\n"),
        (StatusCode::OK, "a 1\nthis is no exposition\n"),
    ] {
        exposer.set(StatusCode::OK, "a 1\n");
        run.until("up", |r| {
            r.last("a") == Some(1.0) && r.last("up") == Some(1.0)
        })
        .await;
        exposer.set(status, body);
        run.until("down", |r| r.last("up") == Some(0.0)).await;
        assert!(run.last("a").is_some_and(is_stale), "{body}");
        assert_eq!(run.last("scrape_samples_scraped"), Some(0.0));
    }
    run.stop().await;
}

#[tokio::test]
async fn targets_come_and_go_while_it_runs() {
    let (one, two) = (Exposer::start("a 1\n").await, Exposer::start("b 2\n").await);
    let run = start();
    run.scraper.add_target(one.target());
    run.scraper.add_target(one.target());
    assert_eq!(run.scraper.targets().len(), 1);
    run.until("the first", |r| r.last("a") == Some(1.0)).await;
    run.scraper.add_target(two.target());
    run.until("the second", |r| r.last("b") == Some(2.0)).await;
    assert!(run.scraper.remove_target(&two.target()));
    assert!(!run.scraper.remove_target(&two.target()));
    run.until("its end", |r| r.last("b").is_some_and(is_stale))
        .await;
    run.until("the end of its `up` series", |r| {
        r.values("up")
            .iter()
            .filter(|v| v.last().copied().is_some_and(is_stale))
            .count()
            == 1
    })
    .await;
    run.stop().await;
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_down_after_the_time_out() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = listener.local_addr().unwrap().to_string();
    let run = start();
    run.scraper.add_target(ScrapeTarget {
        job: "silent".to_owned(),
        url: format!("http://{instance}/metrics"),
        instance,
    });
    run.until("down", |r| r.last("up") == Some(0.0)).await;
    run.stop().await;
}
