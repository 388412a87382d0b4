//! The key map: the one table from which both the handler and the help are made.

pub(crate) mod acting;
pub(crate) mod alerts;
pub(crate) mod boards;
pub(crate) mod logs;
pub(crate) mod traces;

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::model::Screen;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    Suspend,
    Help,
    Show(Screen),
    NextScreen,
    PreviousScreen,
    Seed,
    Launch,
    RaiseAlert,
    PauseAdmission,
    OpenSale,
    StopWork,
    Redraw,
    ZoomIn,
    ZoomOut,
    Fit,
    Filter,
    Level,
    Freeze,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Live,
    Open,
    Back,
    PlaySlower,
    PlayFaster,
    Resolve,
    Palette,
    CursorBack,
    CursorForth,
    PanBack,
    PanForth,
    Still,
    Enlarge,
    TraceOf,
    RecordsOf,
    Order,
    LeastDuration,
    Acknowledge,
    Silence,
    EndSilence,
    Admission,
    History,
    PauseLoad,
    Slower,
    Faster,
    NextPhase,
    Pick,
    NextVariable,
    /// The next chart, or the one before.
    Chart(bool),
}

/// One key with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Plain(KeyCode),
    Ctrl(char),
}

impl Key {
    pub(crate) fn matches(self, event: KeyEvent) -> bool {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        match self {
            Key::Plain(code) => !ctrl && !alt && event.code == code,
            Key::Ctrl(c) => ctrl && event.code == KeyCode::Char(c),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Ctrl(c) => write!(f, "Ctrl-{}", c.to_ascii_uppercase()),
            Key::Plain(KeyCode::Char(' ')) => f.write_str("Space"),
            Key::Plain(KeyCode::Char(c)) => write!(f, "{c}"),
            Key::Plain(KeyCode::Up) => f.write_str("↑"),
            Key::Plain(KeyCode::Down) => f.write_str("↓"),
            Key::Plain(KeyCode::Left) => f.write_str("←"),
            Key::Plain(KeyCode::Right) => f.write_str("→"),
            Key::Plain(KeyCode::PageUp) => f.write_str("PgUp"),
            Key::Plain(KeyCode::PageDown) => f.write_str("PgDn"),
            Key::Plain(KeyCode::BackTab) => f.write_str("Shift-Tab"),
            Key::Plain(code) => write!(f, "{code}"),
        }
    }
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// On every screen.
    Everywhere,
    /// On that screen.
    On(Screen),
}

/// One line of the key map.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) scope: Scope,
    pub(crate) action: Action,
    /// What it does, for the help.
    pub(crate) text: &'static str,
    /// In a word, for the bottom line; empty: not shown there.
    pub(crate) hint: &'static str,
    /// Changes something: off with `--read-only`.
    pub(crate) writes: bool,
}

/// Suspends from everywhere, from dialogs too.
pub(crate) const SUSPEND: Key = Key::Ctrl('z');

const fn c(c: char) -> Key {
    Key::Plain(KeyCode::Char(c))
}

const fn k(code: KeyCode) -> Key {
    Key::Plain(code)
}

const fn anywhere(
    keys: &'static [Key],
    action: Action,
    text: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        keys,
        scope: Scope::Everywhere,
        action,
        text,
        hint,
        writes: false,
    }
}

const fn write(
    keys: &'static [Key],
    action: Action,
    text: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        keys,
        scope: Scope::Everywhere,
        action,
        text,
        hint,
        writes: true,
    }
}

const fn on(
    screen: Screen,
    keys: &'static [Key],
    action: Action,
    text: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        keys,
        scope: Scope::On(screen),
        action,
        text,
        hint,
        writes: false,
    }
}

/// Letters mean the same on every screen unless a screen's own line says otherwise.
const BINDINGS: &[Binding] = &[
    write(
        &[c('s')],
        Action::Seed,
        "seed a dataset, by name or from a profile file",
        "seed",
    ),
    write(
        &[c('l')],
        Action::Launch,
        "launch a rehearsal, one phase, or a scenario file",
        "launch",
    ),
    write(
        &[c('p')],
        Action::PauseAdmission,
        "pause or resume admission",
        "pause",
    ),
    write(
        &[c('o')],
        Action::OpenSale,
        "open or close the sale",
        "open/close",
    ),
    write(
        &[c('a')],
        Action::RaiseAlert,
        "raise an alert by hand",
        "alert",
    ),
    write(
        &[c('x')],
        Action::StopWork,
        "stop the rehearsal or cancel the seeding",
        "",
    ),
    anywhere(&[c('1')], Action::Show(Screen::Overview), "Overview", ""),
    anywhere(&[c('2')], Action::Show(Screen::Resources), "Resources", ""),
    anywhere(&[c('3')], Action::Show(Screen::Logs), "Logs", ""),
    anywhere(&[c('4')], Action::Show(Screen::Traces), "Traces", ""),
    anywhere(&[c('5')], Action::Show(Screen::Load), "Load", ""),
    anywhere(&[c('6')], Action::Show(Screen::Alerts), "Alerts", ""),
    anywhere(&[c('7')], Action::Show(Screen::Board), "Board", ""),
    anywhere(&[k(KeyCode::Tab)], Action::NextScreen, "next screen", ""),
    anywhere(
        &[k(KeyCode::BackTab)],
        Action::PreviousScreen,
        "previous screen",
        "",
    ),
    anywhere(
        &[c('/')],
        Action::Filter,
        "filter the log by what its lines show",
        "",
    ),
    anywhere(
        &[c(':')],
        Action::Palette,
        "find an action by its name",
        "find",
    ),
    anywhere(
        &[k(KeyCode::Left)],
        Action::CursorBack,
        "time cursor back",
        "",
    ),
    anywhere(
        &[k(KeyCode::Right)],
        Action::CursorForth,
        "time cursor forth",
        "",
    ),
    anywhere(&[c('[')], Action::PanBack, "charts half a width back", ""),
    anywhere(&[c(']')], Action::PanForth, "charts half a width forth", ""),
    anywhere(
        &[c('f')],
        Action::Still,
        "freeze the charts or follow the time",
        "",
    ),
    anywhere(&[c('?')], Action::Help, "this help", "help"),
    anywhere(
        &[k(KeyCode::Esc)],
        Action::Back,
        "close what is open, clear the filter, else go back",
        "",
    ),
    anywhere(
        &[Key::Ctrl('l')],
        Action::Redraw,
        "draw the screen anew",
        "",
    ),
    anywhere(&[c('}')], Action::PlayFaster, "play a recording faster", ""),
    anywhere(
        &[c('{')],
        Action::PlaySlower,
        "play it slower, at last hold it",
        "",
    ),
    anywhere(&[c('q'), Key::Ctrl('c')], Action::Quit, "quit", "quit"),
    anywhere(
        &[SUSPEND],
        Action::Suspend,
        "suspend: the shell's fg brings the console back",
        "",
    ),
    anywhere(
        &[c('+'), c('=')],
        Action::ZoomIn,
        "shorter time on the charts",
        "- zoom",
    ),
    anywhere(&[c('-')], Action::ZoomOut, "longer time on the charts", ""),
    anywhere(
        &[c('0')],
        Action::Fit,
        "live: follow the time, show what there is to see",
        "",
    ),
    on(
        Screen::Overview,
        &[c('e'), k(KeyCode::Enter)],
        Action::Enlarge,
        "enlarge a chart, or back",
        "enlarge",
    ),
    on(
        Screen::Overview,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "enlarged: the chart before",
        "",
    ),
    on(
        Screen::Overview,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "enlarged: the next chart",
        "",
    ),
    on(
        Screen::Load,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "up the list",
        "",
    ),
    on(
        Screen::Load,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "down the list",
        "",
    ),
    Binding {
        writes: true,
        ..on(
            Screen::Load,
            &[k(KeyCode::Enter)],
            Action::Open,
            "launch what is chosen",
            "launch chosen",
        )
    },
    on(
        Screen::Load,
        &[k(KeyCode::PageDown)],
        Action::PageDown,
        "further down the verdict and the table",
        "",
    ),
    on(
        Screen::Load,
        &[k(KeyCode::PageUp)],
        Action::PageUp,
        "further up",
        "",
    ),
];

/// The whole key map: what is above, and what is in files of its own.
pub(crate) fn all() -> impl Iterator<Item = &'static Binding> {
    let own = [
        BINDINGS,
        alerts::BINDINGS,
        logs::BINDINGS,
        acting::BINDINGS,
        traces::BINDINGS,
        boards::BINDINGS,
    ];
    own.into_iter().flatten()
}

/// What `event` means on `screen`; a screen's own line comes before one that holds everywhere.
pub(crate) fn lookup(screen: Screen, event: KeyEvent) -> Option<&'static Binding> {
    let find = |scope| {
        all().find(|binding| {
            binding.scope == scope && binding.keys.iter().any(|key| key.matches(event))
        })
    };
    find(Scope::On(screen)).or_else(|| find(Scope::Everywhere))
}

/// The keys of a binding as the help shows them.
pub(crate) fn shown(binding: &Binding) -> String {
    binding
        .keys
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
