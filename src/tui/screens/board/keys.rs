//! The keys of the Board screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Board);
    reads  [Up 'k']    => Up           "the panel before";
    reads  [Down 'j']  => Down         "the next panel", "next";
    reads  [PageUp]    => PageUp       "the section before";
    reads  [PageDown]  => PageDown     "the next section", "section";
    reads  [Home 'g']  => First        "the first panel";
    reads  [End 'G']   => Last         "the last panel";
    reads  ['e' Enter] => Enlarge      "enlarge the chosen panel, or back; fold or unfold a section", "enlarge";
    reads  ['v']       => Pick         "the next value of the marked variable", "value";
    reads  ['V']       => NextVariable "mark another variable";
};
