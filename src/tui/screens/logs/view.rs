//! The [`View`] of the Logs screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::Model;
use crate::tui::recording::view::RecordingState;
use crate::tui::screens::logs::{draw, keys};
use crate::tui::screens::traces::update as traces;
use crate::tui::screens::view::View;
use crate::tui::sources::plan::Plan;

pub(crate) struct Logs;

impl View for Logs {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn plan(&self, model: &Model, plan: &mut Plan) {
        let recording = matches!(model.recording, RecordingState::Recording(_));
        if recording || !model.logs.frozen {
            plan.logs = Some(model.logs.query());
        }
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        model.logs.move_by(by);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        let logs = &mut model.logs;
        match action {
            Action::Level => {
                logs.level = logs.level.next();
                logs.reset();
            }
            Action::Freeze => {
                logs.frozen = !logs.frozen;
                if !logs.frozen {
                    logs.cursor = logs.records.len().saturating_sub(1);
                }
            }
            Action::Live if logs.is_aimed() => logs.live(),
            Action::Live | Action::Last => {
                logs.move_by(isize::MAX);
                logs.frozen = false;
            }
            Action::Open if logs.chosen().is_some() => {
                logs.frozen = true;
                model.dialog = Some(Dialog::Record(0));
            }
            Action::TraceOf => traces::of_record(model),
            _ => return None,
        }
        Some(Vec::new())
    }

    /// Clears the filter.
    fn back(&self, model: &mut Model) -> bool {
        let filtered = !model.logs.text.is_empty();
        if filtered {
            model.logs.text.clear();
            model.logs.reset();
        }
        filtered
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
