//! A heatmap: the values of each row over time, as shades.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::tui::format;
use crate::tui::sources::series::Track;
use crate::tui::theme;

/// The shades from the least to the greatest value.
const SHADES: [char; 4] = ['░', '▒', '▓', '█'];

/// Draws rows, the first at the bottom, from `end - span` to `end` (Unix milliseconds). Returns whether there was
/// anything to draw.
pub(crate) fn heat(
    buffer: &mut Buffer,
    area: Rect,
    rows: &[(String, Track)],
    (end, span): (i64, i64),
    end_name: &str,
    style: Style,
) -> bool {
    let widest = rows.iter().map(|(name, _)| cells::width(name)).max();
    let scale = u16::try_from(widest.unwrap_or(0)).unwrap_or(0).clamp(3, 10) + 1;
    if area.width < scale + 4 || area.height < 2 || span <= 0 {
        return false;
    }
    let axis = u16::from(area.height >= 4);
    let (width, height) = (area.width - scale, area.height - axis);
    // If there are more rows than lines, neighbouring rows share a line.
    let per_line = rows.len().div_ceil(usize::from(height)).max(1);
    let lines: Vec<(&str, Vec<f64>)> = rows
        .chunks(per_line)
        .map(|rows| {
            let name = rows.last().map_or("", |(name, _)| name.as_str());
            (name, columns(rows, width, end, span))
        })
        .collect();
    let most = lines
        .iter()
        .flat_map(|(_, line)| line)
        .copied()
        .fold(0.0, f64::max);
    if most <= 0.0 || !most.is_finite() {
        return false;
    }
    let bottom = area.y + height;
    for ((name, line), y) in lines.iter().zip((area.y..bottom).rev()) {
        let room = usize::from(scale - 1);
        let name = cells::right(&cells::cut(name, room), room);
        buffer.set_stringn(area.x, y, name, room, theme::quiet());
        for (x, value) in (area.x + scale..area.right()).zip(line) {
            if *value > 0.0 {
                let shade = format::whole((value / most * 4.0).ceil()).clamp(1, 4);
                let shade = SHADES[usize::try_from(shade).unwrap_or(1) - 1];
                buffer[(x, y)].set_char(shade).set_style(style);
            }
        }
    }
    if axis == 1 {
        let y = area.bottom() - 1;
        let room = usize::from(width);
        buffer.set_stringn(
            area.x + scale,
            y,
            crate::tui::widgets::back(span),
            room,
            theme::quiet(),
        );
        let end = u16::try_from(cells::width(end_name)).unwrap_or(0);
        let x = area.right().saturating_sub(end).max(area.x + scale);
        buffer.set_stringn(x, y, end_name, room, theme::quiet());
    }
    true
}

/// The mean value of each column.
fn columns(rows: &[(String, Track)], width: u16, end: i64, span: i64) -> Vec<f64> {
    let mut sums = vec![(0.0, 0_u32); usize::from(width)];
    for (at, value) in rows.iter().flat_map(|(_, track)| track) {
        let since = at - (end - span);
        let column = since.saturating_mul(i64::from(width)) / span;
        let last = i64::from(width) - 1;
        let column = if since == span { last } else { column };
        if let Some((sum, count)) = usize::try_from(column).ok().and_then(|at| sums.get_mut(at)) {
            *sum += value.max(0.0);
            *count += 1;
        }
    }
    let mut means = Vec::with_capacity(sums.len());
    let mut before = (0.0, usize::MAX);
    let hold = usize::from(width) / 20;
    for (index, (sum, count)) in sums.into_iter().enumerate() {
        if count > 0 {
            before = (sum / f64::from(count), index);
        }
        // A short gap between two points of a row is filled with the earlier value.
        let held = before.1 != usize::MAX && index - before.1 <= hold;
        means.push(if held { before.0 } else { 0.0 });
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greater_values_are_darker_and_gaps_are_empty() {
        let track = |value: f64| -> Track {
            let points = (0..20).filter(|n| !(8..14).contains(n));
            points.map(|n| (n * 1_000, value)).collect()
        };
        let rows = [
            ("10 ms".to_owned(), track(1.0)),
            ("1 s".to_owned(), track(8.0)),
        ];
        let mut buffer = Buffer::empty(Rect::new(0, 0, 26, 3));
        let area = buffer.area;
        assert!(heat(
            &mut buffer,
            area,
            &rows,
            (20_000, 20_000),
            "now",
            Style::new()
        ));
        let line = |y: u16| (0..26).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        assert!(line(1).starts_with("  1 s ███"), "{}", line(1));
        assert!(line(2).starts_with("10 ms ░░░"), "{}", line(2));
        assert!(line(1).contains("█     █"), "{}", line(1));
        assert!(!heat(
            &mut buffer,
            area,
            &[],
            (20_000, 20_000),
            "now",
            Style::new()
        ));
    }
}
