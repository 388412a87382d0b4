//! `update` applies an event to the model and returns the effects. It is pure.

pub(crate) mod actions;
pub(crate) mod feeds;

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use actions::reseed;

use crate::clients::loki::LogLine;
use crate::tui::connection::{Link, Source};
use crate::tui::dashboard::panel::Query;
use crate::tui::event::{Effect, Event};
use crate::tui::format::one_line;
use crate::tui::input::dialog::keys as dialogs;
use crate::tui::input::keys::SUSPEND;
use crate::tui::input::launch::pick_file;
use crate::tui::input::{keymap, mouse};
use crate::tui::model::{Model, NoticeKind};
use crate::tui::recording::view::RecordingState;
use crate::tui::screens::act;
use crate::tui::screens::board::update as boards;
use crate::tui::screens::drills::update as drills;
use crate::tui::screens::traces::update as traces;
use crate::tui::sources::crosscheck;
use crate::tui::sources::series::QueryAnswer;

/// The time for which a notice is shown, in milliseconds. A failure is shown twice as long.
const NOTICE_MS: i64 = 8_000;

/// Applies `event`, which happened at `now` (Unix milliseconds), to the model.
pub(crate) fn update(model: &mut Model, now: i64, event: Event) -> Vec<Effect> {
    model.now = now;
    let Some(event) = traces::on_event(model, event) else {
        return Vec::new();
    };
    match event {
        Event::Key(key) => return on_key(model, key),
        Event::Mouse(mouse) => return mouse::on_mouse(model, mouse),
        Event::Paste(text) => paste(model, &text),
        Event::Resize => {}
        Event::Tick => tick(model),
        Event::Metrics { at, now, past } => on_metrics(model, at, &now, past.as_ref()),
        Event::Logs {
            query,
            lines,
            skipped,
        } => on_logs(model, &query, lines, skipped),
        Event::LogsRefused { reason } => {
            model.answered(Source::Loki);
            model.tell(NoticeKind::Failed, format!("the log filter was {reason}"));
            model.logs.refused = Some(reason);
        }
        // Handled above.
        Event::Traces { .. } | Event::Trace { .. } | Event::TracesThere => {}
        Event::BoardLogs(answers) => {
            model.answered(Source::Loki);
            let wanted = model.board_logs();
            model.answers.apply_logs(&wanted, answers);
        }
        Event::Alerts(alerts) => return feeds::on_alerts(model, alerts),
        // `Model::evidence` ignores evidence of an alert that is not chosen.
        Event::Evidence(found) => model.alerts.evidence = Some(*found),
        Event::Silences(silences) => {
            model.alerts.silences = silences;
            model.alerts.arrange(now);
        }
        Event::RuleAlerts(rules) => {
            model.alerts.rules = Some(rules);
            model.alerts.arrange(now);
        }
        Event::Ops(answer) => feeds::on_ops(model, answer.0, answer.1),
        Event::Faults(active) => model.faults.take(active, now),
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
        Event::Warned { source, warning } => model.source_mut(source).warning = warning,
        Event::Clock { source, ahead_s } => crosscheck::clock(model, source, ahead_s),
        Event::Recording(view) => on_recording(model, view),
        Event::Done { what, result } => match result {
            Ok(()) => model.tell(NoticeKind::Done, what),
            Err(reason) => model.tell(NoticeKind::Failed, format!("{what}: {}", one_line(&reason))),
        },
        Event::Audited { entry, failed } => feeds::on_audited(model, entry, failed),
        Event::AuditRead(entries) => feeds::on_audit_read(model, entries),
        Event::ScenarioRead(read) => pick_file::scenario(model, read),
        Event::ProfileRead(read) => return pick_file::profile(model, read),
        Event::LoadProgress(progress) => feeds::on_progress(model, *progress),
        Event::LoadEnded(result) => return feeds::on_ended(model, result),
        Event::Drills(list) => model.drills.take(list),
        Event::DrillProgress(progress) => drills::on_progress(model, *progress),
        Event::DrillEnded(result) => return drills::on_ended(model, result),
        Event::Broken(what) => model.tell(NoticeKind::Failed, one_line(&what)),
    }
    Vec::new()
}

fn on_metrics(
    model: &mut Model,
    at: i64,
    now: &BTreeMap<Query, QueryAnswer>,
    past: Option<&BTreeMap<Query, QueryAnswer>>,
) {
    model.answered(Source::Prometheus);
    if let Some(past) = past {
        model.metrics.apply_past(past);
    }
    model.metrics.apply_now(at, now);
    boards::on_metrics(model, at, now, past);
    crosscheck::compare(model);
}

fn on_logs(model: &mut Model, query: &str, lines: Vec<LogLine>, skipped: bool) {
    model.answered(Source::Loki);
    // Ignore answers to an earlier filter.
    if query == model.logs.asked() && !model.logs.frozen {
        model.logs.skipped |= skipped;
        let zone = model.settings.zone.clone();
        model.logs.merge(lines, &zone);
    }
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
    model.alerts.arrange(model.now);
}

/// Pastes text into the open field. Without one it is dropped: pasted text must never run actions.
fn paste(model: &mut Model, text: &str) {
    let filter = model.traces.editing.as_mut();
    let filter = filter.or(model.logs.editing.as_mut());
    if let Some(field) = dialogs::field(&mut model.dialog).or(filter) {
        field.paste(text);
    }
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if ctrl_c {
        return actions::quit(model);
    }
    // Suspends from everywhere, as in a shell. A half-typed form stays open.
    if SUSPEND.matches(key) {
        return vec![Effect::Suspend];
    }
    if model.dialog.is_some() {
        return dialogs::on_key(model, key);
    }
    if is_filtering(model) {
        edit_filter(model, key);
        return Vec::new();
    }
    let Some(binding) = keymap::lookup(model.screen, key) else {
        return Vec::new();
    };
    act::run(model, binding)
}

/// Stores the state of the recording, and reports one that stopped by itself.
fn on_recording(model: &mut Model, view: RecordingState) {
    if let RecordingState::Stopped(why) = &view {
        let text = format!("nothing more is recorded: {}", one_line(why));
        model.tell(NoticeKind::Failed, text);
    }
    model.recording = view;
}

fn is_filtering(model: &Model) -> bool {
    model.logs.editing.is_some() || model.traces.editing.is_some()
}

fn edit_filter(model: &mut Model, key: KeyEvent) {
    if model.traces.editing.is_some() {
        traces::edit_filter(model, key);
        return;
    }
    let Some(text) = model.logs.editing.as_mut() else {
        return;
    };
    match key.code {
        KeyCode::Esc => model.logs.editing = None,
        KeyCode::Enter => {
            let text = text.text().to_owned();
            model.logs.editing = None;
            if text != model.logs.text {
                model.logs.text = text;
                model.logs.reset();
            }
        }
        _ => drop(text.key(key)),
    }
}

#[cfg(test)]
mod tests;
