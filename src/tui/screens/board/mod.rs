//! The state of the Board: the chosen panel, the folded sections, the visible part, and the queries for it. Pure.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod update;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::tui::dashboard::panel::{Kind, Panel, Query};
use crate::tui::dashboard::{Dashboard, Scope, Shelf, Times, contents, repeated, shelves};
use crate::tui::sources::answers::{Answer, Answers, OneSeries};

/// The number of lines above the panels, with the title and the variables. `draw::heading` draws one.
const HEAD: u16 = 1;
/// The least height of a panel that is cut off at the lower edge.
const LEAST: u16 = 5;

/// The Board screen.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    /// The dashboard of the file.
    file: Arc<Dashboard>,
    /// The dashboard with repeated panels copied for each value of their variable.
    pub(crate) dashboard: Arc<Dashboard>,
    /// The index of the chosen panel.
    pub(crate) chosen: usize,
    /// Whether the chosen panel fills the screen.
    pub(crate) enlarged: bool,
    /// The indexes of the rows whose panels are hidden.
    pub(crate) folded: BTreeSet<usize>,
    /// The values that the user picked, by the name of the variable.
    pub(crate) picks: BTreeMap<String, String>,
    /// The index of the variable whose value the next key changes, among the visible ones.
    pub(crate) variable: usize,
}

impl Default for Board {
    fn default() -> Board {
        static SHIPPED: std::sync::LazyLock<Arc<Dashboard>> =
            std::sync::LazyLock::new(|| Arc::new(Dashboard::shipped()));
        Board::new(Arc::clone(&SHIPPED))
    }
}

/// The visible part of the board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The visible shelves: `y` counts from the top of the area, the height is the visible part.
    pub(crate) shelves: Vec<Shelf>,
    /// The number of panels above and below the visible part.
    pub(crate) above: usize,
    pub(crate) below: usize,
}

impl Board {
    pub(crate) fn new(dashboard: Arc<Dashboard>) -> Board {
        let rows = dashboard.panels.iter().enumerate();
        let folded = rows
            .filter(|(_, panel)| panel.kind == Kind::Row && panel.folded)
            .map(|(index, _)| index)
            .collect();
        let mut board = Board {
            file: Arc::clone(&dashboard),
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

    /// The board of this dashboard, or else of the shipped one.
    pub(crate) fn of(dashboard: Option<&Arc<Dashboard>>) -> Board {
        dashboard.map_or_else(Board::default, |given| Board::new(Arc::clone(given)))
    }

    /// The chosen panel; `None` in an empty dashboard.
    pub(crate) fn panel(&self) -> Option<&Panel> {
        self.dashboard.panels.get(self.chosen)
    }

    pub(crate) fn is_row(&self, index: usize) -> bool {
        let panel = self.dashboard.panels.get(index);
        panel.is_some_and(|panel| panel.kind == Kind::Row)
    }

    /// The indexes of the panels that are not folded, in order.
    pub(crate) fn listed(&self) -> Vec<usize> {
        let mut listed = Vec::new();
        let mut index = 0;
        while index < self.dashboard.panels.len() {
            listed.push(index);
            index = match self.folded.contains(&index) {
                true => contents(&self.dashboard.panels, index).end,
                false => index + 1,
            };
        }
        listed
    }

    /// The number of panels of the row at index `row`.
    pub(crate) fn members(&self, row: usize) -> usize {
        let inside = contents(&self.dashboard.panels, row);
        inside.filter(|index| !self.is_row(*index)).count()
    }

    /// Moves the choice by this number of panels.
    pub(crate) fn move_by(&mut self, by: isize) {
        let listed = self.listed();
        // Skip rows while a panel is enlarged: an enlarged row would be empty.
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

    /// Chooses the heading of the next or the previous section.
    pub(crate) fn next_section(&mut self, down: bool) {
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
    pub(crate) fn open(&mut self) {
        if !self.is_row(self.chosen) {
            self.enlarged = !self.enlarged && self.panel().is_some();
        } else if !self.folded.remove(&self.chosen) {
            self.folded.insert(self.chosen);
        }
    }

    /// The current values of the variables.
    pub(crate) fn scope(&self, answers: &Answers, times: Times) -> Scope {
        let learned = |query: &str, label: &str| match answers.get(query) {
            Some(answer) if label.is_empty() => texts(answer),
            Some(answer) => values(answer, label),
            None => Vec::new(),
        };
        Scope::new(&self.file.variables, &self.picks, learned, times)
    }

    /// Repeats panels for the current values of their variables. The choice and the folded rows stay.
    pub(crate) fn repeat(&mut self, answers: &Answers, times: Times) {
        let Some(panels) = repeated(&self.file.panels, &self.scope(answers, times)) else {
            return;
        };
        if panels == self.dashboard.panels {
            return;
        }
        let before = Arc::clone(&self.dashboard);
        let same = |a: &Panel, b: &Panel| a.origin == b.origin && a.fixed == b.fixed;
        let was = |panel: &Panel| before.panels.iter().position(|one| same(one, panel));
        let is_folded = |panel: &Panel| match was(panel) {
            Some(index) => self.folded.contains(&index),
            None => panel.folded,
        };
        let rows = panels.iter().enumerate();
        let rows = rows.filter(|(_, panel)| panel.kind == Kind::Row && is_folded(panel));
        let folded: BTreeSet<usize> = rows.map(|(index, _)| index).collect();
        let chosen = before.panels.get(self.chosen);
        let again = chosen.and_then(|old| {
            let exact = panels.iter().position(|new| same(new, old));
            exact.or_else(|| panels.iter().position(|new| new.origin == old.origin))
        });
        self.chosen = again.unwrap_or(0);
        self.folded = folded;
        self.dashboard = Arc::new(Dashboard {
            panels,
            ..Dashboard::clone(&self.file)
        });
    }

    /// Picks the next value of the selected variable. Returns whether there was one.
    pub(crate) fn pick(&mut self, answers: &Answers, times: Times) -> bool {
        let scope = self.scope(answers, times);
        let several = |index: usize| {
            scope
                .shown()
                .nth(index)
                .is_some_and(|(.., several)| several)
        };
        if !several(self.variable) {
            self.next_variable(answers, times);
        }
        match scope.next(self.variable).filter(|_| several(self.variable)) {
            Some((name, value)) => {
                self.picks.insert(name, value);
                self.repeat(answers, times);
                true
            }
            None => false,
        }
    }

    /// Selects the next variable with several values.
    pub(crate) fn next_variable(&mut self, answers: &Answers, times: Times) {
        let scope = self.scope(answers, times);
        let several: Vec<usize> = scope
            .shown()
            .enumerate()
            .filter(|(_, (.., several))| *several)
            .map(|(index, _)| index)
            .collect();
        let next = several.iter().find(|index| **index > self.variable);
        self.variable = next.or(several.first()).copied().unwrap_or(0);
    }

    /// The visible part in a body of this size, scrolled so that the chosen panel is completely visible, and the shelf
    /// after it if both fit.
    pub(crate) fn view(&self, (width, height): (u16, u16)) -> View {
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

    /// The panels that are at least partly visible.
    fn seen(&self, size: (u16, u16)) -> Vec<&Panel> {
        if self.enlarged {
            return self.panel().into_iter().collect();
        }
        let view = self.view(size);
        let cells = view.shelves.iter().flat_map(|shelf| &shelf.cells);
        let panels = cells.filter_map(|cell| self.dashboard.panels.get(cell.panel));
        panels.collect()
    }

    /// The queries of the visible panels for which `of` holds.
    fn asked(
        &self,
        scope: &Scope,
        size: (u16, u16),
        of: impl Fn(&Panel) -> bool,
    ) -> BTreeSet<Query> {
        let seen = self.seen(size);
        let asking = seen.iter().filter(|panel| of(panel));
        let targets = asking.flat_map(|panel| panel.targets.iter().map(move |one| (panel, one)));
        targets
            .map(|(panel, target)| Query::from(panel.query(target, scope)))
            .collect()
    }

    /// The PromQL of the visible panels and of their variables.
    pub(crate) fn queries(
        &self,
        answers: &Answers,
        times: Times,
        size: (u16, u16),
    ) -> BTreeSet<Query> {
        let scope = self.scope(answers, times);
        let mut queries = self.asked(&scope, size, Panel::asks_metrics);
        queries.extend(scope.queries().iter().cloned());
        queries
    }

    /// The LogQL of the visible panels.
    pub(crate) fn log_queries(
        &self,
        answers: &Answers,
        times: Times,
        size: (u16, u16),
    ) -> BTreeSet<Query> {
        let scope = self.scope(answers, times);
        self.asked(&scope, size, |panel| panel.kind == Kind::Logs)
    }
}

/// The values of a label in an answer.
fn values(answer: &Answer, label: &str) -> Vec<String> {
    let series = answer.series.iter();
    let values = series.filter_map(|one| one.labels.get(label).cloned());
    let mut values: Vec<String> = values.filter(|value| !value.is_empty()).collect();
    values.sort();
    values.dedup();
    values
}

/// The series as Grafana's `query_result` writes them: name, labels, value and time.
fn texts(answer: &Answer) -> Vec<String> {
    let text = |one: &OneSeries| {
        let (name, rest): (Vec<_>, Vec<_>) =
            one.labels.iter().partition(|(name, _)| *name == "__name__");
        let name = name.first().map_or("", |(_, name)| name.as_str());
        let labels: Vec<String> = rest
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let at = one.track.back().map_or(0, |(at, _)| *at);
        let value = one.now?;
        Some(format!("{name}{{{}}} {value} {at}", labels.join(",")))
    };
    answer.series.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests;
