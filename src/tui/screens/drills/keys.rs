//! The keys of the Drills screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Drills);
    reads  [Up 'k']   => Up         "up the list";
    reads  [Down 'j'] => Down       "down the list";
    reads  [Enter]    => Open       "the plan of what is chosen, and back", "plan";
    writes ['s']      => StartDrill "start what is chosen, on a server of its own", "start";
    writes ['m']      => PlayDrill  "in a blind drill: acknowledge, answer, mitigate", "act";
    writes ['x']      => StopWork   "stop the drill, with its fault taken back", "stop";
    reads  [PageDown] => PageDown   "further down what is beside the list";
    reads  [PageUp]   => PageUp     "further up";
};
