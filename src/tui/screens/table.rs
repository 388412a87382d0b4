//! The screens that there are: one line for each.

use crate::tui::model::Screen;
use crate::tui::screens::view::View;
use crate::tui::screens::{alerts, board, load, logs, overview, resources, traces};

pub(crate) fn view(screen: Screen) -> &'static dyn View {
    match screen {
        Screen::Overview => &overview::view::Overview,
        Screen::Resources => &resources::view::Resources,
        Screen::Logs => &logs::view::Logs,
        Screen::Traces => &traces::view::Traces,
        Screen::Load => &load::view::Load,
        Screen::Alerts => &alerts::view::Alerts,
        Screen::Board => &board::view::Board,
    }
}
