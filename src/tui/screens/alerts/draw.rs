//! Draws the Alerts screen: the list with the chosen alert below it, or one open alert on the whole screen. `list`
//! draws the rows, `alert` the text about an alert.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::clients::alertmanager::{Alert, AlertState};
use crate::tui::connection::Source;
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::format::unix_ms;
use crate::tui::model::Model;
use crate::tui::screens::alerts::Stage;
use crate::tui::screens::alerts::list as alert_list;
use crate::tui::screens::alerts::urgency::Urgency;
use crate::tui::screens::layout::{dim_if_stale, first_row, freshness};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, foot, frame};

/// The sign and style of an alert of Alertmanager: silenced or inhibited, or by its severity. `list::sign` gives those of a row,
/// which also knows the other stages.
pub(crate) fn mark(alert: &Alert) -> (&'static str, Style) {
    if alert.status.state == AlertState::Suppressed {
        return ("○", theme::quiet());
    }
    match Urgency::of(alert) {
        Urgency::Critical => ("✖", theme::bad()),
        Urgency::Unknown => ("?", theme::strong()),
        Urgency::Warning => ("▲", theme::warn()),
        Urgency::Info => ("●", theme::accent()),
    }
}

/// The time since the alert began, for the Overview; a question mark if its start cannot be parsed. A row of the list
/// shows the time at its stage instead.
pub(crate) fn age(alert: &Alert, now: i64) -> String {
    let since = unix_ms(&alert.starts_at);
    since.map_or("?".into(), |since| format::span(now - since))
}

/// The areas of the list and of the text about the chosen alert.
fn places(area: Rect) -> [Rect; 2] {
    let detail = if roomy(area) { 4 } else { 2 };
    Layout::vertical([Constraint::Fill(3), Constraint::Fill(detail)]).areas(area)
}

/// Returns whether there is space for the chart and the error records of the chosen alert, beside its text.
const fn roomy(area: Rect) -> bool {
    area.width >= 114 && area.height >= 30
}

/// The row of the list at a position.
pub(crate) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let [list, _] = places(area);
    // Above the rows are the frame and the head (`list::draw`), below them the frame.
    let rows = Rect {
        y: list.y + 2,
        height: list.height.saturating_sub(3),
        ..list
    };
    let inside = rows.contains(at) && !model.alerts.open;
    let row = usize::from(at.y.saturating_sub(rows.y)) + first_row(model.alerts.row, rows.height);
    (inside && row < model.alerts.rows.len()).then_some(row)
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let chosen = model.alerts.chosen();
    if let Some(alert) = chosen.filter(|_| model.alerts.open) {
        crate::tui::screens::alerts::alert::draw(model, alert, buffer, area);
        return;
    }
    let [above, detail] = places(area);
    list(model, buffer, above);
    match chosen {
        Some(alert) if roomy(area) => {
            crate::tui::screens::alerts::alert::beside(model, alert, buffer, detail)
        }
        Some(alert) => crate::tui::screens::alerts::alert::about(model, alert, buffer, detail),
        None => {
            frame(
                buffer,
                detail,
                "Alert",
                "",
                Severity::Plain,
                &Freshness::Fresh,
            );
        }
    }
}

fn list(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Alertmanager);
    let rows = &model.alerts.rows;
    let firing = rows.iter().filter(|row| row.stage == Stage::Firing);
    let worst = firing.map(|row| Urgency::of(&row.alert)).min();
    let severity = match worst {
        Some(Urgency::Critical) => Severity::Bad,
        Some(Urgency::Unknown | Urgency::Warning) => Severity::Warn,
        Some(Urgency::Info) | None => Severity::Plain,
    };
    let inside = frame(buffer, area, "Alerts", &counts(model), severity, &fresh);
    if rows.is_empty() {
        empty(model, buffer, inside, &fresh);
    } else {
        alert_list::draw(model, buffer, inside);
    }
    if let (Some(Err(reason)), Freshness::Fresh) = (&model.alerts.rules, &fresh) {
        let room = usize::from(area.width).saturating_sub(6);
        let text = format!("pending ones not known: {}", one_line(reason));
        foot(buffer, area, &cells::cut(&text, room), theme::quiet());
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// The number of alerts by stage, for each variant of [`Stage`].
fn counts(model: &Model) -> String {
    let stages = [
        Stage::Firing,
        Stage::Pending,
        Stage::Acknowledged,
        Stage::Silenced,
        Stage::Inhibited,
        Stage::Resolved,
    ];
    let counted = stages.into_iter().filter_map(|stage| {
        let rows = model.alerts.rows.iter();
        let count = rows.filter(|row| row.stage == stage).count();
        (count > 0).then(|| format!("{count} {}", stage.word()))
    });
    counted.collect::<Vec<_>>().join(", ")
}

fn empty(model: &Model, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let head = match fresh {
        Freshness::Fresh => Line::styled("● no alert", theme::good()),
        Freshness::Stale(..) => Line::styled("○ no alert when it last answered", theme::quiet()),
        other => Line::styled(
            cells::cut(&other.emptiness(), usize::from(area.width)),
            theme::quiet(),
        ),
    };
    let mut lines = vec![head];
    if !model.settings.read_only && !model.settings.once {
        lines.push(Line::raw(""));
        lines.push(Line::from(vec![
            Span::styled("a", theme::key()),
            Span::styled(" raises one by hand", theme::quiet()),
        ]));
    }
    centred(buffer, area, &lines);
}
