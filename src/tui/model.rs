//! All the console knows, as plain data. Changed only by `update`, read only by `screens`; knows
//! neither widgets nor I/O. Times are Unix milliseconds and come in with the events.

pub(crate) mod screen;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::api::ops::{SeedPhase, SeedProgress, Status};
use crate::load::{PhaseName, Progress, RunResult, ScenarioInfo};
use crate::tui::audit::AuditEntry;
use crate::tui::dashboard::Query;
use crate::tui::input::dialog::Dialog;
use crate::tui::navigation::Step;
use crate::tui::recording::replay::TapeView;
use crate::tui::screens::alerts::Alerts;
use crate::tui::screens::board::Board;
use crate::tui::screens::logs::Logs;
use crate::tui::screens::resources::Resources;
use crate::tui::screens::traces::{Asked, Traces};
use crate::tui::sources::answers::Answers;
use crate::tui::sources::crosscheck::Checks;
use crate::tui::sources::evidence;
use crate::tui::sources::panels::{PANELS, PanelId, panel};
use crate::tui::sources::series::{Metrics, Track};
use crate::tui::timeline::TimeView;
use crate::tui::window::Zoom;
use crate::tui::zone::Zone;

pub use screen::Screen;

/// Where data come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Source {
    Ops,
    Prometheus,
    Loki,
    Alertmanager,
    Tempo,
}

impl Source {
    pub(crate) const ALL: &[Source] = &[
        Source::Ops,
        Source::Prometheus,
        Source::Loki,
        Source::Alertmanager,
        Source::Tempo,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Source::Ops => "server",
            Source::Prometheus => "metrics",
            Source::Loki => "logs",
            Source::Alertmanager => "alerts",
            Source::Tempo => "traces",
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.name().to_owned()
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(name: String) -> Result<Source, String> {
        let found = Source::ALL.iter().find(|source| source.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("there is no source {name:?}"))
    }
}

/// How it stands with a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Link {
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
pub(crate) struct SourceState {
    pub(crate) link: Link,
    /// When it last answered.
    pub(crate) last_ok: Option<i64>,
    /// What it calls wrong with its own answers.
    pub(crate) warning: Option<String>,
}

impl SourceState {
    /// Old data are shown: how old, and why.
    pub(crate) fn stale(&self, now: i64) -> Option<(i64, &str)> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, Some(at)) => Some((now - at, reason)),
            _ => None,
        }
    }

    /// It never answered, and this is why.
    pub(crate) fn never(&self) -> Option<&str> {
        match (&self.link, self.last_ok) {
            (Link::Down { reason, .. }, None) => Some(reason),
            _ => None,
        }
    }
}

/// What is to be fetched at the moment. The tasks that fetch follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Each query once, however many panels show it.
    pub(crate) queries: BTreeSet<Query>,
    pub(crate) zoom: Zoom,
    /// Where the charts stand still; absent: they follow the time.
    pub(crate) end: Option<i64>,
    /// The alert whose evidence is looked at.
    pub(crate) evidence: Option<evidence::Wanted>,
    /// The LogQL to follow; absent: nobody looks.
    pub(crate) logs: Option<String>,
    /// Only of that time, in Unix milliseconds, instead of the tail.
    pub(crate) log_window: Option<(i64, i64)>,
    /// The list of traces to follow; absent: nobody looks.
    pub(crate) traces: Option<Asked>,
    /// The trace to fetch.
    pub(crate) trace: Option<String>,
    /// The LogQL of the log panels that are seen.
    pub(crate) board_logs: BTreeSet<Query>,
    /// A seeding is under way: look more often.
    pub(crate) seeding: bool,
    /// What the rules hold.
    pub(crate) rules: bool,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    Info,
    Done,
    Failed,
}

/// What the status line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    pub(crate) text: String,
    pub(crate) at: i64,
}

/// Where a rehearsal stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunState {
    Running,
    Stopping,
    Ended(RunResult),
    Failed(String),
}

/// A rehearsal, under way or over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunView {
    pub(crate) scenario: String,
    pub(crate) phase: Option<PhaseName>,
    pub(crate) state: RunState,
    pub(crate) progress: Progress,
    /// Requests answered so far, by time.
    pub(crate) requests: VecDeque<(i64, u64)>,
    /// The rehearsal's own TPS, taken over the same window as the server's.
    pub(crate) tps: Track,
    /// Its p95 outside the queue, in seconds: of all it sent so far.
    pub(crate) p95: Track,
    /// Lines that the verdict and the table beneath it are scrolled by.
    pub(crate) scroll: usize,
}

impl RunView {
    /// The newest of its own TPS.
    pub(crate) fn tps_now(&self) -> f64 {
        self.tps.back().map_or(0.0, |(_, tps)| *tps)
    }

    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Stopping)
    }

    /// How it was steered: `paused`, `×1.25`, `paused, ×0.8`; absent: it goes as its scenario says.
    pub(crate) fn steered(&self) -> Option<String> {
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
pub(crate) struct Load {
    pub(crate) scenarios: Vec<ScenarioInfo>,
    /// Index into `scenarios`.
    pub(crate) chosen: usize,
    pub(crate) run: Option<RunView>,
    /// When rehearsals began to do what, oldest first.
    pub(crate) begun: VecDeque<(i64, String)>,
}

impl Load {
    /// What is chosen.
    pub(crate) fn scenario(&self) -> Option<&ScenarioInfo> {
        self.scenarios.get(self.chosen)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.run.as_ref().is_some_and(RunView::is_under_way)
    }
}

/// What does not change while the console runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) read_only: bool,
    /// Who acts.
    pub(crate) who: String,
    /// Where actions are written down.
    pub(crate) audit_log: Option<PathBuf>,
    pub(crate) colour: bool,
    pub(crate) ascii: bool,
    /// The terminal's background is light.
    pub(crate) light: bool,
    /// Who is asked, for the header: `127.0.0.1:8081`.
    pub(crate) target: String,
    /// The server runs inside this process.
    pub(crate) embedded: bool,
    /// The time zone that times are shown in.
    pub(crate) zone: Zone,
    /// Drawn once, not live: no keys to hint at.
    pub(crate) once: bool,
}

/// All the console knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) now: i64,
    pub(crate) screen: Screen,
    /// The places that links led away from, the last one last.
    pub(crate) trail: Vec<Step>,
    pub(crate) zoom: Zoom,
    pub(crate) time: TimeView,
    /// The panel of the overview that fills the screen.
    pub(crate) enlarged: Option<PanelId>,
    /// Columns and rows of the last frame.
    pub(crate) size: (u16, u16),
    pub(crate) sources: [SourceState; Source::ALL.len()],
    pub(crate) metrics: Metrics,
    /// A recording that is made or played.
    pub(crate) tape: TapeView,
    /// Whether the sources agree.
    pub(crate) checks: Checks,
    /// Of dashboards and of the Resources screen.
    pub(crate) answers: Answers,
    pub(crate) status: Option<Status>,
    pub(crate) seed: SeedProgress,
    pub(crate) logs: Logs,
    pub(crate) traces: Traces,
    pub(crate) load: Load,
    pub(crate) alerts: Alerts,
    /// What was done, oldest first, this session and before; at most `audit::KEPT`.
    pub(crate) audit: VecDeque<AuditEntry>,
    /// Why the audit log is not written.
    pub(crate) audit_failed: Option<String>,
    pub(crate) resources: Resources,
    pub(crate) board: Board,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) notice: Option<Notice>,
}

impl Model {
    pub(crate) fn source(&self, source: Source) -> &SourceState {
        &self.sources[source as usize]
    }

    pub(crate) fn source_mut(&mut self, source: Source) -> &mut SourceState {
        &mut self.sources[source as usize]
    }

    pub(crate) fn is_seeding(&self) -> bool {
        self.seed.phase == SeedPhase::Running
    }

    /// What is to be fetched now.
    pub(crate) fn plan(&self) -> Plan {
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

    pub(crate) fn tell(&mut self, kind: NoticeKind, text: impl Into<String>) {
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
