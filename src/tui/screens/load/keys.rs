//! The keys of the Load screen.

use crate::tui::input::keys::{Binding, Scope, bindings};
use crate::tui::model::Screen;

pub(crate) const KEYS: &[Binding] = bindings! { Scope::On(Screen::Load);
    reads  [Up 'k']   => Up        "up the list";
    reads  [Down 'j'] => Down      "down the list";
    writes [Enter]    => Open      "launch the chosen scenario", "launch chosen";
    reads  [PageDown] => PageDown  "further down the verdict and the table";
    reads  [PageUp]   => PageUp    "further up";
    writes [' ']      => PauseLoad "pause or resume the rehearsal", "pause it";
    writes ['<' ',']  => Slower    "a quarter slower", "> speed";
    writes ['>' '.']  => Faster    "a quarter faster";
    writes ['n']      => NextPhase "end the phase under way";
};
