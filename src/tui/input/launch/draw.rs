//! Draws the dialogs that launch a rehearsal and seed a dataset: the list, the path of a file, the question.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::load::{PhaseName, ScenarioInfo};
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::input::dialog::{
    LaunchDialog, PROFILES, PathField, Reseed, SeedDialog, Stage, needs_typing,
};
use crate::tui::input::line::Input;
use crate::tui::input::line::draw as input;
use crate::tui::model::Model;
use crate::tui::screens::load::draw as load;
use crate::tui::theme;
use crate::tui::update::reseed;
use crate::tui::widgets::message::{ROOM, message};

const CHOOSE: &str = "↑ ↓ choose, Enter, Esc";

/// A line of a list.
fn item(text: &str, chosen: bool) -> Line<'static> {
    let style = if chosen {
        theme::selected()
    } else {
        theme::text()
    };
    Line::styled(cells::column(&format!(" {text}"), ROOM), style)
}

fn typing(typed: &Input, wanted: &str) -> Line<'static> {
    let mut spans = vec![
        Span::raw("Type "),
        Span::styled(wanted.to_owned(), theme::strong()),
        Span::raw(" and Enter: "),
    ];
    spans.extend(input::spans(typed, 30, theme::accent()));
    Line::from(spans)
}

/// Draws the path of a file, and whether the file is being read or has a mistake.
fn path(field: &PathField, about: &str, buffer: &mut Buffer, area: Rect, title: &str) {
    let mut spans = vec![Span::styled("path ", theme::key())];
    spans.extend(input::spans(&field.path, ROOM - 5, theme::strong()));
    let mut lines = vec![Line::from(spans), Line::raw("")];
    let (text, style) = match (&field.wrong, field.reading) {
        (Some(wrong), _) => (format!("✖ {wrong}"), theme::bad()),
        (None, true) => ("reading …".to_owned(), theme::quiet()),
        (None, false) => (about.to_owned(), theme::quiet()),
    };
    let text = cells::wrap(&text, ROOM).into_iter();
    lines.extend(text.map(|line| Line::styled(line, style)));
    message(buffer, area, title, "Enter reads it, Esc leaves", &lines);
}

/// The warning about the data that a seeding deletes.
fn loss(model: &Model) -> Vec<Line<'static>> {
    let Some(status) = &model.status else {
        return Vec::new();
    };
    let Some(dataset) = &status.dataset else {
        return Vec::new();
    };
    let text = format!(
        "▲ Lost: {}, {} seats, {} places in the queue, all sales.",
        one_line(&dataset.profile),
        format::count(dataset.seats),
        format::count(status.queue.registered)
    );
    let lines = cells::wrap(&text, ROOM).into_iter();
    lines
        .map(|line| Line::styled(line, theme::warn()))
        .collect()
}

pub(crate) fn seed(model: &Model, dialog: &SeedDialog, buffer: &mut Buffer, area: Rect) {
    const TITLE: &str = "Seed a dataset";
    if let Stage::Path(field) = &dialog.stage {
        let about = "A dataset profile in YAML, as `concertctl seed FILE` takes it.";
        return path(field, about, buffer, area, TITLE);
    }
    let known = PROFILES
        .iter()
        .map(|one| format!("{:<7} {}", one.name, one.text));
    let all = known.chain(["a profile file …".to_owned()]);
    let mut lines: Vec<Line<'static>> = all
        .enumerate()
        .map(|(index, text)| item(&text, index == dialog.chosen))
        .collect();
    lines.push(Line::raw(""));
    let loss = loss(model);
    if loss.is_empty() {
        let text = "Nothing is loaded yet, so nothing is lost.";
        lines.push(Line::styled(text, theme::quiet()));
    }
    lines.extend(loss);
    let file = dialog.file.as_ref().map(|file| one_line(&file.path));
    let name = dialog.profile().map(|profile| profile.name.to_owned());
    let name = name.or(file).unwrap_or_default();
    let keys = match &dialog.stage {
        Stage::Confirm => {
            let ask = cells::wrap(&format!("Replace it by {name}?"), ROOM);
            lines.extend(ask.into_iter().map(Line::raw));
            "y replaces, n does not"
        }
        Stage::Type(typed) => {
            lines.push(typing(typed, &name));
            "Enter seeds, Esc does not"
        }
        Stage::Choose | Stage::Path(_) | Stage::Phase(_) => CHOOSE,
    };
    message(buffer, area, TITLE, keys, &lines);
}

pub(crate) fn launch(model: &Model, dialog: &LaunchDialog, buffer: &mut Buffer, area: Rect) {
    let scenario = model.load.scenarios.get(dialog.chosen);
    match (&dialog.stage, scenario) {
        (Stage::Path(field), _) => {
            let about = "A scenario in YAML, as `concertctl load FILE` takes it.";
            path(field, about, buffer, area, "Launch a scenario file");
        }
        (Stage::Choose, _) => list(model, dialog.chosen, buffer, area),
        (Stage::Phase(at), Some(scenario)) => phases(scenario, *at, buffer, area),
        (Stage::Confirm | Stage::Type(_), Some(scenario)) => {
            confirm(model, dialog, scenario, buffer, area);
        }
        (_, None) => {}
    }
}

/// Draws a line for each scenario and one for a file, and below them the title of the chosen one.
fn list(model: &Model, chosen: usize, buffer: &mut Buffer, area: Rect) {
    /// The rows of the popup besides the list: frame, blanks, title.
    const OTHERS: usize = 7;
    let scenarios = &model.load.scenarios;
    let names = scenarios.iter().map(|scenario| {
        let (name, users) = (load::line(scenario), format::count(scenario.users));
        let users = cells::right(&users, 9);
        let dataset = one_line(&scenario.dataset);
        format!("{}{users} users on {dataset}", cells::column(&name, 28))
    });
    let all: Vec<String> = names.chain(["a scenario file …".to_owned()]).collect();
    let rows = usize::from(area.height).saturating_sub(OTHERS).max(1);
    let first = (chosen + 1).saturating_sub(rows);
    let shown = all.iter().enumerate().skip(first).take(rows);
    let mut lines: Vec<Line<'static>> = shown
        .map(|(index, text)| item(text, index == chosen))
        .collect();
    lines.push(Line::raw(""));
    let title = scenarios
        .get(chosen)
        .map(|scenario| one_line(&scenario.title));
    let title = title.unwrap_or_else(|| "Type the path of a scenario of your own.".into());
    lines.push(Line::styled(cells::cut(&title, ROOM), theme::quiet()));
    message(buffer, area, "Launch", CHOOSE, &lines);
}

fn phases(scenario: &ScenarioInfo, chosen: usize, buffer: &mut Buffer, area: Rect) {
    let alone = PhaseName::ALL.iter();
    let alone = alone.map(|phase| format!("{phase} alone"));
    let all = ["all phases, one after the other".to_owned()].into_iter();
    let mut lines: Vec<Line<'static>> = all
        .chain(alone)
        .enumerate()
        .map(|(index, text)| item(&text, index == chosen))
        .collect();
    lines.push(Line::raw(""));
    let title = cells::wrap(&scenario.title, ROOM).into_iter();
    lines.extend(title.map(|line| Line::styled(line, theme::quiet())));
    if chosen > 0 {
        let text = "The phases before this one run unmeasured.";
        lines.push(Line::styled(text, theme::quiet()));
    }
    let title = cells::cut(&format!("Launch {}", one_line(&scenario.name)), ROOM);
    message(buffer, area, &title, CHOOSE, &lines);
}

fn confirm(
    model: &Model,
    dialog: &LaunchDialog,
    scenario: &ScenarioInfo,
    buffer: &mut Buffer,
    area: Rect,
) {
    let target = model
        .status
        .as_ref()
        .map_or(String::new(), |status| one_line(&status.api_addr));
    let phase = dialog.phase.and_then(|at| PhaseName::ALL.get(at));
    let what = phase.map_or(one_line(&scenario.name), |phase| {
        format!("{}, only {phase}", one_line(&scenario.name))
    });
    let users = format::count(scenario.users);
    let dataset = one_line(&scenario.dataset);
    let needed = reseed(model, scenario);
    let (about, keys) = match (&dialog.stage, needed) {
        (Stage::Type(_), _) => (String::new(), "Enter launches, Esc does not"),
        (_, Reseed::NotNeeded) => (
            format!("The {dataset} dataset is there and untouched."),
            "y launches, n does not",
        ),
        (_, Reseed::Used) => (
            "The dataset holds an earlier run: it is seeded again.".into(),
            "y seeds and launches, n does not",
        ),
        (_, Reseed::Needed) => (
            format!("It needs the {dataset} dataset, which is seeded first."),
            if needs_typing(&dataset) {
                "y goes on, n does not"
            } else {
                "y seeds and launches, n does not"
            },
        ),
    };
    let against = format!("{users} virtual users against {target}");
    let mut lines = vec![Line::styled(cells::cut(&what, ROOM), theme::strong())];
    lines.extend(cells::wrap(&against, ROOM).into_iter().map(Line::raw));
    lines.push(Line::raw(""));
    if !about.is_empty() {
        lines.extend(cells::wrap(&about, ROOM).into_iter().map(Line::raw));
    }
    if needed != Reseed::NotNeeded {
        lines.extend(loss(model));
    }
    if let Stage::Type(typed) = &dialog.stage {
        lines.push(typing(typed, &dataset));
    }
    message(buffer, area, "Launch", keys, &lines);
}
