//! The key map. The key handler, the help, the palette, the hints and the table in docs/console.md use it. The keys
//! of a screen are in its folder.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::input::keys::{Action, Binding, Key, Scope, bindings};
use crate::tui::model::Screen;
use crate::tui::model::screen::screens;
use crate::tui::screens::table::view;

/// The keys of every screen. A screen's own table has precedence.
const ACTIONS: &[Binding] = bindings! { Scope::Everywhere;
    writes ['s']            => Seed                    "seed a dataset, by name or from a profile file", "seed";
    writes ['l']            => Launch                  "launch a rehearsal, one phase, or a scenario file", "launch";
    writes ['p']            => PauseAdmission          "pause or resume admission", "pause";
    writes ['o']            => OpenSale                "open or close the sale", "open/close";
    writes ['a']            => RaiseAlert              "raise an alert by hand", "alert";
    writes ['x']            => StopWork                "stop the rehearsal or the drill, cancel the seeding";
};

macro_rules! numbers {
    ($($screen:ident $folder:ident $title:literal $answers:literal;)+) => {
        /// The number keys, one for each screen.
        const NUMBERS: &[Binding] = &[$(Binding {
            keys: &[Key::Plain(KeyCode::Char((b'0' + Screen::$screen.number()) as char))],
            scope: Scope::Everywhere,
            action: Action::Show(Screen::$screen),
            text: $title,
            hint: "",
            writes: false,
        }),+];
    };
}
screens!(numbers);

const EVERYWHERE: &[Binding] = bindings! { Scope::Everywhere;
    reads  [Tab]            => NextScreen              "next screen";
    reads  [BackTab]        => PreviousScreen          "previous screen";
    reads  ['/']            => Filter                  "filter the log by the text of its lines";
    reads  [':']            => Palette                 "find an action by its name", "find";
    reads  [Left]           => CursorBack              "time cursor back";
    reads  [Right]          => CursorForth             "time cursor forth";
    reads  ['[']            => PanBack                 "charts half a width back";
    reads  [']']            => PanForth                "charts half a width forth";
    reads  ['f']            => Still                   "freeze the charts or follow the time";
    reads  ['?']            => Help                    "this help", "help";
    reads  [Esc]            => Back                    "close the open view, clear the filter, or go back";
    reads  [(Ctrl 'l')]     => Redraw                  "redraw the screen";
    reads  ['}']            => PlayFaster              "play a recording faster";
    reads  ['{']            => PlaySlower              "play it slower, and then pause it";
    reads  ['q' (Ctrl 'c')] => Quit                    "quit", "quit";
    reads  [(Ctrl 'z')]     => Suspend                 "suspend: the shell's fg brings the console back";
    reads  ['+' '=']        => ZoomIn                  "shorter time on the charts", "- zoom";
    reads  ['-']            => ZoomOut                 "longer time on the charts";
    reads  ['0']            => Fit                     "live: follow the time, and fit it to the traffic";
    writes ['b']            => Admission               "admission: batch and interval", "batch";
    writes ['!']            => Faults                  "inject a fault, or end one", "fault";
    reads  ['H']            => History                 "the audit log: the last actions";
};

/// The whole key map.
pub(crate) fn all() -> impl Iterator<Item = &'static Binding> {
    let of_screens = Screen::ALL.iter().flat_map(|screen| view(*screen).keys());
    let everywhere = ACTIONS.iter().chain(NUMBERS).chain(EVERYWHERE);
    everywhere.chain(of_screens)
}

/// The binding of `event` on `screen`. A screen's own binding has precedence over one for every screen.
pub(crate) fn lookup(screen: Screen, event: KeyEvent) -> Option<&'static Binding> {
    let find = |scope| {
        all().find(|binding| {
            binding.scope == scope && binding.keys.iter().any(|key| key.matches(event))
        })
    };
    find(Scope::On(screen)).or_else(|| find(Scope::Everywhere))
}

#[cfg(test)]
mod tests;
