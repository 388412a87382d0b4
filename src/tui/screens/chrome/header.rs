//! The header of every screen: tabs and time, sources, dataset and sale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::{Link, Source};
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::format::to_f64;
use crate::tui::model::{Model, RunView, Screen};
use crate::tui::recording::view::{Playing, RecordingState};
use crate::tui::screens::chrome::tabs;
use crate::tui::widgets::frame::right;
use crate::tui::{faults, theme};

/// From this width on the time has seconds.
const WIDE: u16 = 100;

/// The time with its offset, which applies to all times on the screen. A narrow terminal leaves out the seconds, so
/// that the tabs have more space.
fn clock(model: &Model, width: u16) -> Line<'static> {
    let zone = &model.settings.zone;
    let at = model.time.end.unwrap_or(model.now);
    let (clock, offset) = (zone.clock(at), zone.offset(at));
    match model.time.end {
        None if width < WIDE => {
            let minutes = cells::head(&clock, 5);
            Line::styled(format!("{minutes} {offset}"), theme::quiet())
        }
        None => Line::styled(format!("{clock} {offset} "), theme::quiet()),
        Some(_) => Line::styled(format!("to {clock} {offset} "), theme::warn()),
    }
}

/// The screen whose tab is at column `x` of the first line.
pub(crate) fn tab_at(model: &Model, width: u16, x: u16) -> Option<Screen> {
    let room = usize::from(width).saturating_sub(clock(model, width).width());
    tabs::tab_at(
        model.screen,
        room,
        model.recording != RecordingState::None,
        x,
    )
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let clock = clock(model, area.width);
    let room = usize::from(area.width).saturating_sub(clock.width());
    let (before, tabs) = tabs::tabs(model.screen, room, model.recording != RecordingState::None);
    let mut line = Line::default();
    if before > 0 {
        line.spans.push(name(model));
        line.spans.push(Span::raw(" "));
    }
    for (screen, label) in tabs {
        let style = if screen == model.screen {
            theme::selected().patch(theme::strong())
        } else {
            theme::text()
        };
        line.spans.push(Span::styled(label, style));
    }
    buffer.set_line(area.x, area.y, &line, area.width);
    right(buffer, area, area.y, &clock);
    second_line(model, buffer, area);
}

/// The sources, and on the right rehearsal, dataset and sale. The sale is always shown; the rest gets the space that
/// is left.
fn second_line(model: &Model, buffer: &mut Buffer, area: Rect) {
    let room = usize::from(area.width);
    let sale = sale(model);
    let texts = Detail::ALL.map(|detail| states(model, detail));
    let fits = |line: &&Line<'_>| line.width() + sale.width() <= room;
    let sources = texts.iter().find(fits).unwrap_or(&texts[texts.len() - 1]);
    buffer.set_line(area.x, area.y + 1, sources, area.width);
    let room = room.saturating_sub(sources.width());
    let mut line = Line::default();
    for notices in [faulty(model), steered(model)] {
        let fits = |more: &Line<'_>| line.width() + more.width() + sale.width() <= room;
        let more = notices.into_iter().find(fits).unwrap_or_default();
        line.spans.extend(more.spans);
    }
    line.spans.extend(sale.spans);
    right(buffer, area, area.y + 1, &line);
}

/// The name of the console, or in its place the state of a recording or a replay, which every screen must show.
fn name(model: &Model) -> Span<'static> {
    let (text, style) = match &model.recording {
        RecordingState::None => (tabs::NAME.to_owned(), theme::accent()),
        RecordingState::Recording(bytes) => {
            let size = to_f64(*bytes) / 1024.0 / 1024.0;
            let digits = usize::from(size < 9.95);
            (format!(" REC {size:.digits$} MiB"), theme::warn())
        }
        RecordingState::Stopped(_) => (" REC stopped".into(), theme::bad()),
        RecordingState::Playing(playing) => {
            let speed = match playing {
                Playing { ended: true, .. } => "end".into(),
                Playing { speed: 0, .. } => "held".into(),
                Playing { speed, .. } => format!("{speed}x"),
            };
            (format!(" REPLAY {speed}"), theme::warn())
        }
    };
    let text = format!("{text:<width$}", width = tabs::NAME.len());
    Span::styled(text, style.patch(theme::strong()))
}

/// The most cells for the name of the dataset, so that the sale fits.
const DATASET: usize = 16;

/// The level of detail about the sources.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Names in three letters.
    Cut,
    Names,
    /// Whole names, and a note if the server is in this process.
    Place,
    /// The same, and the time at which silent sources are polled again.
    Seconds,
    /// The same in words.
    Words,
}

impl Detail {
    /// The most detailed first.
    const ALL: [Detail; 5] = [
        Detail::Words,
        Detail::Seconds,
        Detail::Place,
        Detail::Names,
        Detail::Cut,
    ];
}

/// A note that the server is in this process and ends with it, and the number of other consoles that use it.
fn embedded_server(model: &Model) -> String {
    match model.status.as_ref().map_or(0, |status| status.consoles) {
        0 | 1 => "server (embedded)".to_owned(),
        consoles => format!("server (embedded, {} consoles)", format::count(consoles)),
    }
}

fn states(model: &Model, detail: Detail) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for source in Source::ALL {
        let state = model.source(*source);
        let (sign, style): (&str, Style) = match state.link {
            Link::Waiting => ("○", theme::quiet()),
            Link::Up if state.warning.is_some() => ("▲", theme::warn()),
            Link::Up => ("●", theme::good()),
            Link::Down { .. } => ("✖", theme::bad()),
        };
        spans.push(Span::styled(format!("{sign} "), style));
        let embedded = *source == Source::Ops && model.settings.embedded;
        spans.push(match detail {
            Detail::Cut => Span::raw(cells::head(source.name(), 3)),
            _ if embedded && detail >= Detail::Place => Span::raw(embedded_server(model)),
            _ => Span::raw(source.name()),
        });
        if let (Link::Down { retry_at, .. }, Detail::Seconds | Detail::Words) =
            (&state.link, detail)
        {
            let word = if detail == Detail::Words {
                "retry "
            } else {
                ""
            };
            spans.push(Span::styled(
                format!(" {word}{}", format::span(*retry_at - model.now)),
                theme::quiet(),
            ));
        }
        let narrow = detail <= Detail::Names;
        spans.push(Span::raw(if narrow { " " } else { "  " }));
    }
    Line::from(spans)
}

fn sale(model: &Model) -> Line<'static> {
    let mut spans = Vec::new();
    let playing = matches!(model.recording, RecordingState::Playing(_));
    if model.settings.read_only && !playing {
        spans.push(Span::styled("read-only  ", theme::warn()));
    }
    if let Some(status) = &model.status {
        let admission = &status.admission;
        let dataset = status
            .dataset
            .as_ref()
            .map_or("no dataset", |dataset| dataset.profile.as_str());
        spans.push(Span::styled(
            format!("{}  ", cells::cut(&one_line(dataset), DATASET)),
            theme::quiet(),
        ));
        // Without seats nothing is on sale, independent of the state of admission.
        let state = match (admission.open, admission.paused) {
            (true, false) => Span::styled("● sale open ", theme::good()),
            (true, true) => Span::styled("▲ admission paused ", theme::warn()),
            (false, _) => Span::styled("○ sale closed ", theme::quiet()),
        };
        spans.extend(status.dataset.is_some().then_some(state));
    }
    Line::from(spans)
}

/// The notice of active faults, in full and in a word.
fn faulty(model: &Model) -> Vec<Line<'static>> {
    let active = model.faults.active.iter();
    let left = |fault| faults::left(fault, model.now);
    let Some(last) = active.max_by_key(|fault| left(fault)) else {
        return Vec::new();
    };
    let (more, left) = (model.faults.active.len() - 1, format::span(left(last)));
    let name = faults::name(last.fault.kind());
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    [
        format!("▼ {name}{more}, {left} left  "),
        format!("▼ fault {left}  "),
        format!("▼ {left} "),
        "▼ ".to_owned(),
    ]
    .map(|text| Line::styled(text, theme::bad()))
    .into()
}

/// The notice that the user steers the rehearsal, in full and in a word.
fn steered(model: &Model) -> Vec<Line<'static>> {
    let run = model.load.run.as_ref().filter(|run| run.is_under_way());
    let Some(how) = run.and_then(RunView::steered) else {
        return Vec::new();
    };
    let word = how.split(", ").next().unwrap_or_default();
    [format!("▲ load {how}  "), format!("▲ {word}  ")]
        .map(|text| Line::styled(text, theme::warn()))
        .into()
}
