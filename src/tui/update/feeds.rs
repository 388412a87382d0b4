//! Applies answers of the server and of Alertmanager, and the progress of the rehearsal, to the model.

use crate::api::ops::{SeedPhase, SeedProgress, Status};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::load::{Progress, RunResult, Verdict};
use crate::tui::audit::AuditEntry;
use crate::tui::connection::Source;
use crate::tui::event::Effect;
use crate::tui::format::one_line;
use crate::tui::model::{Model, Notice, NoticeKind, RunState};
use crate::tui::screens::alerts::name;
use crate::tui::screens::alerts::urgency::Urgency;
use crate::tui::sources::crosscheck;
use crate::tui::sources::series::Track;
use crate::tui::{audit, format, timeline};

/// The time for which an action of the user counts as recent, in milliseconds.
const JUST_MS: i64 = 3_000;
/// The window of the rehearsal's TPS, in milliseconds. A test checks that the server's TPS has the same.
pub(crate) const TPS_WINDOW_MS: i64 = 10_000;
/// The most points that are kept of the rehearsal's own figures: half an hour at four a second.
const MAX_LOAD_POINTS: usize = 7_200;

pub(crate) fn on_ops(model: &mut Model, status: Status, seed: SeedProgress) {
    model.answered(Source::Ops);
    let was = model.seed.phase;
    if was == SeedPhase::Running && seed.phase != SeedPhase::Running {
        let rows = format::count(seed.rows_done);
        match seed.phase {
            SeedPhase::Done => {
                let (took, unit) = format::latency(seed.elapsed_seconds);
                model.tell(
                    NoticeKind::Done,
                    format!("{} is seeded: {rows} rows in {took} {unit}", seed.profile),
                );
            }
            SeedPhase::Cancelled => model.tell(
                NoticeKind::Info,
                "seeding cancelled; the dataset that was there is in use",
            ),
            SeedPhase::Failed => {
                let reason = seed.error.clone().unwrap_or_default();
                model.tell(
                    NoticeKind::Failed,
                    format!("seeding failed: {}", one_line(&reason)),
                );
            }
            SeedPhase::Idle | SeedPhase::Running => {}
        }
    }
    let begins = was != SeedPhase::Running && seed.phase == SeedPhase::Running;
    let is_done = |notice: &mut Notice| notice.kind == NoticeKind::Done;
    if begins {
        // The progress takes the place of the notice that the seeding began.
        model.notice.take_if(is_done);
    }
    model.seed = seed;
    timeline::rate_decided(model, &status.admission);
    model.status = Some(status);
    crosscheck::note_queue(model);
    crosscheck::compare(model);
}

pub(crate) fn on_alerts(model: &mut Model, mut alerts: Vec<Alert>) -> Vec<Effect> {
    let first = model.source(Source::Alertmanager).last_ok.is_none();
    model.answered(Source::Alertmanager);
    alerts.sort_by(|a, b| {
        Urgency::of(a)
            .cmp(&Urgency::of(b))
            .then_with(|| b.starts_at.cmp(&a.starts_at))
            .then_with(|| a.labels.cmp(&b.labels))
    });
    let is_new = |alert: &&Alert| {
        alert.status.state != AlertState::Suppressed
            && !model
                .alerts
                .list
                .iter()
                .any(|old| old.labels == alert.labels)
    };
    let new: Vec<String> = alerts.iter().filter(is_new).map(name).collect();
    model.alerts.take(alerts, model.now);
    if first || new.is_empty() {
        return Vec::new();
    }
    // The outcome of a recent action of the user is more useful than the events that the action caused.
    let just_done = model
        .notice
        .as_ref()
        .is_some_and(|notice| notice.kind == NoticeKind::Done && model.now - notice.at < JUST_MS);
    if !just_done {
        model.tell(NoticeKind::Failed, format!("firing: {}", new.join(", ")));
    }
    vec![Effect::Bell]
}

/// Keeps the last actions. Reports once if the audit log cannot be written.
pub(crate) fn on_audited(model: &mut Model, entry: AuditEntry, failed: Option<String>) {
    model.audit.push_back(entry);
    while model.audit.len() > audit::KEPT {
        model.audit.pop_front();
    }
    if let Some(reason) = failed.as_ref().filter(|_| model.audit_failed.is_none()) {
        model.tell(NoticeKind::Failed, one_line(reason));
    }
    model.audit_failed = failed;
}

pub(crate) fn on_audit_read(model: &mut Model, entries: Vec<AuditEntry>) {
    // Actions of this session come after the entries of the file.
    for entry in entries.into_iter().rev() {
        if model.audit.len() < audit::KEPT && !model.audit.contains(&entry) {
            model.audit.push_front(entry);
        }
    }
}

pub(crate) fn on_progress(model: &mut Model, progress: Progress) {
    let now = model.now;
    let run = model.load.run.as_ref().filter(|run| run.is_under_way());
    let Some(run) = run else {
        return;
    };
    if run.progress.step.description() != progress.step.description() {
        let text = format!("{}: {}", run.scenario, progress.step.description());
        timeline::phase_begins(model, &text);
    }
    let Some(run) = model.load.run.as_mut() else {
        return;
    };
    run.requests.push_back((now, progress.requests));
    // One point from before the window stays: the count of the window begins there.
    while run
        .requests
        .get(1)
        .is_some_and(|(at, _)| *at <= now - TPS_WINDOW_MS)
    {
        run.requests.pop_front();
    }
    let before = run
        .requests
        .front()
        .filter(|(at, _)| *at <= now - TPS_WINDOW_MS);
    let answered = progress
        .requests
        .saturating_sub(before.map_or(0, |(_, count)| *count));
    #[expect(
        clippy::cast_precision_loss,
        reason = "requests of ten seconds, far below 2^52"
    )]
    let tps = answered as f64 * 1000.0 / TPS_WINDOW_MS as f64;
    let note = |track: &mut Track, value: f64| {
        if track.len() >= MAX_LOAD_POINTS {
            track.pop_front();
        }
        track.push_back((now, value));
    };
    note(&mut run.tps, tps);
    if let Some(p95) = progress.p95 {
        note(&mut run.p95, p95.as_secs_f64());
    }
    run.progress = progress;
}

pub(crate) fn on_ended(model: &mut Model, result: Result<RunResult, String>) -> Vec<Effect> {
    let Some(run) = model.load.run.as_mut() else {
        return Vec::new();
    };
    let (kind, text) = match &result {
        Ok(outcome) => match outcome.verdict {
            Verdict::Passed => (NoticeKind::Done, format!("{} passed", run.scenario)),
            Verdict::Failed => (
                NoticeKind::Failed,
                format!("{} missed its thresholds (5 shows which)", run.scenario),
            ),
            Verdict::Inconclusive => (
                NoticeKind::Info,
                format!("{} is inconclusive: {}", run.scenario, outcome.reason),
            ),
        },
        Err(reason) => (
            NoticeKind::Failed,
            format!("{} could not run: {}", run.scenario, one_line(reason)),
        ),
    };
    run.state = match result {
        Ok(outcome) => RunState::Ended(outcome),
        Err(reason) => RunState::Failed(reason),
    };
    model.tell(kind, text);
    vec![Effect::Bell]
}
