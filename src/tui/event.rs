//! The messages between the pure part and the tasks that do I/O: tasks send an [`Event`], an update returns an
//! [`Effect`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};
use serde::{Deserialize, Serialize};

use crate::api::faults::{ActiveFault, Fault, FaultKind};
use crate::api::ops::{AdmissionChange, SeedProgress, SeedRequest, Status};
use crate::clients::alertmanager::{Alert, PostableAlert, PostableSilence, Silence};
use crate::clients::loki::LogLine;
use crate::clients::prometheus::RuleAlert;
use crate::clients::tempo::{FoundTrace, Trace};
use crate::drill;
use crate::drill::blind::action::Action;
use crate::load::{Command, PhaseName, Progress, RunResult, ScenarioInfo};
use crate::tui::audit::AuditEntry;
use crate::tui::connection::Source;
use crate::tui::dashboard::panel::Query;
use crate::tui::drill_runner::DrillInfo;
use crate::tui::recording::view::TapeView;
use crate::tui::screens::traces::{Asked, Coverage};
use crate::tui::sources::answers::LogAnswer;
use crate::tui::sources::evidence::Evidence;
use crate::tui::sources::series::{self, QueryAnswer};

/// Something that happened. The variants that sources cause are serializable: a recording stores them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Event {
    #[serde(skip)]
    Key(KeyEvent),
    #[serde(skip)]
    Mouse(MouseEvent),
    #[serde(skip)]
    Paste(String),
    /// The terminal has another size; the frame is drawn anew.
    #[serde(skip)]
    Resize,
    /// Time passed: ages change.
    #[serde(skip)]
    Tick,
    /// Current values, and the past if the plan asked for it, by query.
    Metrics {
        at: i64,
        #[serde(with = "series::answers")]
        now: BTreeMap<Query, QueryAnswer>,
        #[serde(default, with = "series::optional_answers")]
        past: Option<BTreeMap<Query, QueryAnswer>>,
    },
    /// Lines of that query, as `logs::asked` writes it; `skipped`: one answer could not hold all.
    Logs {
        query: String,
        lines: Vec<LogLine>,
        skipped: bool,
    },
    /// The warning of a source about its own answers; absent: it ended.
    #[serde(skip)]
    Warned {
        source: Source,
        warning: Option<String>,
    },
    /// The source refused that LogQL.
    LogsRefused { reason: String },
    /// A list of traces, and its completeness.
    Traces {
        /// A recording is for every order: replay fills in the one that is shown.
        #[serde(skip)]
        asked: Asked,
        found: Vec<FoundTrace>,
        #[serde(flatten)]
        coverage: Coverage,
    },
    /// The trace of that id, if the source has it; or the reason why it cannot be shown.
    Trace {
        id: String,
        trace: Result<Option<Trace>, String>,
    },
    /// The trace source answers a probe.
    TracesThere,
    /// Newest lines of a board's log queries.
    BoardLogs(Vec<(Query, LogAnswer)>),
    /// All alerts there are.
    Alerts(Vec<Alert>),
    #[serde(skip)]
    Evidence(Box<Evidence>),
    /// All silences there are.
    Silences(Vec<Silence>),
    /// The alerts of Prometheus's rules, or the reason why they are not known.
    RuleAlerts(Result<Vec<RuleAlert>, String>),
    /// The server's state.
    Ops(Box<(Status, SeedProgress)>),
    /// The faults that the server has.
    Faults(Vec<ActiveFault>),
    /// A source failed and is asked again in `retry_ms`.
    Down {
        source: Source,
        reason: String,
        retry_ms: i64,
    },
    /// A source's clock is ahead of this machine's by so many seconds.
    Clock { source: Source, ahead_s: i64 },
    /// The state of a recording.
    #[serde(skip)]
    Tape(TapeView),
    /// An action ended.
    #[serde(skip)]
    Done {
        what: String,
        result: Result<(), String>,
    },
    /// An action was written down, or `failed` is the reason why not.
    #[serde(skip)]
    Audited {
        entry: AuditEntry,
        failed: Option<String>,
    },
    /// The actions of earlier sessions, oldest first.
    #[serde(skip)]
    AuditRead(Vec<AuditEntry>),
    /// A scenario file, or the reason why it cannot be used.
    #[serde(skip)]
    ScenarioRead(Result<ScenarioInfo, String>),
    /// A profile file, or the reason why it cannot be used.
    #[serde(skip)]
    ProfileRead(Result<ProfileFile, String>),
    #[serde(skip)]
    LoadProgress(Box<Progress>),
    /// The rehearsal ended, or could not be carried out.
    #[serde(skip)]
    LoadEnded(Result<RunResult, String>),
    /// The drills that there are.
    #[serde(skip)]
    Drills(Vec<DrillInfo>),
    #[serde(skip)]
    DrillProgress(Box<drill::progress::Progress>),
    /// The drill ended, or could not be carried out.
    #[serde(skip)]
    DrillEnded(Result<Box<drill::run::Report>, String>),
    /// A background task of this process panicked; the console goes on.
    #[serde(skip)]
    Broken(String),
}

/// Something to be done outside the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Leave.
    Quit,
    /// Give the terminal back and stop this process until the shell continues it.
    Suspend,
    /// Ring the terminal's bell.
    Bell,
    /// Clear the terminal and draw all of it.
    Redraw,
    /// Play the recording at that multiple of its pace; 0 pauses it.
    Play(u32),
    /// Begin seeding. The text describes the action in the audit log.
    Seed(SeedRequest, String),
    /// Read the scenario of that path.
    ReadScenario(String),
    /// Read the dataset profile of that path.
    ReadProfile(String),
    /// Cancel the seeding.
    CancelSeed,
    /// Change admission. The text describes the action in the audit log.
    Admission(AdmissionChange, String),
    /// Inject a fault for the duration. The text describes the action in the audit log.
    InjectFault(Fault, Duration, String),
    /// End the fault of that kind, or all. The text describes the action in the audit log.
    EndFaults(Option<FaultKind>, String),
    /// Raise or resolve an alert. The text describes the action in the audit log.
    PostAlert(PostableAlert, String),
    /// Acknowledge or silence an alert. The text describes the action in the audit log.
    Silence(PostableSilence, String),
    /// End the silence with that id. The text describes the action in the audit log.
    EndSilence(String, String),
    /// Start a rehearsal.
    StartLoad {
        scenario: String,
        /// The file of the scenario. `None` for a shipped scenario.
        file: Option<PathBuf>,
        phase: Option<PhaseName>,
        reseed: bool,
    },
    /// Ask the rehearsal to end.
    StopLoad,
    /// Steer the rehearsal.
    Steer(Command),
    /// Start the drill of that name or file.
    StartDrill(String),
    /// Ask the drill to end.
    StopDrill,
    /// Does something as the player of the blind drill under way.
    PlayDrill(Action),
}

/// A dataset profile of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileFile {
    pub(crate) path: String,
    pub(crate) yaml: String,
}

impl ProfileFile {
    /// Seeds it.
    pub(crate) fn seed(self, replace: bool) -> Effect {
        let request = SeedRequest {
            profile: None,
            profile_yaml: Some(self.yaml),
            replace,
        };
        Effect::Seed(request, format!("seeding {}", self.path))
    }
}
