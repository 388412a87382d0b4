//! The state of the Drills screen: the list of drills, and the drill that this console started.

pub(crate) mod clock;
pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod lines;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod update;
pub(crate) mod view;

use crate::drill::progress::Progress;
use crate::drill::report::Report;
use crate::tui::drill_runner::DrillInfo;

/// The state of a drill that this console started.
#[derive(Clone, Debug)]
pub(crate) enum DrillState {
    Running,
    Stopping,
    Ended(Box<Report>),
    Failed(String),
}

/// A drill that this console started, under way or over.
#[derive(Clone, Debug)]
pub(crate) struct DrillView {
    /// The argument that started it: a name or a file.
    pub(crate) started_by: String,
    pub(crate) state: DrillState,
    pub(crate) progress: Progress,
}

impl DrillView {
    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.state, DrillState::Running | DrillState::Stopping)
    }

    /// Seconds since the drill began. Uses the console's clock, so that the time continues between two lines of
    /// progress. It is 0 before the first line.
    pub(crate) fn elapsed(&self, now: i64) -> f64 {
        let started = self.progress.started;
        let millis = if started == 0 {
            0
        } else {
            (now - started).max(0)
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
        let seconds = millis as f64 / 1e3;
        seconds
    }
}

/// The screen's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drills {
    pub(crate) list: Vec<DrillInfo>,
    /// Whether the list has been read.
    pub(crate) known: bool,
    /// The index of the chosen drill in `list`.
    pub(crate) chosen: usize,
    /// Whether the plan of the chosen drill is shown instead of its run or its last result.
    pub(crate) plan: bool,
    pub(crate) run: Option<DrillView>,
    /// The number of lines by which the text beside the list is scrolled.
    pub(crate) scroll: usize,
}

/// The argument that starts a drill: its file, or its name if it is a shipped drill.
pub(crate) fn started_by(drill: &DrillInfo) -> String {
    match &drill.file {
        Some(path) => path.display().to_string(),
        None => drill.name.clone(),
    }
}

impl Drills {
    /// The chosen drill.
    pub(crate) fn drill(&self) -> Option<&DrillInfo> {
        self.list.get(self.chosen)
    }

    /// The run of the chosen drill, if this console started that drill last.
    pub(crate) fn run_of_chosen(&self) -> Option<&DrillView> {
        let name = started_by(self.drill()?);
        self.run.as_ref().filter(|run| run.started_by == name)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.run.as_ref().is_some_and(DrillView::is_under_way)
    }

    /// Whether a blind drill is under way.
    pub(crate) fn is_blind(&self) -> bool {
        let run = self.run.as_ref().filter(|run| run.is_under_way());
        run.is_some_and(|run| run.progress.blind.is_some())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        let state = self.run.as_ref().map(|run| &run.state);
        matches!(state, Some(DrillState::Stopping))
    }

    /// Replaces the list. The chosen drill stays chosen if it still exists.
    pub(crate) fn take(&mut self, list: Vec<DrillInfo>) {
        let chosen = self.drill().map(started_by);
        let same = |drill: &DrillInfo| Some(started_by(drill)) == chosen;
        self.chosen = list.iter().position(same).unwrap_or_default();
        self.list = list;
        self.known = true;
    }

    pub(crate) fn choose(&mut self, row: usize) {
        self.chosen = row.min(self.list.len().saturating_sub(1));
        self.plan = false;
        self.scroll = 0;
    }

    /// Records that a drill was started.
    pub(crate) fn starting(&mut self, started_by: &str) {
        self.plan = false;
        self.scroll = 0;
        self.run = Some(DrillView {
            started_by: started_by.to_owned(),
            state: DrillState::Running,
            progress: Progress::default(),
        });
    }

    /// Records that the drill under way was asked to end.
    pub(crate) fn stopping(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|run| run.is_under_way()) {
            run.state = DrillState::Stopping;
        }
    }
}
