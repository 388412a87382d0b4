//! Repeats panels and rows for each value of a variable.

use crate::tui::dashboard::Scope;
use crate::tui::dashboard::panel::{Bound, Kind, Panel};
use crate::tui::dashboard::rows::contents;

/// Columns of Grafana's grid.
const COLUMNS: u16 = 24;

/// The panels for the current values of the variables; `None` if no panel is repeated.
pub(crate) fn repeated(panels: &[Panel], scope: &Scope) -> Option<Vec<Panel>> {
    if panels.iter().all(|panel| panel.repeat.is_none()) {
        return None;
    }
    let mut shown = Shown::default();
    shown.put_all(panels, scope, &[]);
    Some(shown.panels)
}

/// The panels so far, up to the bounds of a dashboard.
#[derive(Default)]
struct Shown {
    panels: Vec<Panel>,
    bound: Bound,
}

impl Shown {
    /// Adds the copies of `panels`. `fixed` are the values of the rows around them.
    fn put_all(&mut self, panels: &[Panel], scope: &Scope, fixed: &[(String, String)]) {
        let mut at = 0;
        while let Some(panel) = panels.get(at) {
            let inside = contents(panels, at);
            at = inside.end;
            for copy in copies(panel, scope, fixed) {
                // Without this, rows within rows would be copied long after the bound.
                if self.bound.is_exceeded() {
                    return;
                }
                let fixed = copy.fixed.clone();
                self.put(copy);
                self.put_all(
                    panels.get(inside.clone()).unwrap_or_default(),
                    scope,
                    &fixed,
                );
            }
        }
    }

    /// Adds a panel. If there are too many, the last one states it.
    fn put(&mut self, panel: Panel) {
        self.bound.add(panel.kind == Kind::Row);
        if !self.bound.is_exceeded() {
            self.panels.push(panel);
        } else if let Some(last) = self.panels.last_mut() {
            let many = "more panels or rows than a board has: the rest is left out";
            last.why_not = many.to_owned();
        }
    }
}

/// A copy of `panel` for each value of its variable. `fixed` are the values of the rows around it.
fn copies(panel: &Panel, scope: &Scope, fixed: &[(String, String)]) -> Vec<Panel> {
    // The first value of a name counts, so the nearest one comes first.
    let one = |own: Option<(String, String)>| Panel {
        fixed: own
            .into_iter()
            .chain(panel.fixed.iter().chain(fixed).cloned())
            .collect(),
        ..panel.clone()
    };
    let Some(repeat) = &panel.repeat else {
        return vec![one(None)];
    };
    // A value that the row fixes is the only one.
    let mut known = panel.fixed.iter().chain(fixed);
    let values = if known.any(|(name, _)| *name == repeat.variable) {
        Vec::new()
    } else {
        scope.values(&repeat.variable)
    };
    if values.is_empty() {
        return vec![one(None)];
    }
    let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
    let width = COLUMNS / count.min(repeat.per_line).clamp(1, COLUMNS);
    let per_line = COLUMNS / width.max(1);
    let place = |index: u16, panel: &mut Panel| {
        if panel.kind != Kind::Row && !repeat.down {
            panel.place.w = width;
            panel.place.x = index % per_line * width;
        }
    };
    let copies = (0_u16..).zip(values).map(|(index, value)| {
        let mut copy = one(Some((repeat.variable.clone(), value)));
        place(index, &mut copy);
        copy
    });
    copies.collect()
}
