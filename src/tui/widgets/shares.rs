//! A bar of the parts of a whole, each with its own fill, and a gauge.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::format;
use crate::tui::theme;

/// A part of a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) value: f64,
    /// Distinguishes the part from its neighbours without colour.
    pub(crate) fill: char,
    pub(crate) style: Style,
}

/// Draws the parts side by side over all of `area`. A part above zero gets at least one column, so that the first sold
/// seat is visible.
pub(crate) fn shares(buffer: &mut Buffer, area: Rect, parts: &[Share]) {
    let widths = widths(parts, area.width);
    let mut x = area.x;
    for (part, width) in parts.iter().zip(widths) {
        for y in area.y..area.bottom() {
            for x in x..x + width {
                buffer[(x, y)].set_char(part.fill).set_style(part.style);
            }
        }
        x += width;
    }
}

fn widths(parts: &[Share], width: u16) -> Vec<u16> {
    let whole: f64 = parts.iter().map(|part| part.value.max(0.0)).sum();
    if whole <= 0.0 {
        return vec![0; parts.len()];
    }
    let mut widths: Vec<u16> = parts
        .iter()
        .map(|part| {
            let exact = part.value.max(0.0) / whole * f64::from(width);
            let rounded = u16::try_from(format::whole(exact))
                .unwrap_or(width)
                .min(width);
            if part.value > 0.0 { rounded.max(1) } else { 0 }
        })
        .collect();
    // Rounding may miss the width by a few columns: the widest part absorbs the difference.
    let sum: u16 = widths.iter().sum();
    if let Some(widest) = widths.iter_mut().max() {
        *widest = (*widest + width).saturating_sub(sum);
    }
    widths
}

/// Draws `done`, from 0 to 1, as a bar over the first row of `area`.
pub(crate) fn gauge(buffer: &mut Buffer, area: Rect, done: f64, style: Style) {
    let done = if done.is_finite() {
        done.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let filled = u16::try_from(format::whole(done * f64::from(area.width)))
        .unwrap_or(0)
        .min(area.width);
    for x in area.x..area.right() {
        let full = x < area.x + filled;
        let style = if full { style } else { theme::border() };
        buffer[(x, area.y)]
            .set_char(if full { '█' } else { '░' })
            .set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], width: u16) -> Vec<u16> {
        let parts: Vec<_> = values
            .iter()
            .map(|value| Share {
                value: *value,
                fill: 'x',
                style: Style::new(),
            })
            .collect();
        widths(&parts, width)
    }

    #[test]
    fn parts_fill_the_width_exactly_and_the_smallest_is_visible() {
        assert_eq!(of(&[1.0, 1.0], 10), [5, 5]);
        assert_eq!(of(&[1.0, 0.0, 99_999.0], 10), [1, 0, 9]);
        assert_eq!(of(&[1.0, 1.0, 1.0], 10).iter().sum::<u16>(), 10);
        assert_eq!(of(&[0.0, 0.0], 10), [0, 0]);
    }
}
