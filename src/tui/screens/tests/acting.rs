//! Snapshots of forms, the audit log, a steered rehearsal, and alerts at every stage.

use super::*;
use crate::clients::alertmanager::{AlertState, Matcher, Silence, SilenceState};
use crate::clients::prometheus::{RuleAlert, RuleState};
use crate::tui::audit::AuditEntry;
use crate::tui::event::Event;
use crate::tui::input::forms::Form;
use crate::tui::update::update;

fn with(screen: Screen, dialog: Dialog) -> Model {
    let mut model = ok(screen);
    model.load.run = None;
    model.dialog = Some(dialog);
    model
}

#[test]
fn forms_match_their_snapshots() {
    let small = SIZES[0];
    let mut form = Form::admission(&status(true).admission);
    form.fields[0].text = "1000".into();
    form.focus = 1;
    shot(
        "form_admission",
        &with(Screen::Overview, Dialog::Form(form.clone())),
        small,
    );
    form.wrong = Some("\"15\" is not a time from 100ms to 1h, such as 15s".into());
    form.fields[1].text = "15".into();
    shot(
        "form_admission_wrong",
        &with(Screen::Overview, Dialog::Form(form)),
        small,
    );
    let model = ok(Screen::Alerts);
    let alert = model.alerts.list[0].clone();
    let form = Form::acknowledge(&alert, "mona");
    shot(
        "form_acknowledge",
        &with(Screen::Alerts, Dialog::Form(form)),
        small,
    );
    let form = Form::silence(&alert, "mona");
    shot(
        "form_silence",
        &with(Screen::Alerts, Dialog::Form(form)),
        small,
    );
    let mut form = Form::admission(&status(true).admission);
    form.fields[0].text = "1000".into();
    let Ok(crate::tui::input::forms::Then::Ask(question)) =
        form.finish(model.now, model.load.is_under_way())
    else {
        panic!("the form must lead to a question")
    };
    shot(
        "form_admission_ask",
        &with(Screen::Overview, Dialog::Ask(question)),
        small,
    );
}

fn done(model: &mut Model, minutes: i64, action: &str, result: Result<&str, &str>) {
    let at = NOW - minutes * 60_000;
    let entry = AuditEntry::new(at, "mona", action, "127.0.0.1:8081", result);
    let failed = None;
    update(model, NOW, Event::Audited { entry, failed });
}

#[test]
fn the_audit_log_matches_its_snapshot() {
    let mut model = with(Screen::Overview, Dialog::History(0));
    shot("history_empty", &model, SIZES[0]);
    model.settings.audit_log = Some("/home/me/.local/share/concertctl/console-audit.log".into());
    done(&mut model, 42, "seeding demo", Ok("began"));
    done(
        &mut model,
        40,
        "rehearsal onsale-short, seeded first",
        Ok("began"),
    );
    done(&mut model, 38, "rehearsal a quarter slower", Ok(""));
    done(
        &mut model,
        37,
        "admission set to 1,000 every 5 s",
        Err("no answer within 2 s"),
    );
    done(
        &mut model,
        30,
        "alert HighErrorRate acknowledged by mona for 30 min",
        Ok(""),
    );
    for size in SIZES {
        shot("history", &model, size);
    }
    model.audit_failed = Some("the audit log /data/console-audit.log cannot be written: disk full; actions go on unrecorded".into());
    shot("history_failed", &model, SIZES[0]);
}

#[test]
fn every_screen_shows_that_a_rehearsal_is_steered() {
    let mut model = ok(Screen::Load);
    let run = model.load.run.as_mut().unwrap();
    run.progress.paused = true;
    run.progress.pace = 0.8;
    run.progress.thresholds = vec![
        threshold("buying.p95 ≤ 500 ms", "612 ms", false),
        threshold("buying.error_rate ≤ 0.10 %", "0.02 %", true),
        threshold("queue.error_rate ≤ 0.00 %", "no data", false),
    ];
    for size in SIZES {
        shot("load_steered", &model, size);
    }
    model.screen = Screen::Overview;
    let shown = |size| text(&buffer(&model, size));
    let [small, large] = [SIZES[0], SIZES[1]].map(shown);
    assert!(large.contains("▲ load paused, ×0.8"), "{large}");
    assert!(small.contains("▲ paused  demo"), "{small}");
    assert!(
        small.contains("onsale-short: open, paused, ×0.8"),
        "{small}"
    );
}

#[test]
fn alerts_at_every_stage_match_their_snapshots() {
    let mut model = ok(Screen::Alerts);
    model.load.run = None;
    let mut list = model.alerts.list.clone();
    let mut seen = alert(
        "PoolExhausted",
        "warning",
        12,
        AlertState::Suppressed,
        "No free connection for 30 s",
    );
    seen.status.silenced_by = vec!["ack".into()];
    let mut silence = Silence {
        id: "ack".into(),
        matchers: Matcher::exactly(&seen.labels),
        starts_at: "2026-06-01T11:52:00Z".into(),
        ends_at: "2026-06-01T12:22:00Z".into(),
        created_by: "mona".into(),
        comment: "acknowledged: on it".into(),
        ..Silence::default()
    };
    silence.status.state = SilenceState::Active;
    list.push(seen);
    list.retain(|one| one.fingerprint != "QueueStalled");
    update(&mut model, NOW, Event::Silences(vec![silence]));
    let coming = RuleAlert {
        labels: labels(&[("alertname", "SlowReservations"), ("severity", "warning")]),
        annotations: labels(&[("summary", "p95 of reservations above 500 ms")]),
        state: RuleState::Pending,
        active_at: "2026-06-01T11:59:20Z".into(),
    };
    update(&mut model, NOW, Event::RuleAlerts(Ok(vec![coming])));
    update(&mut model, NOW - 60_000, Event::Alerts(list));
    update(&mut model, NOW, Event::Tick);
    model.notice = None;
    model.alerts.row = 2;
    for size in SIZES {
        shot("alerts_stages", &model, size);
    }
    model.settings.ascii = true;
    let text = text(&buffer(&model, SIZES[0]));
    assert!(
        text.contains("v acknowledged") && text.contains("o pending"),
        "{text}"
    );
}
