//! The footer of every screen: the status line and the keys.

pub(crate) mod header;
pub(crate) mod tabs;
pub(crate) mod troubles;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::{Link, Source};
use crate::tui::format::{one_line, share, to_f64};
use crate::tui::input::keymap;
use crate::tui::input::keys::{Action, Binding, Scope};
use crate::tui::input::line::{Input, draw as input};
use crate::tui::model::{Model, NoticeKind, RunState, Screen};
use crate::tui::recording::view::{Playing, RecordingState};
use crate::tui::screens::chrome::troubles::{silent, warned};
use crate::tui::sources::crosscheck;
use crate::tui::widgets::frame::right;
use crate::tui::widgets::gauge;
use crate::tui::{format, navigation, theme, timeline};

pub(crate) fn footer(model: &Model, buffer: &mut Buffer, area: Rect) {
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

/// The steps of the navigation stack, and the key that goes back.
fn crumbs(model: &Model) -> Line<'static> {
    let filtering = model.logs.editing.is_some() || model.traces.editing.is_some();
    let way = navigation::crumbs(model).filter(|_| !filtering);
    let Some(way) = way else {
        return Line::default();
    };
    Line::from(vec![
        Span::styled(format!("  {way}  "), theme::accent()),
        Span::styled("Esc", theme::key()),
        Span::styled(" back ", theme::quiet()),
    ])
}

/// Draws the outcome of the last action. Without one, draws the work in progress, or else the next step.
fn status_line(model: &Model, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width).saturating_sub(2);
    let editing = model.logs.editing.as_ref();
    if let Some(text) = editing.or(model.traces.editing.as_ref()) {
        filter(model, text, buffer, area);
    } else if let Some(notice) = &model.notice {
        let (sign, style) = match notice.kind {
            NoticeKind::Info => ("●", theme::accent()),
            NoticeKind::Done => ("✔", theme::good()),
            NoticeKind::Failed => ("✖", theme::bad()),
        };
        let text = format!(" {sign} {}", notice.text);
        buffer.set_stringn(area.x, area.y, cells::cut(&text, width), width, style);
    } else if let Some(text) = timeline::at_cursor(model) {
        let text = format!(" {text}");
        buffer.set_stringn(
            area.x,
            area.y,
            cells::cut(&text, width),
            width,
            theme::accent(),
        );
    } else if model.is_seeding() {
        seeding(model, buffer, area);
    } else if let Some(one) = crosscheck::disagreements(model).first() {
        let text = cells::cut(&format!(" ▲ {}", one.text), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::warn());
    } else if let RecordingState::Playing(playing) = &model.recording {
        let text = cells::cut(&recorded(model, playing), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(text) = warned(model) {
        let text = cells::cut(&text, width);
        buffer.set_stringn(area.x, area.y, text, width, theme::warn());
    } else if let Some(text) = under_way(model).or_else(|| drilling(model)) {
        let text = cells::cut(&format!(" ▶ {text}"), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(hint) = next_step(model) {
        let text = cells::cut(&format!(" {hint}"), width);
        buffer.set_stringn(area.x, area.y, text, width, theme::accent());
    } else if let Some(text) = silent(model) {
        buffer.set_stringn(
            area.x,
            area.y,
            cells::cut(&text, width),
            width,
            theme::bad(),
        );
    }
}

/// Draws the filter that is being typed.
fn filter(model: &Model, text: &Input, buffer: &mut Buffer, area: Rect) {
    let name = match model.screen {
        Screen::Logs => " filter, as shown on the line: ",
        _ => " filter, by name, service or id: ",
    };
    let keys = "  Enter applies, Esc leaves it";
    let mut line = Line::from(vec![Span::styled(name, theme::key())]);
    let room = usize::from(area.width).saturating_sub(name.len() + keys.len());
    line.spans
        .extend(input::spans(text, room.max(8), theme::text()));
    line.spans.push(Span::styled(keys, theme::quiet()));
    buffer.set_line(area.x, area.y, &line, area.width);
}

fn recorded(model: &Model, playing: &Playing) -> String {
    let zone = &model.settings.zone;
    let (from, to) = playing.span;
    let keys = if model.settings.once {
        ""
    } else {
        "  { } speed"
    };
    format!(
        " recorded at {}, {} {} to {} {}{keys}",
        one_line(&model.settings.target),
        zone.date(from),
        zone.clock(from),
        zone.clock(to),
        zone.offset(to),
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
        progress.step.description(),
        format::stopwatch(progress.elapsed.as_secs_f64()),
        format::short(run.tps_now()),
        format::count(progress.seats_paid),
    ))
}

fn drilling(model: &Model) -> Option<String> {
    let run = model.drills.run.as_ref();
    let run = run.filter(|run| run.is_under_way() && model.screen != Screen::Drills)?;
    let progress = &run.progress;
    Some(format!(
        "drill {}: {}  {}   {} shows it",
        one_line(&run.started_by),
        progress.step.description(),
        format::stopwatch(run.elapsed(model.now)),
        Screen::Drills.number(),
    ))
}

/// The most useful next key for a new user.
pub(crate) fn next_step(model: &Model) -> Option<String> {
    let busy = model.load.is_under_way() || model.drills.is_under_way();
    if model.settings.once || model.settings.read_only || busy {
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
        Some("admission is paused: p resumes it".into())
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

/// The keys that do something on this screen. Help and quit come last and are never cut off.
fn hints(model: &Model, buffer: &mut Buffer, area: Rect) {
    let off = |binding: &Binding| {
        // Hint at launching or at steering, whichever is possible now.
        let idle = match (binding.scope, binding.action) {
            (Scope::On(Screen::Load), Action::Open) => model.load.is_under_way(),
            (_, Action::StartDrill) => model.drills.is_under_way(),
            (_, Action::PlayDrill) => !model.drills.is_blind(),
            (Scope::On(Screen::Drills), Action::StopWork) => !model.drills.is_under_way(),
            (_, Action::PauseLoad | Action::Slower) => !model.load.is_under_way(),
            _ => false,
        };
        idle || binding.hint.is_empty() || binding.writes && model.settings.read_only
    };
    let last = |binding: &Binding| matches!(binding.action, Action::Help | Action::Quit);
    let of = |scope: Scope, at_end: bool| {
        keymap::all().filter(move |binding| {
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
    // A screen's own binding has precedence over one for every screen.
    let is_taken = |binding: &&Binding| {
        let mut own = keymap::all().filter(|own| own.scope == Scope::On(model.screen));
        own.any(|own| own.keys.contains(&binding.keys[0]))
    };
    let everywhere = of(Scope::Everywhere, false).filter(|binding| !is_taken(binding));
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
