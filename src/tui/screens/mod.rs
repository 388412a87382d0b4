//! `draw`: the model as a frame. Pure: reads the model, writes cells. One file a screen.

mod alert;
mod alert_list;
mod alerts;
mod board;
mod chrome;
mod dialogs;
mod forms;
mod header;
mod help;
mod history;
mod hit;
mod input;
mod launch;
mod load;
mod logs;
mod overview;
mod palette;
mod panel;
mod panel_charts;
mod panel_lists;
mod panel_shares;
mod panel_states;
mod resources;
mod run;
mod sale;
mod tabs;
mod thresholds;
mod traces;
mod troubles;
mod verdict;
mod waterfall;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

pub(super) use self::hit::{Hit, hit};
use super::model::{Link, Model, Screen, Source};
use super::theme;
use super::widgets::{Freshness, centred};
use crate::cells;

/// The least that the screens need.
pub(super) const MIN: (u16, u16) = (80, 24);

/// Draws all of the console.
pub(super) fn draw(model: &Model, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.width < MIN.0 || area.height < MIN.1 {
        let text = format!(
            "needs {}x{}, this is {}x{}",
            MIN.0, MIN.1, area.width, area.height
        );
        centred(buffer, area, &[Line::raw(text)]);
    } else {
        let [header, body, footer] = body(area);
        header::draw(model, buffer, header);
        match model.screen {
            Screen::Overview => overview::draw(model, buffer, body),
            Screen::Resources => resources::draw(model, buffer, body),
            Screen::Logs => logs::draw(model, buffer, body),
            Screen::Traces => traces::draw(model, buffer, body),
            Screen::Load => load::draw(model, buffer, body),
            Screen::Alerts => alerts::draw(model, buffer, body),
            Screen::Board => board::draw(model, buffer, body),
        }
        chrome::footer(model, buffer, footer);
        dialogs::draw(model, buffer, body);
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

/// Blanks wide characters over whose second cell something else was drawn, such as the border of a
/// dialog: the terminal would show the character and lose the border.
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

/// The frame as lines of text, without blanks at their ends. What a wide character covers is left
/// out, as a terminal does.
pub(super) fn as_lines(buffer: &Buffer) -> Vec<String> {
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

/// Header, body and footer.
fn body(area: Rect) -> [Rect; 3] {
    Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(0),
        Constraint::Length(2),
    ])
    .areas(area)
}

/// How fresh a source's data are.
fn freshness(model: &Model, source: Source) -> Freshness {
    let state = model.source(source);
    if let Some((age, reason)) = state.stale(model.now) {
        Freshness::Stale(age, reason.to_owned())
    } else if let Some(reason) = state.never() {
        Freshness::Never(reason.to_owned())
    } else if state.link == Link::Waiting {
        Freshness::Waiting
    } else {
        Freshness::Fresh
    }
}

/// Dims `area` if its data are old.
fn dim_if_stale(buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    if matches!(fresh, Freshness::Stale(..)) {
        theme::dim(buffer, area);
    }
}

#[cfg(test)]
mod tests;
