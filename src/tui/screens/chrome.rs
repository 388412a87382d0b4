//! What is around every screen: header with tabs and sources, footer with status line and keys.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::tabs;
use super::troubles::{silent, warned};
use crate::tui::crosscheck;
use crate::tui::format;
use crate::tui::keys::{self, Action, Binding, Scope};
use crate::tui::logs::one_line;
use crate::tui::model::{Link, Model, NoticeKind, RunState, RunView, Screen, Source};
use crate::tui::replay::{Playing, TapeView};
use crate::tui::theme;
use crate::tui::timeline;
use crate::tui::trail;
use crate::tui::widgets::gauge;

fn clock(model: &Model, width: u16) -> Line<'static> {
    match model.time.end {
        None if width < 100 => {
            Line::styled(format!("{} ", format::clock(model.now)), theme::quiet())
        }
        None => Line::styled(format!("{} UTC ", format::clock(model.now)), theme::quiet()),
        Some(end) => Line::styled(format!("to {} ", format::clock(end)), theme::warn()),
    }
}

/// The screen whose tab is in that column of the first line.
pub(super) fn tab_at(model: &Model, width: u16, x: u16) -> Option<Screen> {
    let room = usize::from(width).saturating_sub(clock(model, width).width());
    tabs::tab_at(model.screen, room, model.tape != TapeView::None, x)
}

pub(super) fn header(model: &Model, buffer: &mut Buffer, area: Rect) {
    let clock = clock(model, area.width);
    let room = usize::from(area.width).saturating_sub(clock.width());
    let (before, tabs) = tabs::tabs(model.screen, room, model.tape != TapeView::None);
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
    let used = sources(model, buffer, area);
    let sale = sale(model);
    let room = usize::from(area.width).saturating_sub(used);
    if sale.width() < room {
        let fits = |line: &Line<'_>| line.width() + sale.width() <= room;
        let mut line = steered(model).into_iter().find(fits).unwrap_or_default();
        line.spans.extend(sale.spans);
        right(buffer, area, area.y + 1, &line);
    }
}

/// Who this is; that it is recorded or not live must be seen on every screen, in the same room.
fn name(model: &Model) -> Span<'static> {
    let (text, style) = match &model.tape {
        TapeView::None => (tabs::NAME.to_owned(), theme::accent()),
        TapeView::Recording(bytes) => {
            let size = to_f64(*bytes) / 1024.0 / 1024.0;
            let digits = usize::from(size < 9.95);
            (format!(" REC {size:.digits$} MiB"), theme::warn())
        }
        TapeView::Stopped(_) => (" REC stopped".into(), theme::bad()),
        TapeView::Playing(playing) => {
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

/// When each is tried again, as far as there is room to say that of all.
fn sources(model: &Model, buffer: &mut Buffer, area: Rect) -> usize {
    let told = [Some("retry "), Some(""), None].map(|retry| states(model, retry));
    let fits = |line: &&Line<'_>| line.width() <= usize::from(area.width);
    let line = told.iter().find(fits).unwrap_or(&told[2]);
    buffer.set_line(area.x, area.y + 1, line, area.width);
    line.width()
}

fn states(model: &Model, retry: Option<&str>) -> Line<'static> {
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
        let name = if *source == Source::Ops && model.settings.embedded {
            "server (embedded)"
        } else {
            source.name()
        };
        spans.push(Span::raw(name));
        if let (Link::Down { retry_at, .. }, Some(retry)) = (&state.link, retry) {
            spans.push(Span::styled(
                format!(" {retry}{}", format::span(*retry_at - model.now)),
                theme::quiet(),
            ));
        }
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

fn sale(model: &Model) -> Line<'static> {
    let mut spans = Vec::new();
    let playing = matches!(model.tape, TapeView::Playing(_));
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
            format!("{}  ", one_line(dataset)),
            theme::quiet(),
        ));
        // Without seats nothing is on sale, whatever the doors are set to.
        let state = match (admission.open, admission.paused) {
            (true, false) => Span::styled("● sale open ", theme::good()),
            (true, true) => Span::styled("▲ admission paused ", theme::warn()),
            (false, _) => Span::styled("○ sale closed ", theme::quiet()),
        };
        spans.extend(status.dataset.is_some().then_some(state));
    }
    Line::from(spans)
}

/// That the rehearsal does not go as its scenario says, in full and in a word.
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

fn right(buffer: &mut Buffer, area: Rect, y: u16, line: &Line<'_>) {
    let width = u16::try_from(line.width())
        .unwrap_or(area.width)
        .min(area.width);
    buffer.set_line(area.right() - width, y, line, width);
}

pub(super) fn footer(model: &Model, buffer: &mut Buffer, area: Rect) {
    let crumbs = crumbs(model);
    let used = u16::try_from(crumbs.width()).unwrap_or(area.width);
    let left = Rect {
        width: area.width.saturating_sub(used),
        height: 1,
        ..area
    };
    status_line(model, buffer, left);
    right(buffer, area, area.y, &crumbs);
    if !model.settings.once {
        hints(
            model,
            buffer,
            Rect {
                y: area.y + 1,
                height: 1,
                ..area
            },
        );
    }
}

/// The way one came by links, and that Esc leads back on it.
fn crumbs(model: &Model) -> Line<'static> {
    let filtering = model.logs.editing.is_some() || model.traces.editing.is_some();
    let way = trail::crumbs(model).filter(|_| !filtering);
    let Some(way) = way else {
        return Line::default();
    };
    Line::from(vec![
        Span::styled(format!("  {way}  "), theme::accent()),
        Span::styled("Esc", theme::key()),
        Span::styled(" back ", theme::quiet()),
    ])
}

/// The outcome of the last action, else what is under way, else what to do next.
fn status_line(model: &Model, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width).saturating_sub(2);
    let editing = model.logs.editing.as_ref();
    if let Some(text) = editing.or(model.traces.editing.as_ref()) {
        let line = Line::from(vec![
            Span::styled(" filter: ", theme::key()),
            Span::raw(text.clone()),
            Span::styled("█", theme::accent()),
            Span::styled("  Enter applies, Esc leaves it", theme::quiet()),
        ]);
        buffer.set_line(area.x, area.y, &line, area.width);
    } else if let Some(notice) = &model.notice {
        let (sign, style) = match notice.kind {
            NoticeKind::Info => ("●", theme::accent()),
            NoticeKind::Done => ("✔", theme::good()),
            NoticeKind::Failed => ("✖", theme::bad()),
        };
        let text = format!(" {sign} {}", notice.text);
        buffer.set_stringn(area.x, area.y, format::fit(&text, width), width, style);
    } else if let Some(text) = timeline::at_cursor(model) {
        let text = format!(" {text}");
        buffer.set_stringn(
            area.x,
            area.y,
            format::fit(&text, width),
            width,
            theme::accent(),
        );
    } else if model.is_seeding() {
        seeding(model, buffer, area);
    } else if let Some(one) = crosscheck::disagreements(model).first() {
        let text = format::fit(&format!(" ▲ {}", one.text), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::warn());
    } else if let TapeView::Playing(playing) = &model.tape {
        let text = format::fit(&recorded(model, playing), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(text) = warned(model) {
        let text = format::fit(&text, width);
        buffer.set_stringn(area.x, area.y, text, width, theme::warn());
    } else if let Some(text) = under_way(model) {
        let text = format::fit(&format!(" ▶ {text}"), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(hint) = next_step(model) {
        let text = format::fit(&format!(" {hint}"), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(text) = silent(model) {
        buffer.set_stringn(
            area.x,
            area.y,
            format::fit(&text, width),
            width,
            theme::bad(),
        );
    }
}

fn recorded(model: &Model, playing: &Playing) -> String {
    let day = |at: i64| {
        let at = Timestamp::from_millisecond(at).unwrap_or_default();
        at.strftime("%Y-%m-%d").to_string()
    };
    let (from, to) = playing.span;
    let keys = if model.settings.once {
        ""
    } else {
        "  { } speed"
    };
    format!(
        " recorded at {}, {} {} to {} UTC{keys}",
        one_line(&model.settings.target),
        day(from),
        format::clock(from),
        format::clock(to),
    )
}

fn seeding(model: &Model, buffer: &mut Buffer, area: Rect) {
    let seed = &model.seed;
    let done = share(seed.rows_done, seed.rows_total);
    let left = seed.seconds_left.map_or(String::new(), |left| {
        format!("  {} left", format::stopwatch(left))
    });
    let text = format!(
        " seeding {}  {:>3.0} %  {} of {} rows  {} rows/s{left}  x cancels ",
        seed.profile,
        (done * 100.0).floor(),
        format::short(to_f64(seed.rows_done)),
        format::short(to_f64(seed.rows_total)),
        format::short(seed.rows_per_second),
    );
    let (end, y) = buffer.set_stringn(
        area.x,
        area.y,
        text,
        usize::from(area.width),
        theme::accent(),
    );
    if area.right() > end + 4 {
        gauge(
            buffer,
            Rect {
                x: end,
                y,
                width: area.right() - end - 1,
                height: 1,
            },
            done,
            theme::accent(),
        );
    }
}

pub(super) fn share(done: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        to_f64(done) / to_f64(of)
    }
}

pub(super) fn to_f64(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts for people, far below 2^53"
    )]
    let value = count as f64;
    value
}

fn under_way(model: &Model) -> Option<String> {
    let run = model
        .load
        .run
        .as_ref()
        .filter(|run| run.is_under_way() && model.screen != Screen::Load)?;
    let stopping = if run.state == RunState::Stopping {
        ", stopping".to_owned()
    } else {
        run.steered()
            .map_or(String::new(), |how| format!(", {how}"))
    };
    let progress = &run.progress;
    Some(format!(
        "{}: {}{stopping}  {}  {} requests/s  {} sold   5 shows it",
        run.scenario,
        progress.doing,
        format::stopwatch(progress.elapsed),
        format::short(run.tps_now()),
        format::count(progress.sold),
    ))
}

/// What somebody who sees this for the first time would press next.
pub(super) fn next_step(model: &Model) -> Option<String> {
    if model.settings.once || model.settings.read_only || model.load.is_under_way() {
        return None;
    }
    let status = model.status.as_ref()?;
    if model.source(Source::Ops).link != Link::Up {
        return None;
    }
    let waiting = status.queue.waiting;
    if status.dataset.is_none() {
        Some("press s to seed demo data, then l to launch a rehearsal".into())
    } else if status.admission.paused {
        Some("admission is paused: p lets people in again".into())
    } else if !status.admission.open && waiting > 0 {
        Some(format!(
            "{} people wait: o opens the sale",
            format::count(waiting)
        ))
    } else if status.queue.registered == 0 {
        Some("everything is ready: press l to launch a rehearsal".into())
    } else {
        None
    }
}

/// Keys that do something here. Help and the way out stand at the end and are never cut off.
fn hints(model: &Model, buffer: &mut Buffer, area: Rect) {
    let off = |binding: &Binding| {
        // Of launching and steering, what can be done now.
        let idle = match (binding.scope, binding.action) {
            (Scope::On(Screen::Load), Action::Open) => model.load.is_under_way(),
            (_, Action::PauseLoad | Action::Slower) => !model.load.is_under_way(),
            _ => false,
        };
        idle || binding.hint.is_empty() || binding.writes && model.settings.read_only
    };
    let last = |binding: &Binding| matches!(binding.action, Action::Help | Action::Quit);
    let of = |scope: Scope, at_end: bool| {
        keys::all().filter(move |binding| {
            binding.scope == scope && last(binding) == at_end && !off(binding)
        })
    };
    let paused = model
        .status
        .as_ref()
        .is_some_and(|status| status.admission.paused);
    let shown = |binding: &Binding| {
        let pause = binding.action == Action::PauseAdmission;
        let hint = if pause && paused {
            "resume"
        } else {
            binding.hint
        };
        [
            Span::styled(binding.keys[0].to_string(), theme::key()),
            Span::styled(format!(" {hint}  "), theme::quiet()),
        ]
    };
    let end = Line::from_iter(of(Scope::Everywhere, true).flat_map(shown));
    let room = usize::from(area.width).saturating_sub(end.width() + 1);
    let mut line = Line::raw(" ");
    let zoom = |binding: &&Binding| binding.action == Action::ZoomIn;
    let own = || of(Scope::On(model.screen), false);
    let shown_first = own().filter(|binding| !zoom(binding));
    let everywhere = of(Scope::Everywhere, false);
    for binding in shown_first.chain(everywhere).chain(own().filter(zoom)) {
        let spans = shown(binding);
        if line.width() + spans.iter().map(Span::width).sum::<usize>() > room {
            break;
        }
        line.spans.extend(spans);
    }
    line.spans.extend(end.spans);
    buffer.set_line(area.x, area.y, &line, area.width);
}
