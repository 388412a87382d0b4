//! `update`: what an event makes of the model, and what is to be done about it. Pure.

mod actions;
mod dialogs;
mod feeds;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(super) use actions::reseed;
pub(super) use feeds::{name, rank};

use super::crosscheck;
use super::event::{Effect, Event};
use super::keys::{self, Action};
use super::logs::one_line;
use super::model::{Link, Model, NoticeKind, Screen, Source};
use super::panels::{PanelId, panel};
use super::replay::TapeView;
use super::window::{self, Zoom};

/// A notice is shown for this long, in milliseconds; a failure twice as long.
const NOTICE_MS: i64 = 8_000;
/// Longest text that is typed or pasted, in characters.
pub(super) const MAX_INPUT: usize = 200;
/// Rows that a page key moves.
const PAGE: isize = 15;
/// Lines that a page key moves the verdict by.
const RESULT_PAGE: isize = 8;
/// More than any verdict and table have.
const MAX_SCROLL: usize = 64;

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
            crosscheck::compare(model);
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
        Event::Alerts(alerts) => return feeds::on_alerts(model, alerts),
        Event::Ops(answer) => feeds::on_ops(model, answer.0, answer.1),
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
        Event::Clock { source, ahead_s } => crosscheck::clock(model, source, ahead_s),
        Event::Tape(view) => on_tape(model, view),
        Event::Done { what, result } => match result {
            Ok(()) => model.tell(NoticeKind::Done, what),
            Err(reason) => model.tell(NoticeKind::Failed, format!("{what}: {}", one_line(&reason))),
        },
        Event::LoadProgress(progress) => feeds::on_progress(model, *progress),
        Event::LoadEnded(result) => return feeds::on_ended(model, result),
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
        Action::ZoomIn => model.zoom = Zoom::closer(window::shown(model).span),
        Action::ZoomOut => model.zoom = Zoom::wider(window::shown(model).span),
        Action::Fit => model.zoom = Zoom::Fit,
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
        Action::PageUp | Action::PageDown => page(model, action == Action::PageDown),
        Action::First => go(model, isize::MIN),
        Action::Last => {
            go(model, isize::MAX);
            model.logs.frozen = false;
        }
        Action::Open => actions::open(model),
        Action::Back => back(model),
        Action::Faster => return speed(model, true),
        Action::Slower => return speed(model, false),
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

fn speed(model: &mut Model, faster: bool) -> Vec<Effect> {
    let TapeView::Playing(playing) = &mut model.tape else {
        let text = "only a recording (--replay FILE) is played faster or slower";
        model.tell(NoticeKind::Info, text);
        return Vec::new();
    };
    playing.speed = playing.other_speed(faster);
    vec![Effect::Play(playing.speed)]
}

/// A recording that ends without having been asked to is told, and stays told at the top.
fn on_tape(model: &mut Model, view: TapeView) {
    if let TapeView::Stopped(why) = &view {
        let text = format!("nothing more is recorded: {}", one_line(why));
        model.tell(NoticeKind::Failed, text);
    }
    model.tape = view;
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

/// A page of the log; on the Load screen the list is short, and it is the result that is long.
fn page(model: &mut Model, down: bool) {
    match (&mut model.load.run, model.screen) {
        (Some(run), Screen::Load) => {
            let by = if down { RESULT_PAGE } else { -RESULT_PAGE };
            run.scroll = run.scroll.saturating_add_signed(by).min(MAX_SCROLL);
        }
        _ => go(model, if down { PAGE } else { -PAGE }),
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
