//! A chart for dashboards, which need more than [`super::Chart`]: a unit, a scale, thresholds as lines, and negative
//! values. It draws the same dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::tui::format;
use crate::tui::theme;
use crate::tui::widgets::chart::{Dots, Line, Overlay, dot, nice, seconds};

/// A chart from `end - span` to `end`, in Unix milliseconds.
pub(crate) struct Plot<'a> {
    /// The lines; later ones are drawn over earlier ones.
    pub(crate) lines: Vec<Line<'a>>,
    pub(crate) end: i64,
    pub(crate) span: i64,
    /// The label of the right end, such as `now`.
    pub(crate) end_name: &'a str,
    pub(crate) overlay: Overlay<'a>,
    /// Points that are further apart than this, in milliseconds, are not joined.
    pub(crate) gap: i64,
    /// Formats a value for the scale.
    pub(crate) tick: &'a dyn Fn(f64) -> String,
    /// Values that are drawn as lines once the data come near them.
    pub(crate) limits: &'a [(f64, Style)],
    /// The ends of the scale, if they are fixed.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

/// The label of the left end of a time axis.
pub(crate) fn back(span: i64) -> String {
    match span {
        60_000.. if span % 60_000 != 0 => format!("-{} min", format::stopwatch(seconds(span))),
        _ => format!("-{}", format::span(span)),
    }
}

impl Plot<'_> {
    /// Draws into `area`. Returns whether there was anything to draw.
    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect) -> bool {
        let Some((low, high)) = self.range() else {
            return false;
        };
        let ticks = [(self.tick)(high), (self.tick)(low)];
        let widest = ticks.iter().map(|tick| cells::width(tick)).max();
        let scale = u16::try_from(widest.unwrap_or(0)).unwrap_or(0).clamp(5, 12) + 1;
        if area.width < scale + 4 || area.height < 2 {
            return false;
        }
        let axis = u16::from(area.height >= 4);
        let plot = Rect {
            x: area.x + scale,
            width: area.width - scale,
            height: area.height - axis,
            ..area
        };
        let row = |value: f64| {
            let below = (high - value) / (high - low) * f64::from(plot.height - 1);
            plot.y + dot(below).min(plot.height - 1)
        };
        let mut label = |y: u16, value: f64| {
            let width = usize::from(scale - 1);
            let text = cells::right(&cells::cut(&(self.tick)(value), width), width);
            buffer.set_stringn(area.x, y, text, width, theme::quiet());
        };
        label(plot.y, high);
        if plot.height >= 5 {
            let middle = (low + high) / 2.0;
            label(plot.y + (plot.height * 4 - 1) / 8, middle);
        }
        label(plot.bottom() - 1, low);
        for (limit, style) in self
            .limits
            .iter()
            .filter(|(at, _)| *at > low && *at <= high)
        {
            for x in plot.x..plot.right() {
                buffer[(x, row(*limit))].set_char('╌').set_style(*style);
            }
        }
        if low < 0.0 && high > 0.0 {
            for x in plot.x..plot.right() {
                buffer[(x, row(0.0))]
                    .set_char('─')
                    .set_style(theme::border());
            }
        }
        if axis == 1 {
            let y = area.bottom() - 1;
            let width = usize::from(plot.width);
            buffer.set_stringn(plot.x, y, back(self.span), width, theme::quiet());
            let end = u16::try_from(cells::width(self.end_name)).unwrap_or(0);
            let x = plot.right().saturating_sub(end).max(plot.x);
            buffer.set_stringn(x, y, self.end_name, width, theme::quiet());
        }
        for line in &self.lines {
            let mut dots = Dots::new(plot);
            let span = (self.end - self.span, self.end);
            dots.track(line.track, span, self.gap, |value| {
                (high - value) / (high - low)
            });
            dots.draw(buffer, plot, line.style);
        }
        let time = (self.end, self.span);
        self.overlay.draw(buffer, plot, time, axis == 1);
        true
    }

    /// The range of the scale: round, with zero, and with the limits that the data come near.
    fn range(&self) -> Option<(f64, f64)> {
        let start = self.end - self.span;
        let tracks = self.lines.iter().flat_map(|line| line.track);
        let seen = tracks.filter(|(at, _)| (start..=self.end).contains(at));
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for (_, value) in seen {
            least = least.min(*value);
            most = most.max(*value);
        }
        if most < least || !(most - least).is_finite() {
            return None;
        }
        let near = self.limits.iter().map(|(limit, _)| *limit);
        let near = near.filter(|limit| *limit > 0.0 && *limit <= most * 2.0);
        let top = near.fold(most, f64::max);
        let low = match self.low {
            Some(low) if low <= least => low,
            _ if least < 0.0 => -nice(-least),
            _ => 0.0,
        };
        let high = match self.high {
            Some(high) if high >= most && high > low => high,
            _ if top > 0.0 => nice(top),
            _ if low < 0.0 => 0.0,
            _ => nice(0.0),
        };
        (low < high).then_some((low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sources::series::Track;

    fn plot(points: &[(i64, f64)], limits: &[(f64, Style)]) -> Vec<String> {
        let track: Track = points.iter().copied().collect();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 26, 9));
        let tick = |value: f64| format::short(value);
        let plot = Plot {
            lines: vec![Line {
                track: &track,
                style: Style::new(),
            }],
            end: 40_000,
            span: 40_000,
            end_name: "now",
            overlay: Overlay::default(),
            gap: 60_000,
            tick: &tick,
            limits,
            low: None,
            high: None,
        };
        let area = buffer.area;
        plot.draw(&mut buffer, area);
        (0..9)
            .map(|y| (0..26).map(|x| buffer[(x, y)].symbol()).collect())
            .collect()
    }

    #[test]
    fn negative_values_are_drawn_below_a_line_at_zero() {
        let lines = plot(&[(0, 40.0), (40_000, -20.0)], &[]);
        assert!(lines[0].starts_with("   40"), "{lines:?}");
        assert!(lines[7].starts_with("  -20"), "{lines:?}");
        assert!(lines[5].contains('─'), "{lines:?}");
    }

    #[test]
    fn a_threshold_is_a_line_once_the_data_come_near_it() {
        let limits = [(50.0, Style::new())];
        let near = plot(&[(0, 30.0), (40_000, 40.0)], &limits);
        assert!(
            near[0].starts_with("   50") && near[0].contains('╌'),
            "{near:?}"
        );
        let far = plot(&[(0, 3.0), (40_000, 4.0)], &limits);
        assert!(!far.concat().contains('╌'), "{far:?}");
    }

    #[test]
    fn infinite_values_are_not_drawn() {
        for value in [1e308, -1e308] {
            plot(&[(0, value), (40_000, -value)], &[]);
        }
        assert!(plot(&[], &[]).concat().trim().is_empty());
    }
}
