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

/// Records of a trace are sought from so much before its start, in milliseconds.
const BEFORE_MS: i64 = 10_000;
/// And to so much after its end.
const AFTER_MS: i64 = 60_000;

/// Handles the source's answer. Returns events that do not belong here.
pub(crate) fn on_event(model: &mut Model, event: Event) -> Option<Event> {
    match event {
        Event::Traces {
            asked,
            found,
            coverage,
        } => {
            // An answer to an earlier question is of no use any more.
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

/// Enter: the trace, then its span in full.
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

/// Esc: whether there was something to close.
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

/// What the list shows is chosen there, not in front of a waterfall.
pub(crate) fn to_list(model: &mut Model) {
    model.traces.open = None;
}

/// A key while the filter is typed.
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

/// From a record to its trace.
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
    // Back at the record is back at this one, not at the newest.
    model.logs.frozen = true;
    navigation::to_trace(model, &id);
}

/// From an alert to the error records of its time.
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

/// From a trace to its records.
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
