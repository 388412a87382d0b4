//! The [`View`] of the Alerts screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::event::Effect;
use crate::tui::input::forms::keys as forms;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::{Model, Screen};
use crate::tui::screens::alerts::{draw, keys};
use crate::tui::screens::traces::update as traces;
use crate::tui::screens::view::{Hit, View, scrolled};
use crate::tui::sources::plan::Plan;
use crate::tui::update::actions;

pub(crate) struct Alerts;

impl View for Alerts {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn plan(&self, model: &Model, plan: &mut Plan) {
        plan.rules = true;
        if model.screen == Screen::Alerts {
            plan.evidence = model.evidence_wanted();
        }
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        model.alerts.move_by(by);
        model.alerts.scroll = 0;
    }

    /// Scrolls the text about the chosen alert.
    fn page(&self, model: &mut Model, down: bool) {
        const LINES: isize = 3;
        let by = if down { LINES } else { -LINES };
        model.alerts.scroll = scrolled(model.alerts.scroll, by);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        match action {
            Action::Open => model.alerts.open(),
            Action::RecordsOf => traces::records_of_alert(model),
            Action::Resolve => return Some(actions::resolve(model)),
            Action::Acknowledge => forms::acknowledge(model),
            Action::Silence => forms::silence(model),
            Action::EndSilence => forms::end_silence(model),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        std::mem::take(&mut model.alerts.open)
    }

    fn hit(&self, model: &Model, area: Rect, at: Position) -> Option<Hit> {
        draw::row_at(model, area, at).map(Hit::Row)
    }

    fn choose(&self, model: &mut Model, row: usize) {
        model.alerts.choose(row);
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
