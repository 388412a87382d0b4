//! Fuzz targets `dashboards` and `recordings`: read a file that the console shows, and draw it.

use crate::tui::Preview;

use super::inputs::text;

/// Columns and rows: usual, narrow, wide.
const SIZES: [(u16, u16); 3] = [(100, 30), (20, 5), (220, 60)];

/// A dashboard that is read without an error must be drawn without a panic, in every size.
pub(super) fn dashboard(data: &[u8]) {
    let Ok(preview) = Preview::of_dashboard(text(data)) else {
        return;
    };
    for size in SIZES {
        preview.draw(size);
    }
}

/// A recording that is read without an error must play to its end on every screen without a panic.
pub(super) fn recording(data: &[u8]) {
    let Ok(preview) = Preview::of_recording(data) else {
        return;
    };
    for size in SIZES {
        preview.draw(size);
    }
}
