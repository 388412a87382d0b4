//! Finds the [`View`] of a screen. A view has its screen's name and is in its folder.

use crate::tui::model::Screen;
use crate::tui::model::screen::screens;
use crate::tui::screens;
use crate::tui::screens::view::View;

macro_rules! views {
    ($($screen:ident $folder:ident $title:literal $answers:literal;)+) => {
        pub(crate) fn view(screen: Screen) -> &'static dyn View {
            match screen {
                $(Screen::$screen => &screens::$folder::view::$screen,)+
            }
        }
    };
}
screens!(views);
