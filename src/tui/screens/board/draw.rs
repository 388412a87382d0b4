//! Draws the Board: a Grafana dashboard, its grid mapped to the columns of the terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::dashboard::Scope;
use crate::tui::model::Model;
use crate::tui::screens::board::HEAD;
use crate::tui::screens::panel;
use crate::tui::screens::panel::known::Wanted;
use crate::tui::theme;
use crate::tui::widgets::centred;

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let board = &model.board;
    let scope = board.scope(&model.answers, model.times());
    let view = board.view((area.width, area.height));
    let head = Rect {
        height: HEAD,
        ..area
    };
    let body = Rect {
        y: area.y + HEAD,
        height: area.height.saturating_sub(HEAD),
        ..area
    };
    let position = match (board.enlarged, view.above + view.below) {
        (true, _) => "Esc: all panels".to_owned(),
        (false, 0) => String::new(),
        (false, _) => match (view.above, view.below) {
            (0, below) => format!("{below} more below"),
            (above, 0) => format!("{above} more above"),
            (above, below) => format!("{above} above, {below} below"),
        },
    };
    heading(model, &scope, &position, buffer, head);
    if board.dashboard.panels.is_empty() {
        centred(
            buffer,
            body,
            &[Line::styled("this dashboard has no panels", theme::quiet())],
        );
        return;
    }
    let wanted = |index: usize, enlarged: bool| {
        board.dashboard.panels.get(index).map(|panel| Wanted {
            model,
            panel,
            scope: &scope,
            chosen: index == board.chosen,
            enlarged,
        })
    };
    if board.enlarged {
        if let Some(wanted) = wanted(board.chosen, true) {
            panel::draw(&wanted, buffer, body);
        }
        return;
    }
    for shelf in &view.shelves {
        let y = u16::try_from(shelf.y)
            .unwrap_or(u16::MAX)
            .saturating_add(body.y);
        for cell in &shelf.cells {
            let place = Rect {
                x: area.x + cell.x,
                y,
                width: cell.width,
                height: shelf.height,
            }
            .intersection(body);
            if board.is_row(cell.panel) {
                section(model, &scope, cell.panel, buffer, place);
            } else if let Some(wanted) = wanted(cell.panel, false) {
                panel::draw(&wanted, buffer, place);
            }
        }
    }
}

/// Draws the line above the panels: the title, the variables, the ad hoc filters, and `position` at the right edge.
fn heading(model: &Model, scope: &Scope, position: &str, buffer: &mut Buffer, area: Rect) {
    let board = &model.board;
    let title = format!(" {}  ", cells::cut(&board.dashboard.title, 40));
    let mut line = Line::from(Span::styled(title, theme::strong()));
    for (index, (name, value, has_other_values)) in scope.shown().enumerate() {
        // The marked variable is the one that the key `v` changes.
        let marked = has_other_values && index == board.variable && !model.settings.once;
        let style = if marked { theme::key() } else { theme::quiet() };
        line.spans.push(Span::styled(format!("{name}="), style));
        line.spans
            .push(Span::raw(format!("{}  ", cells::cut(&value, 24))));
    }
    for filter in scope.filters() {
        let text = format!("{}  ", cells::cut(&filter, 24));
        line.spans.push(Span::styled(text, theme::quiet()));
    }
    buffer.set_line(area.x, area.y, &line, area.width);
    let width = u16::try_from(cells::width(position) + 2)
        .unwrap_or(0)
        .min(area.width);
    let text = format!(" {position} ");
    if !position.is_empty() {
        let x = area.right() - width;
        buffer.set_stringn(x, area.y, text, usize::from(width), theme::quiet());
    }
}

/// Draws the heading of a section, which Grafana calls a row. A folded one shows the number of its hidden panels.
fn section(model: &Model, scope: &Scope, index: usize, buffer: &mut Buffer, area: Rect) {
    let board = &model.board;
    let Some(panel) = board.dashboard.panels.get(index) else {
        return;
    };
    let folded = board.folded.contains(&index);
    let sign = if folded { '▶' } else { '▼' };
    let hidden = match board.members(index) {
        1 if folded => " (1 panel, Enter shows it)".to_owned(),
        count if folded => format!(" ({count} panels, Enter shows them)"),
        _ => String::new(),
    };
    let text = format!(" {sign} {}{hidden} ", panel.heading(scope));
    let style = if index == board.chosen && !model.settings.once {
        theme::selected().patch(theme::strong())
    } else {
        theme::accent()
    };
    let width = usize::from(area.width);
    let (end, y) = buffer.set_stringn(area.x, area.y, cells::cut(&text, width), width, style);
    for x in end..area.right() {
        buffer[(x, y)].set_char('─').set_style(theme::border());
    }
}
