//! The [`View`] of the Traces screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::{Model, Screen};
use crate::tui::screens::traces::{draw, keys, update};
use crate::tui::screens::view::View;
use crate::tui::sources::plan::Plan;

pub(crate) struct Traces;

impl View for Traces {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn plan(&self, model: &Model, plan: &mut Plan) {
        (plan.traces, plan.trace) = match model.screen {
            Screen::Traces => model.traces.wanted(model.now),
            _ => (Some(model.traces.asked()), None),
        };
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        model.traces.move_by(by);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        match action {
            Action::Open => update::open(model),
            Action::Filter => {
                update::to_list(model);
                model.traces.editing = Some(model.traces.text.as_str().into());
            }
            Action::RecordsOf => update::records_of_trace(model),
            Action::Order => {
                update::to_list(model);
                model.traces.next_order();
            }
            Action::LeastDuration => {
                update::to_list(model);
                model.traces.next_least();
            }
            _ => return None,
        }
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        update::back(model)
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
