//! The keys of the Alerts screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Alerts);
    reads  [Up 'k']   => Up          "up the list";
    reads  [Down 'j'] => Down        "down the list";
    reads  [PageDown] => PageDown    "further down the text about the alert";
    reads  [PageUp]   => PageUp      "further up";
    reads  [Home 'g'] => First       "the top of the list, and stay there";
    reads  [End 'G']  => Last        "the last of the list";
    reads  [Enter]    => Open        "the alert in full: its rule, its chart, the error records", "open";
    reads  ['L']      => RecordsOf   "the error records of its time, and on to their traces", "errors";
    writes ['r']      => Resolve     "resolve the chosen alert", "resolve";
    writes ['A']      => Acknowledge "acknowledge the chosen alert, with a name", "acknowledge";
    writes ['S']      => Silence     "silence the chosen alert, with comment and end", "silence";
    writes ['U']      => EndSilence  "end its acknowledgement or silence";
};
