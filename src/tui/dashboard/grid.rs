//! Grafana's grid of 24 columns on a terminal. Panels are side by side if each has enough space, and otherwise one
//! below the other.

use crate::tui::dashboard::panel::{Kind, Panel};

/// A panel on a shelf: its index and its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) panel: usize,
    pub(crate) x: u16,
    pub(crate) width: u16,
}

/// A row of panels side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) y: u32,
    pub(crate) height: u16,
    pub(crate) cells: Vec<Cell>,
}

/// The columns that a readable panel needs, frame included.
const fn least_width(kind: Kind) -> u16 {
    match kind {
        Kind::Row => u16::MAX,
        Kind::Stat | Kind::Gauge => 19,
        Kind::Table | Kind::Logs => 56,
        _ => 38,
    }
}

fn height(panel: &Panel) -> u16 {
    match panel.kind {
        Kind::Row => 1,
        Kind::Stat if panel.place.h <= 3 => 3,
        Kind::Stat | Kind::Gauge => 5,
        Kind::NotDrawn => 5,
        Kind::TimeSeries | Kind::Heatmap => panel.place.h.clamp(7, 10),
        Kind::Text => {
            let lines = u16::try_from(panel.words.len()).unwrap_or(u16::MAX);
            (panel.place.h / 2)
                .min(lines.saturating_add(2))
                .clamp(3, 10)
        }
        _ => panel.place.h.clamp(6, 14),
    }
}

/// Places the panels with these indexes into `panels`, in their order, on `width` columns.
pub(crate) fn shelves(panels: &[Panel], shown: &[usize], width: u16) -> Vec<Shelf> {
    let mut shelves: Vec<Shelf> = Vec::new();
    let mut group: Vec<usize> = Vec::new();
    let mut right = 0;
    for &index in shown {
        let Some(panel) = panels.get(index) else {
            continue;
        };
        let place = panel.place;
        let beside = panel.kind != Kind::Row && place.x >= right && !group.is_empty();
        if !beside {
            split(panels, &group, width, &mut shelves);
            group.clear();
        }
        group.push(index);
        right = if panel.kind == Kind::Row {
            u16::MAX
        } else {
            place.x.saturating_add(place.w)
        };
    }
    split(panels, &group, width, &mut shelves);
    let mut y = 0;
    for shelf in &mut shelves {
        shelf.y = y;
        y += u32::from(shelf.height);
    }
    shelves
}

/// Places panels that Grafana has side by side on the fewest shelves on which all are readable, with about equally
/// many panels on each.
fn split(panels: &[Panel], group: &[usize], width: u16, shelves: &mut Vec<Shelf>) {
    let needed: usize = group
        .iter()
        .map(|index| usize::from(least_width(panels[*index].kind).min(width)))
        .sum();
    let lines = needed.div_ceil(usize::from(width.max(1))).max(1);
    let per_line = group.len().div_ceil(lines).max(1);
    for part in group.chunks(per_line) {
        let weights: Vec<u32> = part
            .iter()
            .map(|index| u32::from(panels[*index].place.w.max(1)))
            .collect();
        let sum: u32 = weights.iter().sum();
        // Each panel gets its least width; Grafana's widths divide the rest.
        let least: Vec<u16> = part
            .iter()
            .map(|index| least_width(panels[*index].kind).min(width))
            .collect();
        let taken: u32 = least.iter().map(|width| u32::from(*width)).sum();
        let (mut x, mut before) = (0_u32, 0_u32);
        let mut cells = Vec::new();
        for ((&panel, weight), least) in part.iter().zip(&weights).zip(&least) {
            let end = if taken <= u32::from(width) {
                let spare = u32::from(width) - taken;
                let extra = spare * (before + weight) / sum - spare * before / sum;
                x + u32::from(*least) + extra
            } else {
                u32::from(width) * (before + weight) / sum
            };
            before += weight;
            let small = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
            cells.push(Cell {
                panel,
                x: small(x),
                width: small(end.saturating_sub(x)),
            });
            x = end;
        }
        let height = part.iter().map(|index| height(&panels[*index])).max();
        shelves.push(Shelf {
            y: 0,
            height: height.unwrap_or(0),
            cells,
        });
    }
}
