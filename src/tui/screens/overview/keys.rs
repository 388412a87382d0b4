//! The keys of the Overview screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Overview);
    reads  ['e' Enter] => Enlarge "enlarge a chart, or back", "enlarge";
    reads  [Up 'k']    => Up      "enlarged: the chart before";
    reads  [Down 'j']  => Down    "enlarged: the next chart";
};
