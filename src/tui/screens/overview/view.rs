//! The [`View`] of the Overview.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::Model;
use crate::tui::screens::overview::{draw, keys};
use crate::tui::screens::view::{Hit, View};
use crate::tui::sources::panels::{CHARTS, PANELS};
use crate::tui::sources::plan::Plan;

pub(crate) struct Overview;

impl View for Overview {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn plan(&self, _model: &Model, plan: &mut Plan) {
        let all = PANELS.iter().map(|panel| panel.query.into());
        plan.queries.extend(all);
    }

    /// Enlarges the next chart instead of the current one.
    fn move_by(&self, model: &mut Model, by: isize) {
        let at = CHARTS.iter().position(|id| Some(*id) == model.enlarged);
        if let Some(at) = at {
            let to = at.saturating_add_signed(by).min(CHARTS.len() - 1);
            model.enlarged = Some(CHARTS[to]);
        }
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        if action != Action::Enlarge {
            return None;
        }
        model.enlarged = match model.enlarged {
            Some(_) => None,
            None => Some(CHARTS[0]),
        };
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        model.enlarged.take().is_some()
    }

    fn hit(&self, model: &Model, area: Rect, at: Position) -> Option<Hit> {
        draw::instant_at(model, area, at).map(Hit::Instant)
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
