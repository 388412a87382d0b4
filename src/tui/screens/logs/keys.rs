//! The keys of the Logs screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Logs);
    reads  ['/']      => Filter   "filter by what the lines show, from any screen", "filter";
    reads  ['v']      => Level    "show from INFO, WARN, ERROR, or all", "level";
    reads  ['f' ' ']  => Freeze   "freeze or follow the tail", "freeze";
    reads  [Enter]    => Open     "the record in full", "open";
    reads  ['t']      => TraceOf  "the trace of the record, also of one that is open", "trace";
    reads  [Up 'k']   => Up       "older";
    reads  [Down 'j'] => Down     "newer";
    reads  [PageUp]   => PageUp   "a page older";
    reads  [PageDown] => PageDown "a page newer";
    reads  [Home 'g'] => First    "the oldest";
    reads  [End 'G']  => Last     "the newest, and follow";
    reads  ['0']      => Live     "back to the live tail";
};
