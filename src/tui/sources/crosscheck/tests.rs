//! Differences that are reported, and differences that result only from delays.

use std::collections::BTreeMap;

use super::*;
use crate::api::ops::{AdmissionState, SeedProgress, Status};
use crate::clients::prometheus::{Labels, Series};
use crate::load::Progress;
use crate::tui::event::Event;
use crate::tui::model::{RunState, RunView};
use crate::tui::sources::panels::panel;
use crate::tui::update::update;

/// Seconds as Unix milliseconds.
const fn s(seconds: i64) -> i64 {
    1_780_315_200_000 + seconds * 1000
}

fn server(model: &mut Model, at: i64, waiting: u64) {
    let status = Status {
        version: String::new(),
        api_addr: String::new(),
        dataset: None,
        queue: QueueState {
            waiting,
            ..QueueState::default()
        },
        admission: AdmissionState {
            batch: 1,
            every_ms: 1_000,
            paused: false,
            opens_at_ms: None,
            open: true,
            follow: Default::default(),
            rate: 0.0,
        },
        consoles: 1,
        memory_bytes: None,
    };
    let answer = Box::new((status, SeedProgress::default()));
    update(model, at, Event::Ops(answer));
}

fn metrics(model: &mut Model, at: i64, values: &[(PanelId, &str, f64)]) {
    let mut now = BTreeMap::new();
    for (id, status, value) in values {
        let labels = if status.is_empty() {
            Labels::new()
        } else {
            Labels::from([("status".into(), (*status).into())])
        };
        let points = vec![(at, *value)];
        now.insert(panel(*id).query.into(), Ok(vec![Series { labels, points }]));
    }
    let past = None;
    update(model, at, Event::Metrics { at, now, past });
}

fn texts(model: &Model) -> Vec<String> {
    let all = disagreements(model);
    all.into_iter().map(|one| one.text).collect()
}

#[test]
fn a_queue_length_that_metrics_never_had_is_reported_after_some_seconds() {
    let mut model = Model::default();
    let mut first = None;
    for second in 0..60 {
        server(&mut model, s(second), 500);
        metrics(&mut model, s(second), &[(PanelId::Waiting, "", 12_345.0)]);
        if first.is_none() && !texts(&model).is_empty() {
            first = Some(second);
        }
    }
    assert_eq!(first, Some(25), "a scrape interval, then five seconds");
    let reported = texts(&model);
    assert_eq!(
        reported,
        ["waiting: metrics say 12.3k, the server 500, for 39 s"]
    );
    let other = about(&model, Check::Waiting).unwrap();
    assert_eq!(other.short, "server 500");

    metrics(&mut model, s(61), &[(PanelId::Waiting, "", 500.0)]);
    assert_eq!(texts(&model), [""; 0], "they agree again");
}

#[test]
fn a_figure_of_a_screen_that_was_left_is_not_compared() {
    let mut model = Model::default();
    for second in 0..90 {
        // The queue fills after the screen that asks for it was left.
        let waiting = if second < 30 { 0 } else { 2_000 };
        server(&mut model, s(second), waiting);
        let asked: &[_] = match second {
            0..25 => &[(PanelId::Waiting, "", 0.0)],
            _ => &[(PanelId::Tps, "", 100.0)],
        };
        metrics(&mut model, s(second), asked);
        assert_eq!(texts(&model), [""; 0], "after {second} s");
    }
}

#[test]
fn a_difference_within_a_scrape_interval_is_not_reported() {
    let mut model = Model::default();
    for second in 0..120 {
        // The queue shrinks fast; metrics are fifteen seconds late.
        let at = |second: i64| u64::try_from(100_000 - 700 * second.max(0)).unwrap();
        server(&mut model, s(second), at(second));
        let late = number(at(second - 15));
        metrics(&mut model, s(second), &[(PanelId::Waiting, "", late)]);
        assert_eq!(texts(&model), [""; 0], "after {second} s");
    }
}

#[test]
fn a_source_that_is_down_is_not_compared() {
    let mut model = Model::default();
    for second in 0..60 {
        server(&mut model, s(second), 500);
        metrics(&mut model, s(second), &[(PanelId::Waiting, "", 12_345.0)]);
    }
    assert_eq!(texts(&model).len(), 1);
    let down = Event::Down {
        source: Source::Ops,
        reason: "gone".into(),
        retry_ms: 1_000,
    };
    update(&mut model, s(60), down);
    assert_eq!(texts(&model), [""; 0]);
}

/// A rehearsal under way that answered `tps` requests a second and sold one seat a second.
fn rehearsing(model: &mut Model, at: i64, second: u64, tps: u64) {
    let run = model.load.run.get_or_insert_with(|| RunView {
        scenario: "x".into(),
        phase: None,
        state: RunState::Running,
        progress: Progress::default(),
        requests: VecDeque::new(),
        tps: VecDeque::new(),
        p95: VecDeque::new(),
        scroll: 0,
    });
    run.state = RunState::Running;
    let progress = Progress {
        requests: tps * second,
        seats_paid: second,
        ..Progress::default()
    };
    update(model, at, Event::LoadProgress(Box::new(progress)));
}

#[test]
fn a_rehearsal_that_sends_more_than_the_server_counts_is_reported() {
    let mut model = Model::default();
    for second in 0..40 {
        rehearsing(&mut model, s(second), second.unsigned_abs(), 1_000);
        metrics(&mut model, s(second), &[(PanelId::Tps, "", 900.0)]);
    }
    assert_eq!(
        texts(&model),
        [""; 0],
        "a tenth is within the error of measurement"
    );
    for second in 40..60 {
        rehearsing(&mut model, s(second), second.unsigned_abs(), 1_000);
        metrics(&mut model, s(second), &[(PanelId::Tps, "", 400.0)]);
    }
    assert_eq!(
        texts(&model),
        ["TPS: the server counts 400 /s, this rehearsal 1,000 /s, for 19 s"]
    );
    model.load.run.as_mut().unwrap().state = RunState::Stopping;
    assert_eq!(texts(&model).len(), 1, "still under way");
    model.load.run = None;
    assert_eq!(texts(&model), [""; 0]);
}

#[test]
fn more_seats_bought_than_sold_are_reported() {
    let mut model = Model::default();
    for second in 0..60 {
        rehearsing(&mut model, s(second), second.unsigned_abs(), 10);
        metrics(&mut model, s(second), &[(PanelId::Seats, SOLD, 5.0)]);
    }
    let reported = texts(&model);
    assert!(
        reported[0].starts_with("sold: metrics say 5 in all, this rehearsal alone 59, for "),
        "{reported:?}"
    );
}

#[test]
fn a_wrong_clock_is_reported_until_it_is_corrected() {
    let mut model = Model::default();
    let mut reported_for = |ahead_s| {
        let source = Source::Loki;
        update(&mut model, s(0), Event::Clock { source, ahead_s });
        texts(&model)
    };
    assert_eq!(reported_for(4), [""; 0]);
    assert_eq!(
        reported_for(42),
        ["the clock of logs is 42 s ahead of this machine's"]
    );
    assert_eq!(
        reported_for(-180),
        ["the clock of logs is 3 min behind this machine's"]
    );
    assert_eq!(reported_for(i64::MIN + 1).len(), 1);
    assert_eq!(reported_for(0), [""; 0]);
}

#[test]
fn the_newest_of_many_reports_are_kept() {
    let mut list = VecDeque::new();
    (0..1_000).for_each(|n| note(&mut list, 1_000, n));
    assert_eq!(
        (list.len(), list.back()),
        (MAX_ANSWERS, Some(&(1_000, 999)))
    );
}
