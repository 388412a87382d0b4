//! What stands in front of a screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{forms, help, history, load, logs, palette, waterfall};
use crate::tui::dialog::{
    AlertForm, Dialog, LaunchDialog, Question, Reseed, SEVERITIES, SeedDialog, Stage,
};
use crate::tui::format;
use crate::tui::logs::{Record, one_line};
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::update::reseed;
use crate::tui::widgets::{fields, popup};

pub(super) const WIDTH: u16 = 70;

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    match &model.dialog {
        None => {}
        Some(Dialog::Help(scroll)) => help::draw(model.settings.read_only, *scroll, buffer, area),
        Some(Dialog::Palette(open)) => palette::draw(model, open, buffer, area),
        Some(Dialog::Seed(dialog)) => seed(model, dialog, buffer, area),
        Some(Dialog::Launch(dialog)) => launch(model, dialog, buffer, area),
        Some(Dialog::Raise(form)) => raise(form, buffer, area),
        Some(Dialog::Ask(question)) => ask(question, buffer, area),
        Some(Dialog::Form(form)) => forms::draw(form, buffer, area),
        Some(Dialog::History(scroll)) => history::draw(model, *scroll, buffer, area),
        Some(Dialog::Record(scroll)) => {
            if let Some(chosen) = model.logs.chosen() {
                record(chosen, *scroll, buffer, area);
            }
        }
        Some(Dialog::Span(scroll)) => waterfall::span(model, *scroll, buffer, area),
    }
}

/// A popup as high as its text.
pub(super) fn message(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    keys: &str,
    lines: &[Line<'_>],
) {
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(4);
    let inside = popup(buffer, area, title, keys, WIDTH, height);
    for (y, line) in (inside.y + 1..inside.bottom()).zip(lines) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}

fn typing(typed: &str, wanted: &str) -> Line<'static> {
    Line::from(vec![
        Span::raw("Type "),
        Span::styled(wanted.to_owned(), theme::strong()),
        Span::raw(" and Enter: "),
        Span::styled(typed.to_owned(), theme::accent()),
        Span::styled("█", theme::accent()),
    ])
}

/// What is there now and would be gone.
fn loss(model: &Model) -> Option<Line<'static>> {
    let status = model.status.as_ref()?;
    let dataset = status.dataset.as_ref()?;
    let text = format!(
        "▲ Lost: {}, {} seats, {} places in the queue, all sales.",
        one_line(&dataset.profile),
        format::count(dataset.seats),
        format::count(status.queue.registered)
    );
    Some(Line::styled(text, theme::warn()))
}

fn seed(model: &Model, dialog: &SeedDialog, buffer: &mut Buffer, area: Rect) {
    let Some(profile) = model.profiles.row(dialog.chosen) else {
        return;
    };
    let mut lines = Vec::new();
    for (index, one) in model.profiles.all().iter().enumerate() {
        let style = if index == dialog.chosen {
            theme::selected()
        } else {
            theme::text()
        };
        lines.push(Line::from(vec![
            Span::styled(
                format!(" {:<7}", one_line(&one.name)),
                style.patch(theme::strong()),
            ),
            Span::styled(format!(" {:<57}", one.text), style),
        ]));
    }
    lines.push(Line::raw(""));
    lines.push(loss(model).unwrap_or_else(|| {
        Line::styled("Nothing is loaded yet, so nothing is lost.", theme::quiet())
    }));
    let keys = match &dialog.stage {
        Stage::Choose => "↑ ↓ choose, Enter, Esc",
        Stage::Confirm => {
            lines.push(Line::raw(format!(
                "Replace it by {}?",
                one_line(&profile.name)
            )));
            "y replaces, n does not"
        }
        Stage::Type(typed) => {
            lines.push(typing(typed, &profile.name));
            "Enter seeds, Esc does not"
        }
    };
    message(buffer, area, "Seed a dataset", keys, &lines);
}

fn launch(model: &Model, dialog: &LaunchDialog, buffer: &mut Buffer, area: Rect) {
    let Some((scenario, phase)) = model.load.row(dialog.chosen) else {
        return;
    };
    if dialog.stage == Stage::Choose {
        let rows = u16::try_from(model.load.rows().len()).unwrap_or(u16::MAX);
        let inside = popup(
            buffer,
            area,
            "Launch",
            "↑ ↓ choose, Enter, Esc",
            WIDTH,
            rows.saturating_add(4),
        );
        let list = Rect {
            height: inside.height.saturating_sub(2),
            ..inside
        };
        load::rows(&model.load, buffer, list, Some(dialog.chosen));
        let about = format::fit(&one_line(&scenario.title), usize::from(inside.width));
        buffer.set_stringn(
            inside.x,
            inside.bottom().saturating_sub(1),
            about,
            usize::from(inside.width),
            theme::quiet(),
        );
        return;
    }
    let target = model
        .status
        .as_ref()
        .map_or(String::new(), |status| one_line(&status.api_addr));
    let what = phase.map_or(one_line(&scenario.name), |phase| {
        format!("{}, only {phase}", one_line(&scenario.name))
    });
    let users = format::count(scenario.users);
    let mut lines = vec![
        Line::styled(what, theme::strong()),
        Line::raw(format!("{users} virtual users against {target}")),
        Line::raw(""),
    ];
    let needed = reseed(model, scenario);
    let dataset = one_line(&scenario.dataset);
    let keys = match (&dialog.stage, needed) {
        (Stage::Type(typed), _) => {
            lines.extend(loss(model));
            lines.push(typing(typed, &dataset));
            "Enter launches, Esc does not"
        }
        (_, Reseed::NotNeeded) => {
            lines.push(Line::raw(format!(
                "The {dataset} dataset is there and untouched."
            )));
            "y launches, n does not"
        }
        (_, Reseed::Used) => {
            lines.push(Line::raw(
                "The dataset holds an earlier run: it is seeded anew.",
            ));
            lines.extend(loss(model));
            "y seeds and launches, n does not"
        }
        (_, Reseed::Needed) => {
            lines.push(Line::raw(format!(
                "It needs the {dataset} dataset, which is seeded first."
            )));
            lines.extend(loss(model));
            if model.profiles.needs_typing(&dataset) {
                "y goes on, n does not"
            } else {
                "y seeds and launches, n does not"
            }
        }
    };
    message(buffer, area, "Launch", keys, &lines);
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
    let typed = |text: &str, focused: bool| {
        // The end of a long text is where it is typed.
        let skip = text.chars().count().saturating_sub(50);
        let mut spans = vec![Span::raw(text.chars().skip(skip).collect::<String>())];
        if focused {
            spans.push(Span::styled("█", theme::accent()));
        } else if text.is_empty() {
            spans.push(Span::styled("what is wrong?", theme::quiet()));
        }
        spans
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
    let width = usize::from(WIDTH) - 4;
    let mut lines = Vec::new();
    for line in &question.lines {
        let mut rest = String::new();
        for word in line.split_whitespace() {
            if !rest.is_empty() && rest.chars().count() + word.chars().count() + 1 > width {
                lines.push(Line::raw(std::mem::take(&mut rest)));
            }
            if !rest.is_empty() {
                rest.push(' ');
            }
            rest.push_str(word);
        }
        lines.push(Line::raw(rest));
    }
    message(
        buffer,
        area,
        question.title,
        &format!("y: {}, n: no", question.yes),
        &lines,
    );
}

fn record(record: &Record, scroll: u16, buffer: &mut Buffer, area: Rect) {
    let title = format!("Record of {}", format::clock_ns(record.at_ns));
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
