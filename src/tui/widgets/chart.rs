//! A line chart of braille dots: two columns and four rows of dots per character. A gap in the data is a gap in the
//! line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::tui::format;
use crate::tui::sources::panels::Unit;
use crate::tui::sources::series::Track;
use crate::tui::theme;
use crate::tui::time_view::{Mark, MarkKind};

/// The width of the scale on the left, in columns.
const SCALE: u16 = 7;

/// A line of a chart.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) track: &'a Track,
    pub(crate) style: Style,
}

/// The elements that all charts share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overlay<'a> {
    /// The time cursor, in Unix milliseconds.
    pub(crate) cursor: Option<i64>,
    pub(crate) marks: &'a [Mark],
}

impl Overlay<'_> {
    /// The column of an instant, if it is on the chart.
    fn column(plot: Rect, (end, span): (i64, i64), at: i64) -> Option<u16> {
        let start = end - span;
        if !(start..=end).contains(&at) || span <= 0 {
            return None;
        }
        let x = ((at - start) * i64::from(plot.width - 1) + span / 2) / span;
        Some(plot.x + u16::try_from(x).ok()?)
    }

    /// Draws the cursor and the marks: vertical lines where nothing else is drawn, signs on the axis.
    pub(crate) fn draw(&self, buffer: &mut Buffer, plot: Rect, time: (i64, i64), axis: bool) {
        let upright = |buffer: &mut Buffer, x: u16, sign: char, style: Style| {
            for y in plot.y..plot.bottom() {
                let cell = &mut buffer[(x, y)];
                if cell.symbol() == " " {
                    cell.set_char(sign).set_style(style);
                }
            }
        };
        for mark in self.marks {
            let Some(x) = Self::column(plot, time, mark.at) else {
                continue;
            };
            let style = match mark.kind {
                MarkKind::Alert => theme::warn(),
                MarkKind::Action => theme::accent(),
                MarkKind::Fault => theme::bad(),
                MarkKind::Phase => theme::quiet(),
            };
            upright(buffer, x, '┊', theme::quiet());
            if axis && buffer[(x, plot.bottom())].symbol() == " " {
                buffer.set_string(x, plot.bottom(), mark.kind.sign(), style);
            }
        }
        if let Some(x) = self.cursor.and_then(|at| Self::column(plot, time, at)) {
            upright(buffer, x, '│', theme::accent());
        }
    }
}

/// A chart from `end - span` to `end` (Unix milliseconds) and from 0 up.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// The lines; later ones are drawn over earlier ones.
    pub(crate) lines: Vec<Line<'a>>,
    pub(crate) end: i64,
    pub(crate) span: i64,
    /// The label of the right end, such as `now`.
    pub(crate) end_name: &'a str,
    /// Points that are further apart than this, in milliseconds, are not joined.
    pub(crate) gap: i64,
    pub(crate) unit: Unit,
    /// A value that is drawn as a dotted line once the data come near it.
    pub(crate) limit: Option<f64>,
    pub(crate) overlay: Overlay<'a>,
}

impl Chart<'_> {
    /// Draws into `area`. Returns whether there was anything to draw.
    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect) -> bool {
        if area.width < SCALE + 4 || area.height < 2 {
            return false;
        }
        let start = self.end - self.span;
        let seen = |line: &Line<'_>| {
            line.track
                .iter()
                .filter(|(at, _)| *at >= start)
                .map(|(_, value)| *value)
                .fold(f64::NAN, f64::max)
        };
        let highest = self.lines.iter().map(seen).fold(f64::NAN, f64::max);
        if highest.is_nan() {
            return false;
        }
        let axis = u16::from(area.height >= 4);
        let plot = Rect {
            x: area.x + SCALE,
            width: area.width - SCALE,
            height: area.height - axis,
            ..area
        };
        let limit = self.limit.filter(|limit| highest >= limit / 2.0);
        let top = nice(highest.max(limit.unwrap_or(0.0)));
        self.scale(buffer, area, plot, top, axis == 1);
        if let Some(limit) = limit {
            dotted(buffer, plot, limit / top);
        }
        for line in &self.lines {
            let mut dots = Dots::new(plot);
            dots.track(line.track, (start, self.end), self.gap, |value| {
                1.0 - value / top
            });
            dots.draw(buffer, plot, line.style);
        }
        self.overlay
            .draw(buffer, plot, (self.end, self.span), axis == 1);
        true
    }

    fn scale(&self, buffer: &mut Buffer, area: Rect, plot: Rect, top: f64, axis: bool) {
        let width = usize::from(SCALE);
        let mut label = |y: u16, value: f64| {
            let text = format!("{:>6}", self.label(value));
            buffer.set_stringn(area.x, y, text, width, theme::quiet());
        };
        label(plot.y, top);
        if plot.height >= 5 {
            // The row with the dots at half the height.
            label(plot.y + (plot.height * 4 - 1) / 8, top / 2.0);
        }
        buffer.set_stringn(area.x, plot.bottom() - 1, "     0", width, theme::quiet());
        if axis {
            let y = area.bottom() - 1;
            let back = match self.span {
                60_000.. if self.span % 60_000 != 0 => {
                    format!("-{} min", format::stopwatch(seconds(self.span)))
                }
                _ => format!("-{}", format::span(self.span)),
            };
            buffer.set_stringn(plot.x, y, back, usize::from(plot.width), theme::quiet());
            let width = u16::try_from(cells::width(self.end_name)).unwrap_or(0);
            let x = plot.right().saturating_sub(width);
            buffer.set_string(x.max(plot.x), y, self.end_name, theme::quiet());
        }
    }

    fn label(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds if value >= 1.0 => format!("{}s", format::short(value)),
            Unit::Seconds => format!("{}ms", format::short(value * 1000.0)),
            Unit::Percent => format!("{}%", format::percent(value)),
            Unit::Count if value > 0.0 && value < 1.0 => {
                let digits = format!("{value:.3}");
                digits.trim_end_matches('0').to_owned()
            }
            Unit::PerSecond | Unit::Count => format::short(value),
        }
    }
}

/// The instant in column `x` of a framed chart in `area`, if that is on its plot.
pub(crate) fn instant_on(area: Rect, end: i64, span: i64, x: u16) -> Option<i64> {
    let (left, right) = (area.x + 1 + SCALE, area.right().saturating_sub(1));
    if !(left..right).contains(&x) || right - left < 2 {
        return None;
    }
    Some(end - span + span * i64::from(x - left) / i64::from(right - left - 1))
}

/// The dots of one line.
pub(crate) struct Dots {
    pub(crate) width: u16,
    pub(crate) height: u16,
    cells: Vec<u8>,
}

impl Dots {
    pub(crate) fn new(area: Rect) -> Dots {
        let cells = usize::from(area.width) * usize::from(area.height);
        Dots {
            width: area.width * 2,
            height: area.height * 4,
            cells: vec![0; cells],
        }
    }

    /// Bits of a braille character by dot column and row (Unicode block U+2800).
    const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

    fn set(&mut self, x: u16, y: u16) {
        if x < self.width && y < self.height {
            let cell = usize::from(y / 4) * usize::from(self.width / 2) + usize::from(x / 2);
            self.cells[cell] |= Dots::BITS[usize::from(x % 2)][usize::from(y % 4)];
        }
    }

    /// Draws the points of `track` within `span` (from, to), joined where they are at most `gap` apart. `below` gives
    /// the distance of a value from the top, from 0 to 1.
    pub(crate) fn track(
        &mut self,
        track: &Track,
        (start, end): (i64, i64),
        gap: i64,
        below: impl Fn(f64) -> f64,
    ) {
        let (width, height) = (f64::from(self.width - 1), f64::from(self.height - 1));
        let place = |at: i64, value: f64| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a chart's span is far below 2^52 ms"
            )]
            let x = (at - start) as f64 / (end - start) as f64 * width;
            (x, below(value).clamp(0.0, 1.0) * height)
        };
        let mut before: Option<(i64, (f64, f64))> = None;
        for (at, value) in track.iter().filter(|(at, _)| *at <= end) {
            let here = place(*at, *value);
            if *at >= start {
                let joined = before.filter(|(was, _)| at - was <= gap);
                self.join(joined.map_or(here, |(_, there)| there), here);
            }
            before = Some((*at, here));
        }
    }

    /// Draws a line without holes: fills each column of dots from the previous height to the next.
    pub(crate) fn join(&mut self, from: (f64, f64), to: (f64, f64)) {
        let steps = (to.0 - from.0)
            .abs()
            .max((to.1 - from.1).abs())
            .ceil()
            .clamp(1.0, 4096.0);
        for step in 0..=format::whole(steps) {
            #[expect(clippy::cast_precision_loss, reason = "at most 4096 steps")]
            let part = step as f64 / steps;
            let x = from.0 + (to.0 - from.0) * part;
            let y = from.1 + (to.1 - from.1) * part;
            if x >= -0.5 {
                self.set(dot(x), dot(y));
            }
        }
    }

    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect, style: Style) {
        for (index, mask) in self
            .cells
            .iter()
            .enumerate()
            .filter(|(_, mask)| **mask != 0)
        {
            let width = usize::from(area.width);
            let (Ok(x), Ok(y)) = (u16::try_from(index % width), u16::try_from(index / width))
            else {
                continue;
            };
            let cell = &mut buffer[(area.x + x, area.y + y)];
            // Two lines in one character share its dots; the later one determines the colour.
            let under = cell
                .symbol()
                .chars()
                .next()
                .map(u32::from)
                .filter(|c| (0x2800..0x2900).contains(c));
            let dots = u32::from(*mask) | under.map_or(0, |c| c - 0x2800);
            cell.set_char(char::from_u32(0x2800 + dots).unwrap_or('·'))
                .set_style(style);
        }
    }
}

pub(crate) fn seconds(ms: i64) -> f64 {
    f64::from(i32::try_from(ms / 1000).unwrap_or(i32::MAX))
}

pub(crate) fn dot(value: f64) -> u16 {
    u16::try_from(format::whole(value)).unwrap_or(u16::MAX)
}

fn dotted(buffer: &mut Buffer, plot: Rect, share: f64) {
    let below = (1.0 - share.clamp(0.0, 1.0)) * f64::from(plot.height.saturating_sub(1));
    let y = plot.y + dot(below).min(plot.height - 1);
    for x in plot.x..plot.right() {
        buffer[(x, y)].set_char('╌').set_style(theme::quiet());
    }
}

/// The next larger of a few round numbers × 10ⁿ: a readable scale that wastes little space.
pub(crate) fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .map(|step| step * power)
        .find(|top| *top >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(i64, f64)], gap: i64) -> Vec<String> {
        let track: Track = points.iter().copied().collect();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 27, 6));
        let chart = Chart {
            lines: vec![Line {
                track: &track,
                style: Style::new(),
            }],
            end: 40_000,
            span: 40_000,
            end_name: "now",
            gap,
            unit: Unit::PerSecond,
            limit: None,
            overlay: Overlay::default(),
        };
        let area = buffer.area;
        chart.draw(&mut buffer, area);
        (0..6)
            .map(|y| {
                (0..27)
                    .map(|x| buffer[(x, y)].symbol())
                    .collect::<String>()
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    fn plotted(line: &str) -> String {
        line.chars().skip(usize::from(SCALE)).collect()
    }

    #[test]
    fn a_gap_in_the_data_is_a_gap_in_the_line() {
        let points: Vec<_> = (0..=40)
            .filter(|s| !(15..25).contains(s))
            .map(|s| (s * 1000, 5.0))
            .collect();
        let lines = chart(&points, 2_000);
        let line = plotted(&lines[0]);
        assert!(line.contains("  "), "a hole in the middle: {line:?}");
        let joined = chart(&points, 60_000);
        assert!(
            !plotted(&joined[0]).trim().contains(' '),
            "no hole when it is joined: {joined:?}"
        );
    }

    #[test]
    fn the_scale_is_round_and_its_ends_are_labelled() {
        let lines = chart(&[(0, 0.0), (40_000, 40.0)], 60_000);
        assert!(lines[0].starts_with("    40"), "{lines:?}");
        assert!(lines[4].starts_with("     0"), "{lines:?}");
        assert!(
            lines[5].contains("-40 s") && lines[5].ends_with("now"),
            "{lines:?}"
        );
    }

    #[test]
    fn the_cursor_is_where_the_click_was_and_marks_are_at_their_times() {
        let track: Track = [(0, 1.0), (40_000, 1.0)].into();
        let area = Rect::new(0, 0, 40, 8);
        let inside = Rect::new(1, 1, 38, 6);
        // Between the labels of the ends of the axis.
        for x in 14..35 {
            let at = instant_on(area, 40_000, 40_000, x).unwrap();
            let mut buffer = Buffer::empty(area);
            let chart = Chart {
                lines: vec![Line {
                    track: &track,
                    style: Style::new(),
                }],
                end: 40_000,
                span: 40_000,
                end_name: "now",
                gap: 60_000,
                unit: Unit::Count,
                limit: None,
                overlay: Overlay {
                    cursor: Some(at),
                    marks: &[Mark {
                        at,
                        kind: MarkKind::Alert,
                        text: String::new(),
                    }],
                },
            };
            chart.draw(&mut buffer, inside);
            assert!(
                ["│", "┊"].contains(&buffer[(x, 4)].symbol()),
                "{x}: {buffer:?}"
            );
            assert_eq!(buffer[(x, 6)].symbol(), "▲", "{x}");
        }
        assert_eq!(instant_on(area, 40_000, 40_000, 7), None, "the scale");
        assert_eq!(instant_on(area, 40_000, 40_000, 39), None, "the frame");
    }

    #[test]
    fn without_points_in_the_span_nothing_is_drawn() {
        let lines = chart(&[(-5_000, 3.0)], 60_000);
        assert!(lines.iter().all(String::is_empty), "{lines:?}");
    }

    #[test]
    fn scales_are_round_and_waste_at_most_a_third_of_the_space() {
        assert_eq!(
            [0.0, 0.7, 1.0, 1.1, 30.0, 51.0, 2295.0].map(nice),
            [1.0, 0.8, 1.0, 1.5, 30.0, 60.0, 3000.0]
        );
        for n in 1..10_000 {
            let value = f64::from(n) * 0.37;
            let top = nice(value);
            assert!(
                top >= value * 0.999 && top <= value * 1.5 + 1e-9,
                "{value}: {top}"
            );
        }
    }
}
