//! The layout that all screens share, header, body and footer, and the freshness of data.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};

use crate::tui::connection::{Link, Source};
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::widgets::Freshness;

/// The smallest terminal that the screens fit on.
pub(crate) const MIN: (u16, u16) = (80, 24);

/// Header, body and footer.
pub(crate) fn body(area: Rect) -> [Rect; 3] {
    Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(0),
        Constraint::Length(2),
    ])
    .areas(area)
}

/// The row at a position of a framed `list` of `count` rows, scrolled so that row `chosen` is visible.
pub(crate) fn row_of_list(list: Rect, chosen: usize, count: usize, at: Position) -> Option<usize> {
    let rows = Rect {
        y: list.y + 1,
        height: list.height.saturating_sub(2),
        ..list
    };
    let row = usize::from(at.y.saturating_sub(rows.y)) + first_row(chosen, rows.height);
    (rows.contains(at) && row < count).then_some(row)
}

/// The first of `height` visible rows, so that row `chosen` is visible.
pub(crate) fn first_row(chosen: usize, height: u16) -> usize {
    (chosen + 1).saturating_sub(usize::from(height))
}

/// The freshness of a source's data.
pub(crate) fn freshness(model: &Model, source: Source) -> Freshness {
    let state = model.source(source);
    if let Some((age, reason)) = state.stale(model.now) {
        Freshness::Stale(age, reason.to_owned())
    } else if let Some(reason) = state.never() {
        Freshness::Never(reason.to_owned())
    } else if state.link == Link::Waiting {
        Freshness::Waiting
    } else {
        Freshness::Fresh
    }
}

/// Dims `area` if its data are old.
pub(crate) fn dim_if_stale(buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    if matches!(fresh, Freshness::Stale(..)) {
        theme::dim(buffer, area);
    }
}
