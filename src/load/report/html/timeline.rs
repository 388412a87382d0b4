//! The run over time: charts with one time axis, and a table of events.

use maud::{Markup, PreEscaped, html};

use super::axis::{Time, clock};
use super::chart::{Chart, Series, Unit};
use super::markup::{Table, esc, remark, words};
use crate::load::report::format::trimmed;
use crate::load::summary::{Mark, MarkKind, Second, Summary};

/// The largest number of marks that are drawn. The table has all of them.
const DRAWN: usize = 200;
/// The share of the width that the number of a mark takes, and the name of a phase.
const NUMBER: f64 = 0.05;
const NAME: f64 = 0.15;

/// The charts and the table of marks.
pub(super) fn timeline(summary: &Summary) -> Markup {
    let points = &summary.timeline.points;
    let times: Vec<f64> = points.iter().map(|it| it.second).collect();
    let marks = summary.marks.iter().map(|it| it.second);
    let time = Time::until(times.iter().copied().chain(marks));
    let (bands, lines) = (
        bands(&summary.marks, &time),
        lines(&flags(&summary.marks), &time),
    );
    let charts = charts(points);
    let interval = summary.timeline.interval;
    html! {
        (plots(&charts, &time, &times, &bands, &lines))
        @if interval > 1.0 {
            (remark(&format!(
                "Each point covers {} s: rates are averages, latencies are those of the worst second.",
                trimmed(interval)
            )))
        }
        (remark(
            "Latencies are those of buyers' successes outside the queue, from the instant a request was due; \
             queue: registering and polling."
        ))
        (table(&summary.marks, time.end()))
    }
}

/// Charts on one time axis, with the values that the script shows at the pointer.
pub(crate) fn plots(
    charts: &[Chart],
    time: &Time,
    times: &[f64],
    behind: &Markup,
    before: &Markup,
) -> Markup {
    html! {
        div class="timeline" {
            @for chart in charts { (chart.markup(time, times, behind, before)) }
            (readings(charts, times, time))
        }
    }
}

/// A mark as a chart shows it.
pub(crate) struct Flag<'m> {
    pub(crate) second: f64,
    /// The kind of event, which is also the class of its colour.
    pub(crate) kind: &'m str,
    pub(crate) text: &'m str,
}

fn flags(marks: &[Mark]) -> Vec<Flag<'_>> {
    let flag = |mark| {
        let Mark { second, kind, text }: &Mark = mark;
        Flag {
            second: *second,
            kind: word(*kind),
            text,
        }
    };
    marks.iter().map(flag).collect()
}

fn charts(points: &[Second]) -> [Chart; 4] {
    let of = |key, name, value: fn(&Second) -> Option<f64>| Series {
        key,
        name,
        values: points.iter().map(value).collect(),
    };
    [
        Chart {
            id: "tps".to_owned(),
            title: "Requests per second",
            description: "Requests that ended, by outcome, on top of each other.",
            unit: Unit::PerSecond,
            stacked: true,
            series: vec![
                of("ok", "ok", |it| Some(it.ok)),
                of("refused", "refused", |it| Some(it.refused)),
                of("errors", "errors", |it| Some(it.errors)),
            ],
        },
        Chart {
            id: "latency".to_owned(),
            title: "Latency (log scale)",
            description: "Latencies of successes on a logarithmic scale.",
            unit: Unit::Milliseconds,
            stacked: false,
            series: vec![
                of("p50", "p50", |it| it.p50),
                of("p95", "p95", |it| it.p95),
                of("p99", "p99", |it| it.p99),
                of("queue", "queue p95", |it| it.queue_p95),
            ],
        },
        Chart {
            id: "queue-depth".to_owned(),
            title: "Queue",
            description: "Users who wait, and the admitted-up-to watermark.",
            unit: Unit::Things,
            stacked: false,
            series: vec![
                of("waiting", "waiting", |it| it.waiting.map(|it| it as f64)),
                of("mark-let-in", "admitted mark", |it| {
                    it.admitted_mark.map(|it| it as f64)
                }),
            ],
        },
        Chart {
            id: "seats".to_owned(),
            title: "Seats",
            description: "Seats that buyers hold unpaid, and seats that they have paid.",
            unit: Unit::Things,
            stacked: false,
            series: vec![
                of("held", "held", |it| Some(it.held as f64)),
                of("sold", "sold", |it| Some(it.sold as f64)),
            ],
        },
    ]
}

/// Phases as bands behind the lines of a chart.
fn bands(marks: &[Mark], time: &Time) -> Markup {
    let phases = marks.iter().filter(|it| it.kind == MarkKind::Phase);
    let phases: Vec<(f64, &str)> = phases.map(|it| (time.at(it.second), &*it.text)).collect();
    let ends = phases.iter().skip(1).map(|(start, _)| *start).chain([1.0]);
    let bands = phases.iter().zip(ends).enumerate().take(DRAWN);
    html! {
        @for (at, ((start, name), end)) in bands {
            @let x = percent(*start);
            @let width = (end - start).max(0.0);
            rect class={ "band b" (at % 2) } x=(x) width=(percent(width)) height="150" {}
            @if width >= NAME {
                text class="phase" x=(x) dx="5" y="13" { (esc(name)) }
            }
        }
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// Draws marks as lines in front of a chart. They have their number in the table if there is space.
pub(crate) fn lines(marks: &[Flag<'_>], time: &Time) -> Markup {
    let mut free = 0.0;
    let mut numbered = |share: f64| {
        let has_room = share >= free;
        if has_room {
            free = share + NUMBER;
        }
        has_room
    };
    html! {
        @for (at, mark) in marks.iter().enumerate().take(DRAWN) {
            @let share = time.at(mark.second);
            @let (x, kind) = (percent(share), mark.kind);
            g class={ "mark " (kind) } {
                title { (esc(&format!("{} {kind}: {}", clock(mark.second, time.end()), mark.text))) }
                line x1=(x) x2=(x) y1="-4" y2="150" {}
                @if numbered(share) {
                    text class="middle" x=(x) y="-8" { (at + 1) }
                }
            }
            "\n"
        }
    }
}

fn table(marks: &[Mark], end: f64) -> Markup {
    let columns = [words("#"), words("when"), words("what"), words("")];
    let mut table = Table::new("What happened when", &columns);
    for (at, mark) in marks.iter().enumerate() {
        let kind = word(mark.kind);
        table.row_of(
            kind,
            &[
                (at + 1).to_string(),
                clock(mark.second, end),
                kind.to_owned(),
                mark.text.clone(),
            ],
        );
    }
    html! {
        h3 { "What happened when" }
        (table.markup())
        @if marks.len() > DRAWN {
            (remark(&format!("The first {DRAWN} are in the charts.")))
        }
    }
}

const fn word(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Phase => "phase",
        MarkKind::Control => "control",
        MarkKind::Fault => "fault",
        MarkKind::Alert => "alert",
    }
}

/// All values, for the script that shows them. They consist only of the program's own names and of numbers.
fn readings(charts: &[Chart], times: &[f64], time: &Time) -> Markup {
    let short = |value: f64| (value * 1e3).round() / 1e3;
    let mut series = serde_json::Map::new();
    for line in charts.iter().flat_map(|chart| &chart.series) {
        let values = line.values.iter().map(|it| it.map(short));
        series.insert(line.key.to_owned(), values.collect());
    }
    let times: Vec<f64> = times.iter().copied().map(short).collect();
    let all = serde_json::json!({ "begin": time.begin(), "end": time.end(), "times": times, "series": series });
    html! {
        script type="application/json" class="readings" { (PreEscaped(all.to_string())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(second: f64, kind: MarkKind, text: &str) -> Mark {
        Mark {
            second,
            kind,
            text: text.to_owned(),
        }
    }

    #[test]
    fn every_mark_is_a_line_and_numbers_do_not_lie_on_each_other() {
        let marks = [
            mark(0.0, MarkKind::Phase, "register"),
            mark(50.0, MarkKind::Fault, "<b>"),
            mark(51.0, MarkKind::Alert, "one"),
            mark(60.0, MarkKind::Phase, "open"),
            mark(99.0, MarkKind::Control, "stop"),
        ];
        let time = Time::until([100.0].into_iter());
        let out = lines(&flags(&marks), &time).into_string();
        assert_eq!(out.matches("<line").count(), 5);
        for tag in [">1<", ">2<", ">4<", ">5<"] {
            assert!(out.contains(tag), "{tag} {out}");
        }
        assert!(!out.contains(">3<") && !out.contains("<b>"), "{out}");
        assert!(!table(&marks, 100.0).into_string().contains("<b>"));
        let bands = bands(&marks, &time).into_string();
        assert_eq!(bands.matches("<rect").count(), 2);
        assert!(
            bands.contains(">register<") && bands.contains(">open<"),
            "{bands}"
        );
    }

    #[test]
    fn many_marks_are_listed_and_not_all_drawn() {
        let marks: Vec<Mark> = (0..1_000)
            .map(|at| mark(f64::from(at), MarkKind::Alert, "x"))
            .collect();
        let time = Time::until([1_000.0].into_iter());
        assert_eq!(
            lines(&flags(&marks), &time)
                .into_string()
                .matches("<line")
                .count(),
            DRAWN
        );
        assert_eq!(
            table(&marks, 1_000.0)
                .into_string()
                .matches("<tr class=\"alert\"")
                .count(),
            1_000
        );
    }
}
