//! Draws the Logs screen: the tail, filtered by level and text. A dialog shows the chosen record in full.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::logs::Record;
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame, wrapped};
use crate::tui::zone::Zone;

/// The sign and style of a level.
pub(crate) fn mark(level: &str) -> (&'static str, Style) {
    match level {
        "ERROR" => ("✖", theme::bad()),
        "WARN" => ("▲", theme::warn()),
        "INFO" => (" ", theme::text()),
        _ => (" ", theme::quiet()),
    }
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let logs = &model.logs;
    let fresh = freshness(model, Source::Loki);
    let filter = if logs.text.is_empty() {
        String::new()
    } else {
        format!(", with “{}”", cells::cut(&logs.text, 30))
    };
    let title = format!("Logs: {}{}{filter}", logs.level.text(), aim(model));
    let mut note = match (logs.frozen, logs.records.len()) {
        _ if logs.refused.is_some() => "query refused".to_owned(),
        (false, 0) if !logs.answered => "asking …".to_owned(),
        (false, count) if logs.window.is_some() => {
            format!("{} records", format::count(count as u64))
        }
        (false, count) => format!("live, {} records", format::count(count as u64)),
        (true, count) => format!(
            "frozen, record {} of {}",
            (logs.cursor + 1).min(count),
            count
        ),
    };
    if logs.skipped {
        note.push_str(", some left out");
    }
    if !logs.text.is_empty() && !model.settings.once {
        note.push_str(", Esc clears the filter");
    } else if logs.is_aimed() && !model.settings.once {
        note.push_str(", 0: live");
    }
    let inside = frame(buffer, area, &title, &note, Severity::Plain, &fresh);
    if logs.records.is_empty() {
        empty(model, buffer, inside, &fresh);
        return;
    }
    let rows = usize::from(inside.height);
    let last = (logs.cursor + 1).max(rows.min(logs.records.len()));
    let first = last.saturating_sub(rows);
    for (y, (index, record)) in
        (inside.y..inside.bottom()).zip(logs.records.iter().enumerate().skip(first))
    {
        line(
            &model.settings.zone,
            buffer,
            Rect {
                y,
                height: 1,
                ..inside
            },
            record,
        );
        if index == logs.cursor && !model.settings.once {
            buffer.set_style(
                Rect {
                    y,
                    height: 1,
                    ..inside
                },
                theme::selected(),
            );
        }
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// The trace and the time range that are shown instead of the tail.
fn aim(model: &Model) -> String {
    let (logs, zone) = (&model.logs, &model.settings.zone);
    let trace = logs.trace.as_ref().map_or(String::new(), |trace| {
        format!(", trace {}", cells::head(trace, 8))
    });
    let window = logs.window.map_or(String::new(), |(from, to)| {
        format!(", {}–{}", zone.clock(from), zone.clock(to))
    });
    trace + &window
}

/// The most columns of details that count as short.
const MAX_SHORT: usize = 22;

pub(crate) fn line(zone: &Zone, buffer: &mut Buffer, area: Rect, record: &Record) {
    let (sign, style) = mark(&record.level);
    let mut spans = vec![
        Span::styled(format!("{} ", zone.clock_ns(record.at_ns)), theme::quiet()),
        Span::styled(
            format!("{sign} {} ", cells::column(&record.level, 5)),
            style,
        ),
    ];
    if area.width >= 100 {
        spans.push(Span::styled(
            cells::column(record.short_service(), 10) + " ",
            theme::quiet(),
        ));
    }
    let used = spans.iter().map(Span::width).sum::<usize>();
    let room = usize::from(area.width).saturating_sub(used);
    // Short details (duration, user) are always shown; long ones get the space that the message leaves.
    let details = cells::width(&record.details);
    let wanted = if (1..=MAX_SHORT).contains(&details) {
        details + 2
    } else {
        0
    };
    let message = cells::cut_middle(&record.message, room - wanted.min(room / 3));
    let left = room.saturating_sub(cells::width(&message) + 2);
    spans.push(Span::raw(message));
    if details > 0 && left > 4 {
        let details = format!("  {}", cells::cut(&record.details, left));
        spans.push(Span::styled(details, theme::quiet()));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

fn empty(model: &Model, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let logs = &model.logs;
    let filtered = !logs.text.is_empty() || logs.level != Default::default() || logs.is_aimed();
    if let (Freshness::Fresh, Some(reason)) = (fresh, &logs.refused) {
        wrapped(buffer, area, &one_line(reason), theme::warn());
        return;
    }
    let text = match (fresh, logs.answered, filtered) {
        (Freshness::Fresh, true, _) if logs.window.is_some() => {
            "no record of that time matches the filter".to_owned()
        }
        (Freshness::Fresh, true, true) => {
            "no record of the last hour matches the filter".to_owned()
        }
        (Freshness::Fresh, true, false) => {
            "no records yet: they appear here as they are written".to_owned()
        }
        (Freshness::Fresh, false, _) => "asking …".to_owned(),
        (other, ..) => other.emptiness(),
    };
    let mut lines = vec![Line::styled(
        cells::cut(&text, usize::from(area.width)),
        theme::quiet(),
    )];
    if filtered && !model.settings.once {
        let mut keys = vec![
            Span::styled("v", theme::key()),
            Span::styled(" changes the level", theme::quiet()),
        ];
        let mut key = |key: &'static str, text: &'static str| {
            keys.push(Span::styled(key, theme::key()));
            keys.push(Span::styled(text, theme::quiet()));
        };
        if !logs.text.is_empty() {
            key("  Esc", " clears the text");
        }
        if logs.is_aimed() {
            key("  0", " goes back to the tail");
        }
        lines.push(Line::from(keys));
    }
    centred(buffer, area, &lines);
}
