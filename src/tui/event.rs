//! The messages between `update`, which does no I/O, and the tasks that do: a task sends an [`Event`], and `update`
//! returns [`Effect`]s.

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
use crate::tui::recording::view::RecordingState;
use crate::tui::screens::traces::{Asked, Coverage};
use crate::tui::sources::answers::LogAnswer;
use crate::tui::sources::evidence::Evidence;
use crate::tui::sources::series::{self, QueryAnswer};

/// Something that happened. A recording stores the variants without `serde(skip)`: `Recorder::note` ignores an event
/// that does not serialize.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Event {
    #[serde(skip)]
    Key(KeyEvent),
    #[serde(skip)]
    Mouse(MouseEvent),
    #[serde(skip)]
    Paste(String),
    /// The size of the terminal changed.
    #[serde(skip)]
    Resize,
    /// A tick: ages on the screen advance.
    #[serde(skip)]
    Tick,
    /// `now`: the current value of each query. `past`: earlier values, only if the `Plan` of `sources` asked for them.
    Metrics {
        at: i64,
        #[serde(with = "series::answers")]
        now: BTreeMap<Query, QueryAnswer>,
        #[serde(default, with = "series::optional_answers")]
        past: Option<BTreeMap<Query, QueryAnswer>>,
    },
    /// Log lines. `query` is the request as `logs::asked` writes it. `skipped`: the source had more lines than fit into
    /// one answer.
    Logs {
        query: String,
        lines: Vec<LogLine>,
        skipped: bool,
    },
    /// The warning of a source about its own answers; `None` when it ended.
    #[serde(skip)]
    Warned {
        source: Source,
        warning: Option<String>,
    },
    /// The source refused the LogQL.
    LogsRefused { reason: String },
    /// A list of traces, and whether it is complete.
    Traces {
        /// The request that this list answers. It is not recorded: a replay sets it to what the screen asks for now, so
        /// that the screen accepts the list.
        #[serde(skip)]
        asked: Asked,
        found: Vec<FoundTrace>,
        #[serde(flatten)]
        coverage: Coverage,
    },
    /// The trace with this id, if the source has it, or the reason why it cannot be shown.
    Trace {
        id: String,
        trace: Result<Option<Trace>, String>,
    },
    /// The trace source answered a probe.
    TracesThere,
    /// The newest lines of a board's log queries.
    BoardLogs(Vec<(Query, LogAnswer)>),
    /// All alerts in Alertmanager.
    Alerts(Vec<Alert>),
    #[serde(skip)]
    Evidence(Box<Evidence>),
    /// All silences in Alertmanager.
    Silences(Vec<Silence>),
    /// The alerts of Prometheus's rules, or the reason why they are unknown.
    RuleAlerts(Result<Vec<RuleAlert>, String>),
    /// The server's state.
    Ops(Box<(Status, SeedProgress)>),
    /// The active faults of the server.
    Faults(Vec<ActiveFault>),
    /// A source failed; it is asked again in `retry_ms`.
    Down {
        source: Source,
        reason: String,
        retry_ms: i64,
    },
    /// The clock of a source is ahead of this machine's clock by this time.
    Clock { source: Source, ahead_s: i64 },
    /// The state of a recording.
    #[serde(skip)]
    Recording(RecordingState),
    /// An action ended.
    #[serde(skip)]
    Done {
        what: String,
        result: Result<(), String>,
    },
    /// An action was written to the audit log; `failed` is the reason if it was not.
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
    /// All drills.
    #[serde(skip)]
    Drills(Vec<DrillInfo>),
    #[serde(skip)]
    DrillProgress(Box<drill::progress::Progress>),
    /// The drill ended, or could not be carried out.
    #[serde(skip)]
    DrillEnded(Result<Box<drill::report::Report>, String>),
    /// A background task of this process panicked; the console continues.
    #[serde(skip)]
    Broken(String),
}

/// Something that `update` asks a task to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// End the console.
    Quit,
    /// Restore the terminal and stop this process until the shell continues it.
    Suspend,
    /// Ring the terminal's bell.
    Bell,
    /// Clear the terminal and draw all of it.
    Redraw,
    /// Play the recording at this multiple of its speed; 0 pauses it.
    Play(u32),
    /// Begin seeding. The text describes the action in the audit log.
    Seed(SeedRequest, String),
    /// Read the scenario file with this path.
    ReadScenario(String),
    /// Read the dataset profile with this path.
    ReadProfile(String),
    /// Cancel the seeding.
    CancelSeed,
    /// Change admission. The text describes the action in the audit log.
    Admission(AdmissionChange, String),
    /// Inject a fault for the duration. The text describes the action in the audit log.
    InjectFault(Fault, Duration, String),
    /// End the fault of this kind, or all faults. The text describes the action in the audit log.
    EndFaults(Option<FaultKind>, String),
    /// Raise or resolve an alert. The text describes the action in the audit log.
    PostAlert(PostableAlert, String),
    /// Acknowledge or silence an alert. The text describes the action in the audit log.
    Silence(PostableSilence, String),
    /// End the silence with this id. The text describes the action in the audit log.
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
    /// Start the drill with this name or file.
    StartDrill(String),
    /// Ask the drill to end.
    StopDrill,
    /// Acknowledge, answer or mitigate in the running blind drill.
    PlayDrill(Action),
}

/// A dataset profile that was read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileFile {
    pub(crate) path: String,
    pub(crate) yaml: String,
}

impl ProfileFile {
    /// The effect that seeds the profile.
    pub(crate) fn seed(self, replace: bool) -> Effect {
        let request = SeedRequest {
            profile: None,
            profile_yaml: Some(self.yaml),
            replace,
        };
        Effect::Seed(request, format!("seeding {}", self.path))
    }
}
