//! Files that the console shows: dashboards and recordings, read and drawn.

use crate::tui::Preview;

use super::inputs::text;

/// Columns and rows: usual, narrow, wide.
const SIZES: [(u16, u16); 3] = [(100, 30), (20, 5), (220, 60)];

/// A valid dashboard can be drawn.
pub(super) fn dashboard(data: &[u8]) {
    let Ok(preview) = Preview::of_dashboard(text(data)) else {
        return;
    };
    for size in SIZES {
        preview.draw(size);
    }
}

/// A valid recording can be played to its end on each screen.
pub(super) fn recording(data: &[u8]) {
    let Ok(preview) = Preview::of_recording(data) else {
        return;
    };
    for size in SIZES {
        preview.draw(size);
    }
}
