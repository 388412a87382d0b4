//! Models of a console in each state, built from the events that sources send.

use std::time::Duration;

use std::collections::BTreeMap;

use crate::api::ops::{AdmissionState, Dataset, QueueState, SeedProgress, Status};
use crate::clients::alertmanager::{Alert, AlertState, AlertStatus};
use crate::clients::loki::LogLine;
use crate::clients::prometheus::{Labels, Series};
use crate::load::model::{Operation, UserState};
use crate::load::progress::{OperationProgress, PhaseProgress, Step};
use crate::load::recorder::Statuses;
use crate::load::summary::Latency;
use crate::load::{
    Judged, Outcome, PhaseName, Progress, Relation, RunResult, SavedFiles, ScenarioInfo, Unit,
    Verdict,
};
use crate::tui::connection::Source;
use crate::tui::dashboard::panel::Query;
use crate::tui::event::Event;
use crate::tui::model::Screen;
use crate::tui::model::{Model, RunState, RunView, Settings};
use crate::tui::screens::tests::drills;
use crate::tui::screens::traces::Coverage;
use crate::tui::sources::panels::PanelId;
use crate::tui::sources::panels::panel;
use crate::tui::update::update;

/// 2026-06-01 12:00:00 UTC.
pub(crate) const NOW: i64 = 1_780_315_200_000;
pub(crate) const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn status(dataset: bool) -> Status {
    Status {
        version: "0.1.0".into(),
        api_addr: "127.0.0.1:8080".into(),
        dataset: dataset.then(|| Dataset {
            profile: "demo".into(),
            concerts: 5,
            dates: 20,
            seats: 10_000,
            users: 2_000,
            on_sale_concert: 1,
            on_sale_seats: 2_000,
            popular_seats: 400,
            seats_per_date: 500,
            seeded_at: "2026-06-01T11:58:00Z".into(),
        }),
        queue: if dataset {
            QueueState {
                registered: 2_000,
                admitted_mark: 1_500,
                waiting: 500,
                active: 420,
            }
        } else {
            QueueState::default()
        },
        admission: AdmissionState {
            batch: 500,
            every_ms: 15_000,
            paused: false,
            opens_at_ms: None,
            open: true,
            follow: Default::default(),
            rate: 0.0,
        },
        consoles: 1,
        memory_bytes: None,
    }
}

pub(crate) fn scenario(name: &str, title: &str, dataset: &str, users: u64) -> ScenarioInfo {
    ScenarioInfo {
        name: name.into(),
        title: title.into(),
        dataset: dataset.into(),
        users,
        file: None,
    }
}

/// A console that was just started.
pub(crate) fn started(screen: Screen) -> Model {
    let mut model = Model {
        settings: Settings {
            colour: true,
            target: "127.0.0.1:8081".into(),
            ..Settings::default()
        },
        now: NOW,
        screen,
        size: (200, 60),
        ..Model::default()
    };
    model.load.scenarios = vec![
        scenario(
            "onsale-short",
            "The on-sale in under a minute",
            "demo",
            2_000,
        ),
        scenario(
            "onsale",
            "The reference rehearsal: 20,000 people in ten seconds",
            "onsale",
            20_000,
        ),
        scenario(
            "hot-seat",
            "Everyone wants one seat: exactly one gets it",
            "demo",
            300,
        ),
    ];
    model.drills.take(drills::list(false));
    model
}

pub(crate) fn value(at: i64, pairs: &[(&str, &str)], value: f64) -> Series {
    Series {
        labels: labels(pairs),
        points: vec![(at, value)],
    }
}

pub(crate) fn metrics(at: i64) -> BTreeMap<Query, Result<Vec<Series>, String>> {
    let one = |number: f64| Ok(vec![value(at, &[], number)]);
    let by = |label: &str, list: &[(&str, f64)]| {
        Ok(list
            .iter()
            .map(|(name, number)| value(at, &[(label, name)], *number))
            .collect())
    };
    [
        (PanelId::Tps, one(1_284.0)),
        (PanelId::Errors, one(0.04)),
        (PanelId::P95, one(0.612)),
        (PanelId::Waiting, one(12_345.0)),
        (PanelId::Active, one(420.0)),
        (PanelId::Admitted, one(1_500.0)),
        (PanelId::Batch, one(500.0)),
        (PanelId::Interval, one(15.0)),
        (PanelId::Paused, one(0.0)),
        (
            PanelId::Seats,
            by(
                "status",
                &[
                    ("UNAVAILABLE", 500.0),
                    ("PENDING", 21.0),
                    ("AVAILABLE", 1_479.0),
                ],
            ),
        ),
        (
            PanelId::Reservations,
            by(
                "outcome",
                &[
                    ("reserved", 521.0),
                    ("taken", 1_302.0),
                    ("locked", 12.0),
                    ("forbidden", 0.0),
                ],
            ),
        ),
    ]
    .into_iter()
    .map(|(id, answer)| (panel(id).query.into(), answer))
    .collect()
}

pub(crate) fn past() -> BTreeMap<Query, Result<Vec<Series>, String>> {
    let series = |of: &dyn Fn(f64) -> f64| {
        let points = (0..150).filter(|n| !(60..75).contains(n));
        let points = points
            .map(|n| (NOW - 300_000 + n * 2_000, of(n as f64 / 150.0)))
            .collect();
        Ok(vec![Series {
            labels: Labels::new(),
            points,
        }])
    };
    [
        (PanelId::Tps, series(&|x| 1_300.0 * (x * 6.0).sin().abs())),
        (PanelId::P95, series(&|x| 0.1 + 0.5 * x * x)),
        (PanelId::Waiting, series(&|x| 20_000.0 * (1.0 - x))),
        (
            PanelId::Errors,
            series(&|x| if x > 0.8 { 0.04 } else { 0.0 }),
        ),
    ]
    .into_iter()
    .map(|(id, answer)| (panel(id).query.into(), answer))
    .collect()
}

pub(crate) fn alert(
    name: &str,
    severity: &str,
    minutes: i64,
    state: AlertState,
    summary: &str,
) -> Alert {
    let at = jiff::Timestamp::from_millisecond(NOW - minutes * 60_000).unwrap();
    Alert {
        labels: labels(&[
            ("alertname", name),
            ("severity", severity),
            ("source", "operator"),
        ]),
        annotations: labels(&[("summary", summary)]),
        fingerprint: name.into(),
        starts_at: at.to_string(),
        ends_at: String::new(),
        status: AlertStatus {
            state,
            ..AlertStatus::default()
        },
    }
}

pub(crate) fn log_lines() -> Vec<LogLine> {
    let line = |n: i64, level: &str, message: &str| LogLine {
        at_ns: (NOW - 60_000 + n * 1_377) * 1_000_000,
        labels: labels(&[("service_name", "concertctl-api")]),
        line: format!(
            r#"{{"timestamp":"2026-06-01T11:59:0{n}.000000Z","level":"{level}","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","parent_span_id":null,"service_name":"concertctl-api","message":"{message}","additional_data":{{"route":"/reservations","status":201,"duration_ms":3.2{n},"user":{n}7}}}}"#
        ),
    };
    let mut lines: Vec<_> = (0..5)
        .map(|n| line(n, "INFO", "POST /reservations 201"))
        .collect();
    lines.push(line(6, "WARN", "slow query reserve_seat took 212 ms"));
    lines.push(line(7, "ERROR", "the database cannot be used at the moment: disk I/O error while committing the group of 64 writes"));
    lines.push(line(8, "DEBUG", "poll"));
    lines
}

pub(crate) fn progress() -> Progress {
    let operation = |operation, ok, refused, errors, p50: f64| OperationProgress {
        operation,
        count: ok + refused + errors,
        refused,
        errors,
        latency: Some(Latency {
            p50: p50 * 1e3,
            p95: p50 * 4e3,
            p99: p50 * 9e3,
            ..Latency::default()
        }),
    };
    let phases = [
        (PhaseName::Register, 100),
        (PhaseName::Open, 63),
        (PhaseName::Pay, 12),
    ];
    Progress {
        step: Step::Running(PhaseName::Open),
        elapsed: Duration::from_millis(23_400),
        phases: phases
            .map(|(phase, done)| PhaseProgress {
                phase,
                done,
                total: 100,
            })
            .to_vec(),
        users: vec![
            (UserState::Waiting, 740),
            (UserState::Admitted, 420),
            (UserState::Reserved, 61),
            (UserState::Paid, 230),
        ],
        requests: 13_905,
        p95: Some(Duration::from_micros(42_100)),
        operations: vec![
            operation(Operation::Register, 2_000, 0, 0, 0.003),
            operation(Operation::Poll, 8_210, 0, 0, 0.001),
            operation(Operation::Dates, 1_260, 0, 0, 0.002),
            operation(Operation::Seats, 1_260, 0, 0, 0.008),
            operation(Operation::Reserve, 291, 412, 2, 0.012),
            operation(Operation::Charge, 240, 0, 0, 0.006),
            operation(Operation::Pay, 230, 0, 0, 0.031),
            operation(Operation::Cancel, 0, 0, 0, 0.0),
        ],
        statuses: Statuses {
            success: 13_491,
            client: 412,
            server: 2,
            none: 0,
        },
        seats_paid: 230,
        pace: 1.0,
        thresholds: vec![
            threshold("buying.p95 ≤ 500 ms", "42 ms", true),
            threshold("buying.error_rate ≤ 0.10 %", "0.02 %", true),
            threshold("queue.error_rate ≤ 0.00 %", "0.00 %", true),
        ],
        ..Progress::default()
    }
}

/// A threshold by its text.
pub(crate) fn threshold(condition: &str, measured: &str, held: bool) -> Judged {
    let value = |text: &str| {
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        let number: f64 = number.parse().unwrap();
        match unit {
            "ms" => (number, Unit::Milliseconds),
            "%" => (number / 100.0, Unit::Share),
            _ => (number, Unit::Count),
        }
    };
    let relations = [Relation::AtMost, Relation::Exactly];
    let split = relations.iter().find_map(|relation| {
        let (name, limit) = condition.split_once(&format!(" {} ", relation.sign()))?;
        Some((name, *relation, value(limit)))
    });
    let (name, relation, (limit, unit)) = split.unwrap();
    let measured = Some(measured).filter(|text| *text != "no data");
    Judged {
        name: name.into(),
        unit,
        relation,
        limit,
        measured: measured.map(|text| value(text).0),
        outcome: match (measured, held) {
            (None, _) => Outcome::NoData,
            (_, true) => Outcome::Passed,
            (_, false) => Outcome::Missed,
        },
        window: None,
        worst_at: None,
    }
}

pub(crate) fn outcome(verdict: Verdict) -> RunResult {
    RunResult {
        verdict,
        reason: String::new(),
        thresholds: vec![
            threshold("p95 outside the queue ≤ 500 ms", "42 ms", true),
            threshold("error_rate ≤ 0 %", "0.02 %", verdict != Verdict::Failed),
            threshold("oversold = 0", "0", true),
        ],
        files: Some(SavedFiles {
            summary: "/home/me/rehearsal.json".into(),
            report: "/home/me/rehearsal.html".into(),
        }),
    }
}

pub(crate) fn run(state: RunState) -> RunView {
    let tps = (0..20)
        .map(|n| (NOW - 20_000 + n * 1_000, 1_000.0 + n as f64 * 14.0))
        .collect();
    RunView {
        scenario: "onsale-short".into(),
        phase: None,
        state,
        progress: progress(),
        requests: Default::default(),
        p95: (0..20)
            .map(|n| (NOW - 20_000 + n * 1_000, 0.04 + n as f64 * 0.0001))
            .collect(),
        tps,
        scroll: 0,
    }
}

pub(crate) fn feed(model: &mut Model, at: i64, dataset: bool) {
    update(
        model,
        at,
        Event::Ops(Box::new((status(dataset), SeedProgress::default()))),
    );
    if dataset {
        update(
            model,
            at,
            Event::Metrics {
                at,
                now: metrics(at),
                past: Some(past()),
            },
        );
        crate::tui::screens::tests::boards::feed(model, at);
        let query = model.logs.query();
        update(
            model,
            at,
            Event::Logs {
                query,
                lines: log_lines(),
                skipped: false,
            },
        );
        let asked = model.traces.asked();
        let found = crate::tui::screens::tests::traces::found();
        let coverage = Coverage::All;
        let traces = Event::Traces {
            asked,
            found,
            coverage,
        };
        update(model, at, traces);
        let alerts = vec![
            alert(
                "QueueStalled",
                "warning",
                1,
                AlertState::Active,
                "Nobody was admitted for 60 s",
            ),
            alert(
                "HighErrorRate",
                "critical",
                4,
                AlertState::Active,
                "5xx above 1 % for 2 minutes",
            ),
            alert(
                "DiskFull",
                "info",
                90,
                AlertState::Suppressed,
                "Less than 10 % free",
            ),
        ];
        update(model, at, Event::Alerts(alerts));
    } else {
        let nothing: BTreeMap<_, _> = metrics(at)
            .into_keys()
            .chain(model.board_queries())
            .map(|query| (query, Ok(vec![])))
            .collect();
        update(
            model,
            at,
            Event::Metrics {
                at,
                now: nothing.clone(),
                past: Some(nothing),
            },
        );
        let query = model.logs.query();
        update(
            model,
            at,
            Event::Logs {
                query,
                lines: vec![],
                skipped: false,
            },
        );
        let asked = model.traces.asked();
        let found = Vec::new();
        let coverage = Coverage::All;
        let traces = Event::Traces {
            asked,
            found,
            coverage,
        };
        update(model, at, traces);
        let none = model.board_logs().into_iter();
        let none = none.map(|query| (query, Ok(vec![]))).collect();
        update(model, at, Event::BoardLogs(none));
        update(model, at, Event::Alerts(vec![]));
    }
}

pub(crate) fn fail(model: &mut Model, at: i64) {
    for source in Source::ALL {
        let reason = "not reachable: connection refused".to_owned();
        update(
            model,
            at,
            Event::Down {
                source: *source,
                reason,
                retry_ms: 4_000,
            },
        );
    }
}

pub(crate) fn ok(screen: Screen) -> Model {
    let mut model = started(screen);
    feed(&mut model, NOW, true);
    model.drills.take(drills::list(true));
    model.drills.choose(1);
    match screen {
        Screen::Drills => model.drills.run = Some(drills::under_way()),
        _ => model.load.run = Some(run(RunState::Running)),
    }
    model.notice = None;
    model
}

pub(crate) fn stale(screen: Screen) -> Model {
    let mut model = ok(screen);
    fail(&mut model, NOW + 12_000);
    model
}

pub(crate) fn empty(screen: Screen) -> Model {
    let mut model = started(screen);
    feed(&mut model, NOW, false);
    model
}

pub(crate) fn error(screen: Screen) -> Model {
    let mut model = started(screen);
    fail(&mut model, NOW);
    model
}
