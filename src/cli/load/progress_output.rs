//! The progress output: bars on a terminal, otherwise a plain line every few seconds. It goes to standard error, so
//! that standard output has only the report.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::keys;
use crate::load::PhaseName;
use crate::load::progress::{Progress, Step};

const PLAIN_EVERY: Duration = Duration::from_secs(3);

/// Shows the progress of a run.
pub(super) enum ProgressOutput {
    Quiet,
    Plain {
        last: Option<(Instant, &'static str)>,
    },
    Bars(Box<Bars>),
}

pub(super) struct Bars {
    all: MultiProgress,
    phases: BTreeMap<PhaseName, ProgressBar>,
    seeding: Option<ProgressBar>,
    footer: ProgressBar,
    keys: bool,
}

impl ProgressOutput {
    /// If `keys` is true, a line below the bars lists the keys.
    pub(super) fn new(quiet: bool, title: &str, keys: bool) -> ProgressOutput {
        if quiet {
            return ProgressOutput::Quiet;
        }
        let _ = writeln!(std::io::stderr(), "{title}");
        if !std::io::stderr().is_terminal() {
            return ProgressOutput::Plain { last: None };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let footer = all.add(ProgressBar::new_spinner());
        footer.set_style(
            ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        ProgressOutput::Bars(Box::new(Bars {
            all,
            phases: BTreeMap::new(),
            seeding: None,
            footer,
            keys,
        }))
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            ProgressOutput::Quiet => {}
            ProgressOutput::Plain { last } => {
                let step = progress.step.name();
                let due =
                    last.is_none_or(|(at, shown)| shown != step || at.elapsed() >= PLAIN_EVERY);
                if due {
                    *last = Some((Instant::now(), step));
                    let _ = writeln!(std::io::stderr(), "{}", plain(progress));
                }
            }
            ProgressOutput::Bars(bars) => bars.show(progress),
        }
    }

    pub(super) fn close(&mut self) {
        if let ProgressOutput::Bars(bars) = self {
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn show(&mut self, progress: &Progress) {
        if let Step::Seeding(seeding) = &progress.step {
            let bar = self
                .seeding
                .get_or_insert_with(|| bar(&self.all, &self.footer, "seeding"));
            bar.set_length(seeding.rows_total);
            bar.set_position(seeding.rows_done);
            self.footer
                .set_message(format!("{:.0} rows/s", seeding.rows_per_second));
            return;
        }
        if let Some(seeding) = self.seeding.take() {
            seeding.finish_and_clear();
        }
        for phase in &progress.phases {
            let (all, last) = (&self.all, &self.footer);
            let bar = self
                .phases
                .entry(phase.phase)
                .or_insert_with(|| bar(all, last, phase.phase.as_str()));
            bar.set_length(phase.total.max(1));
            bar.set_position(phase.done);
        }
        let keys = if self.keys { keys::HELP } else { "" };
        self.footer
            .set_message(format!("{}\n{keys}", footer_text(progress)));
    }
}

fn bar(all: &MultiProgress, before: &ProgressBar, name: &'static str) -> ProgressBar {
    let bar = all.insert_before(before, ProgressBar::new(1));
    let style = ProgressStyle::with_template("{prefix:<9} {wide_bar} {human_pos}/{human_len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name);
    bar
}

/// The progress as one line.
fn plain(progress: &Progress) -> String {
    let step = progress.step.name();
    match &progress.step {
        Step::Connecting | Step::Finished => step.to_owned(),
        Step::Seeding(seeding) => format!(
            "{step} {}: {} of {} rows, {:.0} rows/s",
            seeding.profile, seeding.rows_done, seeding.rows_total, seeding.rows_per_second
        ),
        Step::Running(_) | Step::Stopping | Step::Auditing => {
            let phases = progress.phases.iter();
            let phases =
                phases.map(|phase| format!("{} {}/{}", phase.phase, phase.done, phase.total));
            let phases = phases.collect::<Vec<_>>().join(" · ");
            format!(
                "{} · {phases} · {}",
                rate_line(progress),
                counts_line(progress)
            )
        }
    }
}

/// The lines below the bars: two, each of less than 80 columns unless something went wrong.
fn footer_text(progress: &Progress) -> String {
    format!("{}\n{}", rate_line(progress), counts_line(progress))
}

/// Elapsed time, step, rate, and the p95 of the successful requests outside the queue.
fn rate_line(progress: &Progress) -> String {
    let step = progress.step.name();
    let seconds = progress.elapsed.as_secs_f64();
    let end = progress
        .expected_end
        .map_or_else(String::new, |end| format!("/~{:.0}", end.as_secs_f64()));
    let p95 = progress.p95.map_or_else(
        || "–".to_owned(),
        |p95| format!("{:.1} ms", p95.as_secs_f64() * 1e3),
    );
    let pace = match (progress.paused, progress.pace) {
        (true, _) => " · paused".to_owned(),
        (false, 1.0) => String::new(),
        (false, pace) => format!(" · {pace:.2} ×"),
    };
    format!(
        "{seconds:.0}{end} s {step} · {:.0} TPS · p95 {p95}{pace}",
        progress.tps
    )
}

fn counts_line(progress: &Progress) -> String {
    let statuses = &progress.statuses;
    let problem = |count: u64, name: &str| match count {
        0 => String::new(),
        count => format!(" · {count} {name}"),
    };
    let problems = problem(progress.violations.unwrap_or(0), "violations")
        + &problem(progress.dropped, "dropped");
    format!(
        "2xx {} 4xx {} 5xx {} none {} · {} reserved, {} paid{problems}",
        statuses.success,
        statuses.client,
        statuses.server,
        statuses.none,
        progress.seats_reserved,
        progress.seats_paid,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_below_the_bars_fit_a_narrow_terminal() {
        let mut progress = Progress {
            step: Step::Running(PhaseName::Register),
            tps: 12_345.6,
            pace: 1.0,
            ..Progress::default()
        };
        progress.elapsed = Duration::from_secs(3_599);
        progress.expected_end = Some(Duration::from_secs(3_600));
        progress.p95 = Some(Duration::from_millis(119_999));
        let many = 9_999_999;
        progress.statuses = crate::load::recorder::Statuses {
            success: many,
            client: many,
            server: many,
            none: many,
        };
        (progress.seats_reserved, progress.seats_paid) = (20_000, 20_000);
        for line in footer_text(&progress).lines().chain([keys::HELP]) {
            assert!(line.chars().count() < 80, "{line}");
        }
        assert!(
            footer_text(&progress).starts_with("3599/~3600 s register · 12346 TPS"),
            "{}",
            footer_text(&progress)
        );
    }
}
