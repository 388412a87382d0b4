//! The keys of the Logs screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Logs);
    reads  ['/']      => Filter   "filter by the text of the lines", "filter";
    reads  ['v']      => Level    "next minimum level: all, INFO, WARN, ERROR", "level";
    reads  ['f' ' ']  => Freeze   "freeze or follow the tail", "freeze";
    reads  [Enter]    => Open     "the record in full; freezes the log", "open";
    reads  ['t']      => TraceOf  "the trace of the chosen or open record", "trace";
    reads  [Up 'k']   => Up       "older";
    reads  [Down 'j'] => Down     "newer";
    reads  [PageUp]   => PageUp   "a page older";
    reads  [PageDown] => PageDown "a page newer";
    reads  [Home 'g'] => First    "the oldest";
    reads  [End 'G']  => Last     "the newest, and follow";
    reads  ['0']      => Live     "back to the live tail";
};
