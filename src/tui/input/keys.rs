//! A binding of the key map: the keys, their scope and their action. The tables of bindings are in [`super::keymap`]
//! and in the folders of the screens.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::model::Screen;

/// The action of a key.
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
    StartDrill,
    PlayDrill,
    Faults,
    /// Choose the next chart (`true`) or the previous one.
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

/// The scope of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every screen.
    Everywhere,
    /// This screen only.
    On(Screen),
}

/// One line of the key map.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) scope: Scope,
    pub(crate) action: Action,
    /// The help text.
    pub(crate) text: &'static str,
    /// The hint in the bottom line, one word. If it is empty, the binding is not shown there.
    pub(crate) hint: &'static str,
    /// The action changes something: it is off with `--read-only`.
    pub(crate) writes: bool,
}

/// Suspends the console, also from dialogs.
pub(crate) const SUSPEND: Key = Key::Ctrl('z');

/// Makes a table of bindings, one line per key:
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

/// The keys of a binding as the help shows them.
pub(crate) fn shown(binding: &Binding) -> String {
    binding
        .keys
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
