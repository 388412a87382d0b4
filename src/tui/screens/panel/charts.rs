//! Draws panels over time: lines with their legend, and heatmaps.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::dashboard::panel::Panel;
use crate::tui::screens::panel::known::{Known, MAX_LINES, Named, Wanted, sign};
use crate::tui::screens::panel::lists as panel_lists;
use crate::tui::sources::series::Track;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Line as PlotLine, Overlay, Plot, heat};
use crate::tui::window::end_name;
use crate::tui::{theme, timeline, window};

/// The style of the line with this index.
fn line_style(index: usize) -> Style {
    [
        theme::accent(),
        theme::second_colour(),
        theme::good(),
        theme::text(),
    ][index % 4]
}

pub(crate) fn chart(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let panel = of.panel;
    let mut series: Vec<&Named<'_>> = known.series.iter().collect();
    let size = |named: &Named<'_>| named.one.now.map_or(-1.0, f64::abs);
    if series.len() > MAX_LINES || of.enlarged {
        series.sort_by(|a, b| size(b).total_cmp(&size(a)));
    }
    let legend = match (series.len(), of.enlarged) {
        (_, true) => {
            let rows = u16::try_from(series.len() + 1).unwrap_or(u16::MAX);
            rows.min(area.height / 2)
        }
        (2.., _) if area.height >= 5 => 1,
        _ => 0,
    };
    let above = Rect {
        height: area.height - legend,
        ..area
    };
    let legend_area = Rect {
        y: above.bottom(),
        height: legend,
        ..area
    };
    let lines = series.iter().take(MAX_LINES).enumerate();
    let lines: Vec<PlotLine<'_>> = lines
        .rev()
        .map(|(index, named)| PlotLine {
            track: &named.one.track,
            style: line_style(index),
        })
        .collect();
    let limits: Vec<(f64, Style)> = panel
        .limits()
        .map(|limit| (limit.at, limit.severity.style()))
        .collect();
    let window = window::live(of.model);
    let tick = |value: f64| panel.unit.tick(value);
    let (end_name, marks) = (end_name(of.model), timeline::marks(of.model));
    let plot = Plot {
        end_name: &end_name,
        overlay: Overlay {
            cursor: of.model.time.cursor,
            marks: &marks,
        },
        lines,
        end: window.end,
        span: window.span,
        gap: of.model.zoom.gap_ms(),
        tick: &tick,
        limits: &limits,
        low: panel.low,
        high: panel.high,
    };
    if !plot.draw(buffer, above) {
        return false;
    }
    if of.enlarged {
        panel_lists::legend(of, &series, line_style, buffer, legend_area);
    } else if legend == 1 {
        short_legend(panel, &series, buffer, legend_area);
    }
    true
}

/// Draws as many names and values of lines on one row as fit.
fn short_legend(panel: &Panel, series: &[&Named<'_>], buffer: &mut Buffer, area: Rect) {
    let mut line = Line::default();
    for (index, named) in series.iter().take(MAX_LINES).enumerate() {
        let value = named
            .one
            .now
            .map_or("–".to_owned(), |value| panel.text(value));
        let judged = named
            .one
            .now
            .map_or(Severity::Plain, |value| panel.judge(value));
        // The first one is always shown, its name cut if necessary.
        let left = usize::from(area.width).saturating_sub(cells::width(&value) + 10);
        let longest = if index == 0 { left.clamp(4, 24) } else { 24 };
        let name = cells::cut_middle(&named.name, longest);
        let text = format!("{name} {value}{}  ", sign(judged));
        let more = format!("+{}", series.len() - index);
        let used = line.width() + 2 + cells::width(&text);
        let last = index + 1 == series.len();
        let room = usize::from(area.width) + 2 - if last { 0 } else { more.len() + 2 };
        if used > room {
            line.spans.push(Span::styled(more, theme::quiet()));
            break;
        }
        line.spans.push(Span::styled("━ ", line_style(index)));
        line.spans.push(Span::styled(text, theme::quiet()));
    }
    buffer.set_line(area.x, area.y, &line, area.width);
}

/// Draws buckets over time: the count of each without that of the bucket below it.
pub(crate) fn heatmap(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let bound = |named: &Named<'_>| {
        let le = named.one.labels.get("le").map(String::as_str);
        le.map(|le| le.replace("+Inf", "inf"))
            .and_then(|le| le.parse::<f64>().ok())
    };
    let cumulative =
        !known.series.is_empty() && known.series.iter().all(|named| bound(named).is_some());
    let mut buckets: Vec<&Named<'_>> = known.series.iter().collect();
    if cumulative {
        let key = |named: &Named<'_>| bound(named).unwrap_or(f64::INFINITY);
        buckets.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    let mut rows = Vec::new();
    for (index, named) in buckets.iter().enumerate() {
        let below = index.checked_sub(1).and_then(|below| buckets.get(below));
        let mut track = named.one.track.clone();
        let below = below.filter(|_| cumulative).map(|named| &named.one.track);
        for (at, value) in &mut track {
            let at_once = |track: &Track| {
                let index = track.binary_search_by_key(at, |(at, _)| *at).ok()?;
                track.get(index).map(|(_, value)| *value)
            };
            *value -= below.and_then(at_once).unwrap_or(0.0);
        }
        let name = match bound(named) {
            Some(bound) if cumulative && bound.is_finite() => of.panel.unit.tick(bound),
            Some(_) if cumulative => "more".into(),
            _ => named.name.clone(),
        };
        rows.push((name, track));
    }
    let window = window::live(of.model);
    heat(
        buffer,
        area,
        &rows,
        (window.end, window.span),
        &end_name(of.model),
        theme::accent(),
    )
}
