//! The keys of the Traces screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Traces);
    reads  [Enter]    => Open          "the trace as a waterfall; in the waterfall, the whole span", "open";
    reads  ['v']      => Order         "the slowest, the failed, the newest", "which";
    reads  ['/']      => Filter        "filter by name, service or id", "filter";
    reads  ['d']      => LeastDuration "only those that took 10, 100, 500 ms, 1 s or longer", "duration";
    reads  ['L']      => RecordsOf     "the log records of the trace", "logs";
    reads  [Up 'k']   => Up            "up";
    reads  [Down 'j'] => Down          "down";
    reads  [PageUp]   => PageUp        "a page up";
    reads  [PageDown] => PageDown      "a page down";
    reads  [Home 'g'] => First         "the first";
    reads  [End 'G']  => Last          "the last";
};
