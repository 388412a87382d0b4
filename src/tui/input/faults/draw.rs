//! Draws the dialog of faults.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::api::fault_fields;
use crate::cells;
use crate::tui::faults::{left, name, settings};
use crate::tui::format::{one_line, span};
use crate::tui::input::faults::FaultsDialog;
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::widgets::message::{ROOM, message};

/// The columns for the names of kinds.
const NAME: usize = 17;

pub(crate) fn draw(model: &Model, dialog: FaultsDialog, buffer: &mut Buffer, area: Rect) {
    let forms = fault_fields::forms().iter().enumerate();
    let mut lines: Vec<Line<'static>> = forms
        .map(|(index, form)| {
            let chosen = index == dialog.chosen;
            let (marker, style) = match chosen {
                true => ("▶ ", theme::key()),
                false => ("  ", theme::strong()),
            };
            let (text, text_style) = match model.faults.of(form.kind) {
                None => (form.about.clone(), theme::quiet()),
                Some(fault) => {
                    let left = span(left(fault, model.now));
                    let text = format!("▲ {left} left: {}", settings(fault));
                    (text, theme::warn())
                }
            };
            Line::from(vec![
                Span::styled(format!("{marker}{:<NAME$}", name(form.kind)), style),
                Span::styled(cells::cut(&text, ROOM - NAME - 2), text_style),
            ])
        })
        .collect();
    lines.push(Line::raw(""));
    let chosen = fault_fields::forms().get(dialog.chosen);
    let of_chosen = chosen.and_then(|form| model.faults.of(form.kind));
    let explanation = match of_chosen {
        None => "Each ends by itself. The charts show when it begins and ends.".to_owned(),
        Some(fault) => format!("Injected by {}. Enter replaces it.", one_line(&fault.by)),
    };
    lines.push(Line::styled(cells::cut(&explanation, ROOM), theme::quiet()));
    let keys = match (model.faults.active.is_empty(), of_chosen) {
        (true, _) => "Enter inject, Esc leaves",
        (false, None) => "Enter inject, C end all, Esc leaves",
        (false, Some(_)) => "Enter replace, c end it, C end all, Esc leaves",
    };
    message(buffer, area, "Faults of the server", keys, &lines);
}
