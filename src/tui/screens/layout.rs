//! The frame that all screens share: header, body, footer; and how fresh what they show is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::tui::connection::{Link, Source};
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::widgets::Freshness;

/// The least that the screens need.
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

/// How fresh a source's data are.
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
