//! The [`View`] of the Resources screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use std::collections::BTreeSet;

use crate::tui::dashboard::panel::Query;
use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::Model;
use crate::tui::screens::resources::{draw, keys};
use crate::tui::screens::view::View;

pub(crate) struct Resources;

impl View for Resources {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn queries(&self, model: &Model) -> BTreeSet<Query> {
        model
            .resources
            .queries(&model.answers)
            .into_iter()
            .collect()
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        model.resources.move_by(&model.answers, by);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        match action {
            Action::Enlarge => model.resources.enlarged = !model.resources.enlarged,
            Action::Chart(forth) => model.resources.move_chart(if forth { 1 } else { -1 }),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        std::mem::take(&mut model.resources.enlarged)
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
