//! The [`View`] of the Load screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::load::Command;
use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::Model;
use crate::tui::screens::load::{draw, keys, steering};
use crate::tui::screens::view::{Hit, View, scrolled};
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::sources::plan::Plan;
use crate::tui::update::actions;

pub(crate) struct Load;

impl View for Load {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn plan(&self, _model: &Model, plan: &mut Plan) {
        let shown = [PanelId::P95, PanelId::Seats];
        let shown = shown.into_iter().map(|id| panel(id).query.into());
        plan.queries.extend(shown);
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        let last = model.load.scenarios.len().saturating_sub(1);
        model.load.chosen = model.load.chosen.saturating_add_signed(by).min(last);
    }

    /// Scrolls the result, because only the result may be long.
    fn page(&self, model: &mut Model, down: bool) {
        const LINES: isize = 8;
        const ROWS: isize = 15;
        match &mut model.load.run {
            Some(run) => run.scroll = scrolled(run.scroll, if down { LINES } else { -LINES }),
            None => self.move_by(model, if down { ROWS } else { -ROWS }),
        }
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        match action {
            Action::Open => actions::launch_chosen(model),
            Action::PauseLoad => return Some(steering::pause(model)),
            Action::Slower => return Some(steering::steer(model, Command::Slower)),
            Action::Faster => return Some(steering::steer(model, Command::Faster)),
            Action::NextPhase => steering::next_phase(model),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn hit(&self, model: &Model, area: Rect, at: Position) -> Option<Hit> {
        draw::row_at(model, area, at).map(Hit::Row)
    }

    fn choose(&self, model: &mut Model, row: usize) {
        if row < model.load.scenarios.len() {
            model.load.chosen = row;
        }
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
