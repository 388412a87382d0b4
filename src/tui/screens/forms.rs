//! A form in front of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::dialogs::{WIDTH, message};
use crate::tui::format;
use crate::tui::forms::{Field, Form};
use crate::tui::logs::one_line;
use crate::tui::theme;
use crate::tui::widgets::broken;

/// Rows of what it means, whatever is in it: the form does not jump while one types.
const ABOUT: usize = 4;
/// Columns for what is typed.
const TYPED: usize = 40;

pub(super) fn draw(form: &Form, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(WIDTH) - 4;
    let fields = form.fields.iter().enumerate();
    let mut lines: Vec<Line<'static>> = fields
        .map(|(index, one)| field(one, index == form.focus))
        .collect();
    lines.push(Line::raw(""));
    let mut about: Vec<String> = form
        .about()
        .iter()
        .flat_map(|text| broken(&one_line(text), width))
        .collect();
    if about.len() > ABOUT {
        about.truncate(ABOUT);
        if let Some(last) = about.last_mut() {
            *last = format!("{} …", format::fit(last, width - 2));
        }
    }
    lines.extend(
        about
            .into_iter()
            .map(|text| Line::styled(text, theme::quiet())),
    );
    lines.push(Line::raw(""));
    lines.push(match &form.wrong {
        Some(wrong) => Line::styled(format::fit(&format!("✖ {wrong}"), width), theme::bad()),
        None => Line::raw(""),
    });
    let keys = format!("Enter {}, Tab next field, Esc leaves", form.verb());
    let title = format::fit(&form.title(), width);
    message(buffer, area, &title, &keys, &lines);
}

fn field(field: &Field, focused: bool) -> Line<'static> {
    let (marker, style) = if focused {
        ("▶ ", theme::key())
    } else {
        ("  ", theme::quiet())
    };
    let mut spans = vec![Span::styled(format!("{marker}{:<10}", field.name), style)];
    if let Some(now) = &field.now {
        spans.push(Span::raw(format!("{now} → ")));
    }
    // The end of a long text is where it is typed.
    let skip = field.text.chars().count().saturating_sub(TYPED);
    let typed: String = one_line(&field.text).chars().skip(skip).collect();
    let empty = typed.is_empty();
    spans.push(Span::styled(typed, theme::strong()));
    if focused {
        spans.push(Span::styled("█", theme::accent()));
    }
    if empty {
        spans.push(Span::styled(format!(" {}", field.empty), theme::quiet()));
    }
    Line::from(spans)
}
