//! The clock of a drill under way: each moment with its time, and each budget as a bar that fills up. For a blind drill
//! it shows only the facts that the player may know, and no moments.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::drill::blind::Board;
use crate::drill::progress::{Progress, Row, Stage};
use crate::tui::format::{one_line, short, stopwatch, to_f64};
use crate::tui::screens::drills::DrillView;
use crate::tui::screens::drills::lines::{bar, wrap};
use crate::tui::theme;

/// The columns for the names of moments.
const NAME: usize = 12;
/// The columns for times and budgets, right of the bars.
const FIGURES: usize = 19;
/// The columns for worst cases. Narrow screens leave them out.
const WORST: usize = 19;

pub(crate) fn lines(run: &DrillView, now: i64, width: usize) -> Vec<Line<'static>> {
    let progress = &run.progress;
    let elapsed = run.elapsed(now);
    let mut lines = vec![
        headline(progress, elapsed),
        traffic(progress),
        Line::raw(""),
    ];
    if let Some(board) = &progress.blind {
        lines.extend(blind(board, width));
        return lines;
    }
    // The name of an alert has its own line above its moments.
    let mut about: Option<&str> = None;
    for row in &progress.clock {
        if let Some(alert) = row.alert.as_deref()
            && about != Some(alert)
        {
            lines.push(Line::styled(
                cells::cut(&one_line(alert), width),
                theme::strong(),
            ));
        }
        about = row.alert.as_deref();
        lines.push(moment(row, progress.since_fault, width));
    }
    for alarm in &progress.false_alarms {
        let text = format!(
            "✖ {} fires at {:.1} s although nothing expects it",
            alarm.alert, alarm.at
        );
        lines.extend(wrap(&text, width, theme::bad()));
    }
    lines
}

/// The lines of a blind drill: the command to watch its server, the hash of its plan, the alerts, and the player's
/// actions.
fn blind(board: &Board, width: usize) -> Vec<Line<'static>> {
    let token = board.token_file.as_ref();
    let token = token.map_or(String::new(), |path| format!(" --ops-token-file {path}"));
    let watch = format!(
        "watch it: concertctl tui --ops-url {}{token}",
        board.ops_url
    );
    let mut lines = wrap(&watch, width, theme::strong());
    let hash = format!("SHA-256 of salt and plan: {}", board.sha256);
    lines.extend(wrap(&hash, width, theme::quiet()));
    for alert in &board.alerts {
        lines.extend(wrap(&format!("▲ {alert}"), width, theme::warn()));
    }
    for (at, what) in &board.done {
        let text = format!("{} {what}", stopwatch(*at));
        lines.extend(wrap(&text, width, theme::text()));
    }
    lines
}

fn headline(progress: &Progress, elapsed: f64) -> Line<'static> {
    let mut spans = vec![Span::styled(
        format!("{:<8}", stopwatch(elapsed)),
        theme::strong(),
    )];
    if progress.injects > 1 {
        let text = format!(
            "fault {} of {}  ",
            progress.injected.max(1),
            progress.injects
        );
        spans.push(Span::styled(text, theme::quiet()));
    }
    match (progress.fault_ends_in, progress.since_fault) {
        (Some(left), _) => spans.push(Span::styled(
            format!("▲ the fault lasts {left:.0} s more"),
            theme::warn(),
        )),
        (None, Some(_)) if progress.injected > 0 => {
            spans.push(Span::styled("● the fault is over", theme::good()));
        }
        _ => spans.push(Span::styled(
            progress.step.description().to_owned(),
            theme::quiet(),
        )),
    }
    Line::from(spans)
}

fn traffic(progress: &Progress) -> Line<'static> {
    let Some(traffic) = progress.traffic else {
        return Line::styled("no traffic yet", theme::quiet());
    };
    let (sign, style) = match traffic.met {
        true => ("●", theme::good()),
        false => ("✖", theme::bad()),
    };
    let p95 = traffic
        .p95_ms
        .map_or("no success".to_owned(), |ms| format!("p95 {ms:.0} ms"));
    let text = format!(
        " users: {} requests/s, {} errors, {p95}",
        short(to_f64(traffic.requests)),
        short(to_f64(traffic.errors)),
    );
    Line::from(vec![Span::styled(sign, style), Span::raw(text)])
}

/// Draws one moment: its name and its time. A moment with a budget has a bar between them, which fills up until the
/// moment comes.
fn moment(row: &Row, since_fault: Option<f64>, width: usize) -> Line<'static> {
    let indent = if row.alert.is_some() { "  " } else { "" };
    let name = format!("{indent}{}", row.stage.word());
    let took = row.at.zip(row.from).map(|(at, from)| at - from);
    let so_far = row
        .from
        .zip(since_fault)
        .map(|(from, now)| (now - from).max(0.0));
    let mut spans = vec![Span::styled(
        format!("{name:<NAME$}"),
        if row.at.is_some() {
            theme::text()
        } else {
            theme::quiet()
        },
    )];
    let Some(budget) = row.budget else {
        let (text, style) = match row.at {
            Some(_) if row.stage == Stage::Fault => ("0.0 s".to_owned(), theme::text()),
            Some(at) => (format!("{at:.1} s"), theme::text()),
            None => ("–".to_owned(), theme::quiet()),
        };
        spans.push(Span::styled(text, style));
        return Line::from(spans);
    };
    let wide = width >= NAME + FIGURES + WORST + 20;
    let room = width.saturating_sub(NAME + FIGURES + if wide { WORST } else { 0 });
    let shown = took.or(so_far);
    let (sign, style) = state(row.stage, took, so_far, budget);
    spans.extend(bar(
        shown.unwrap_or_default() / budget.max(0.001),
        room.min(40),
        style,
    ));
    let figure = shown.map_or("–".to_owned(), |shown| format!("{shown:.1}"));
    let text = format!(" {figure:>6} of {budget:>3.0} s ");
    spans.push(Span::raw(text));
    spans.push(Span::styled(sign, style));
    if let (true, Some(predicted)) = (wide, row.predicted) {
        let text = format!("  worst {predicted:.1} s");
        spans.push(Span::styled(text, theme::quiet()));
    }
    Line::from(spans)
}

/// Sign and style of a budget: met, missed, nearly used up, or running. `so_far` is the time that has passed while the
/// moment has not come.
fn state(
    stage: Stage,
    took: Option<f64>,
    so_far: Option<f64>,
    budget: f64,
) -> (&'static str, Style) {
    match (took, so_far) {
        (Some(took), _) if took <= budget => ("✔", theme::good()),
        (Some(_), _) => ("✖", theme::bad()),
        // No alert may fire while a quiet drill watches, so a full bar means success.
        (None, Some(now)) if stage == Stage::Watch && now >= budget => ("✔", theme::good()),
        (None, Some(now)) if now > budget => ("✖", theme::bad()),
        (None, Some(now)) if now > 0.75 * budget && stage != Stage::Watch => ("▲", theme::warn()),
        (None, Some(_)) => ("", theme::accent()),
        (None, None) => ("", theme::quiet()),
    }
}
