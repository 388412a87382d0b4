//! Snapshots of the Drills screen: before, during and after a drill.

use super::*;
use crate::drill::plan::{Planned, PlannedInject};
use crate::drill::progress::{Progress, Row, Stage, Step, Traffic};
use crate::drill::report::Report;
use crate::drill::verdict::{self, Expectation, FalseAlarm, Outcome, Verdict as DrillVerdict};
use crate::tui::drill_runner::DrillInfo;
use crate::tui::screens::drills::{DrillState, DrillView};

fn expectation(what: &str, budget: f64, measured: Option<f64>, outcome: Outcome) -> Expectation {
    let step = match what.split_once(' ').map(|(_, rest)| rest) {
        Some("fires") => verdict::Step::Fires,
        Some("notifies") => verdict::Step::Notifies,
        Some("is resolved") => verdict::Step::Resolves,
        _ => verdict::Step::Recovers,
    };
    Expectation {
        inject: 0,
        step,
        what: what.into(),
        alert: what.split_once(' ').map(|(alert, _)| alert.into()),
        budget,
        predicted: None,
        measured,
        outcome,
        above_prediction: false,
        rule: None,
    }
}

pub(crate) fn report(verdict: DrillVerdict) -> Report {
    let late = matches!(verdict, DrillVerdict::Failed(_));
    let (measured, outcome) = match late {
        true => (21.2, Outcome::Late),
        false => (9.7, Outcome::Met),
    };
    Report {
        drill: "slow-charge".into(),
        title: "Charging an account takes 400 ms more".into(),
        seed: 1,
        started_at: "2026-05-31T09:30:00Z".into(),
        verdict,
        expectations: vec![
            expectation("SlowStatements fires", 18.0, Some(measured), outcome),
            expectation("SlowStatements notifies", 3.0, Some(0.9), Outcome::Met),
            expectation("SlowStatements is resolved", 60.0, Some(33.4), Outcome::Met),
            expectation("users are served again", 20.0, None, Outcome::NotExercised),
        ],
        false_alarms: Vec::new(),
        fired: [("SlowStatements", 9.7), ("SlowBuying", 14.0)]
            .map(|(name, at)| (name.to_owned(), vec![at]))
            .into(),
        allowed: vec!["SlowStatements".into(), "SlowBuying".into()],
        faults: vec![(0.0, 20.0)],
        seconds: Vec::new(),
        ..crate::drill::report::sample::passed("slow-charge")
    }
}

fn failed() -> DrillVerdict {
    DrillVerdict::Failed(vec![
        "SlowStatements fires: 21.2 s, budget 18 s (otel/prometheus/alerts.yml:93)".into(),
    ])
}

fn info(name: &str, title: &str) -> DrillInfo {
    DrillInfo {
        name: name.into(),
        title: title.into(),
        traffic: "onsale-short".into(),
        watch: "30s".into(),
        ..DrillInfo::default()
    }
}

/// A few drills, with or without results of earlier days.
pub(crate) fn list(ran: bool) -> Vec<DrillInfo> {
    let of = |verdict| {
        let path = "/home/me/.local/share/concertctl/drills/slow-charge-2026-05-31T09-30-00.json";
        ran.then(|| (path.into(), Box::new(report(verdict))))
    };
    let alert = Planned {
        alert: "SlowStatements".into(),
        budget: "18s".into(),
        predicted: 10.0,
        notified: Some("3s".into()),
        predicted_notified: 2.0,
        rule: "otel/prometheus/alerts.yml:93".into(),
    };
    let slow = PlannedInject {
        at: "6s..10s".into(),
        fault:
            r#"{"kind":"slow_statement","for":"20s","delay":"400ms","statement":"account.charge"}"#
                .into(),
        alerts: vec![alert],
    };
    vec![
        DrillInfo {
            last: of(DrillVerdict::Passed),
            ..info("errors", "Half of the requests to buy fail")
        },
        DrillInfo {
            plan: vec![slow],
            last: of(failed()),
            ..info("slow-charge", "Charging an account takes 400 ms more")
        },
        DrillInfo {
            last: of(DrillVerdict::Inconclusive(vec!["stopped".into()])),
            ..info("quiet", "Nothing is broken")
        },
        DrillInfo {
            file: Some("scenarios/drill-mine.yaml".into()),
            problem: Some("scenarios/drill-mine.yaml:2:7: load: no such scenario".into()),
            ..info("drill-mine", "")
        },
    ]
}

fn row(stage: Stage, at: Option<f64>, from: Option<f64>, budget: Option<f64>) -> Row {
    let of_alert = !matches!(stage, Stage::Fault | Stage::Symptom | Stage::Mitigated);
    Row {
        stage,
        alert: of_alert.then(|| "SlowStatements".into()),
        at,
        from,
        budget,
        predicted: (stage == Stage::Firing).then_some(10.0),
    }
}

fn progress() -> Progress {
    Progress {
        drill: "slow-charge".into(),
        title: "Charging an account takes 400 ms more".into(),
        step: Step::Fault,
        started: NOW - 32_000,
        elapsed: 32.0,
        since_fault: Some(11.4),
        fault_ends_in: Some(8.6),
        injected: 1,
        injects: 1,
        clock: vec![
            row(Stage::Fault, Some(0.0), None, None),
            row(Stage::Symptom, Some(1.2), None, None),
            row(Stage::Pending, Some(7.2), None, None),
            row(Stage::Firing, Some(9.7), Some(0.0), Some(18.0)),
            row(Stage::Notified, None, Some(9.7), Some(3.0)),
            row(Stage::Shown, Some(9.9), None, None),
            row(Stage::Resolved, None, None, None),
            row(Stage::EndNotified, None, None, Some(60.0)),
            row(Stage::Mitigated, None, None, Some(20.0)),
        ],
        false_alarms: Vec::new(),
        traffic: Some(Traffic {
            requests: 312,
            errors: 3,
            p95_ms: Some(812.0),
            met: false,
        }),
        blind: None,
    }
}

/// A drill while its fault is active.
pub(crate) fn under_way() -> DrillView {
    DrillView {
        started_by: "slow-charge".into(),
        state: DrillState::Running,
        progress: progress(),
    }
}

#[test]
fn a_drill_before_during_and_after_its_run_matches_its_snapshots() {
    for size in SIZES {
        let mut model = ok(Screen::Drills);
        model.drills.plan = true;
        shot("drills_plan", &model, size);
        model.drills.plan = false;
        let run = model.drills.run.as_mut().unwrap();
        run.state = DrillState::Stopping;
        run.progress.false_alarms = vec![FalseAlarm {
            alert: "DiskFull".into(),
            at: 4.5,
            rule: None,
        }];
        shot("drills_stopping", &model, size);
        model.drills.run.as_mut().unwrap().state = DrillState::Ended(Box::new(report(failed())));
        shot("drills_failed", &model, size);
        model.drills.run = None;
        shot("drills_last", &model, size);
        model.drills.choose(3);
        shot("drills_wrong", &model, size);
    }
}

#[test]
fn budgets_fill_up_and_show_when_they_are_used_up() {
    let mut model = ok(Screen::Drills);
    let line = |model: &Model, name: &str| {
        let text = text(&buffer(model, SIZES[0]));
        let line = text.lines().find(|line| line.contains(name));
        line.unwrap_or_default().to_owned()
    };
    let full = |line: &str| line.matches('█').count();
    let mut before = 0;
    for (now, sign) in [(10.2, ""), (11.4, ""), (12.3, "▲"), (13.0, "✖")] {
        let progress = &mut model.drills.run.as_mut().unwrap().progress;
        progress.since_fault = Some(now);
        let notified = line(&model, "notified");
        assert!(notified.contains(sign), "{notified}");
        assert!(full(&notified) > before, "{notified}");
        before = full(&notified);
    }
    let progress = &mut model.drills.run.as_mut().unwrap().progress;
    progress.clock[4].at = Some(10.6);
    let notified = line(&model, "notified");
    assert!(notified.contains("0.9 of   3 s ✔"), "{notified}");
}

#[test]
fn a_report_longer_than_the_screen_can_be_scrolled_to_its_end() {
    let mut model = ok(Screen::Drills);
    let mut long = report(failed());
    let many = (0..40).map(|n| expectation(&format!("Alert{n} fires"), 9.0, None, Outcome::Missed));
    long.expectations.extend(many);
    model.drills.run.as_mut().unwrap().state = DrillState::Ended(Box::new(long));
    let shown = |model: &Model| text(&buffer(model, SIZES[0]));
    assert!(!shown(&model).contains("Alert39") && shown(&model).contains("PgDn: more"));
    model.drills.scroll = 200;
    assert!(shown(&model).contains("Alert39"), "{}", shown(&model));
}

#[test]
fn the_report_of_a_blind_drill_shows_wrong_answers_and_the_hash_of_the_plan() {
    let mut model = ok(Screen::Drills);
    let mut blind = report(failed());
    let sha256 = "5f".repeat(32);
    let response = serde_json::json!({
        "plan": "{}", "salt": "a1", "sha256": sha256,
        "cause": { "component": "database", "mechanism": "slow_statement" },
        "acknowledged": 6.0, "localised": 10.25, "mitigated": null,
        "componentIsRight": true, "mechanismIsRight": false,
        "wrongAnswers": 3, "wrongMitigations": 2, "actions": []
    });
    blind.blind = Some(serde_json::from_value(response).unwrap());
    model.drills.run.as_mut().unwrap().state = DrillState::Ended(Box::new(blind));
    let shown = text(&buffer(&model, (120, 40)));
    for said in [
        "the cause: database, slow_statement",
        "acknowledged after 6.0 s, localised after 10.2 s, mitigated after –",
        "wrong answers: 3, wrong mitigations: 2",
        "SHA-256 of salt and plan:",
        &sha256,
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn every_other_screen_shows_that_a_drill_runs() {
    let mut model = ok(Screen::Drills);
    model.screen = Screen::Overview;
    let text = text(&buffer(&model, SIZES[0]));
    let notice = "▶ drill slow-charge: the fault is there  0:32   7 shows it";
    assert!(text.contains(notice), "{text}");
    model.screen = Screen::Drills;
    let text = self::text(&buffer(&model, SIZES[0]));
    assert!(!text.contains("7 shows it"), "{text}");
}
