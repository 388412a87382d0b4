//! The [`View`] of the Board.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use std::collections::BTreeSet;

use crate::tui::dashboard::panel::Query;
use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::{Model, NoticeKind};
use crate::tui::screens::board::{draw, keys};
use crate::tui::screens::view::View;

pub(crate) struct Board;

impl View for Board {
    fn keys(&self) -> &'static [Binding] {
        keys::KEYS
    }

    fn queries(&self, model: &Model) -> BTreeSet<Query> {
        model
            .board
            .queries(&model.answers, model.times(), model.body())
    }

    fn log_queries(&self, model: &Model) -> BTreeSet<Query> {
        model
            .board
            .log_queries(&model.answers, model.times(), model.body())
    }

    fn move_by(&self, model: &mut Model, by: isize) {
        model.board.move_by(by);
    }

    /// Moves by a section, not by a page.
    fn page(&self, model: &mut Model, down: bool) {
        model.board.next_section(down);
    }

    fn act(&self, model: &mut Model, action: Action) -> Option<Vec<Effect>> {
        let times = model.times();
        match action {
            Action::Enlarge => model.board.open(),
            Action::Pick => {
                if !model.board.pick(&model.answers, times) {
                    let text = "no variable of this dashboard has another value";
                    model.tell(NoticeKind::Info, text);
                }
            }
            Action::NextVariable => model.board.next_variable(&model.answers, times),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn back(&self, model: &mut Model) -> bool {
        std::mem::take(&mut model.board.enlarged)
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect) {
        draw::draw(model, buffer, area);
    }
}
