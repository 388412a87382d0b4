//! `update`: what an event makes of the model, and what is to be done about it. Pure.

pub(crate) mod actions;
pub(crate) mod feeds;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use actions::reseed;

use crate::load::Command;
use crate::tui::connection::{Link, Source};
use crate::tui::event::{Effect, Event};
use crate::tui::format::one_line;
use crate::tui::input::dialog::keys as dialogs;
use crate::tui::input::forms::keys as forms;
use crate::tui::input::keymap;
use crate::tui::input::keys::{Action, Binding, SUSPEND};
use crate::tui::input::launch::pick_file;
use crate::tui::input::mouse;
use crate::tui::input::palette::keys as palette;
use crate::tui::model::{Model, NoticeKind, Screen};
use crate::tui::recording::view::TapeView;
use crate::tui::screens::board::update as boards;
use crate::tui::screens::load::steering;
use crate::tui::screens::traces::update as traces;
use crate::tui::sources::crosscheck;
use crate::tui::sources::panels::{CHARTS, PanelId, panel};
use crate::tui::time_view::TimeView;
use crate::tui::window;
use crate::tui::zoom::Zoom;
use crate::tui::{navigation as trail, timeline};

/// A notice is shown for this long, in milliseconds; a failure twice as long.
const NOTICE_MS: i64 = 8_000;
/// Rows that a page key moves.
const PAGE: isize = 15;
/// Lines that a page key moves what is said of an alert by.
const ALERT_PAGE: isize = 3;
/// Lines that a page key moves the verdict by.
const RESULT_PAGE: isize = 8;
/// More than any verdict, table and alert have.
const MAX_SCROLL: usize = 200;

/// Takes `event`, which happened at `now` (Unix milliseconds), into the model.
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
        Event::Metrics { at, now, past } => {
            answered(model, Source::Prometheus);
            if let Some(past) = &past {
                model.metrics.apply_past(past);
            }
            model.metrics.apply_now(at, &now);
            boards::on_metrics(model, at, &now, past.as_ref());
            crosscheck::compare(model);
        }
        Event::Logs {
            query,
            lines,
            skipped,
        } => {
            answered(model, Source::Loki);
            // An answer to an earlier filter is of no use any more.
            if query == model.logs.asked() && !model.logs.frozen {
                model.logs.skipped |= skipped;
                let zone = model.settings.zone.clone();
                model.logs.merge(lines, &zone);
            }
        }
        Event::LogsRefused { reason } => {
            answered(model, Source::Loki);
            model.tell(NoticeKind::Failed, format!("the log filter was {reason}"));
        }
        // Taken in above.
        Event::Traces { .. } | Event::Trace { .. } | Event::TracesThere => {}
        Event::BoardLogs(answers) => {
            answered(model, Source::Loki);
            let wanted = model.board_logs();
            model.answers.apply_logs(&wanted, answers);
        }
        Event::Alerts(alerts) => return feeds::on_alerts(model, alerts),
        // Of a choice that has moved on meanwhile it is of no use.
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
        Event::Tape(view) => on_tape(model, view),
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
        Event::Broken(what) => model.tell(NoticeKind::Failed, one_line(&what)),
    }
    Vec::new()
}

pub(crate) fn answered(model: &mut Model, source: Source) {
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
    model.alerts.arrange(model.now);
}

/// Pasted text goes into fields only: it must never press the keys of actions.
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
    // From anywhere, as a shell's own: a half-typed form is there again afterwards.
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
    run(model, binding)
}

/// Does what a line of the key map says, unless it is off.
pub(crate) fn run(model: &mut Model, binding: &Binding) -> Vec<Effect> {
    if binding.writes && model.settings.read_only {
        model.tell(
            NoticeKind::Info,
            format!("read-only: cannot {}", binding.text),
        );
        return Vec::new();
    }
    act(model, binding.action)
}

/// Does what a key, or a choice from the palette, asks for.
pub(crate) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => show(model, screen),
        Action::NextScreen => show(model, neighbour(model.screen, 1)),
        Action::PreviousScreen => show(model, neighbour(model.screen, Screen::ALL.len() - 1)),
        Action::Help => model.dialog = Some(crate::tui::input::dialog::Dialog::Help(0)),
        Action::Redraw => return vec![Effect::Redraw],
        Action::ZoomIn => model.zoom = Zoom::closer(window::shown(model).span),
        Action::ZoomOut => model.zoom = Zoom::wider(window::shown(model).span),
        Action::Fit => {
            model.zoom = Zoom::Fit;
            model.time = TimeView::default();
        }
        Action::CursorBack | Action::CursorForth => {
            timeline::step(model, action == Action::CursorForth);
        }
        Action::PanBack | Action::PanForth => timeline::pan(model, action == Action::PanForth),
        Action::Still => timeline::freeze(model),
        Action::Enlarge if boards::open(model) => {}
        Action::Enlarge => {
            model.enlarged = match model.enlarged {
                Some(_) => None,
                None => Some(CHARTS[0]),
            };
        }
        Action::Palette => palette::open(model),
        Action::Filter if model.screen == Screen::Traces => {
            traces::to_list(model);
            model.traces.editing = Some(model.traces.text.as_str().into());
        }
        Action::Filter => {
            if model.screen != Screen::Logs {
                show(model, Screen::Logs);
            }
            model.logs.editing = Some(model.logs.text.as_str().into());
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
            if model.screen == Screen::Logs {
                model.logs.frozen = false;
            }
        }
        Action::Live if model.logs.is_aimed() => model.logs.live(),
        Action::Live => return act(model, Action::Last),
        Action::Pick => boards::pick(model),
        Action::NextVariable => boards::next_variable(model),
        Action::Chart(forth) => model.resources.move_chart(if forth { 1 } else { -1 }),
        Action::Open => actions::open(model),
        Action::Back => back(model),
        Action::PlayFaster => return speed(model, true),
        Action::PlaySlower => return speed(model, false),
        Action::Quit => return actions::quit(model),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Seed => actions::seed(model),
        Action::Launch => actions::launch(model),
        Action::RaiseAlert => {
            model.dialog = Some(crate::tui::input::dialog::Dialog::Raise(Default::default()))
        }
        Action::PauseAdmission => actions::pause(model),
        Action::OpenSale => actions::open_sale(model),
        Action::StopWork => actions::stop(model),
        Action::Resolve => return actions::resolve(model),
        Action::TraceOf => traces::of_record(model),
        Action::RecordsOf => traces::records_of(model),
        Action::Order => {
            traces::to_list(model);
            model.traces.next_order();
        }
        Action::LeastDuration => {
            traces::to_list(model);
            model.traces.next_least();
        }
        Action::Acknowledge => forms::acknowledge(model),
        Action::Silence => forms::silence(model),
        Action::EndSilence => forms::end_silence(model),
        Action::Admission => forms::admission(model),
        Action::History => model.dialog = Some(crate::tui::input::dialog::Dialog::History(0)),
        Action::PauseLoad => return steering::pause(model),
        Action::Slower => return steering::steer(model, Command::Slower),
        Action::Faster => return steering::steer(model, Command::Faster),
        Action::NextPhase => steering::next_phase(model),
    }
    Vec::new()
}

/// A fresh start: what led to the screen before is forgotten.
fn show(model: &mut Model, screen: Screen) {
    trail::clear(model);
    model.screen = screen;
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
        Screen::Traces => model.traces.move_by(by),
        Screen::Load => {
            let last = model.load.scenarios.len().saturating_sub(1);
            model.load.chosen = model.load.chosen.saturating_add_signed(by).min(last);
        }
        Screen::Alerts => {
            model.alerts.move_by(by);
            model.alerts.scroll = 0;
        }
        Screen::Overview => {
            let at = CHARTS.iter().position(|id| Some(*id) == model.enlarged);
            if let Some(at) = at {
                let to = at.saturating_add_signed(by).min(CHARTS.len() - 1);
                model.enlarged = Some(CHARTS[to]);
            }
        }
        Screen::Resources => model.resources.move_by(&model.answers, by),
        Screen::Board => model.board.move_by(by),
    }
}

/// A page of the log; on the Load screen the list is short, and it is the result that is long.
fn page(model: &mut Model, down: bool) {
    match (&mut model.load.run, model.screen) {
        (Some(run), Screen::Load) => {
            let by = if down { RESULT_PAGE } else { -RESULT_PAGE };
            run.scroll = run.scroll.saturating_add_signed(by).min(MAX_SCROLL);
        }
        (_, Screen::Alerts) => {
            let by = if down { ALERT_PAGE } else { -ALERT_PAGE };
            let at = model.alerts.scroll.saturating_add_signed(by);
            model.alerts.scroll = at.min(MAX_SCROLL);
        }
        (_, Screen::Board) => model.board.next_section(down),
        _ => go(model, if down { PAGE } else { -PAGE }),
    }
}

fn back(model: &mut Model) {
    model.notice = None;
    if model.screen == Screen::Traces && traces::back(model) {
        return;
    }
    let logs = model.screen == Screen::Logs;
    if boards::back(model) {
    } else if model.screen == Screen::Overview && model.enlarged.is_some() {
        model.enlarged = None;
    } else if model.screen == Screen::Alerts && model.alerts.open {
        model.alerts.open = false;
    } else if logs && !model.logs.text.is_empty() {
        model.logs.text.clear();
        model.logs.reset();
    } else if !trail::back(model) {
        if logs && model.logs.is_aimed() {
            model.logs.live();
        } else {
            model.time.cursor = None;
        }
    }
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

/// The server's TPS now, for comparing with the load generator's.
pub(crate) fn server_tps(model: &Model) -> Option<f64> {
    let data = model.metrics.get(panel(PanelId::Tps).id);
    data.value()
}

#[cfg(test)]
mod tests;
