//! Draws a rehearsal. While it runs: its progress, what its clients see, the thresholds, the table of operations and
//! the chart of TPS. At its end the verdict takes the place of the progress bars and the thresholds.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::load::progress::OperationProgress;
use crate::load::summary::Latency;
use crate::tui::format::{one_line, to_f64};
use crate::tui::model::{Model, RunState, RunView};
use crate::tui::screens::load::{thresholds, verdict};
use crate::tui::sources::panels::{PanelId, Unit, panel};
use crate::tui::theme::Severity;
use crate::tui::widgets::{
    Chart, Freshness, Line as ChartLine, Overlay, frame, gauge, more, wrapped,
};
use crate::tui::{format, theme, timeline, window};

pub(crate) fn draw(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) {
    let title = match &run.phase {
        Some(phase) => format!("{}, {phase} alone", run.scenario),
        None => run.scenario.clone(),
    };
    let step = run.progress.step.description();
    let (note, severity) = match &run.state {
        RunState::Running => match run.steered() {
            Some(how) => (format!("{step}, {how}"), Severity::Warn),
            None => (step, Severity::Plain),
        },
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
    let parts: &[Part] = match &run.state {
        // The progress bars no longer change, so the verdict gets their rows.
        RunState::Ended(_) => &[headline, users, classes],
        _ => &[phases, headline, users, classes],
    };
    for part in parts {
        let used = part(model, run, buffer, inside);
        inside = Rect {
            y: inside.y + used,
            height: inside.height - used,
            ..inside
        };
    }
    match &run.state {
        RunState::Ended(outcome) => {
            let width = usize::from(inside.width);
            let mut lines = verdict::lines(outcome, width);
            lines.push(Line::raw(""));
            lines.extend(operations(run));
            scrolled(model, run, &lines, buffer, area, inside);
        }
        RunState::Failed(reason) => wrapped(buffer, inside, reason, theme::bad()),
        RunState::Running | RunState::Stopping => {
            let (mut lines, not_missed) =
                thresholds::lines(&run.progress, usize::from(inside.width));
            lines.extend(operations(run));
            // The missed thresholds are above the table, all others below it.
            lines.extend(not_missed);
            scrolled(model, run, &lines, buffer, area, inside);
        }
    }
}

/// Draws one part above the scrolled lines, and returns the number of rows that it takes.
type Part = fn(&Model, &RunView, &mut Buffer, Rect) -> u16;

/// Draws `lines` from the scroll position on. If there is room below them, draws the chart of TPS.
fn scrolled(
    model: &Model,
    run: &RunView,
    lines: &[Line<'_>],
    buffer: &mut Buffer,
    border: Rect,
    area: Rect,
) {
    let rows = usize::from(area.height);
    let skip = run.scroll.min(lines.len().saturating_sub(rows));
    for (y, line) in (area.y..area.bottom()).zip(&lines[skip..]) {
        buffer.set_line(area.x, y, line, area.width);
    }
    let below = lines.len().saturating_sub(skip + rows);
    if !model.settings.once {
        more(buffer, border, skip, below);
    }
    let used = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let left = area.height.saturating_sub(used);
    if left >= 7 && !run.tps.is_empty() {
        let place = Rect {
            y: area.y + used + 1,
            height: (left - 1).min(14),
            ..area
        };
        tps_chart(model, run, buffer, place);
    }
}

/// Draws a progress bar for each phase.
fn phases(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    let mut y = area.y;
    for phase in run.progress.phases.iter().take(usize::from(area.height)) {
        buffer.set_stringn(
            area.x,
            y,
            cells::cut(phase.phase.as_str(), 9),
            9,
            theme::text(),
        );
        let bar = Rect {
            x: area.x + 10,
            y,
            width: area.width.saturating_sub(16),
            height: 1,
        };
        let share = phase.share();
        let style = if share >= 1.0 {
            theme::good()
        } else {
            theme::accent()
        };
        gauge(buffer, bar, share, style);
        buffer.set_stringn(
            bar.right() + 1,
            y,
            format!("{:>3.0} %", (share * 100.0).floor()),
            5,
            theme::text(),
        );
        y += 1;
    }
    y - area.y
}

/// Draws the elapsed time, p95 and the seats sold. While the rehearsal runs, also TPS as the rehearsal counts it beside
/// TPS as the server counts it.
fn headline(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    if area.height < 4 {
        return 0;
    }
    let progress = &run.progress;
    let mut first = vec![Span::styled(
        format!("{:<9}", format::stopwatch(progress.elapsed.as_secs_f64())),
        theme::strong(),
    )];
    if run.is_under_way() {
        first.extend(named("TPS", format::short(run.tps_now())));
        let server = model.server_tps().map_or("–".into(), format::short);
        first.extend(named("server", server));
        let window = format!("over {}  ", panel(PanelId::Tps).window.replace('s', " s"));
        first.push(Span::styled(window, theme::quiet()));
    }
    let p95 = progress.p95.map_or("no data".into(), |p95| {
        Unit::Seconds.text(p95.as_secs_f64())
    });
    let mut second = named("p95", p95);
    second.extend(named("sold", format::count(progress.seats_paid)));
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

/// Draws the number of virtual users in each state.
fn users(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    let users = run.progress.users.iter();
    let users = users.map(|(state, count)| (state.as_str(), *count));
    counts(buffer, area, "users", users)
}

/// Draws the number of answers in each class of status codes.
fn classes(_: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) -> u16 {
    let class = |(class, count)| match class {
        "none" => ("no answer", count),
        class => (class, count),
    };
    let classes = run.progress.statuses.by_class().map(class);
    counts(buffer, area, "answers", classes.into_iter())
}

/// Draws `name` and beside it the counts that are not 0, on at most two rows.
fn counts(
    buffer: &mut Buffer,
    area: Rect,
    name: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> u16 {
    let shown: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    if shown.is_empty() || area.height < 3 {
        return 0;
    }
    let text = shown
        .iter()
        .map(|(name, count)| format!("{name} {}", format::short(to_f64(*count))))
        .collect::<Vec<_>>()
        .join(", ");
    let width = usize::from(area.width).saturating_sub(9).max(1);
    let lines = u16::try_from(cells::wrap(&text, width).len())
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

/// The table of operations that have requests. Without such an operation there is no heading either.
fn operations(run: &RunView) -> Vec<Line<'static>> {
    let has_requests = |row: &&OperationProgress| row.count > 0;
    let rows = run
        .progress
        .operations
        .iter()
        .filter(has_requests)
        .map(operation);
    let head = format!(
        "{:<8}{:>6}{:>8}{:>7}{:>7}{:>7}{:>7}",
        "", "ok", "refused", "errors", "p50", "p95", "p99"
    );
    let mut lines = vec![Line::styled(head, theme::quiet())];
    lines.extend(rows);
    lines.truncate(if lines.len() == 1 { 0 } else { usize::MAX });
    lines
}

fn operation(of: &OperationProgress) -> Line<'static> {
    let count = |value: u64| format::short(to_f64(value));
    let time = |part: fn(&Latency) -> f64| match &of.latency {
        None => "–".into(),
        Some(latency) => Unit::Seconds.text(part(latency) / 1000.0),
    };
    let name = cells::column(of.operation.as_str(), 8);
    let bad = if of.errors > 0 {
        theme::bad()
    } else {
        theme::text()
    };
    Line::from(vec![
        Span::raw(format!(
            "{name}{:>6}{:>8}",
            count(of.ok()),
            count(of.refused)
        )),
        Span::styled(format!("{:>7}", count(of.errors)), bad),
        Span::raw(format!(
            "{:>7}{:>7}{:>7}",
            time(|it| it.p50),
            time(|it| it.p95),
            time(|it| it.p99)
        )),
    ])
}

/// Draws TPS over time as the server counts it, and as the rehearsal counts it.
fn tps_chart(model: &Model, run: &RunView, buffer: &mut Buffer, area: Rect) {
    let legend = Line::from(vec![
        Span::styled("TPS  ", theme::quiet()),
        Span::styled("── server  ", theme::accent()),
        Span::styled("── rehearsal", theme::second_colour()),
    ]);
    buffer.set_line(area.x, area.y, &legend, area.width);
    let mut lines = vec![ChartLine {
        track: &run.tps,
        style: theme::second_colour(),
    }];
    let server = &model.metrics.get(PanelId::Tps).tracks;
    lines.extend(server.values().map(|track| ChartLine {
        track,
        style: theme::accent(),
    }));
    let window = window::of_run(model, run);
    let chart = Chart {
        lines,
        end: window.end,
        span: window.span,
        // `still`: the user froze the charts at an earlier time.
        end_name: match (run.is_under_way(), model.time.end) {
            (true, None) => "now",
            (true, Some(_)) => "still",
            (false, _) => "end",
        },
        gap: model.zoom.gap_ms(),
        unit: Unit::PerSecond,
        limit: None,
        overlay: Overlay {
            cursor: model.time.cursor,
            marks: &timeline::marks(model),
        },
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
