//! The dialog of the audit log: the last actions, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::audit::{AuditEntry, AuditOutcome};
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::widgets::popup;
use crate::tui::zone::Zone;

pub(crate) fn draw(model: &Model, scroll: u16, buffer: &mut Buffer, area: Rect) {
    let width = area.width.saturating_sub(4).min(120);
    let inside_width = usize::from(width).saturating_sub(4);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for entry in model.audit.iter().rev() {
        lines.extend(described(&model.settings.zone, entry, inside_width));
    }
    if lines.is_empty() {
        lines.push(Line::styled("Nothing was done yet.", theme::quiet()));
    }
    let foot = place(model, inside_width);
    let rows = lines.len() + usize::from(foot.is_some()) * 2;
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let keys = "↑ ↓ scroll, Esc closes";
    let offset = model.settings.zone.offset(model.now);
    let title = format!("What was done, newest first ({offset})");
    let mut inside = popup(buffer, area, &title, keys, width, height);
    if let Some(foot) = foot.filter(|_| inside.height > 2) {
        inside.height -= 2;
        buffer.set_line(inside.x, inside.bottom() + 1, &foot, inside.width);
    }
    let last = lines.len().saturating_sub(usize::from(inside.height));
    let skip = usize::from(scroll).min(last);
    for (y, line) in (inside.y..inside.bottom()).zip(lines.iter().skip(skip)) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}

/// The lines of an action. The reason of a failure has its own line.
fn described(zone: &Zone, entry: &AuditEntry, width: usize) -> Vec<Line<'static>> {
    let time = zone.day_and_clock(entry.at);
    let (sign, style) = match entry.outcome {
        AuditOutcome::Done => ("✔", theme::good()),
        AuditOutcome::Failed => ("✖", theme::bad()),
    };
    let who = cells::column(&one_line(&entry.who), 8) + " ";
    let room = width.saturating_sub(26);
    let detail = one_line(&entry.detail);
    let action = one_line(&entry.action);
    let (what, reason) = match entry.outcome {
        _ if detail.is_empty() => (action, ""),
        AuditOutcome::Done => (format!("{action}: {detail}"), ""),
        AuditOutcome::Failed => (action, detail.as_str()),
    };
    // Wrap the text, because the detail comes last and must not be cut off.
    let mut parts = cells::wrap(&what, room).into_iter();
    let first = parts.next().unwrap_or_default();
    let target = one_line(&entry.target);
    let fits = cells::width(&what) + cells::width(&target) + 2 <= room;
    let mut line = vec![
        Span::styled(format!("{time} "), theme::quiet()),
        Span::styled(format!("{sign} "), style),
        Span::raw(who),
        Span::raw(first),
    ];
    if fits {
        line.push(Span::styled(format!("  {target}"), theme::quiet()));
    }
    let indented = |text: String| format!("{:26}{text}", "");
    let mut lines = vec![Line::from(line)];
    lines.extend(parts.map(|part| Line::raw(indented(part))));
    if !reason.is_empty() {
        let reason = cells::cut(reason, room);
        lines.push(Line::styled(indented(reason), theme::bad()));
    }
    lines
}

/// The path of the audit log, or the reason why it is not written.
fn place(model: &Model, width: usize) -> Option<Line<'static>> {
    if let Some(reason) = &model.audit_failed {
        let text = format!("▲ {}", one_line(reason));
        return Some(Line::styled(cells::cut(&text, width), theme::warn()));
    }
    let path = model.settings.audit_log.as_ref()?;
    let text = format!("written to {}", path.display());
    let text = cells::cut_middle(&one_line(&text), width);
    Some(Line::styled(text, theme::quiet()))
}
