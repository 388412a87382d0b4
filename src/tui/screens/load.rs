//! Load: scenarios to launch, the rehearsal under way, its verdict.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::chrome::to_f64;
use super::verdict;
use crate::tui::format;
use crate::tui::load_port::Operation;
use crate::tui::logs::one_line;
use crate::tui::model::{Load, Model, RunState, RunView};
use crate::tui::panels::{PanelId, Unit};
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{Chart, Freshness, Line as ChartLine, centred, frame, gauge, wrapped};

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
            Span::raw(" launches it, "),
            Span::styled("l", theme::key()),
            Span::raw(" does so from any screen"),
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
        RunState::Ended(outcome) => verdict::words(outcome.verdict),
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
            let [table, place] =
                Layout::vertical([Constraint::Min(0), Constraint::Max(want.min(inside.height))])
                    .areas(inside);
            operations(model, run, buffer, table);
            verdict::draw(outcome, buffer, place);
        }
        RunState::Failed(reason) => wrapped(buffer, inside, reason, theme::bad()),
        RunState::Running | RunState::Stopping => operations(model, run, buffer, inside),
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
    if area.height < 4 {
        return 0;
    }
    let progress = &run.progress;
    let mut first = vec![Span::styled(
        format!("{:<9}", format::stopwatch(progress.elapsed)),
        theme::strong(),
    )];
    if run.is_under_way() {
        first.extend(named("TPS", format::short(run.tps_now())));
        let server = update::server_tps(model).map_or("–".into(), format::short);
        first.push(Span::styled(format!("(server {server})  "), theme::quiet()));
    }
    let p95 = progress
        .p95
        .map_or("no data".into(), |p95| Unit::Seconds.text(p95));
    let mut second = named("p95", p95);
    second.extend(named("sold", format::count(progress.sold)));
    let (mut first, second) = (Line::from(first), Line::from(second));
    let fits = first.width() + second.width() <= usize::from(area.width);
    if fits {
        first.spans.extend(second.spans);
        buffer.set_line(area.x, area.y, &first, area.width);
        return 1;
    }
    buffer.set_line(area.x, area.y, &first, area.width);
    buffer.set_line(
        area.x + 9,
        area.y + 1,
        &second,
        area.width.saturating_sub(9),
    );
    2
}

fn named(name: &str, value: String) -> Vec<Span<'static>> {
    vec![
        Span::styled(format!("{name} "), theme::quiet()),
        Span::styled(format!("{value}  "), theme::strong()),
    ]
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

/// The table of operations; beneath it, where there is room, both counts of TPS over time.
fn operations(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) {
    let busy = |of: &&Operation| of.ok + of.refused + of.errors > 0;
    let rows: Vec<&Operation> = run.progress.operations.iter().filter(busy).collect();
    if rows.is_empty() || area.height < 2 {
        return;
    }
    let head = format!(
        "{:<8}{:>6}{:>8}{:>7}{:>7}{:>7}{:>7}",
        "", "ok", "refused", "errors", "p50", "p95", "p99"
    );
    buffer.set_stringn(
        area.x,
        area.y,
        head,
        usize::from(area.width),
        theme::quiet(),
    );
    let mut y = area.y + 1;
    for of in rows.into_iter().take(usize::from(area.height - 1)) {
        operation(
            of,
            buffer,
            Rect {
                y,
                height: 1,
                ..area
            },
        );
        y += 1;
    }
    let left = area.bottom().saturating_sub(y);
    if left >= 7 && !run.tps.is_empty() {
        let place = Rect {
            y: y + 1,
            height: (left - 1).min(14),
            ..area
        };
        both_tps(model, run, buffer, place);
    }
}

fn operation(of: &Operation, buffer: &mut Buffer, area: Rect) {
    let count = |value: u64| format::short(to_f64(value));
    let time = |value: Option<f64>| value.map_or("–".into(), |value| Unit::Seconds.text(value));
    let name = format::fit(&one_line(&of.name), 8);
    let bad = if of.errors > 0 {
        theme::bad()
    } else {
        theme::text()
    };
    let line = Line::from(vec![
        Span::raw(format!(
            "{name:<8}{:>6}{:>8}",
            count(of.ok),
            count(of.refused)
        )),
        Span::styled(format!("{:>7}", count(of.errors)), bad),
        Span::raw(format!(
            "{:>7}{:>7}{:>7}",
            time(of.p50),
            time(of.p95),
            time(of.p99)
        )),
    ]);
    buffer.set_line(area.x, area.y, &line, area.width);
}

fn both_tps(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) {
    let legend = Line::from(vec![
        Span::styled("TPS over time: ", theme::quiet()),
        Span::styled("── server  ", theme::accent()),
        Span::styled("── rehearsal", theme::second()),
    ]);
    buffer.set_line(area.x, area.y, &legend, area.width);
    let mut lines = vec![ChartLine {
        track: &run.tps,
        style: theme::second(),
    }];
    let server = &model.metrics.get(PanelId::Tps).tracks;
    lines.extend(server.values().map(|track| ChartLine {
        track,
        style: theme::accent(),
    }));
    // All of the rehearsal, as far as the server's history goes back with it.
    let begun = run.tps.front().map_or(model.now, |(at, _)| *at);
    let span = (model.now - begun).clamp(60_000, model.zoom.span_ms().max(60_000));
    let chart = Chart {
        lines,
        end: model.now,
        span,
        gap: model.zoom.gap_ms(),
        unit: Unit::PerSecond,
        limit: None,
    };
    chart.draw(
        buffer,
        Rect {
            y: area.y + 1,
            height: area.height - 1,
            ..area
        },
    );
}
