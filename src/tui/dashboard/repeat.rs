//! Repeats panels and rows for each value of a variable.

use crate::tui::dashboard::Scope;
use crate::tui::dashboard::panel::{Kind, MAX_PANELS, Panel};

/// Columns of Grafana's grid.
const COLUMNS: u16 = 24;

/// The panels for the current values of the variables; `None` if no panel is repeated.
pub(crate) fn repeated(panels: &[Panel], scope: &Scope) -> Option<Vec<Panel>> {
    if panels.iter().all(|panel| panel.repeat.is_none()) {
        return None;
    }
    let mut shown = Vec::new();
    let mut at = 0;
    while let Some(panel) = panels.get(at) {
        let after = panels.get(at + 1..).unwrap_or_default();
        let members = if panel.kind == Kind::Row {
            let held =
                |member: &&Panel| member.kind != Kind::Row && (!panel.folded || member.nested);
            after.iter().take_while(held).count()
        } else {
            0
        };
        for copy in copies(panel, scope, &[]) {
            let fixed = copy.fixed.clone();
            put(&mut shown, copy);
            for member in after.iter().take(members) {
                for copy in copies(member, scope, &fixed) {
                    put(&mut shown, copy);
                }
            }
        }
        at += 1 + members;
    }
    Some(shown)
}

/// Adds a panel, up to [`MAX_PANELS`]. The last one states that there are more.
fn put(shown: &mut Vec<Panel>, panel: Panel) {
    if shown.len() < MAX_PANELS {
        shown.push(panel);
    } else if let Some(last) = shown.last_mut() {
        last.why_not = format!("more panels than {MAX_PANELS}: the rest is left out");
    }
}

/// A copy of `panel` for each value of its variable. `fixed` are the values of the row around it.
fn copies(panel: &Panel, scope: &Scope, fixed: &[(String, String)]) -> Vec<Panel> {
    let one = |fixed: Vec<(String, String)>| Panel {
        fixed,
        ..panel.clone()
    };
    let Some(repeat) = &panel.repeat else {
        return vec![one(fixed.to_vec())];
    };
    // If the same variable repeats the row, the row's value is the only one.
    let by_row = fixed.iter().any(|(name, _)| *name == repeat.variable);
    let values = if by_row {
        Vec::new()
    } else {
        scope.values(&repeat.variable)
    };
    if values.is_empty() {
        return vec![one(fixed.to_vec())];
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
        let fixed = fixed.iter().cloned();
        let mut copy = one(fixed.chain([(repeat.variable.clone(), value)]).collect());
        place(index, &mut copy);
        copy
    });
    copies.collect()
}
