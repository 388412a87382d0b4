//! What happens to the console ([`Event`]) and what it wants done ([`Effect`]). The only words
//! between the pure part and the tasks that do I/O.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::api::ops::{AdmissionChange, SeedProgress, SeedRequest, Status};
use crate::clients::alertmanager::{Alert, PostableAlert, PostableSilence, Silence};
use crate::clients::loki::LogLine;
use crate::clients::prometheus::RuleAlert;
use crate::clients::tempo::{FoundTrace, Trace};
use crate::tui::audit::AuditEntry;
use crate::tui::connection::Source;
use crate::tui::dashboard::Query;
use crate::tui::load_port::{Outcome, Progress, Scenario, Steer};
use crate::tui::recording::view::TapeView;
use crate::tui::screens::traces::{Asked, Coverage};
use crate::tui::sources::answers::LogAnswer;
use crate::tui::sources::evidence::Evidence;
use crate::tui::sources::series::QueryAnswer;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size; the frame is drawn anew.
    Resize,
    /// Time passed: ages change.
    Tick,
    /// Values now, and the past if it was asked for, by query.
    Metrics {
        at: i64,
        now: BTreeMap<Query, QueryAnswer>,
        past: Option<BTreeMap<Query, QueryAnswer>>,
    },
    /// Lines of that query, as `logs::asked` writes it; `skipped`: there were more than one answer
    /// holds.
    Logs {
        query: String,
        lines: Vec<LogLine>,
        skipped: bool,
    },
    /// What a source calls wrong with its own answers; absent: nothing any more.
    Warned {
        source: Source,
        warning: Option<String>,
    },
    /// The source refused that LogQL.
    LogsRefused { reason: String },
    /// The traces that were asked for, and how much of them that is.
    Traces {
        asked: Asked,
        found: Vec<FoundTrace>,
        coverage: Coverage,
    },
    /// The trace of that id, if the source has it; or why it cannot be shown.
    Trace {
        id: String,
        trace: Result<Option<Trace>, String>,
    },
    /// The trace source answers, and nobody wants anything of it.
    TracesThere,
    /// Newest lines of a board's log queries.
    BoardLogs(Vec<(Query, LogAnswer)>),
    /// All alerts there are.
    Alerts(Vec<Alert>),
    /// What stands beside the chosen alert.
    Evidence(Box<Evidence>),
    /// All silences there are.
    Silences(Vec<Silence>),
    /// What the rules hold, or why that is not known.
    RuleAlerts(Result<Vec<RuleAlert>, String>),
    /// The server's state.
    Ops(Box<(Status, SeedProgress)>),
    /// A source gave nothing usable and is asked again in `retry_ms`.
    Down {
        source: Source,
        reason: String,
        retry_ms: i64,
    },
    /// A source's clock is ahead of this machine's by so many seconds.
    Clock { source: Source, ahead_s: i64 },
    /// How it stands with a recording.
    Tape(TapeView),
    /// An action ended.
    Done {
        what: String,
        result: Result<(), String>,
    },
    /// An action was written down, or not, for that reason.
    Audited {
        entry: AuditEntry,
        failed: Option<String>,
    },
    /// What earlier sessions wrote down, oldest first.
    AuditRead(Vec<AuditEntry>),
    /// The scenario file that was asked for, or why it cannot be used.
    ScenarioRead(Result<Scenario, String>),
    /// The profile file that was asked for, or why it cannot be used.
    ProfileRead(Result<ProfileFile, String>),
    /// The rehearsal got on.
    LoadProgress(Box<Progress>),
    /// The rehearsal ended, or could not be carried out.
    LoadEnded(Result<Outcome, String>),
    /// A background part of this process broke; the console goes on.
    Broken(String),
}

/// Something to be done outside.
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
    /// Play the recording so many times faster than it was; 0 holds it.
    Play(u32),
    /// Begin seeding; the text says what was done.
    Seed(SeedRequest, String),
    /// Read the scenario of that path.
    ReadScenario(String),
    /// Read the dataset profile of that path.
    ReadProfile(String),
    /// Cancel the seeding.
    CancelSeed,
    /// Change admission; the text says what was done.
    Admission(AdmissionChange, String),
    /// Raise or resolve an alert; the text says what was done.
    PostAlert(PostableAlert, String),
    /// Acknowledge or silence an alert; the text says what was done.
    Silence(PostableSilence, String),
    /// End the silence of that id; the text says what was done.
    EndSilence(String, String),
    /// Start a rehearsal.
    StartLoad {
        scenario: String,
        /// Of that file; absent: a shipped one.
        file: Option<PathBuf>,
        phase: Option<String>,
        reseed: bool,
    },
    /// Ask the rehearsal to end.
    StopLoad,
    /// Steer the rehearsal.
    Steer(Steer),
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
