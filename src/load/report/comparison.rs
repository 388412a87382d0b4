//! The comparison with a baseline as text.

use std::fmt::Write as _;

use super::format::{gap, instant, trimmed};
use super::{Colours, paragraph};
use crate::cells;
use crate::load::baseline::{Baseline, Change, Compared};
use crate::load::plan::number;

/// Formats a number of a comparison. Its name determines the unit.
pub(super) fn value(name: &str, value: f64) -> String {
    match name.rsplit('.').next() {
        Some("rate") => format!("{}/s", number(value)),
        Some("error_rate") => format!("{} %", trimmed(value * 100.0)),
        _ => gap(value),
    }
}

/// The difference of a number from that of the baseline.
pub(super) fn by(compared: &Compared) -> String {
    let times = compared.now / compared.before;
    match times {
        times if !times.is_finite() => "–".to_owned(),
        times if times >= 10.0 => format!("× {}", number(times)),
        times => format!("{:+.0} %", (times - 1.0) * 100.0),
    }
}

/// Describes the run of the baseline.
pub(super) fn with(baseline: &Baseline) -> String {
    format!(
        "beside the run of {}, server {}; what differs by less than {} % is the same",
        instant(&baseline.started_at),
        baseline.server_version,
        trimmed(baseline.noise * 100.0)
    )
}

/// Describes the number of figures that are neither better nor worse.
pub(super) fn rest(baseline: &Baseline) -> String {
    let count = |change| {
        let compared = baseline.compared.iter();
        let count = compared.filter(|it| it.change == change).count();
        number(count as f64)
    };
    let (same, few) = (count(Change::Same), count(Change::TooFew));
    format!("{same} equal, {few} of too few requests")
}

/// The differences from the baseline.
pub(super) fn section(out: &mut String, baseline: &Baseline, colours: Colours) {
    /// The width of a name. A longer name puts its numbers on the next line.
    const NAME: usize = 38;
    out.push('\n');
    paragraph(out, "baseline", &[with(baseline)]);
    let is_listed = |change| matches!(change, Change::Better | Change::Worse);
    let lines = baseline.compared.iter().filter(|it| is_listed(it.change));
    let widths = lines.clone().map(|it| cells::width(&it.name));
    let column = widths.filter(|it| *it <= NAME).max().unwrap_or(0);
    for it in lines {
        let (sign, word) = match it.change {
            Change::Better => (colours.good("✓"), "better"),
            _ => (colours.bad("✗"), "worse"),
        };
        let mut name = it.name.as_str();
        if cells::width(name) > column {
            let _ = writeln!(out, "    {name}");
            name = "";
        }
        let (before, now) = (value(&it.name, it.before), value(&it.name, it.now));
        let _ = writeln!(
            out,
            "  {sign} {} {before:>9} → {now:>9} {:>8} {word}",
            cells::left(name, column),
            by(it)
        );
    }
    let _ = writeln!(out, "    {}", rest(baseline));
}

#[cfg(test)]
mod tests {
    use super::super::html::sample;
    use super::super::{WIDTH, text};
    use super::*;

    #[test]
    fn a_comparison_is_shown_in_the_unit_of_its_name() {
        for (name, before, now, text) in [
            ("pay.p95", 20.0, 25.0, "25.0 ms +25 %"),
            ("crowd.pay.rate", 500.0, 440.0, "440/s -12 %"),
            ("pay.error_rate", 0.0, 0.015, "1.5 % –"),
            ("pay.p50", 0.001, 31.0, "31.0 ms × 31,000"),
        ] {
            let change = Change::Worse;
            let name = name.to_owned();
            let it = Compared {
                name,
                before,
                now,
                change,
            };
            assert_eq!(format!("{} {}", value(&it.name, now), by(&it)), text);
        }
    }

    #[test]
    fn only_better_and_worse_figures_of_a_baseline_are_listed_and_every_line_fits() {
        let of = |name: String, now: f64, change| Compared {
            name,
            before: 119_999.0,
            now,
            change,
        };
        let mut summary = sample();
        summary.baseline = Some(Baseline {
            started_at: "2026-01-02T03:04:05.123456789Z".to_owned(),
            server_version: "1.2.3-rc.10+build".to_owned(),
            noise: 0.1,
            compared: vec![
                of("x".repeat(38), 11.0, Change::Better),
                of("y".repeat(70), 119_999_999.0, Change::Worse),
                of("pay.p50".to_owned(), 1.0, Change::Same),
                of("pay.p99".to_owned(), 1.0, Change::TooFew),
            ],
        });
        let report = text(&summary, Colours::None);
        for part in [
            "  ✓ xxx",
            "-100 % better",
            "worse\n",
            "1 equal, 1 of too few requests",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
        assert!(!report.contains("pay.p"), "{report}");
        let wide = report.lines().find(|line| line.chars().count() > WIDTH);
        assert_eq!(wide, None);
    }
}
