//! The keys of the Drills screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Drills);
    reads  [Up 'k']   => Up         "up the list";
    reads  [Down 'j'] => Down       "down the list";
    reads  [Enter]    => Open       "the plan of the chosen drill, and back", "plan";
    writes ['s']      => StartDrill "start the chosen drill on a new server", "start";
    writes ['m']      => PlayDrill  "in a blind drill: acknowledge, answer, mitigate", "act";
    writes ['x']      => StopWork   "stop the drill and end its fault", "stop";
    reads  [PageDown] => PageDown   "further down the text beside the list";
    reads  [PageUp]   => PageUp     "further up";
};
