//! The Traces screen's keys, and the links between alerts, records and traces.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::input::dialog::Dialog;
use crate::tui::model::{Model, NoticeKind};
use crate::tui::navigation;
use crate::tui::screens::logs::{Level, LogAim};
use crate::tui::screens::traces::Open;
use crate::tui::sources::evidence::Wanted;

/// Records may precede the start of their trace by this many milliseconds.
const BEFORE_MS: i64 = 10_000;
/// Records may follow the end of their trace by this many milliseconds.
const AFTER_MS: i64 = 60_000;

/// Handles answers of the trace source. Returns any other event.
pub(crate) fn on_event(model: &mut Model, event: Event) -> Option<Event> {
    match event {
        Event::Traces {
            asked,
            found,
            coverage,
        } => {
            // Ignore answers to earlier requests.
            if asked == model.traces.asked() {
                model.traces.take(found, coverage);
            }
        }
        Event::Trace { id, trace } => model.traces.take_trace(&id, trace),
        Event::TracesThere => {}
        other => return Some(other),
    }
    model.answered(Source::Tempo);
    None
}

/// Enter: opens the chosen trace, or in an open trace the chosen span in full.
pub(crate) fn open(model: &mut Model) {
    match &model.traces.open {
        Some(open) if open.waterfall().is_some() => model.dialog = Some(Dialog::Span(0)),
        Some(_) => {}
        None => {
            let chosen = model.traces.chosen().map(|trace| trace.id.clone());
            model.traces.open = chosen.map(|id| Open::new(&id, false));
        }
    }
}

/// Esc: closes the open part. Returns whether there was one.
pub(crate) fn back(model: &mut Model) -> bool {
    let from_here = model.navigation.is_empty();
    let traces = &mut model.traces;
    match &traces.open {
        Some(open) if open.linked && !from_here => false,
        Some(_) => {
            traces.open = None;
            true
        }
        None if !traces.text.is_empty() => {
            traces.text.clear();
            traces.chosen = 0;
            true
        }
        None => false,
    }
}

/// Goes back to the list, because order and filter apply to it.
pub(crate) fn to_list(model: &mut Model) {
    model.traces.open = None;
}

/// Handles a key while the user types the filter.
pub(crate) fn edit_filter(model: &mut Model, key: KeyEvent) {
    let Some(mut text) = model.traces.editing.take() else {
        return;
    };
    match key.code {
        KeyCode::Esc => {}
        KeyCode::Enter => {
            model.traces.text = text.text().to_owned();
            model.traces.chosen = 0;
        }
        _ => {
            text.key(key);
            model.traces.editing = Some(text);
        }
    }
}

/// Follows the link from a record to its trace.
pub(crate) fn of_record(model: &mut Model) {
    let Some(record) = model.logs.chosen() else {
        model.tell(NoticeKind::Info, "no record is chosen");
        return;
    };
    let Some(id) = record.trace_id.clone() else {
        model.tell(
            NoticeKind::Info,
            "this record has no trace: it was not written while a request was answered",
        );
        return;
    };
    // Freeze the log, so that going back returns to this record and not to the newest one.
    model.logs.frozen = true;
    navigation::to_trace(model, &id);
}

/// Follows the link from an alert to the error records of its time.
pub(crate) fn records_of_alert(model: &mut Model) {
    let Some(row) = model.alerts.chosen() else {
        model.tell(NoticeKind::Info, "no alert is chosen");
        return;
    };
    let time = Wanted::of(&row.alert, model.now).of_records(model.now);
    navigation::to_logs(
        model,
        LogAim {
            level: Level::Error,
            window: Some(time),
            trace: None,
        },
    );
}

/// Follows the link from a trace to its records.
pub(crate) fn records_of_trace(model: &mut Model) {
    let Some((trace, time)) = model.traces.looked_at() else {
        model.tell(NoticeKind::Info, "no trace is chosen");
        return;
    };
    let around = |(start, end): (i64, i64)| {
        (
            start.saturating_sub(BEFORE_MS),
            end.saturating_add(AFTER_MS),
        )
    };
    navigation::to_logs(
        model,
        LogAim {
            trace: Some(trace),
            window: time.map(around),
            ..LogAim::default()
        },
    );
}
