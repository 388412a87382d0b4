//! A dashboard on the screen: which panel is chosen, which sections are folded, what of it is
//! seen, and so what is asked. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::answers::Answers;
use super::dashboard::{Dashboard, Kind, Panel, Query, Scope, Shelf, shelves};
use super::model::{Model, Screen};
use super::replay::TapeView;
use super::window::Zoom;

/// Lines above the panels: title and variables.
const HEAD: u16 = 1;
/// The least height in which a panel at the lower edge is still drawn.
const LEAST: u16 = 5;

/// The board.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) dashboard: Arc<Dashboard>,
    /// Index of the chosen panel.
    pub(super) chosen: usize,
    /// The chosen panel takes the whole screen.
    pub(super) enlarged: bool,
    /// Indexes of the rows whose panels are hidden.
    pub(super) folded: BTreeSet<usize>,
    /// Values of variables that were picked, by name.
    pub(super) picks: BTreeMap<String, String>,
    /// Which variable the next pick is of, among those that are shown.
    pub(super) variable: usize,
}

impl Default for Board {
    fn default() -> Board {
        static SHIPPED: std::sync::LazyLock<Arc<Dashboard>> =
            std::sync::LazyLock::new(|| Arc::new(Dashboard::shipped()));
        Board::new(Arc::clone(&SHIPPED))
    }
}

/// What is seen: shelves with their place from the top of the body, and how far the whole goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// `y` is from the top of the panels' area; the height is what is left of it there.
    pub(super) shelves: Vec<Shelf>,
    /// Panels above and below what is seen.
    pub(super) above: usize,
    pub(super) below: usize,
}

impl Board {
    pub(super) fn new(dashboard: Arc<Dashboard>) -> Board {
        let rows = dashboard.panels.iter().enumerate();
        let folded = rows
            .filter(|(_, panel)| panel.kind == Kind::Row && panel.folded)
            .map(|(index, _)| index)
            .collect();
        let mut board = Board {
            dashboard,
            chosen: 0,
            enlarged: false,
            folded,
            picks: BTreeMap::new(),
            variable: 0,
        };
        let first = board
            .listed()
            .into_iter()
            .find(|index| !board.is_row(*index));
        board.chosen = first.unwrap_or(0);
        board
    }

    /// Of that dashboard, else of the shipped one.
    pub(super) fn of(dashboard: Option<&Arc<Dashboard>>) -> Board {
        dashboard.map_or_else(Board::default, |given| Board::new(Arc::clone(given)))
    }

    /// The chosen panel; none in an empty dashboard.
    pub(super) fn panel(&self) -> Option<&Panel> {
        self.dashboard.panels.get(self.chosen)
    }

    pub(super) fn is_row(&self, index: usize) -> bool {
        let panel = self.dashboard.panels.get(index);
        panel.is_some_and(|panel| panel.kind == Kind::Row)
    }

    /// The panels that are not folded away, in order.
    pub(super) fn listed(&self) -> Vec<usize> {
        let all = 0..self.dashboard.panels.len();
        let mut row = None;
        let mut listed = Vec::new();
        for index in all {
            if self.is_row(index) {
                row = Some(index).filter(|row| self.folded.contains(row));
                listed.push(index);
            } else if row.is_none_or(|row| !self.holds(row, index)) {
                listed.push(index);
            }
        }
        listed
    }

    /// Whether the panel at `index`, which comes after `row` and before the next one, is the row's:
    /// a row that is folded in the file names its own, what comes after those stands alone.
    fn holds(&self, row: usize, index: usize) -> bool {
        let panels = &self.dashboard.panels;
        let names = panels.get(row).is_some_and(|row| row.folded);
        !names || panels.get(index).is_some_and(|panel| panel.nested)
    }

    /// Panels of the row at `row`.
    pub(super) fn members(&self, row: usize) -> usize {
        let after = row + 1..self.dashboard.panels.len();
        after
            .take_while(|index| !self.is_row(*index))
            .filter(|index| self.holds(row, *index))
            .count()
    }

    /// Chooses the panel so many further on.
    pub(super) fn move_by(&mut self, by: isize) {
        let listed = self.listed();
        // An enlarged row would be an empty screen.
        let listed: Vec<usize> = if self.enlarged {
            listed
                .into_iter()
                .filter(|index| !self.is_row(*index))
                .collect()
        } else {
            listed
        };
        let at = listed
            .iter()
            .position(|index| *index == self.chosen)
            .unwrap_or(0);
        let to = at
            .saturating_add_signed(by)
            .min(listed.len().saturating_sub(1));
        if let Some(index) = listed.get(to) {
            self.chosen = *index;
        }
    }

    /// Chooses the next or the last section's heading.
    pub(super) fn next_section(&mut self, down: bool) {
        let rows = self
            .listed()
            .into_iter()
            .filter(|index| self.is_row(*index));
        let next = if down {
            rows.into_iter().find(|index| *index > self.chosen)
        } else {
            rows.into_iter().rfind(|index| *index < self.chosen)
        };
        match next {
            Some(index) if !self.enlarged => self.chosen = index,
            _ => self.move_by(if down { isize::MAX } else { isize::MIN }),
        }
    }

    /// Enlarges the chosen panel, or folds or unfolds the chosen row.
    pub(super) fn open(&mut self) {
        if !self.is_row(self.chosen) {
            self.enlarged = !self.enlarged && self.panel().is_some();
        } else if !self.folded.remove(&self.chosen) {
            self.folded.insert(self.chosen);
        }
    }

    /// The variables at the moment.
    pub(super) fn scope(&self, answers: &Answers, zoom: Zoom) -> Scope {
        let learned = |query: &str, label: &str| {
            let series = answers.get(query).map(|answer| answer.series.as_slice());
            let mut values: Vec<String> = series
                .unwrap_or_default()
                .iter()
                .filter_map(|one| one.labels.get(label).cloned())
                .filter(|value| !value.is_empty())
                .collect();
            values.sort();
            values.dedup();
            values
        };
        let times = (zoom.step_ms(), zoom.span_ms());
        Scope::new(&self.dashboard.variables, &self.picks, learned, times)
    }

    /// Picks the next value of the variable that is up.
    /// Whether there was one.
    pub(super) fn pick(&mut self, answers: &Answers, zoom: Zoom) -> bool {
        let scope = self.scope(answers, zoom);
        let several = |index: usize| {
            scope
                .shown()
                .nth(index)
                .is_some_and(|(.., several)| several)
        };
        if !several(self.variable) {
            self.next_variable(answers, zoom);
        }
        match scope.next(self.variable).filter(|_| several(self.variable)) {
            Some((name, value)) => {
                self.picks.insert(name, value);
                true
            }
            None => false,
        }
    }

    /// The next variable that has several values is up.
    pub(super) fn next_variable(&mut self, answers: &Answers, zoom: Zoom) {
        let scope = self.scope(answers, zoom);
        let several: Vec<usize> = scope
            .shown()
            .enumerate()
            .filter(|(_, (.., several))| *several)
            .map(|(index, _)| index)
            .collect();
        let next = several.iter().find(|index| **index > self.variable);
        self.variable = next.or(several.first()).copied().unwrap_or(0);
    }

    /// What is seen on a body of that size: from the top, so far that the chosen panel and what
    /// follows it are whole.
    pub(super) fn view(&self, (width, height): (u16, u16)) -> View {
        let height = height.saturating_sub(HEAD);
        let all = shelves(&self.dashboard.panels, &self.listed(), width);
        if all.is_empty() {
            return View::default();
        }
        let holds = |shelf: &Shelf| shelf.cells.iter().any(|cell| cell.panel == self.chosen);
        let at = all.iter().position(holds).unwrap_or(0);
        let end = |index: usize| all[index].y + u32::from(all[index].height);
        let fits = |from: usize, to: usize| end(to) - all[from].y <= u32::from(height);
        let next = (at + 1).min(all.len().saturating_sub(1));
        let from = (0..=at).find(|from| fits(*from, next));
        let from = from.or_else(|| (0..=at).find(|from| fits(*from, at)));
        let from = from.unwrap_or(at);
        let top = all.get(from).map_or(0, |shelf| shelf.y);
        let mut view = View::default();
        for (index, shelf) in all.into_iter().enumerate() {
            let y = u16::try_from(shelf.y.saturating_sub(top)).unwrap_or(u16::MAX);
            let left = height.saturating_sub(y).min(shelf.height);
            if index < from {
                view.above += shelf.cells.len();
            } else if left < shelf.height.min(LEAST) {
                view.below += shelf.cells.len();
            } else {
                view.shelves.push(Shelf {
                    y: u32::from(y),
                    height: left,
                    ..shelf
                });
            }
        }
        view
    }

    /// The panels of which something is seen.
    fn seen(&self, size: (u16, u16)) -> Vec<&Panel> {
        if self.enlarged {
            return self.panel().into_iter().collect();
        }
        let view = self.view(size);
        let cells = view.shelves.iter().flat_map(|shelf| &shelf.cells);
        let panels = cells.filter_map(|cell| self.dashboard.panels.get(cell.panel));
        panels.collect()
    }

    /// What those of the seen panels ask that are `of` a kind.
    fn asked(
        &self,
        scope: &Scope,
        size: (u16, u16),
        of: impl Fn(&Panel) -> bool,
    ) -> BTreeSet<Query> {
        let seen = self.seen(size);
        let asking = seen.iter().filter(|panel| of(panel));
        let targets = asking.flat_map(|panel| &panel.targets);
        targets
            .map(|target| Query::from(scope.fill(&target.expr)))
            .collect()
    }

    /// The PromQL that what is seen asks, and its variables.
    pub(super) fn queries(
        &self,
        answers: &Answers,
        zoom: Zoom,
        size: (u16, u16),
    ) -> BTreeSet<Query> {
        let scope = self.scope(answers, zoom);
        let mut queries = self.asked(&scope, size, Panel::asks_metrics);
        queries.extend(scope.queries().iter().cloned());
        queries
    }

    /// The LogQL that what is seen asks.
    pub(super) fn log_queries(
        &self,
        answers: &Answers,
        zoom: Zoom,
        size: (u16, u16),
    ) -> BTreeSet<Query> {
        let scope = self.scope(answers, zoom);
        self.asked(&scope, size, |panel| panel.kind == Kind::Logs)
    }
}

impl Model {
    /// The part of the terminal between header and footer.
    pub(super) fn body(&self) -> (u16, u16) {
        let (width, height) = self.size;
        (width.max(80), height.max(24) - 4)
    }

    /// The PromQL whose answers go into `answers`. A recording is for every screen.
    pub(super) fn board_queries(&self) -> BTreeSet<Query> {
        let mut queries = BTreeSet::new();
        if self.is_seen(Screen::Resources) {
            queries.extend(self.resources.queries(&self.answers));
        }
        if self.is_seen(Screen::Board) {
            let asked = self.board.queries(&self.answers, self.zoom, self.body());
            queries.extend(asked);
        }
        queries
    }

    /// The LogQL whose answers go into `answers`.
    pub(super) fn board_logs(&self) -> BTreeSet<Query> {
        if !self.is_seen(Screen::Board) {
            return BTreeSet::new();
        }
        self.board
            .log_queries(&self.answers, self.zoom, self.body())
    }

    fn is_seen(&self, screen: Screen) -> bool {
        self.screen == screen || matches!(self.tape, TapeView::Recording(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::dashboard::Cell;

    const BODY: (u16, u16) = (80, 20);

    fn choose_each(board: &mut Board, size: (u16, u16)) -> usize {
        let mut steps = 0;
        loop {
            let view = board.view(size);
            let whole = |shelf: &Shelf| {
                let holds = |cell: &Cell| cell.panel == board.chosen;
                shelf.cells.iter().any(holds)
                    && u32::from(shelf.height) + shelf.y <= u32::from(size.1)
            };
            assert!(
                view.shelves.iter().any(whole),
                "panel {}: {view:?}",
                board.chosen
            );
            let before = board.chosen;
            board.move_by(1);
            steps += 1;
            if board.chosen == before {
                return steps;
            }
        }
    }

    #[test]
    fn every_panel_is_seen_when_it_is_chosen() {
        for size in [BODY, (120, 36), (200, 56), (80, 8)] {
            let mut board = Board::default();
            let steps = choose_each(&mut board, size);
            assert_eq!(
                steps,
                board.dashboard.panels.len() - 1,
                "all but the heading before it"
            );
        }
    }

    #[test]
    fn only_what_is_seen_is_asked() {
        let mut board = Board::default();
        let (answers, zoom) = (Answers::default(), Zoom::default());
        let asked = |board: &Board| board.queries(&answers, zoom, BODY);
        let some = asked(&board);
        assert!((7..20).contains(&some.len()), "{some:?}");
        assert!(
            some.iter()
                .any(|query| query.contains("concert_queue_waiting"))
        );
        assert!(board.log_queries(&answers, zoom, BODY).is_empty());
        board.open();
        assert_eq!(
            asked(&board).len(),
            3,
            "the enlarged panel's and the two variables'"
        );
        board.open();
        board.move_by(isize::MAX);
        let logs = board.log_queries(&answers, zoom, BODY);
        assert!(
            !asked(&board)
                .iter()
                .any(|query| query.contains("concert_queue_waiting"))
        );
        assert_eq!(logs.len(), 1, "{logs:?}");
    }

    #[test]
    fn a_row_folds_its_panels_away_and_shows_them_again() {
        let mut board = Board::default();
        let all = board.listed().len();
        board.next_section(false);
        board.move_by(isize::MIN);
        assert!(board.is_row(board.chosen));
        board.open();
        assert_eq!(board.listed().len(), all - board.members(0));
        board.move_by(1);
        assert!(board.is_row(board.chosen), "what is folded is passed over");
        board.move_by(-1);
        board.open();
        assert_eq!(board.listed().len(), all);
        assert!(!board.enlarged);
    }

    #[test]
    fn an_empty_dashboard_has_nothing_to_choose() {
        let mut board = Board::new(Arc::new(Dashboard::default()));
        board.open();
        board.move_by(1);
        board.next_section(true);
        assert!(!board.pick(&Answers::default(), Zoom::default()));
        assert!(!board.enlarged && board.view(BODY) == View::default());
    }
}
