//! Draws states over time: a row for each series, with a stretch for each state or a sign for each sample.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::tui::dashboard::panel::{Kind, Panel};
use crate::tui::screens::panel::known::{Known, Wanted};
use crate::tui::screens::panel::lists::more;
use crate::tui::sources::series::Track;
use crate::tui::sources::series::value_at;
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::back;
use crate::tui::window;
use crate::tui::window::end_name;

/// The fewest columns for the name of a state.
const LEAST_WORD: usize = 4;

/// A state that held for some columns.
struct Stretch {
    width: u16,
    /// `None` if nothing was measured.
    state: Option<(String, Severity)>,
}

pub(crate) fn draw(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let widest = known.series.iter().map(|named| cells::width(&named.name));
    let names = widest
        .max()
        .unwrap_or(0)
        .clamp(1, usize::from(area.width) / 3 + 1);
    let left = u16::try_from(names).unwrap_or(0).saturating_add(1);
    if known.series.is_empty() || area.width < left + 8 || area.height < 1 {
        return false;
    }
    let axis = u16::from(area.height >= 3);
    let rows = Rect {
        height: area.height - axis,
        ..area
    };
    let window = window::live(of.model);
    let gap = of.model.zoom.gap_ms();
    for (named, y) in known.series.iter().zip(rows.y..rows.bottom()) {
        let name = cells::cut_middle(&named.name, names);
        buffer.set_stringn(area.x, y, name, names, theme::quiet());
        let place = Rect {
            x: area.x + left,
            y,
            width: area.width - left,
            height: 1,
        };
        let times = (window.end, window.span, gap);
        let stretches = stretches(of.panel, &named.one.track, place.width, times);
        if of.panel.kind == Kind::StatusHistory {
            signs(&stretches, buffer, place);
        } else {
            words(&stretches, buffer, place);
        }
    }
    let beyond = known.series.len().saturating_sub(usize::from(rows.height));
    more(buffer, rows, beyond);
    if axis == 1 {
        let y = area.bottom() - 1;
        let room = usize::from(area.width - left);
        buffer.set_stringn(area.x + left, y, back(window.span), room, theme::quiet());
        let end = end_name(of.model);
        let width = u16::try_from(cells::width(&end)).unwrap_or(0);
        let x = area.right().saturating_sub(width).max(area.x + left);
        buffer.set_stringn(x, y, end, room, theme::quiet());
    }
    true
}

/// The states from left to right; equal neighbours are one stretch.
fn stretches(
    panel: &Panel,
    track: &Track,
    width: u16,
    (end, span, gap): (i64, i64, i64),
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for column in 1..=i64::from(width) {
        let at = end - span + span.saturating_mul(column) / i64::from(width);
        let value = value_at(track, at, gap);
        let state = value.map(|value| (panel.text(value), panel.judge(value)));
        match stretches.last_mut() {
            Some(last) if last.state == state => last.width += 1,
            _ => stretches.push(Stretch { width: 1, state }),
        }
    }
    stretches
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Plain => theme::accent(),
        judged => judged.style(),
    }
}

/// Draws `┃up━━━━━━┃down ✖━━┃up━━`, which is readable without colour.
fn words(stretches: &[Stretch], buffer: &mut Buffer, area: Rect) {
    let mut x = area.x;
    for stretch in stretches {
        if let Some((text, severity)) = &stretch.state {
            let style = style(*severity);
            let width = usize::from(stretch.width);
            let sign = severity.sign();
            let word = match sign {
                "" | "●" => text.clone(),
                sign => format!("{text} {sign}"),
            };
            let inside = match width {
                ..LEAST_WORD if sign.is_empty() => String::new(),
                ..LEAST_WORD => cells::cut(sign, width.saturating_sub(1)),
                _ => cells::cut(&word, width - 1),
            };
            let rest = (width - 1).saturating_sub(cells::width(&inside));
            let line = format!("┃{inside}{}", "━".repeat(rest));
            buffer.set_stringn(x, area.y, line, width, style);
        }
        x = x.saturating_add(stretch.width);
    }
}

/// Draws a sign for each column.
fn signs(stretches: &[Stretch], buffer: &mut Buffer, area: Rect) {
    let mut x = area.x;
    for stretch in stretches {
        if let Some((_, severity)) = &stretch.state {
            let sign = match severity.sign() {
                "" => "■",
                sign => sign,
            };
            for x in x..x.saturating_add(stretch.width).min(area.right()) {
                buffer.set_stringn(x, area.y, sign, 1, style(*severity));
            }
        }
        x = x.saturating_add(stretch.width);
    }
}
