//! `draw` draws the model as a frame. Pure: reads the model, writes cells. Each screen has a folder.

pub(crate) mod act;
pub(crate) mod alerts;
pub(crate) mod board;
pub(crate) mod chrome;
pub(crate) mod drills;
pub(crate) mod hit;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod overview;
pub(crate) mod panel;
pub(crate) mod plan;
pub(crate) mod resources;
pub(crate) mod table;
pub(crate) mod traces;
pub(crate) mod view;

use ratatui::buffer::{Buffer, Cell};
use ratatui::text::Line;

use crate::cells;
use crate::tui::input::dialog;
use crate::tui::model::Model;
use crate::tui::screens::layout::{MIN, body};
use crate::tui::theme;
use crate::tui::widgets::centred;

/// Draws the console.
pub(crate) fn draw(model: &Model, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.width < MIN.0 || area.height < MIN.1 {
        let text = format!(
            "needs {}x{}, this is {}x{}",
            MIN.0, MIN.1, area.width, area.height
        );
        let lines = cells::wrap(&text, usize::from(area.width));
        let lines: Vec<Line<'_>> = lines.into_iter().map(Line::raw).collect();
        centred(buffer, area, &lines);
    } else {
        let [header, body, footer] = body(area);
        chrome::header::draw(model, buffer, header);
        table::view(model.screen).draw(model, buffer, body);
        chrome::footer(model, buffer, footer);
        dialog::draw::draw(model, buffer, body);
    }
    blank_halves(buffer);
    match (model.settings.colour, model.settings.light) {
        (false, _) => theme::monochrome(buffer),
        (true, true) => theme::light(buffer),
        (true, false) => {}
    }
    if model.settings.ascii {
        theme::ascii(buffer);
    }
}

/// Replaces a wide character by a blank if its second cell was overwritten, for example by the border of a dialog: the
/// terminal would show the character instead of the border.
fn blank_halves(buffer: &mut Buffer) {
    let columns = usize::from(buffer.area.width).max(1);
    for row in buffer.content.chunks_mut(columns) {
        for x in 1..row.len() {
            if row[x].symbol() != " " && cells::width(row[x - 1].symbol()) > 1 {
                row[x - 1].set_symbol(" ");
            }
        }
    }
}

/// The frame as lines of text, without blanks at their ends. The second cell of a wide character is left out, as in a
/// terminal.
pub(crate) fn as_lines(buffer: &Buffer) -> Vec<String> {
    let columns = usize::from(buffer.area.width).max(1);
    let line = |row: &[Cell]| {
        let mut text = String::new();
        let mut x = 0;
        while let Some(cell) = row.get(x) {
            text.push_str(cell.symbol());
            x += cells::width(cell.symbol()).max(1);
        }
        text.truncate(text.trim_end().len());
        text
    };
    buffer.content.chunks(columns).map(line).collect()
}

#[cfg(test)]
pub(crate) mod tests;
