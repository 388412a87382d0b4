//! Applies answers for the two screens that consist of panels: Resources and Board.

use std::collections::BTreeMap;

use crate::tui::dashboard::panel::Query;
use crate::tui::model::Model;
use crate::tui::sources::series::QueryAnswer;

pub(crate) fn on_metrics(
    model: &mut Model,
    at: i64,
    now: &BTreeMap<Query, QueryAnswer>,
    past: Option<&BTreeMap<Query, QueryAnswer>>,
) {
    let wanted = model.board_queries();
    // The end of the time window. Frozen charts keep their past.
    let end = model.time.end.map_or(at, |end| end.min(at));
    let since = end.saturating_sub(model.zoom.span_ms());
    let times = (model.zoom.step_ms(), since);
    model.answers.keep(&wanted);
    if let Some(past) = past {
        model.answers.apply_past(&wanted, past);
    }
    model.answers.apply_now(&wanted, now, at, times);
    let times = model.times();
    model.board.repeat(&model.answers, times);
}
