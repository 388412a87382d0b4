//! All the console knows, as plain data. Changed only by `update`, read only by `screens`; knows
//! neither widgets nor I/O. Times are Unix milliseconds and come in with the events.

mod screen;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use super::alerts::Alerts;
use super::answers::Answers;
use super::audit::AuditEntry;
use super::board::Board;
use super::crosscheck::Checks;
use super::dashboard::Query;
use super::dialog::{Dialog, Profiles};
use super::evidence;
use super::load_port::{Outcome, Progress, Scenario};
use super::logs::Logs;
use super::panels::{PANELS, PanelId, panel};
use super::replay::TapeView;
use super::resources::Resources;
use super::series::{Metrics, Track};
use super::timeline::TimeView;
use super::traces::{Asked, Traces};
use super::trail::Step;
use super::window::Zoom;
use crate::api::ops::{SeedPhase, SeedProgress, Status};

pub use screen::Screen;

/// Where data come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Ops,
    Prometheus,
    Loki,
    Alertmanager,
    Tempo,
}

impl Source {
    pub(super) const ALL: &[Source] = &[
        Source::Ops,
        Source::Prometheus,
        Source::Loki,
        Source::Alertmanager,
        Source::Tempo,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Source::Ops => "server",
            Source::Prometheus => "metrics",
            Source::Loki => "logs",
            Source::Alertmanager => "alerts",
            Source::Tempo => "traces",
        }
    }
}

/// How it stands with a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Link {
    /// Not asked yet, or no answer yet.
    #[default]
    Waiting,
    /// The last call was answered.
    Up,
    /// The last call failed.
    Down { reason: String, retry_at: i64 },
}

/// A source as the console sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SourceState {
    pub(super) link: Link,
    /// When it last answered.
    pub(super) last_ok: Option<i64>,
}

impl SourceState {
    /// Old data are shown: how old, and why.
    pub(super) fn stale(&self, now: i64) -> Option<(i64, &str)> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, Some(at)) => Some((now - at, reason)),
            _ => None,
        }
    }

    /// It never answered, and this is why.
    pub(super) fn never(&self) -> Option<&str> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, None) => Some(reason),
            _ => None,
        }
    }
}

/// What is to be fetched at the moment. The tasks that fetch follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Each query once, however many panels show it.
    pub(super) queries: BTreeSet<Query>,
    pub(super) zoom: Zoom,
    /// Where the charts stand still; absent: they follow the time.
    pub(super) end: Option<i64>,
    /// The alert whose evidence is looked at.
    pub(super) evidence: Option<evidence::Wanted>,
    /// The LogQL to follow; absent: nobody looks.
    pub(super) logs: Option<String>,
    /// Only of that time, in Unix milliseconds, instead of the tail.
    pub(super) log_window: Option<(i64, i64)>,
    /// The list of traces to follow; absent: nobody looks.
    pub(super) traces: Option<Asked>,
    /// The trace to fetch.
    pub(super) trace: Option<String>,
    /// The LogQL of the log panels that are seen.
    pub(super) board_logs: BTreeSet<Query>,
    /// A seeding is under way: look more often.
    pub(super) seeding: bool,
    /// What the rules hold.
    pub(super) rules: bool,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoticeKind {
    Info,
    Done,
    Failed,
}

/// What the status line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    pub(super) text: String,
    pub(super) at: i64,
}

/// Where a rehearsal stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RunState {
    Running,
    Stopping,
    Ended(Outcome),
    Failed(String),
}

/// A rehearsal, under way or over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunView {
    pub(super) scenario: String,
    pub(super) phase: Option<String>,
    pub(super) state: RunState,
    pub(super) progress: Progress,
    /// Requests answered so far, by time.
    pub(super) requests: VecDeque<(i64, u64)>,
    /// The rehearsal's own TPS, taken over the same window as the server's.
    pub(super) tps: Track,
    /// Its p95 outside the queue, in seconds: of all it sent so far.
    pub(super) p95: Track,
    /// Lines that the verdict and the table beneath it are scrolled by.
    pub(super) scroll: usize,
}

impl RunView {
    /// The newest of its own TPS.
    pub(super) fn tps_now(&self) -> f64 {
        self.tps.back().map_or(0.0, |(_, tps)| *tps)
    }

    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Stopping)
    }

    /// How it was steered: `paused`, `×1.25`, `paused, ×0.8`; absent: it goes as its scenario says.
    pub(super) fn steered(&self) -> Option<String> {
        let Progress { paused, pace, .. } = self.progress;
        let slowed = pace > 0.0 && (pace - 1.0).abs() > 0.005;
        let pace = slowed.then(|| {
            let text = format!("×{pace:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        let words = paused.then(|| "paused".to_owned());
        let words: Vec<String> = words.into_iter().chain(pace).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// The Load screen.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pub(super) scenarios: Vec<Scenario>,
    /// Row of the list: see [`Load::rows`].
    pub(super) chosen: usize,
    pub(super) run: Option<RunView>,
    /// When rehearsals began to do what, oldest first.
    pub(super) begun: VecDeque<(i64, String)>,
}

impl Load {
    /// What can be chosen: each scenario, then its phases; indexes into `scenarios` and `phases`.
    pub(super) fn rows(&self) -> Vec<(usize, Option<usize>)> {
        let mut rows = Vec::new();
        for (scenario, of) in self.scenarios.iter().enumerate() {
            rows.push((scenario, None));
            rows.extend((0..of.phases.len()).map(|phase| (scenario, Some(phase))));
        }
        rows
    }

    /// The scenario and phase of a row.
    pub(super) fn row(&self, row: usize) -> Option<(&Scenario, Option<&str>)> {
        let (scenario, phase) = *self.rows().get(row)?;
        let scenario = self.scenarios.get(scenario)?;
        Some((
            scenario,
            phase
                .and_then(|phase| scenario.phases.get(phase))
                .map(String::as_str),
        ))
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.run.as_ref().is_some_and(RunView::is_under_way)
    }
}

/// What does not change while the console runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) read_only: bool,
    /// Who acts.
    pub(super) who: String,
    /// Where actions are written down.
    pub(super) audit_log: Option<PathBuf>,
    pub(super) colour: bool,
    pub(super) ascii: bool,
    /// The terminal's background is light.
    pub(super) light: bool,
    /// Who is asked, for the header: `127.0.0.1:8081`.
    pub(super) target: String,
    /// The server runs inside this process.
    pub(super) embedded: bool,
    /// Drawn once, not live: no keys to hint at.
    pub(super) once: bool,
}

/// All the console knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) now: i64,
    pub(super) screen: Screen,
    /// What can be seeded.
    pub(super) profiles: Profiles,
    /// The places that links led away from, the last one last.
    pub(super) trail: Vec<Step>,
    pub(super) zoom: Zoom,
    pub(super) time: TimeView,
    /// The panel of the overview that fills the screen.
    pub(super) enlarged: Option<PanelId>,
    /// Columns and rows of the last frame.
    pub(super) size: (u16, u16),
    pub(super) sources: [SourceState; Source::ALL.len()],
    pub(super) metrics: Metrics,
    /// A recording that is made or played.
    pub(super) tape: TapeView,
    /// Whether the sources agree.
    pub(super) checks: Checks,
    /// Of dashboards and of the Resources screen.
    pub(super) answers: Answers,
    pub(super) status: Option<Status>,
    pub(super) seed: SeedProgress,
    pub(super) logs: Logs,
    pub(super) traces: Traces,
    pub(super) load: Load,
    pub(super) alerts: Alerts,
    /// What was done, oldest first, this session and before; at most `audit::KEPT`.
    pub(super) audit: VecDeque<AuditEntry>,
    /// Why the audit log is not written.
    pub(super) audit_failed: Option<String>,
    pub(super) resources: Resources,
    pub(super) board: Board,
    pub(super) dialog: Option<Dialog>,
    pub(super) notice: Option<Notice>,
}

impl Model {
    pub(super) fn source(&self, source: Source) -> &SourceState {
        &self.sources[source as usize]
    }

    pub(super) fn source_mut(&mut self, source: Source) -> &mut SourceState {
        &mut self.sources[source as usize]
    }

    pub(super) fn is_seeding(&self) -> bool {
        self.seed.phase == SeedPhase::Running
    }

    /// What is to be fetched now.
    pub(super) fn plan(&self) -> Plan {
        let shown: &[PanelId] = match self.screen {
            Screen::Overview => &[],
            Screen::Load => &[PanelId::Tps, PanelId::P95, PanelId::Seats],
            Screen::Resources | Screen::Logs | Screen::Traces | Screen::Alerts | Screen::Board => {
                &[PanelId::Tps]
            }
        };
        // A recording is for every screen.
        let recording = matches!(self.tape, TapeView::Recording(_));
        let all = self.screen == Screen::Overview || self.settings.once || recording;
        let tail = self.screen == Screen::Logs && !self.logs.frozen;
        let (traces, trace) = match self.screen {
            Screen::Traces => self.traces.wanted(self.now),
            _ => (recording.then(|| self.traces.asked()), None),
        };
        let mut queries: BTreeSet<Query> = if all {
            PANELS.iter().map(|panel| panel.query.into()).collect()
        } else {
            shown.iter().map(|id| panel(*id).query.into()).collect()
        };
        queries.extend(self.board_queries());
        Plan {
            queries,
            board_logs: self.board_logs(),
            zoom: self.zoom,
            end: self.time.end,
            evidence: (self.screen == Screen::Alerts)
                .then(|| self.evidence_wanted())
                .flatten(),
            logs: (tail || recording).then(|| self.logs.query()),
            log_window: self.logs.window,
            traces,
            trace,
            seeding: self.is_seeding(),
            rules: self.screen == Screen::Alerts || self.settings.once || recording,
        }
    }

    pub(super) fn tell(&mut self, kind: NoticeKind, text: impl Into<String>) {
        self.notice = Some(Notice {
            kind,
            text: text.into(),
            at: self.now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_followed_only_while_it_is_looked_at() {
        let mut model = Model::default();
        assert_eq!(model.plan().logs, None);
        model.screen = Screen::Logs;
        assert_eq!(
            model.plan().logs.as_deref(),
            Some(r#"{service_name=~".+"}"#)
        );
        model.logs.frozen = true;
        assert_eq!(model.plan().logs, None);
    }

    #[test]
    fn traces_are_asked_for_only_while_they_are_looked_at() {
        let mut model = Model::default();
        assert_eq!((model.plan().traces, model.plan().trace), (None, None));
        model.screen = Screen::Traces;
        assert_eq!(model.plan().traces, Some(Asked::default()));
    }

    #[test]
    fn every_screen_asks_for_the_tps_so_that_the_header_knows_the_link() {
        for screen in Screen::ALL {
            let model = Model {
                screen: *screen,
                ..Model::default()
            };
            assert!(model.plan().queries.contains(panel(PanelId::Tps).query));
        }
    }
}
