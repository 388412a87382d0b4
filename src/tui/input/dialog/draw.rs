//! Draws the dialogs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::dialog::{AlertForm, Dialog, SEVERITIES};
use crate::tui::input::faults::draw as faults;
use crate::tui::input::forms::draw as forms;
use crate::tui::input::launch::draw as launch;
use crate::tui::input::line::Input;
use crate::tui::input::line::draw as input;
use crate::tui::input::palette::draw as palette;
use crate::tui::input::{help, history, play};
use crate::tui::model::Model;
use crate::tui::screens::logs::Record;
use crate::tui::screens::logs::draw as logs;
use crate::tui::screens::traces::waterfall::draw as waterfall;
use crate::tui::theme;
use crate::tui::widgets::message::{ROOM, message};
use crate::tui::widgets::{fields, popup};

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    match &model.dialog {
        None => {}
        Some(Dialog::Help(scroll)) => help::draw(model.settings.read_only, *scroll, buffer, area),
        Some(Dialog::Palette(open)) => palette::draw(model, open, buffer, area),
        Some(Dialog::Seed(dialog)) => launch::seed(model, dialog, buffer, area),
        Some(Dialog::Launch(dialog)) => launch::launch(model, dialog, buffer, area),
        Some(Dialog::Raise(form)) => raise(form, buffer, area),
        Some(Dialog::Ask(question)) => ask(question, buffer, area),
        Some(Dialog::Form(form)) => forms::draw(form, buffer, area),
        Some(Dialog::Faults(dialog)) => faults::draw(model, *dialog, buffer, area),
        Some(Dialog::Play(marked)) => play::draw(model, marked, buffer, area),
        Some(Dialog::History(scroll)) => history::draw(model, *scroll, buffer, area),
        Some(Dialog::Record(scroll)) => {
            if let Some(chosen) = model.logs.chosen() {
                record(model, chosen, *scroll, buffer, area);
            }
        }
        Some(Dialog::Span(scroll)) => waterfall::span(model, *scroll, buffer, area),
    }
}

fn raise(form: &AlertForm, buffer: &mut Buffer, area: Rect) {
    let field = |name: &'static str, value: Vec<Span<'static>>, focused: bool| {
        let marker = if focused { "▶ " } else { "  " };
        let mut spans = vec![Span::styled(
            format!("{marker}{name:<10}"),
            if focused {
                theme::key()
            } else {
                theme::quiet()
            },
        )];
        spans.extend(value);
        Line::from(spans)
    };
    let typed = |text: &Input, focused: bool| {
        if focused {
            return input::spans(text, ROOM - 12, theme::text());
        }
        match text.text() {
            "" => vec![Span::styled("what is wrong?", theme::quiet())],
            text => vec![Span::raw(cells::cut(text, ROOM - 12))],
        }
    };
    let severities = SEVERITIES.iter().enumerate().flat_map(|(index, severity)| {
        let style = if index == form.severity {
            theme::selected()
        } else {
            theme::quiet()
        };
        [Span::styled(format!(" {severity} "), style), Span::raw(" ")]
    });
    let mut lines = vec![
        field("name", typed(&form.name, form.focus == 0), form.focus == 0),
        field("severity", severities.collect(), form.focus == 1),
        field(
            "summary",
            typed(&form.summary, form.focus == 2),
            form.focus == 2,
        ),
        Line::raw(""),
    ];
    lines.push(match form.wrong {
        Some(wrong) => Line::styled(format!("✖ {wrong}"), theme::bad()),
        None => Line::styled(
            "It stays until it is resolved (r on the Alerts screen).",
            theme::quiet(),
        ),
    });
    let keys = match form.focus {
        1 => "← → severity, Enter next, Esc leaves",
        2 => "Enter raises, ↑ back, Esc leaves",
        _ => "Enter next, Esc leaves",
    };
    message(buffer, area, "Raise an alert", keys, &lines);
}

fn ask(question: &Question, buffer: &mut Buffer, area: Rect) {
    let lines: Vec<Line<'_>> = question
        .lines
        .iter()
        .flat_map(|line| cells::wrap(line, ROOM))
        .map(Line::raw)
        .collect();
    message(
        buffer,
        area,
        question.title,
        &format!("y: {}, n: no", question.yes),
        &lines,
    );
}

fn record(model: &Model, record: &Record, scroll: u16, buffer: &mut Buffer, area: Rect) {
    let zone = &model.settings.zone;
    let offset = zone.offset(record.at_ns / 1_000_000);
    let title = format!("Record of {} {offset}", zone.clock_ns(record.at_ns));
    let keys = if record.trace_id.is_some() {
        "↑ ↓ scroll, t its trace, Esc closes"
    } else {
        "↑ ↓ scroll, Esc closes"
    };
    let inside = popup(
        buffer,
        area,
        &title,
        keys,
        area.width.saturating_sub(4),
        area.height.saturating_sub(2),
    );
    let level = |name: &str, value: &str| match name {
        "level" => logs::mark(value).1,
        _ => theme::text(),
    };
    let lines = fields(&record.fields(), usize::from(inside.width), level);
    let last = lines.len().saturating_sub(usize::from(inside.height));
    for (y, line) in
        (inside.y..inside.bottom()).zip(lines.iter().skip(usize::from(scroll).min(last)))
    {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}
