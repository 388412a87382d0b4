//! Runs the action of a key, a command in the palette or a click: first the screen's own actions, then the common
//! ones.

use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::faults::keys as faults;
use crate::tui::input::forms::keys as forms;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::input::palette::Palette;
use crate::tui::model::{Model, NoticeKind, Screen};
use crate::tui::recording::view::RecordingState;
use crate::tui::screens::table::view;
use crate::tui::time_view::TimeView;
use crate::tui::update::actions;
use crate::tui::zoom::Zoom;
use crate::tui::{navigation, timeline, window};

/// Runs the action of a binding, unless the action is off.
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

pub(crate) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let screen = view(model.screen);
    if let Some(effects) = screen.act(model, action) {
        return effects;
    }
    match action {
        Action::Up => screen.move_by(model, -1),
        Action::Down => screen.move_by(model, 1),
        Action::First => screen.move_by(model, isize::MIN),
        Action::Last => screen.move_by(model, isize::MAX),
        Action::PageUp | Action::PageDown => screen.page(model, action == Action::PageDown),
        Action::Back => back(model),
        Action::Show(screen) => show(model, screen),
        Action::NextScreen => show(model, neighbour(model.screen, 1)),
        Action::PreviousScreen => show(model, neighbour(model.screen, Screen::ALL.len() - 1)),
        Action::Filter => {
            if model.screen != Screen::Logs {
                show(model, Screen::Logs);
            }
            model.logs.editing = Some(model.logs.text.as_str().into());
        }
        Action::Help => model.dialog = Some(Dialog::Help(0)),
        Action::History => model.dialog = Some(Dialog::History(0)),
        Action::Palette => model.dialog = Some(Dialog::Palette(Palette::default())),
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return actions::quit(model),
        Action::PlayFaster => return speed(model, true),
        Action::PlaySlower => return speed(model, false),
        _ if time(model, action) => {}
        _ => operate(model, action),
    }
    Vec::new()
}

/// Runs zoom, cursor and panning; returns whether `action` was one of them.
fn time(model: &mut Model, action: Action) -> bool {
    match action {
        Action::ZoomIn => model.zoom = Zoom::closer(window::shown(model).span),
        Action::ZoomOut => model.zoom = Zoom::wider(window::shown(model).span),
        Action::Fit => {
            model.zoom = Zoom::Fit;
            model.time = TimeView::default();
        }
        Action::CursorBack => timeline::step(model, false),
        Action::CursorForth => timeline::step(model, true),
        Action::PanBack => timeline::pan(model, false),
        Action::PanForth => timeline::pan(model, true),
        Action::Still => timeline::freeze(model),
        _ => return false,
    }
    true
}

/// Runs actions that change the server, from any screen. The own actions of other screens do nothing here.
fn operate(model: &mut Model, action: Action) {
    match action {
        Action::Seed => actions::seed(model),
        Action::Launch => actions::launch(model),
        Action::RaiseAlert => model.dialog = Some(Dialog::Raise(Default::default())),
        Action::PauseAdmission => actions::pause(model),
        Action::OpenSale => actions::open_sale(model),
        Action::StopWork => actions::stop(model),
        Action::Admission => forms::admission(model),
        Action::Faults => faults::open(model),
        _ => {}
    }
}

/// Shows a screen that the user chose directly; this clears the navigation stack.
fn show(model: &mut Model, screen: Screen) {
    navigation::clear(model);
    model.screen = screen;
}

fn neighbour(screen: Screen, by: usize) -> Screen {
    let at = Screen::ALL
        .iter()
        .position(|one| *one == screen)
        .unwrap_or_default();
    Screen::ALL[(at + by) % Screen::ALL.len()]
}

fn speed(model: &mut Model, faster: bool) -> Vec<Effect> {
    let RecordingState::Playing(playing) = &mut model.recording else {
        let text = "only a recording (--replay FILE) is played faster or slower";
        model.tell(NoticeKind::Info, text);
        return Vec::new();
    };
    playing.speed = playing.other_speed(faster);
    vec![Effect::Play(playing.speed)]
}

/// Closes the open part of the screen; else goes back through the navigation stack; else unfreezes the charts.
fn back(model: &mut Model) {
    model.notice = None;
    if view(model.screen).back(model) || navigation::back(model) {
    } else if model.screen == Screen::Logs && model.logs.is_aimed() {
        model.logs.live();
    } else {
        model.time.cursor = None;
    }
}
