//! Keys and answers of the two screens that are made of panels: Resources and Board.

use std::collections::BTreeMap;

use crate::tui::dashboard::Query;
use crate::tui::model::{Model, NoticeKind, Screen};
use crate::tui::sources::series::QueryAnswer;

pub(crate) fn on_metrics(
    model: &mut Model,
    at: i64,
    now: &BTreeMap<Query, QueryAnswer>,
    past: Option<&BTreeMap<Query, QueryAnswer>>,
) {
    let wanted = model.board_queries();
    // What the charts show: charts that stand still do not lose their past.
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

/// Enlarges what is chosen, or makes it small again; whether this screen has panels at all.
pub(crate) fn open(model: &mut Model) -> bool {
    match model.screen {
        Screen::Resources => model.resources.enlarged = !model.resources.enlarged,
        Screen::Board => model.board.open(),
        _ => return false,
    }
    true
}

/// Makes what is enlarged small again; whether anything was.
pub(crate) fn back(model: &mut Model) -> bool {
    let enlarged = match model.screen {
        Screen::Resources => &mut model.resources.enlarged,
        Screen::Board => &mut model.board.enlarged,
        _ => return false,
    };
    std::mem::replace(enlarged, false)
}

pub(crate) fn pick(model: &mut Model) {
    let times = model.times();
    if !model.board.pick(&model.answers, times) {
        let text = "no variable of this dashboard has another value";
        model.tell(NoticeKind::Info, text);
    }
}

pub(crate) fn next_variable(model: &mut Model) {
    let times = model.times();
    model.board.next_variable(&model.answers, times);
}
