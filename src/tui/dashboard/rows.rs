//! Which panels belong to a row.

use std::ops::Range;

use crate::tui::dashboard::panel::{Kind, Panel};

/// The indexes of the panels and rows that belong to the row at index `row`; empty for a panel.
///
/// A row that is folded in the file contains its panels. Any other row ends where the next one begins.
pub(crate) fn contents(panels: &[Panel], row: usize) -> Range<usize> {
    let from = row.saturating_add(1);
    let heading = panels.get(row).filter(|panel| panel.kind == Kind::Row);
    let (Some(heading), Some(after)) = (heading, panels.get(from..)) else {
        return from..from;
    };
    let belongs = |panel: &&Panel| match heading.folded {
        true => panel.nested > heading.nested,
        false => panel.nested == heading.nested && panel.kind != Kind::Row,
    };
    from..from + after.iter().take_while(belongs).count()
}
