//! The [`View`] of the Drills screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::input::play;
use crate::tui::model::Model;
use crate::tui::screens::drills::{draw, keys, update};
use crate::tui::screens::view::{Hit, View, scrolled};

pub(crate) struct Drills;

impl View for Drills {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        let to = model.drills.chosen.saturating_add_signed(by);
        model.drills.choose(to);
    }

    /// Scrolls the text beside the list, because a report is longer than the list.
    fn page(&self, model: &mut Model, down: bool) {
        const LINES: isize = 8;
        let by = if down { LINES } else { -LINES };
        model.drills.scroll = scrolled(model.drills.scroll, by);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        match action {
            Action::Open => {
                model.drills.plan = !model.drills.plan;
                model.drills.scroll = 0;
            }
            Action::StartDrill => update::start(model),
            Action::PlayDrill => play::open(model),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        std::mem::take(&mut model.drills.plan)
    }

    fn hit(&self, model: &Model, area: Rect, at: Position) -> Option<Hit> {
        draw::row_at(model, area, at).map(Hit::Row)
    }

    fn choose(&self, model: &mut Model, row: usize) {
        model.drills.choose(row);
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
