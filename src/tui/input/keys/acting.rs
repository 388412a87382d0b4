//! The keys of steering a rehearsal, of what is done to an alert, of admission and of the audit log.

use crossterm::event::KeyCode;

use crate::tui::input::keys::{Action, Binding, Key, anywhere, c, on, write};
use crate::tui::model::Screen;

const fn act(
    screen: Screen,
    keys: &'static [Key],
    action: Action,
    text: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        writes: true,
        ..on(screen, keys, action, text, hint)
    }
}

pub(crate) const BINDINGS: &[Binding] = &[
    write(
        &[c('b')],
        Action::Admission,
        "admission: batch and interval",
        "batch",
    ),
    anywhere(
        &[c('H')],
        Action::History,
        "what was done: the audit log",
        "",
    ),
    act(
        Screen::Load,
        &[Key::Plain(KeyCode::Char(' '))],
        Action::PauseLoad,
        "pause or resume the rehearsal",
        "pause it",
    ),
    act(
        Screen::Load,
        &[c('<'), c(',')],
        Action::Slower,
        "a quarter slower",
        "> speed",
    ),
    act(
        Screen::Load,
        &[c('>'), c('.')],
        Action::Faster,
        "a quarter faster",
        "",
    ),
    act(
        Screen::Load,
        &[c('n')],
        Action::NextPhase,
        "end the phase under way",
        "",
    ),
    act(
        Screen::Alerts,
        &[c('A')],
        Action::Acknowledge,
        "acknowledge the chosen alert, with a name",
        "acknowledge",
    ),
    act(
        Screen::Alerts,
        &[c('S')],
        Action::Silence,
        "silence the chosen alert, with comment and end",
        "silence",
    ),
    act(
        Screen::Alerts,
        &[c('U')],
        Action::EndSilence,
        "end its acknowledgement or silence",
        "",
    ),
];
