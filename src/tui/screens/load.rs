//! Load: scenarios to launch, the rehearsal under way, its verdict.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::chrome::to_f64;
use super::overview::wrapped;
use crate::tui::format;
use crate::tui::load_port::{Operation, Outcome, Verdict};
use crate::tui::logs::one_line;
use crate::tui::model::{Load, Model, RunState, RunView};
use crate::tui::panels::Unit;
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{Freshness, centred, frame, gauge};

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let list = if area.width >= 110 { 34 } else { 26 };
    let [left, right] =
        Layout::horizontal([Constraint::Length(list), Constraint::Min(0)]).areas(area);
    scenarios(model, buffer, left);
    match &model.load.run {
        Some(run) => draw_run(model, run, buffer, right),
        None => about(model, buffer, right),
    }
}

fn scenarios(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Scenarios",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    if model.load.scenarios.is_empty() {
        centred(buffer, inside, &[Line::styled("none here", theme::quiet())]);
        return;
    }
    let chosen = (!model.settings.once).then_some(model.load.chosen);
    rows(&model.load, buffer, inside, chosen);
}

/// The list of scenarios and phases, scrolled to the chosen row.
pub(super) fn rows(load: &Load, buffer: &mut Buffer, area: Rect, chosen: Option<usize>) {
    let height = usize::from(area.height);
    let first = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(height));
    let width = usize::from(area.width).saturating_sub(1);
    for (y, row) in (area.y..area.bottom()).zip(first..) {
        let Some((scenario, phase)) = load.row(row) else {
            break;
        };
        let (text, style) = match phase {
            None => (format!(" {}", scenario.name), theme::strong()),
            Some(phase) => (format!("   › {phase} alone"), theme::text()),
        };
        buffer.set_stringn(
            area.x,
            y,
            format::fit(&one_line(&text), width),
            width,
            style,
        );
        if chosen == Some(row) {
            buffer.set_style(
                Rect {
                    y,
                    height: 1,
                    ..area
                },
                theme::selected(),
            );
        }
    }
}

fn about(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Rehearsal",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    let Some((scenario, phase)) = model.load.row(model.load.chosen) else {
        return;
    };
    buffer.set_stringn(
        inside.x,
        inside.y,
        one_line(&scenario.name),
        usize::from(inside.width),
        theme::strong(),
    );
    wrapped(
        buffer,
        Rect {
            y: inside.y + 1,
            height: 3.min(inside.height),
            ..inside
        },
        &scenario.title,
        theme::text(),
    );
    let facts = format!(
        "{} virtual users on the {} dataset",
        format::count(scenario.users),
        one_line(&scenario.dataset)
    );
    buffer.set_stringn(
        inside.x,
        inside.y + 5,
        facts,
        usize::from(inside.width),
        theme::quiet(),
    );
    let what = phase.map_or("all phases, one after the other".to_owned(), |phase| {
        format!("only the phase {phase}")
    });
    buffer.set_stringn(
        inside.x,
        inside.y + 6,
        what,
        usize::from(inside.width),
        theme::quiet(),
    );
    if !model.settings.read_only && !model.settings.once {
        let line = Line::from(vec![
            Span::styled("Enter", theme::key()),
            Span::raw(" launches what is chosen, "),
            Span::styled("l", theme::key()),
            Span::raw(" does from any screen"),
        ]);
        buffer.set_line(inside.x, inside.y + 8, &line, inside.width);
    }
}

fn draw_run(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) {
    let title = match &run.phase {
        Some(phase) => format!("{}, {phase} alone", run.scenario),
        None => run.scenario.clone(),
    };
    let (note, severity) = match &run.state {
        RunState::Running => (run.progress.doing.clone(), Severity::Plain),
        RunState::Stopping => ("stopping".into(), Severity::Warn),
        RunState::Ended(outcome) => ended(outcome.verdict),
        RunState::Failed(_) => ("could not run".into(), Severity::Bad),
    };
    let inside = frame(
        buffer,
        area,
        &one_line(&title),
        &one_line(&note),
        severity,
        &Freshness::Fresh,
    );
    let mut inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    for part in [phases, headline, users, classes] {
        let used = part(model, run, buffer, inside);
        inside = Rect {
            y: inside.y + used,
            height: inside.height - used,
            ..inside
        };
    }
    match &run.state {
        RunState::Ended(outcome) => {
            let want = u16::try_from(outcome.thresholds.len() + 2).unwrap_or(u16::MAX);
            let [table, verdict] =
                Layout::vertical([Constraint::Min(0), Constraint::Max(want.min(inside.height))])
                    .areas(inside);
            operations(run, buffer, table);
            draw_verdict(outcome, buffer, verdict);
        }
        RunState::Failed(reason) => wrapped(buffer, inside, reason, theme::bad()),
        RunState::Running | RunState::Stopping => operations(run, buffer, inside),
    }
}

fn ended(verdict: Verdict) -> (String, Severity) {
    match verdict {
        Verdict::Passed => ("passed".into(), Severity::Good),
        Verdict::Missed => ("thresholds missed".into(), Severity::Bad),
        Verdict::Inconclusive => ("inconclusive".into(), Severity::Warn),
    }
}

fn phases(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    let mut y = area.y;
    for phase in run.progress.phases.iter().take(usize::from(area.height)) {
        buffer.set_stringn(
            area.x,
            y,
            format::fit(&one_line(&phase.name), 9),
            9,
            theme::text(),
        );
        let bar = Rect {
            x: area.x + 10,
            y,
            width: area.width.saturating_sub(16),
            height: 1,
        };
        let style = if phase.done >= 1.0 {
            theme::good()
        } else {
            theme::accent()
        };
        gauge(buffer, bar, phase.done, style);
        buffer.set_stringn(
            bar.right() + 1,
            y,
            format!("{:>3.0} %", (phase.done * 100.0).floor()),
            5,
            theme::text(),
        );
        y += 1;
    }
    y - area.y
}

/// The rehearsal's own count beside the server's, so that they can be compared.
fn headline(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    if area.height < 2 {
        return 0;
    }
    let progress = &run.progress;
    let server = update::server_tps(model).filter(|_| run.is_under_way());
    let server = server.map_or("–".into(), format::short);
    let tps = if run.is_under_way() {
        format::short(progress.tps)
    } else {
        "–".into()
    };
    let p95 = progress
        .p95
        .map_or("no data".into(), |p95| Unit::Seconds.text(p95));
    let line = Line::from(vec![
        Span::styled(format::stopwatch(progress.elapsed), theme::strong()),
        Span::styled("  TPS ", theme::quiet()),
        Span::styled(tps, theme::strong()),
        Span::styled(" (server ", theme::quiet()),
        Span::raw(server),
        Span::styled(")  p95 ", theme::quiet()),
        Span::styled(p95, theme::strong()),
        Span::styled("  sold ", theme::quiet()),
        Span::styled(format::count(progress.sold), theme::strong()),
    ]);
    buffer.set_line(area.x, area.y, &line, area.width);
    1
}

fn users(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    counts(buffer, area, "users", &run.progress.users)
}

fn classes(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    counts(buffer, area, "answers", &run.progress.classes)
}

fn counts(buffer: &mut Buffer, area: Rect, name: &str, counts: &[(String, u64)]) -> u16 {
    let shown: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    if shown.is_empty() || area.height < 3 {
        return 0;
    }
    let text = shown
        .iter()
        .map(|(name, count)| format!("{} {}", one_line(name), format::short(to_f64(*count))))
        .collect::<Vec<_>>()
        .join(", ");
    let width = usize::from(area.width).saturating_sub(9).max(1);
    let lines = u16::try_from(text.chars().count().div_ceil(width))
        .unwrap_or(1)
        .min(2);
    buffer.set_stringn(area.x, area.y, name, 8, theme::quiet());
    wrapped(
        buffer,
        Rect {
            x: area.x + 9,
            width: area.width.saturating_sub(9),
            height: lines,
            ..area
        },
        &text,
        theme::text(),
    );
    lines
}

fn operations(run: &RunView, buffer: &mut Buffer, area: Rect) {
    let rows: Vec<&Operation> = run
        .progress
        .operations
        .iter()
        .filter(|of| of.ok + of.refused + of.errors > 0)
        .collect();
    if rows.is_empty() || area.height < 2 {
        return;
    }
    let width = usize::from(area.width);
    let head = format!(
        "{:<9}{:>8}{:>8}{:>7}{:>8}{:>8}",
        "", "ok", "refused", "errors", "p50", "p95"
    );
    buffer.set_stringn(
        area.x,
        area.y,
        format!("{head}{:>8}", "p99"),
        width,
        theme::quiet(),
    );
    for (y, of) in (area.y + 1..area.bottom()).zip(rows) {
        let time =
            |value: Option<f64>| value.map_or("–".into(), |value| Unit::Seconds.text(value));
        let (ok, refused, errors) = (to_f64(of.ok), to_f64(of.refused), to_f64(of.errors));
        let head = format!(
            "{:<9}{:>8}{:>8}",
            format::fit(&one_line(&of.name), 9),
            format::short(ok),
            format::short(refused)
        );
        let (x, _) = buffer.set_stringn(area.x, y, head, width, theme::text());
        let style = if of.errors > 0 {
            theme::bad()
        } else {
            theme::text()
        };
        let (x, _) = buffer.set_stringn(x, y, format!("{:>7}", format::short(errors)), 7, style);
        let tail = format!("{:>8}{:>8}{:>8}", time(of.p50), time(of.p95), time(of.p99));
        buffer.set_stringn(
            x,
            y,
            tail,
            usize::from(area.right().saturating_sub(x)),
            theme::text(),
        );
    }
}

fn draw_verdict(outcome: &Outcome, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width);
    let held = outcome
        .thresholds
        .iter()
        .filter(|threshold| threshold.held)
        .count();
    let (word, severity) = ended(outcome.verdict);
    let mut head = format!(
        "{} {word}: {held} of {} thresholds held",
        severity.sign(),
        outcome.thresholds.len()
    );
    if !outcome.reason.is_empty() {
        head = format!("{head}; {}", one_line(&outcome.reason));
    }
    let mut lines = vec![Line::styled(format::fit(&head, width), severity.style())];
    let mut thresholds: Vec<_> = outcome.thresholds.iter().collect();
    // What was missed must not be the part that is cut off.
    thresholds.sort_by_key(|threshold| threshold.held);
    for threshold in thresholds {
        let (sign, style) = if threshold.held {
            ("✔", theme::good())
        } else {
            ("✖", theme::bad())
        };
        let text = format!(
            "{}: {}",
            one_line(&threshold.asked),
            one_line(&threshold.measured)
        );
        lines.push(Line::from(vec![
            Span::styled(format!("{sign} "), style),
            Span::raw(format::fit(&text, width.saturating_sub(2))),
        ]));
    }
    let path = outcome
        .summary
        .as_ref()
        .map(|path| format!("summary: {}", path.display()));
    let room = usize::from(area.height).saturating_sub(usize::from(path.is_some()));
    lines.truncate(room);
    if let Some(path) = path {
        lines.push(Line::styled(
            format::fit(&one_line(&path), width),
            theme::quiet(),
        ));
    }
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
}
