//! The keys of the Resources screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Resources);
    reads  [Up 'k']       => Up           "the instance above";
    reads  [Down 'j']     => Down         "the instance below";
    reads  [PageUp ',']   => Chart(false) "the chart before";
    reads  [PageDown '.'] => Chart(true)  "the next chart", "next chart";
    reads  ['e' Enter]    => Enlarge      "enlarge the chosen chart, or back", "enlarge";
};
