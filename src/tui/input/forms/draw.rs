//! Draws a form.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::format::one_line;
use crate::tui::input::forms::{Field, Form};
use crate::tui::input::line::draw as input;
use crate::tui::theme;
use crate::tui::widgets::message::{ROOM, message};

/// The rows of the explanation. Their number is fixed, so that the form does not move while the user types.
const ABOUT: usize = 4;
/// The cells for the typed text.
const TYPED: usize = 40;

pub(crate) fn draw(form: &Form, buffer: &mut Buffer, area: Rect) {
    let width = ROOM;
    let fields = form.fields.iter().enumerate();
    let mut lines: Vec<Line<'static>> = fields
        .map(|(index, one)| field(one, index == form.focus))
        .collect();
    lines.push(Line::raw(""));
    let mut about: Vec<String> = form
        .about()
        .iter()
        .flat_map(|text| cells::wrap(&one_line(text), width))
        .collect();
    if about.len() > ABOUT {
        about.truncate(ABOUT);
        if let Some(last) = about.last_mut() {
            *last = format!("{} …", cells::cut(last, width - 2));
        }
    }
    lines.extend(
        about
            .into_iter()
            .map(|text| Line::styled(text, theme::quiet())),
    );
    lines.push(Line::raw(""));
    lines.push(match &form.wrong {
        Some(wrong) => Line::styled(cells::cut(&format!("✖ {wrong}"), width), theme::bad()),
        None => Line::raw(""),
    });
    let keys = format!("Enter {}, Tab next field, Esc leaves", form.verb());
    let title = cells::cut(&form.title(), width);
    message(buffer, area, &title, &keys, &lines);
}

fn field(field: &Field, focused: bool) -> Line<'static> {
    let (marker, style) = if focused {
        ("▶ ", theme::key())
    } else {
        ("  ", theme::quiet())
    };
    // A name that fills its column still needs a blank after it.
    let blank = if field.name.len() < 10 { "" } else { " " };
    let name = format!("{marker}{:<10}{blank}", field.name);
    let mut spans = vec![Span::styled(name, style)];
    if let Some(now) = &field.now {
        spans.push(Span::raw(format!("{now} → ")));
    }
    let empty = field.text.is_empty();
    if focused {
        spans.extend(input::spans(&field.text, TYPED, theme::strong()));
    } else {
        let text = cells::cut(field.text.text(), TYPED);
        spans.push(Span::styled(text, theme::strong()));
    }
    if empty {
        spans.push(Span::styled(format!(" {}", field.empty), theme::quiet()));
    }
    Line::from(spans)
}
