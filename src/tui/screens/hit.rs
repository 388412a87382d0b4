//! What is where on the screen, for the mouse: found by the same layout that draws it.

use ratatui::layout::{Position, Rect};

use crate::tui::model::{Model, Screen};
use crate::tui::screens::alerts::draw as alerts;
use crate::tui::screens::chrome::header;
use crate::tui::screens::layout::{MIN, body};
use crate::tui::screens::load::draw as load;
use crate::tui::screens::overview::draw as overview;

/// Something that can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The tab of a screen.
    Tab(Screen),
    /// That row of the screen's list.
    Row(usize),
    /// An instant on a chart, in Unix milliseconds.
    Instant(i64),
}

/// What is at `at` on a frame of `area`.
pub(crate) fn hit(model: &Model, area: Rect, at: Position) -> Option<Hit> {
    if area.width < MIN.0 || area.height < MIN.1 || !area.contains(at) {
        return None;
    }
    let [header, body, _] = body(area);
    if at.y == header.y {
        return header::tab_at(model, header.width, at.x - header.x).map(Hit::Tab);
    }
    match model.screen {
        Screen::Overview => overview::instant_at(model, body, at).map(Hit::Instant),
        Screen::Alerts => alerts::row_at(model, body, at).map(Hit::Row),
        Screen::Load => load::row_at(model, body, at).map(Hit::Row),
        Screen::Logs | Screen::Traces | Screen::Resources | Screen::Board => None,
    }
}
