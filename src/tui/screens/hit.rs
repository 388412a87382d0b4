//! Finds the element at a mouse position, by the layout that draws it.

use ratatui::layout::{Position, Rect};

use crate::tui::model::Model;
use crate::tui::screens::chrome::header;
use crate::tui::screens::layout::{MIN, body};
use crate::tui::screens::table::view;
use crate::tui::screens::view::Hit;

/// The element at position `at` of a frame with this area.
pub(crate) fn hit(model: &Model, area: Rect, at: Position) -> Option<Hit> {
    if area.width < MIN.0 || area.height < MIN.1 || !area.contains(at) {
        return None;
    }
    let [header, body, _] = body(area);
    if at.y == header.y {
        return header::tab_at(model, header.width, at.x - header.x).map(Hit::Tab);
    }
    view(model.screen).hit(model, body, at)
}
