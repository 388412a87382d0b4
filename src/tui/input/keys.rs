//! The key map: the handler, the help, the palette, the hints and the table in docs/console.md read it. A
//! screen's own keys are in its folder.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::model::Screen;
use crate::tui::screens;

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

/// Makes a table of bindings, one line a key:
/// `reads|writes [KEYS] => ACTION "what it does", "hint for the bottom line";`
/// The hint may be left out. A key that `writes` is off with `--read-only`.
macro_rules! bindings {
    ($scope:expr; $($mode:ident [$($key:tt)+] => $action:ident $(($argument:expr))? $text:literal $(, $hint:literal)?;)+) => {
        &[$($crate::tui::input::keys::Binding {
            keys: &[$(bindings!(@key $key)),+],
            scope: $scope,
            action: $crate::tui::input::keys::Action::$action $(($argument))?,
            text: $text,
            hint: concat!($($hint)?),
            writes: bindings!(@$mode),
        }),+]
    };
    (@key (Ctrl $c:literal)) => { $crate::tui::input::keys::Key::Ctrl($c) };
    (@key $c:literal) => { $crate::tui::input::keys::Key::Plain(crossterm::event::KeyCode::Char($c)) };
    (@key $code:ident) => { $crate::tui::input::keys::Key::Plain(crossterm::event::KeyCode::$code) };
    (@reads) => { false };
    (@writes) => { true };
}
pub(crate) use bindings;

/// A letter means the same on every screen unless the screen's own table says otherwise.
const EVERYWHERE: &[Binding] = bindings! { Scope::Everywhere;
    writes ['s']            => Seed                    "seed a dataset, by name or from a profile file", "seed";
    writes ['l']            => Launch                  "launch a rehearsal, one phase, or a scenario file", "launch";
    writes ['p']            => PauseAdmission          "pause or resume admission", "pause";
    writes ['o']            => OpenSale                "open or close the sale", "open/close";
    writes ['a']            => RaiseAlert              "raise an alert by hand", "alert";
    writes ['x']            => StopWork                "stop the rehearsal or cancel the seeding";
    reads  ['1']            => Show(Screen::Overview)  "Overview";
    reads  ['2']            => Show(Screen::Resources) "Resources";
    reads  ['3']            => Show(Screen::Logs)      "Logs";
    reads  ['4']            => Show(Screen::Traces)    "Traces";
    reads  ['5']            => Show(Screen::Load)      "Load";
    reads  ['6']            => Show(Screen::Alerts)    "Alerts";
    reads  ['7']            => Show(Screen::Board)     "Board";
    reads  [Tab]            => NextScreen              "next screen";
    reads  [BackTab]        => PreviousScreen          "previous screen";
    reads  ['/']            => Filter                  "filter the log by what its lines show";
    reads  [':']            => Palette                 "find an action by its name", "find";
    reads  [Left]           => CursorBack              "time cursor back";
    reads  [Right]          => CursorForth             "time cursor forth";
    reads  ['[']            => PanBack                 "charts half a width back";
    reads  [']']            => PanForth                "charts half a width forth";
    reads  ['f']            => Still                   "freeze the charts or follow the time";
    reads  ['?']            => Help                    "this help", "help";
    reads  [Esc]            => Back                    "close what is open, clear the filter, else go back";
    reads  [(Ctrl 'l')]     => Redraw                  "draw the screen anew";
    reads  ['}']            => PlayFaster              "play a recording faster";
    reads  ['{']            => PlaySlower              "play it slower, at last hold it";
    reads  ['q' (Ctrl 'c')] => Quit                    "quit", "quit";
    reads  [(Ctrl 'z')]     => Suspend                 "suspend: the shell's fg brings the console back";
    reads  ['+' '=']        => ZoomIn                  "shorter time on the charts", "- zoom";
    reads  ['-']            => ZoomOut                 "longer time on the charts";
    reads  ['0']            => Fit                     "live: follow the time, show what there is to see";
    writes ['b']            => Admission               "admission: batch and interval", "batch";
    reads  ['H']            => History                 "what was done: the audit log";
};

/// The whole key map.
pub(crate) fn all() -> impl Iterator<Item = &'static Binding> {
    let of_screens = Screen::ALL.iter().flat_map(|screen| of(*screen));
    EVERYWHERE.iter().chain(of_screens)
}

fn of(screen: Screen) -> &'static [Binding] {
    match screen {
        Screen::Overview => screens::overview::keys::KEYS,
        Screen::Resources => screens::resources::keys::KEYS,
        Screen::Logs => screens::logs::keys::KEYS,
        Screen::Traces => screens::traces::keys::KEYS,
        Screen::Load => screens::load::keys::KEYS,
        Screen::Alerts => screens::alerts::keys::KEYS,
        Screen::Board => screens::board::keys::KEYS,
    }
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
