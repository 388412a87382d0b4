//! The report as one HTML page, made of the same parts as a rehearsal's report.

use maud::{Markup, html};

use super::baseline::{Change, Comparison, Figure};
use super::content::Report;
use super::document::Document;
use super::format::{
    NONE, basis, budget, burnt, count, error_budget, expectation, figure, noticed, reasons,
    response,
};
use super::matrix::{Cell, cell, result};
use crate::drill::record::{Mark, MarkKind};
use crate::drill::verdict::{Outcome, Verdict};
use crate::load::report::format::instant;
use crate::load::report::html::axis::{Time, clock};
use crate::load::report::html::chart::{Chart, Series, Unit};
use crate::load::report::html::markup::{
    NO_DATA, Table, esc, facts, figures, remark, section, sentence, words,
};
use crate::load::report::html::page;
use crate::load::report::html::timeline::{Flag, lines, percent, plots};

/// The whole report.
#[must_use]
pub fn html(document: &Document) -> String {
    let body = match (document.drills.as_slice(), document.skipped.is_empty()) {
        ([only], true) => html! {
            (verdict(only))
            (key_figures(only))
            (parts(only, 0))
            (comparison(document))
        },
        (drills, _) => html! {
            (verdict_of_all(document))
            (section("drills", "Drills", &contents(drills)))
            (section("matrix", "Alerts × drills", &matrix(document)))
            @if !document.skipped.is_empty() {
                (section("skipped", "Not exercised", &skipped(document)))
            }
            (comparison(document))
            @for (at, report) in drills.iter().enumerate() {
                article id={ "drill-" (at + 1) } {
                    h2 { (at + 1) ". " (esc(&report.drill)) }
                    (sentence(&format!("{}: {}", report.title, report.sentence)))
                    (key_figures(report))
                    (parts(report, at))
                }
            }
        },
    };
    page(&title(document), &body)
}

fn title(document: &Document) -> String {
    match document.drills.as_slice() {
        [only] => format!("{}: {}", only.drill, only.verdict.word()),
        drills => format!("{} drills", drills.len()),
    }
}

const fn look(verdict: &Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Passed => ("good", "✓", "Passed"),
        Verdict::Failed(_) => ("bad", "✗", "Failed"),
        Verdict::Inconclusive(_) => ("unsure", "?", "Inconclusive"),
    }
}

fn verdict(report: &Report) -> Markup {
    let reasons = reasons(&report.verdict);
    let begun = instant(&report.started_at);
    html! {
        header class={ "verdict " (look(&report.verdict).0) } {
            (heading(look(&report.verdict)))
            p { (esc(&report.sentence)) }
            p class="scenario" { strong { (esc(&report.drill)) } " " (esc(&report.title)) }
            p { (esc(&format!("{begun} · seed {} · times in seconds from the fault's beginning", report.seed))) }
            @if !reasons.is_empty() {
                ul class="reasons" { @for reason in reasons { li { (esc(reason)) } } }
            }
        }
    }
}

fn heading((_, sign, word): (&str, &str, &str)) -> Markup {
    html! {
        h1 { span class="sign" aria-hidden="true" { (sign) } " " span id="verdict" { (word) } }
    }
}

fn verdict_of_all(document: &Document) -> Markup {
    let worst = document
        .drills
        .iter()
        .max_by_key(|it| it.verdict.exit_code());
    let look = worst.map_or(("unsure", "?", "Nothing ran"), |it| look(&it.verdict));
    let begun = document.drills.first().map(|it| instant(&it.started_at));
    let all = &document.matrix.all;
    html! {
        header class={ "verdict " (look.0) } {
            (heading(look))
            p { (esc(&document.sentence)) }
            p { "Recall " (esc(&all.recall())) ", precision " (esc(&all.precision())) " over all alerts." }
            @if let Some(begun) = begun { p { (esc(&begun)) } }
        }
    }
}

fn contents(drills: &[Report]) -> Markup {
    html! {
        ol {
            @for (at, report) in drills.iter().enumerate() {
                @let (class, sign, _) = look(&report.verdict);
                li class=(class) {
                    a href={ "#drill-" (at + 1) } { (esc(&report.drill)) }
                    " " (sign) " " (esc(&report.sentence))
                }
            }
        }
    }
}

fn key_figures(report: &Report) -> Markup {
    let harm = &report.harm;
    let noticed = noticed(report);
    let beside = noticed.map(|it| format!(", {}", it.beside_the_symptom()));
    let keys = [
        (
            "Noticed after",
            figure(noticed.map(|it| it.since_fault)),
            format!(
                "from the fault until an expected alert fired{}",
                beside.unwrap_or_default()
            ),
        ),
        (
            "Outside of the objective",
            format!("{} s", count(harm.seconds_outside)),
            "for customers, from the fault on".to_owned(),
        ),
        (
            "Failed requests",
            count(harm.failed),
            format!(
                "of {} buying requests from the fault on",
                count(harm.requests)
            ),
        ),
        (
            "People affected",
            count(harm.people),
            "a request failed or was too slow".to_owned(),
        ),
        (
            "Error budget burnt",
            burnt(harm.budget_burnt),
            error_budget(report),
        ),
        (
            "False alarms",
            count(report.false_alarms.len() as u64),
            "alerts that nothing expects or allows".to_owned(),
        ),
    ];
    html! {
        dl class="keys" {
            @for (name, value, note) in keys {
                div {
                    dt { (name) }
                    dd class="value" { (esc(&value)) }
                    dd class="aside" { (esc(&note)) }
                }
            }
        }
    }
}

/// The sections of one drill. `at` makes their element ids unique in the page.
fn parts(report: &Report, at: usize) -> Markup {
    let parts = [
        ("expectations", "Expectations", expectations(report)),
        ("clock", "On one clock", timeline(report, at)),
        ("alerts", "Alerts", alerts(report)),
        ("improve", "What to improve", improve(report)),
        ("repeat", "To repeat it", repeat(report)),
    ];
    let response = response(report);
    html! {
        @if !response.is_empty() {
            (section(&format!("response-{}", at + 1), "The player's response", &facts(&response)))
        }
        @for (id, title, body) in &parts {
            (section(&format!("{id}-{}", at + 1), title, body))
        }
    }
}

const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "good",
        Outcome::Late | Outcome::Missed => "bad",
        Outcome::NotExercised => "",
    }
}

fn expectations(report: &Report) -> Markup {
    let columns = [
        words("expected"),
        words("outcome"),
        figures("measured"),
        figures("budget"),
        figures("predicted worst case"),
        words("rule"),
    ];
    let mut table = Table::new("Expectations", &columns);
    for it in &report.expectations {
        let cells = expectation(it, "");
        let is_bad = it.above_prediction || class(it.outcome) == "bad";
        table.row_of(if is_bad { "bad" } else { class(it.outcome) }, &cells);
        if it.above_prediction {
            table.note("✗ later than the predicted worst case");
        }
    }
    html! {
        (table.markup())
        (remark(
            "Firing counts from the fault's beginning, a notification from firing, recovery and the notice of the end \
             from the fault's end."
        ))
    }
}

fn timeline(report: &Report, at: usize) -> Markup {
    let times: Vec<f64> = report.seconds.iter().map(|it| it.0).collect();
    let marks = report.marks.iter().map(|it| it.at);
    // A second is over one second after its beginning.
    let time = Time::of(
        times
            .iter()
            .map(|it| it + 1.0)
            .chain(times.iter().copied())
            .chain(marks),
    );
    let texts: Vec<String> = report.marks.iter().map(text_of).collect();
    let flags = report.marks.iter().zip(&texts).map(|(mark, text)| Flag {
        second: mark.at,
        kind: kind_of(mark),
        text,
    });
    let flags: Vec<Flag<'_>> = flags.collect();
    let charts = charts(report, at);
    html! {
        (plots(&charts, &time, &times, &faults(report, &time), &lines(&flags, &time)))
        (remark("Buying: all requests outside of the queue. Shaded: the time of a fault."))
        (table_of(&flags, time.end()))
    }
}

fn text_of(mark: &Mark) -> String {
    format!("{} {}", mark.subject, mark.kind.words())
}

/// The class of a mark's colour.
const fn kind_of(mark: &Mark) -> &'static str {
    match mark.kind {
        MarkKind::FaultBegins | MarkKind::FaultEnds => "fault",
        MarkKind::Symptom | MarkKind::Mitigated | MarkKind::Acted => "users",
        _ => "alert",
    }
}

fn table_of(flags: &[Flag<'_>], end: f64) -> Markup {
    let columns = [words("#"), words("when"), words("of"), words("what")];
    let mut table = Table::new("What happened when", &columns);
    for (at, flag) in flags.iter().enumerate() {
        table.row_of(
            flag.kind,
            &[
                (at + 1).to_string(),
                clock(flag.second, end),
                flag.kind.to_owned(),
                flag.text.to_owned(),
            ],
        );
    }
    html! { h3 { "What happened when" } (table.markup()) }
}

/// The time of each fault, drawn behind the lines.
fn faults(report: &Report, time: &Time) -> Markup {
    html! {
        @for (begin, end) in &report.faults {
            @let (from, to) = (time.at(*begin), time.at(*end));
            rect class="band of-fault" x=(percent(from)) width=(percent(to - from)) height="150" {}
        }
    }
}

fn charts(report: &Report, at: usize) -> [Chart; 3] {
    type Second = (f64, u64, u64, Option<f64>);
    let of = |key, name, value: &dyn Fn(&Second) -> Option<f64>| Series {
        key,
        name,
        values: report.seconds.iter().map(value).collect(),
    };
    let objective = report.basis.p95_ms;
    let id = |name: &str| format!("{name}-{}", at + 1);
    [
        Chart {
            id: id("rate"),
            title: "Buying requests per second",
            description: "Buying requests that ended, good ones and failed ones on top of each other.",
            unit: Unit::PerSecond,
            stacked: true,
            series: vec![
                of("ok", "served", &|it| Some(it.1.saturating_sub(it.2) as f64)),
                of("refused", "failed", &|it| Some(it.2 as f64)),
            ],
        },
        Chart {
            id: id("failed"),
            title: "Failed buying requests per second",
            description: "Buying requests that were answered 5xx or not at all.",
            unit: Unit::PerSecond,
            stacked: false,
            series: vec![of("errors", "5xx or no answer", &|it| Some(it.2 as f64))],
        },
        Chart {
            id: id("p95"),
            title: "p95 of buying (log scale)",
            description: "95 % of the buying requests that succeeded took at most this long, beside the objective.",
            unit: Unit::Milliseconds,
            stacked: false,
            series: vec![
                of("p50", "p95", &|it| it.3),
                of("limit", "objective", &|_| Some(objective)),
            ],
        },
    ]
}

fn alerts(report: &Report) -> Markup {
    let columns = [
        words("alert"),
        words("result"),
        figures("pending"),
        figures("firing"),
        figures("shown"),
        figures("notified"),
        figures("resolved"),
        figures("end notified"),
    ];
    let mut table = Table::new("Alerts × states", &columns);
    let seen = report.alerts.iter();
    let seen = seen.flat_map(|(name, spells)| spells.iter().map(move |spell| (name, spell)));
    for (name, spell) in seen {
        let cell = cell(report, name);
        let cells = [
            spell.pending,
            spell.firing,
            spell.shown,
            spell.notified,
            spell.resolved,
            spell.end_notified,
        ];
        let mut row = vec![name.clone(), result(report, name, spell).to_owned()];
        row.extend(cells.map(figure));
        table.row_of(class_of(cell), &row);
    }
    let silent = report.expectations.iter().filter(|it| it.is_firing());
    let silent = silent.filter_map(|it| it.alert.as_ref());
    for name in silent.filter(|name| !report.alerts.contains_key(*name)) {
        let mut row = vec![name.clone(), cell(report, name).word().to_owned()];
        row.extend(std::iter::repeat_n(NONE.to_owned(), 6));
        table.row_of(class_of(cell(report, name)), &row);
    }
    html! {
        (table.markup())
        (remark("Seconds from the fault's beginning. Allowed: a known consequence, neither expected nor false."))
    }
}

const fn class_of(cell: Cell) -> &'static str {
    match cell {
        Cell::InTime => "good",
        Cell::Late | Cell::Missed | Cell::False => "bad",
        Cell::Allowed | Cell::NotExercised | Cell::Nothing => "",
    }
}

fn improve(report: &Report) -> Markup {
    html! {
        @if report.improvements.is_empty() {
            (sentence("Nothing: every expectation was met, and no alert was false."))
        } @else {
            ul {
                @for it in &report.improvements {
                    li {
                        (esc(&it.advice))
                        @if let Some(rule) = &it.rule { " " code { (esc(rule)) } }
                    }
                }
            }
        }
    }
}

fn repeat(report: &Report) -> Markup {
    let all = basis(report);
    let all: Vec<(&str, String)> = all
        .iter()
        .map(|(name, value)| (&**name, value.clone()))
        .collect();
    html! {
        (facts(&all))
    }
}

fn matrix(document: &Document) -> Markup {
    let matrix = &document.matrix;
    if matrix.rows.is_empty() {
        return remark(NO_DATA);
    }
    html! {
        div class="scroll" role="region" aria-label="Alerts × drills" tabindex="0" {
            table class="matrix" {
                thead {
                    tr {
                        th scope="col" class="w" { "alert" }
                        th scope="col" class="n" { "recall" }
                        th scope="col" class="n" { "precision" }
                        @for (at, report) in document.drills.iter().enumerate() {
                            th scope="col" title=(esc(&report.drill)) {
                                a href={ "#drill-" (at + 1) } { (at + 1) }
                            }
                        }
                        @for it in &document.skipped { th scope="col" { (esc(&it.drill)) } }
                    }
                }
                tbody {
                    @for row in &matrix.rows {
                        tr {
                            th scope="row" class="w" { (esc(&row.alert)) }
                            td class="n" { (esc(&row.score.recall())) }
                            td class="n" { (esc(&row.score.precision())) }
                            @for cell in &row.cells {
                                td class=(class_of(*cell)) { (cell.sign()) }
                            }
                        }
                    }
                    tr {
                        th scope="row" class="w" { "all alerts" }
                        td class="n" { (esc(&matrix.all.recall())) }
                        td class="n" { (esc(&matrix.all.precision())) }
                        td colspan=(document.drills.len() + document.skipped.len()) {}
                    }
                }
            }
        }
        (remark(
            "Columns: the drills by their number above. ✓ fired in time, (✓) a known consequence; recall: of the drills \
             that expect the alert, those in which it fired in time; precision: of the drills in which it fired, those \
             that expect or allow it; · not exercised."
        ))
    }
}

fn skipped(document: &Document) -> Markup {
    html! {
        ul { @for it in &document.skipped { li { (esc(&it.drill)) ": " (esc(&it.reason)) } } }
    }
}

fn comparison(document: &Document) -> Markup {
    let Some(baseline) = &document.baseline else {
        return html! {};
    };
    section("baseline", "Beside the earlier run", &compared(baseline))
}

fn compared(baseline: &Comparison) -> Markup {
    let late: Vec<&Figure> = baseline.became_late().collect();
    let columns = [
        words("figure"),
        words("change"),
        figures("before"),
        figures("now"),
        figures("budget"),
    ];
    let mut table = Table::new("Beside the earlier run", &columns);
    let mut drill = "";
    for it in &baseline.figures {
        if drill != it.drill {
            drill = &it.drill;
            table.group(drill);
        }
        table.row_of(
            match it.change {
                Change::Worse | Change::Lost => "bad",
                Change::Better | Change::Gained => "good",
                Change::Same => "",
            },
            &[
                it.what.clone(),
                it.change.words().to_owned(),
                value(it, it.before),
                value(it, it.now),
                it.budget.map_or_else(|| NONE.to_owned(), budget),
            ],
        );
    }
    html! {
        (sentence(&format!(
            "The earlier run began {}, version {}. What differs by less than 1 s or 10 % is the same.",
            instant(&baseline.started_at),
            baseline.version
        )))
        @for what in &baseline.differs { (sentence(&format!("Not the same in both: {what}."))) }
        @for it in &late {
            (sentence(&format!("✗ {}: {} kept its budget before and does not now.", it.drill, it.what)))
        }
        (table.markup())
    }
}

/// A figure of a comparison in its unit.
pub(super) fn value(it: &Figure, value: Option<f64>) -> String {
    match (it.is_time, value) {
        (false, Some(value)) => crate::load::plan::number(value),
        (_, value) => figure(value),
    }
}
