//! Lists of sources that have many traces, and of sources that report little.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

const SLOWEST: Asked = Asked {
    order: Order::Slowest,
    min_ms: 0,
};

/// A source like Tempo: it is queried by TraceQL alone and returns the newest matching traces, up to a limit.
#[derive(Clone, Default)]
struct Fake {
    /// The duration in milliseconds and the number of failed spans of each trace, newest first.
    traces: Arc<Vec<(u64, u64)>>,
    /// Whether it reports services and their errors.
    has_stats: bool,
    /// The number of unfinished jobs that an answer reports.
    jobs_left: u64,
    queries: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn of(traces: impl IntoIterator<Item = (u64, u64)>) -> Fake {
        Fake {
            traces: Arc::new(traces.into_iter().collect()),
            ..Fake::default()
        }
    }

    fn answer(&self, asked: &HashMap<String, String>) -> Value {
        let query = asked["q"].clone();
        let limit: usize = asked["limit"].parse().unwrap();
        assert!(!asked.contains_key("minDuration"), "Tempo ignores it");
        let least = query.split("traceDuration >= ").nth(1);
        let least = least.and_then(|rest| rest.split("ms").next()?.parse().ok());
        let least: u64 = least.unwrap_or(0);
        let failed = query.contains("status = error");
        self.queries.lock().push(query);
        let all = self.traces.iter().enumerate();
        let passing = all.filter(|(_, (ms, errors))| *ms >= least && (!failed || *errors > 0));
        let traces: Vec<Value> = passing
            .take(limit)
            .map(|(n, (ms, errors))| {
                let mut trace = json!({"traceID": format!("{:x}", n + 1),
                    "startTimeUnixNano": (1_000_000 - n).to_string(), "durationMs": ms});
                if failed {
                    trace["spanSets"] = json!([{"matched": errors}]);
                }
                if self.has_stats {
                    trace["serviceStats"] = json!({"api": {"spanCount": 9, "errorCount": errors}});
                }
                trace
            })
            .collect();
        json!({"traces": traces, "metrics": {"completedJobs": 9, "totalJobs": 9 + self.jobs_left}})
    }

    async fn start(&self) -> Tempo {
        let fake = self.clone();
        let search = move |Query(asked): Query<HashMap<String, String>>| {
            let answer = fake.answer(&asked);
            async { Json(answer) }
        };
        let routes = axum::Router::new().route("/api/search", get(search));
        Tempo::new(crate::tui::tests::fake::source(routes).await)
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.queries.lock()).len()
    }
}

async fn listed(lister: &mut Lister, source: &Tempo, asked: Asked) -> (Vec<FoundTrace>, Coverage) {
    match lister.list(source, asked).await {
        Ok(Event::Traces {
            found, coverage, ..
        }) => (found, coverage),
        other => panic!("{other:?}"),
    }
}

/// Thousands of fast polls, and older than these a few requests that took seconds.
fn polls_then_slow(polls: usize) -> Vec<(u64, u64)> {
    let polls = std::iter::repeat_n((0, 0), polls);
    let slow = (0..30).map(|n| (3_000 + n, 0));
    polls.chain(slow).chain([(9_500, 0)]).collect()
}

#[tokio::test]
async fn the_slowest_are_found_behind_any_number_of_fast_traces() {
    let fake = Fake {
        has_stats: true,
        ..Fake::of(polls_then_slow(5_000))
    };
    let source = fake.start().await;
    let mut lister = Lister::default();
    let (found, coverage) = listed(&mut lister, &source, SLOWEST).await;
    let first: Vec<u64> = found.iter().map(|it| it.duration_ms).take(3).collect();
    assert_eq!(first, [9_500, 3_029, 3_028]);
    assert_eq!(found.len(), LIMIT, "the rest are others");
    assert_eq!(coverage, Coverage::From(1));
    assert!(fake.asked() <= SEARCHES);
    // The minimum is known, so one search is enough.
    let (again, _) = listed(&mut lister, &source, SLOWEST).await;
    assert_eq!(again[0].duration_ms, 9_500);
    assert!(fake.asked() <= 3);
}

#[tokio::test]
async fn with_spread_durations_the_slowest_are_proven() {
    // Older traces are slower, so the newest traces never contain the slowest.
    let fake = Fake {
        has_stats: true,
        ..Fake::of((0..20_000).map(|n| (n / 4, 0)))
    };
    let source = fake.start().await;
    let mut lister = Lister::default();
    let mut coverage = Coverage::Part;
    let mut found = Vec::new();
    for _ in 0..3 {
        (found, coverage) = listed(&mut lister, &source, SLOWEST).await;
        assert!(fake.asked() <= SEARCHES);
    }
    let Coverage::From(floor) = coverage else {
        panic!("{coverage:?}");
    };
    let proven = found.iter().filter(|it| it.duration_ms >= floor).count();
    assert!((ENOUGH..LIMIT).contains(&proven), "{proven} from {floor}");
    assert_eq!(found[0].duration_ms, 4_999);
    assert_eq!(proven as u64, (5_000 - floor) * 4);
    listed(&mut lister, &source, SLOWEST).await;
    assert_eq!(fake.asked(), 1, "the floor is remembered");
}

#[tokio::test]
async fn a_minimum_that_has_become_too_high_is_lowered_again() {
    let few = Fake {
        has_stats: true,
        ..Fake::of((0..60).map(|n| (n, 0)))
    };
    let source = few.start().await;
    let mut lister = Lister {
        asked: SLOWEST,
        floor_ms: 4_000,
        full_ms: Some(1_000),
    };
    let (found, coverage) = listed(&mut lister, &source, SLOWEST).await;
    assert!(found.len() >= ENOUGH, "{}", found.len());
    assert!(matches!(coverage, Coverage::All | Coverage::From(0..=10)));
    let least = Asked {
        min_ms: 20,
        ..SLOWEST
    };
    let (found, coverage) = listed(&mut lister, &source, least).await;
    assert_eq!((found.len(), coverage), (40, Coverage::All));
}

#[tokio::test]
async fn a_list_that_is_not_proven_is_marked_as_partial() {
    let unfinished = Fake {
        has_stats: true,
        jobs_left: 1,
        ..Fake::of(polls_then_slow(5_000))
    };
    let source = unfinished.start().await;
    let (_, coverage) = listed(&mut Lister::default(), &source, SLOWEST).await;
    assert_eq!(coverage, Coverage::Part);
    let newest = Asked {
        order: Order::Newest,
        min_ms: 0,
    };
    let (found, coverage) = listed(&mut Lister::default(), &source, newest).await;
    assert_eq!((found.len(), coverage), (LIMIT, Coverage::Part));
}

#[tokio::test]
async fn a_source_whose_answers_are_always_full_gets_a_bounded_number_of_searches() {
    let fake = Fake {
        has_stats: true,
        ..Fake::of((0..1_000).map(|_| (u64::MAX / 2, 0)))
    };
    let source = fake.start().await;
    let (found, _) = listed(&mut Lister::default(), &source, SLOWEST).await;
    assert_eq!(found.len(), LIMIT);
    assert!(fake.asked() <= SEARCHES);
}

#[tokio::test]
async fn failed_traces_are_marked_if_the_source_reports_no_services() {
    let fake = Fake::of([(5, 0), (900, 2), (30, 0), (7, 1)]);
    let source = fake.start().await;
    for order in [Order::Slowest, Order::Newest] {
        let asked = Asked { order, min_ms: 0 };
        let (found, _) = listed(&mut Lister::default(), &source, asked).await;
        let errors: BTreeMap<u64, Option<u64>> =
            found.iter().map(|it| (it.duration_ms, it.errors)).collect();
        let expected = [(5, Some(0)), (7, Some(1)), (30, Some(0)), (900, Some(2))];
        assert_eq!(errors, BTreeMap::from(expected), "{order:?}");
        assert_eq!(fake.asked(), 2);
    }
    let failed = Asked {
        order: Order::Failed,
        min_ms: 100,
    };
    let (found, _) = listed(&mut Lister::default(), &source, failed).await;
    assert_eq!((found.len(), found[0].errors), (1, Some(2)));
    assert_eq!(
        *fake.queries.lock(),
        ["{ status = error && traceDuration >= 100ms }"],
        "what was sought needs no mark"
    );
}

#[tokio::test]
async fn traces_that_may_have_failed_are_not_shown_as_successful() {
    // More traces failed than an answer contains.
    let fake = Fake::of((0..LIMIT as u64 * 2).map(|n| (LIMIT as u64 * 2 - n, 1)));
    let source = fake.start().await;
    let (found, _) = listed(&mut Lister::default(), &source, SLOWEST).await;
    assert!(found.iter().any(|it| it.errors == Some(1)));
    assert!(found.iter().all(|it| it.errors != Some(0)));
}

#[test]
fn a_search_covers_a_quarter_of_an_hour_and_selects_failures_if_asked() {
    let failed = Asked {
        order: Order::Failed,
        min_ms: 100,
    };
    let search = search(failed, 5);
    assert!(search.failed);
    assert_eq!((search.min_ms, search.limit), (Some(100), 5));
    let (from, to) = search.window.unwrap();
    assert_eq!(to - from, SPAN_S as u64 + CLOCK_SKEW_S as u64);
}
