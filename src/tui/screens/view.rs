//! The interface of a screen. A screen is a folder with its state, keys, drawing and its [`View`]. `table` finds the
//! view of a screen.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::dashboard::panel::Query;
use crate::tui::event::Effect;
use crate::tui::input::keys::{Action, Binding};
use crate::tui::model::{Model, Screen};
use crate::tui::sources::plan::Plan;

/// Something that can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The tab of a screen.
    Tab(Screen),
    /// A row of the screen's list.
    Row(usize),
    /// An instant on a chart, in Unix milliseconds.
    Instant(i64),
}

/// A screen. Its state is a field of the model.
pub(crate) trait View: Sync {
    /// Its key table, with the help text of each key.
    fn keys(&self) -> &'static [Binding];

    /// Adds the screen's data to the plan. It is called while the screen is shown, and for every screen while the
    /// console records.
    fn plan(&self, _model: &Model, _plan: &mut Plan) {}

    /// The PromQL whose answers go into `Model::answers`.
    fn queries(&self, _model: &Model) -> BTreeSet<Query> {
        BTreeSet::new()
    }

    /// The LogQL whose answers go into `Model::answers`.
    fn log_queries(&self, _model: &Model) -> BTreeSet<Query> {
        BTreeSet::new()
    }

    /// Moves the choice by this number of rows; `isize::MIN` and `MAX` go to the ends.
    fn move_by(&self, model: &mut Model, by: isize);

    /// Moves by a page up or down.
    fn page(&self, model: &mut Model, down: bool) {
        self.move_by(model, if down { PAGE } else { -PAGE });
    }

    /// Runs one of the screen's own actions; `None` if the action is not one of them.
    fn act(&self, _model: &mut Model, _action: Action) -> Option<Vec<Effect>> {
        None
    }

    /// Esc: closes the open part. Returns whether there was one.
    fn back(&self, _model: &mut Model) -> bool {
        false
    }

    fn draw(&self, model: &Model, buffer: &mut Buffer, area: Rect);

    /// The element at position `at`, by the layout that draws the screen in `area`.
    fn hit(&self, _model: &Model, _area: Rect, _at: Position) -> Option<Hit> {
        None
    }

    /// Chooses a row that was clicked.
    fn choose(&self, _model: &mut Model, _row: usize) {}
}

/// Rows that a page key moves.
const PAGE: isize = 15;
/// The greatest scroll position: more lines than any verdict, table or alert has.
pub(crate) const MAX_SCROLL: usize = 200;

/// The scroll position after moving by this number of lines.
pub(crate) fn scrolled(at: usize, by: isize) -> usize {
    at.saturating_add_signed(by).min(MAX_SCROLL)
}
