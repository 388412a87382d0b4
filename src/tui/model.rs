//! All the console knows, as plain data. Changed only by `update`, read only by `screens`; knows
//! neither widgets nor I/O. Times are Unix milliseconds and come in with the events.

pub(crate) mod screen;

use std::collections::VecDeque;
use std::path::PathBuf;

pub use screen::Screen;

use crate::api::ops::{SeedPhase, SeedProgress, Status};
use crate::load::{PhaseName, Progress, RunResult, ScenarioInfo};
use crate::tui::audit::AuditEntry;
use crate::tui::connection::{Link, Source, SourceState};
use crate::tui::faults::Faults;
use crate::tui::input::dialog::Dialog;
use crate::tui::navigation::Step;
use crate::tui::recording::view::TapeView;
use crate::tui::screens::alerts::Alerts;
use crate::tui::screens::board::Board;
use crate::tui::screens::drills::Drills;
use crate::tui::screens::logs::Logs;
use crate::tui::screens::resources::Resources;
use crate::tui::screens::traces::Traces;
use crate::tui::sources::answers::Answers;
use crate::tui::sources::checks::Checks;
use crate::tui::sources::panels::PanelId;
use crate::tui::sources::series::{Metrics, Track};
use crate::tui::time_view::TimeView;
use crate::tui::zone::Zone;
use crate::tui::zoom::Zoom;

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
    /// The navigation stack: the places that links led away from, the last one last.
    pub(crate) navigation: Vec<Step>,
    pub(crate) zoom: Zoom,
    pub(crate) time: TimeView,
    /// When the server cut the rate of admission, and how: oldest first.
    pub(crate) cuts: std::collections::VecDeque<(i64, String)>,
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
    pub(crate) drills: Drills,
    /// What is broken on purpose in the server.
    pub(crate) faults: Faults,
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

    /// `source` gave a usable answer.
    pub(crate) fn answered(&mut self, source: Source) {
        let now = self.now;
        let state = self.source_mut(source);
        state.link = Link::Up;
        state.last_ok = Some(now);
    }

    /// The server's TPS now, to compare with the load generator's.
    pub(crate) fn server_tps(&self) -> Option<f64> {
        self.metrics.get(PanelId::Tps).value()
    }

    pub(crate) fn is_seeding(&self) -> bool {
        self.seed.phase == SeedPhase::Running
    }

    pub(crate) fn tell(&mut self, kind: NoticeKind, text: impl Into<String>) {
        self.notice = Some(Notice {
            kind,
            text: text.into(),
            at: self.now,
        });
    }
}
