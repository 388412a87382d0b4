//! The state of the console as plain data, without widgets and I/O. It changes only while `update` handles an event,
//! and in `app` (time, size, recording, and its state at the start). The drawing code only reads it. Times are Unix
//! milliseconds and come with the events.

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
use crate::tui::recording::view::RecordingState;
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

/// The outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    Info,
    Done,
    Failed,
}

/// The message in the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    pub(crate) text: String,
    pub(crate) at: i64,
}

/// The state of a rehearsal.
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
    /// Times, each with the number of requests answered until then.
    pub(crate) requests: VecDeque<(i64, u64)>,
    /// The rehearsal's own TPS, over the same window as the server's.
    pub(crate) tps: Track,
    /// The rehearsal's own p95 outside the queue, in seconds, of all requests so far.
    pub(crate) p95: Track,
    /// The scroll position of the verdict and the table below it, in lines.
    pub(crate) scroll: usize,
}

impl RunView {
    /// The newest value of the rehearsal's own TPS.
    pub(crate) fn tps_now(&self) -> f64 {
        self.tps.back().map_or(0.0, |(_, tps)| *tps)
    }

    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Stopping)
    }

    /// The steering of the rehearsal: `paused`, `×1.25`, `paused, ×0.8`; `None` if it follows its scenario.
    pub(crate) fn steered(&self) -> Option<String> {
        let Progress { paused, pace, .. } = self.progress;
        let changed = pace > 0.0 && (pace - 1.0).abs() > 0.005;
        let pace = changed.then(|| {
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
    /// The time at which each phase of a rehearsal began, oldest first.
    pub(crate) begun: VecDeque<(i64, String)>,
}

impl Load {
    /// The chosen scenario.
    pub(crate) fn scenario(&self) -> Option<&ScenarioInfo> {
        self.scenarios.get(self.chosen)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.run.as_ref().is_some_and(RunView::is_under_way)
    }
}

/// The settings, which do not change while the console runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) read_only: bool,
    /// The name of the user, for the audit log.
    pub(crate) who: String,
    /// The file of the audit log.
    pub(crate) audit_log: Option<PathBuf>,
    pub(crate) colour: bool,
    pub(crate) ascii: bool,
    /// Whether the terminal's background is light.
    pub(crate) light: bool,
    /// The operations listener, for the header: `127.0.0.1:8081`.
    pub(crate) target: String,
    /// Whether the server runs inside this process.
    pub(crate) embedded: bool,
    /// The time zone that times are shown in.
    pub(crate) zone: Zone,
    /// The screen is drawn once as text, without hints at keys.
    pub(crate) once: bool,
}

/// The state of the console.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) now: i64,
    pub(crate) screen: Screen,
    /// The navigation stack: the places that the user left by links, the newest last.
    pub(crate) navigation: Vec<Step>,
    pub(crate) zoom: Zoom,
    pub(crate) time: TimeView,
    /// The times at which the server cut the rate of admission, with the size of each cut, oldest first.
    pub(crate) cuts: std::collections::VecDeque<(i64, String)>,
    /// The panel of the overview that fills the screen.
    pub(crate) enlarged: Option<PanelId>,
    /// Columns and rows of the last frame.
    pub(crate) size: (u16, u16),
    pub(crate) sources: [SourceState; Source::ALL.len()],
    pub(crate) metrics: Metrics,
    /// The recording that is made or played.
    pub(crate) recording: RecordingState,
    /// Whether the sources agree.
    pub(crate) checks: Checks,
    /// The answers for dashboards and for the Resources screen.
    pub(crate) answers: Answers,
    pub(crate) status: Option<Status>,
    pub(crate) seed: SeedProgress,
    pub(crate) logs: Logs,
    pub(crate) traces: Traces,
    pub(crate) load: Load,
    pub(crate) alerts: Alerts,
    pub(crate) drills: Drills,
    /// The faults that are active in the server.
    pub(crate) faults: Faults,
    /// The actions of this session and earlier ones, oldest first; at most `audit::KEPT`.
    pub(crate) audit: VecDeque<AuditEntry>,
    /// The reason why the audit log cannot be written.
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

    /// Notes that `source` gave a usable answer.
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
