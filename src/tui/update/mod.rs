//! `update`: what an event makes of the model, and what is to be done about it. Pure.

mod actions;
mod dialogs;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(super) use actions::reseed;

use super::event::{Effect, Event};
use super::keys::{self, Action};
use super::load_port::{Outcome, Progress, Verdict};
use super::logs::one_line;
use super::model::{Link, Model, NoticeKind, RunState, Screen, Source};
use super::panels::{PanelId, panel};
use crate::api::ops::{SeedPhase, SeedProgress, Status};
use crate::clients::alertmanager::{Alert, AlertState};

/// A notice is shown for this long, in milliseconds; a failure twice as long.
const NOTICE_MS: i64 = 8_000;
/// What was done within this time, in milliseconds, was done just now.
const JUST_MS: i64 = 3_000;
/// Longest text that is typed or pasted, in characters.
pub(super) const MAX_INPUT: usize = 200;
/// Rows that a page key moves.
const PAGE: isize = 15;
/// The window of the server's TPS (a test holds the two together), in milliseconds.
const TPS_WINDOW_MS: i64 = 10_000;
/// Points kept of the rehearsal's own TPS.
const MAX_LOAD_POINTS: usize = 1_200;

/// Takes `event`, which happened at `now` (Unix milliseconds), into the model.
pub(super) fn update(model: &mut Model, now: i64, event: Event) -> Vec<Effect> {
    model.now = now;
    match event {
        Event::Key(key) => return on_key(model, key),
        Event::Paste(text) => paste(model, &text),
        Event::Resize => {}
        Event::Tick => tick(model),
        Event::Metrics { at, now, past } => {
            answered(model, Source::Prometheus);
            if let Some(past) = &past {
                model.metrics.apply_past(past);
            }
            model.metrics.apply_now(at, &now);
        }
        Event::Logs {
            query,
            lines,
            skipped,
        } => {
            answered(model, Source::Loki);
            // An answer to an earlier filter is of no use any more.
            if query == model.logs.query() && !model.logs.frozen {
                model.logs.skipped |= skipped;
                model.logs.merge(lines);
            }
        }
        Event::LogsRefused { reason } => {
            answered(model, Source::Loki);
            model.tell(NoticeKind::Failed, format!("the log filter was {reason}"));
        }
        Event::Alerts(alerts) => return on_alerts(model, alerts),
        Event::Ops(answer) => on_ops(model, answer.0, answer.1),
        Event::Down {
            source,
            reason,
            retry_ms,
        } => {
            model.source_mut(source).link = Link::Down {
                reason,
                retry_at: now + retry_ms,
            };
        }
        Event::Done { what, result } => match result {
            Ok(()) => model.tell(NoticeKind::Done, what),
            Err(reason) => model.tell(NoticeKind::Failed, format!("{what}: {}", one_line(&reason))),
        },
        Event::LoadProgress(progress) => on_progress(model, *progress),
        Event::LoadEnded(result) => return on_ended(model, result),
        Event::Broken(what) => model.tell(NoticeKind::Failed, one_line(&what)),
    }
    Vec::new()
}

fn answered(model: &mut Model, source: Source) {
    let now = model.now;
    let state = model.source_mut(source);
    state.link = Link::Up;
    state.last_ok = Some(now);
}

fn tick(model: &mut Model) {
    let over = model.notice.as_ref().is_some_and(|notice| {
        let lasts = if notice.kind == NoticeKind::Failed {
            2 * NOTICE_MS
        } else {
            NOTICE_MS
        };
        model.now - notice.at > lasts
    });
    if over {
        model.notice = None;
    }
}

fn on_ops(model: &mut Model, status: Status, seed: SeedProgress) {
    answered(model, Source::Ops);
    let was = model.seed.phase;
    if was == SeedPhase::Running && seed.phase != SeedPhase::Running {
        let rows = super::format::count(seed.rows_done);
        match seed.phase {
            SeedPhase::Done => {
                let took = seed.elapsed_seconds;
                model.tell(
                    NoticeKind::Done,
                    format!("{} is seeded: {rows} rows in {took:.1} s", seed.profile),
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
    model.seed = seed;
    model.status = Some(status);
}

fn on_alerts(model: &mut Model, mut alerts: Vec<Alert>) -> Vec<Effect> {
    let first = model.source(Source::Alertmanager).last_ok.is_none();
    answered(model, Source::Alertmanager);
    alerts.sort_by(|a, b| {
        rank(a)
            .cmp(&rank(b))
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
    let chosen = model
        .alerts
        .list
        .get(model.alerts.chosen)
        .map(|alert| alert.labels.clone());
    // The choice stays on its alert when the list moves under it.
    let at = chosen.and_then(|labels| alerts.iter().position(|alert| alert.labels == labels));
    model.alerts.chosen = at
        .unwrap_or(model.alerts.chosen)
        .min(alerts.len().saturating_sub(1));
    model.alerts.list = alerts;
    if first || new.is_empty() {
        return Vec::new();
    }
    // The outcome of one's own action a moment ago says more than what it caused.
    let just_done = model
        .notice
        .as_ref()
        .is_some_and(|notice| notice.kind == NoticeKind::Done && model.now - notice.at < JUST_MS);
    if !just_done {
        model.tell(NoticeKind::Failed, format!("firing: {}", new.join(", ")));
    }
    vec![Effect::Bell]
}

/// Worst first.
pub(super) fn rank(alert: &Alert) -> u8 {
    match alert.labels.get("severity").map(String::as_str) {
        Some("critical" | "page") => 0,
        Some("warning") => 1,
        _ => 2,
    }
}

/// An alert's name, for people.
pub(super) fn name(alert: &Alert) -> String {
    one_line(
        alert
            .labels
            .get("alertname")
            .map_or("(no name)", String::as_str),
    )
}

fn on_progress(model: &mut Model, progress: Progress) {
    let now = model.now;
    let Some(run) = model.load.run.as_mut().filter(|run| run.is_under_way()) else {
        return;
    };
    run.requests.push_back((now, progress.requests));
    // One point from before the window stays: it is where the window's count begins.
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
    if run.tps.len() >= MAX_LOAD_POINTS {
        run.tps.pop_front();
    }
    run.tps.push_back((now, tps));
    run.progress = progress;
}

fn on_ended(model: &mut Model, result: Result<Outcome, String>) -> Vec<Effect> {
    let Some(run) = model.load.run.as_mut() else {
        return Vec::new();
    };
    let (kind, text) = match &result {
        Ok(outcome) => match outcome.verdict {
            Verdict::Passed => (NoticeKind::Done, format!("{} passed", run.scenario)),
            Verdict::Missed => (
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

fn paste(model: &mut Model, text: &str) {
    for c in text.chars().filter(|c| !c.is_control()).take(MAX_INPUT) {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        // Pasted text goes into fields only: it must never press the keys of actions.
        if model.logs.editing.is_some() {
            edit_filter(model, key);
        } else if dialogs::takes_text(model) {
            dialogs::on_key(model, key);
        }
    }
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if ctrl_c {
        return actions::quit(model);
    }
    if model.dialog.is_some() {
        return dialogs::on_key(model, key);
    }
    if model.logs.editing.is_some() {
        edit_filter(model, key);
        return Vec::new();
    }
    let Some(binding) = keys::lookup(model.screen, key) else {
        reserved(model, key);
        return Vec::new();
    };
    if binding.writes && model.settings.read_only {
        model.tell(
            NoticeKind::Info,
            format!("read-only: cannot {}", binding.text),
        );
        return Vec::new();
    }
    act(model, binding.action)
}

/// The numbers that are kept for screens to come say so instead of doing nothing.
fn reserved(model: &mut Model, key: KeyEvent) {
    if let KeyCode::Char('2' | '4' | '7') = key.code {
        model.tell(
            NoticeKind::Info,
            "this number is kept for a screen that this version does not have; ? shows all keys",
        );
    }
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => model.screen = screen,
        Action::NextScreen => model.screen = neighbour(model.screen, 1),
        Action::PreviousScreen => model.screen = neighbour(model.screen, Screen::ALL.len() - 1),
        Action::Help => model.dialog = Some(super::dialog::Dialog::Help(0)),
        Action::Redraw => return vec![Effect::Redraw],
        Action::ZoomIn => model.zoom = model.zoom.closer(),
        Action::ZoomOut => model.zoom = model.zoom.wider(),
        Action::Filter => {
            model.screen = Screen::Logs;
            model.logs.editing = Some(model.logs.text.clone());
        }
        Action::Level => {
            model.logs.level = model.logs.level.next();
            model.logs.reset();
        }
        Action::Freeze => {
            model.logs.frozen = !model.logs.frozen;
            if !model.logs.frozen {
                model.logs.cursor = model.logs.records.len().saturating_sub(1);
            }
        }
        Action::Up => go(model, -1),
        Action::Down => go(model, 1),
        Action::PageUp => go(model, -PAGE),
        Action::PageDown => go(model, PAGE),
        Action::First => go(model, isize::MIN),
        Action::Last => {
            go(model, isize::MAX);
            model.logs.frozen = false;
        }
        Action::Open => actions::open(model),
        Action::Back => back(model),
        Action::Quit => return actions::quit(model),
        Action::Seed => actions::seed(model),
        Action::Launch => actions::launch(model),
        Action::RaiseAlert => model.dialog = Some(super::dialog::Dialog::Raise(Default::default())),
        Action::PauseAdmission => return actions::pause(model),
        Action::OpenSale => actions::open_sale(model),
        Action::StopWork => actions::stop(model),
        Action::Resolve => return actions::resolve(model),
    }
    Vec::new()
}

fn neighbour(screen: Screen, by: usize) -> Screen {
    let at = Screen::ALL
        .iter()
        .position(|one| *one == screen)
        .unwrap_or_default();
    Screen::ALL[(at + by) % Screen::ALL.len()]
}

fn go(model: &mut Model, by: isize) {
    match model.screen {
        Screen::Logs => model.logs.move_by(by),
        Screen::Load => {
            let last = model.load.rows().len().saturating_sub(1);
            model.load.chosen = model.load.chosen.saturating_add_signed(by).min(last);
        }
        Screen::Alerts => {
            let last = model.alerts.list.len().saturating_sub(1);
            model.alerts.chosen = model.alerts.chosen.saturating_add_signed(by).min(last);
        }
        Screen::Overview => {}
    }
}

fn back(model: &mut Model) {
    model.notice = None;
    if model.screen == Screen::Logs && !model.logs.text.is_empty() {
        model.logs.text.clear();
        model.logs.reset();
    }
}

fn edit_filter(model: &mut Model, key: KeyEvent) {
    let Some(text) = model.logs.editing.as_mut() else {
        return;
    };
    match key.code {
        KeyCode::Esc => model.logs.editing = None,
        KeyCode::Enter => {
            let text = std::mem::take(text);
            model.logs.editing = None;
            if text != model.logs.text {
                model.logs.text = text;
                model.logs.reset();
            }
        }
        _ => edit(text, key),
    }
}

/// One key into a line of text.
pub(super) fn edit(text: &mut String, key: KeyEvent) {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char('u') if ctrl => text.clear(),
        KeyCode::Char(c) if !ctrl && text.chars().count() < MAX_INPUT => text.push(c),
        _ => {}
    }
}

/// The server's TPS now, for comparing with the load generator's.
pub(super) fn server_tps(model: &Model) -> Option<f64> {
    let data = model.metrics.get(panel(PanelId::Tps).id);
    data.value()
}

#[cfg(test)]
mod tests;
