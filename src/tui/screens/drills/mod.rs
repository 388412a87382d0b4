//! The Drills screen: the drills that there are, the clock of the one under way, reports.

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

/// Where a drill of this console stands.
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
    /// Name or file that it was started by.
    pub(crate) started_by: String,
    pub(crate) state: DrillState,
    pub(crate) progress: Progress,
}

impl DrillView {
    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.state, DrillState::Running | DrillState::Stopping)
    }

    /// Seconds since it began: between two lines of progress, and while its server starts, time goes on.
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
    /// They have been read.
    pub(crate) known: bool,
    /// Index into `list`.
    pub(crate) chosen: usize,
    /// The plan of the chosen one is shown.
    pub(crate) plan: bool,
    pub(crate) run: Option<DrillView>,
    /// Lines that what is beside the list is scrolled by.
    pub(crate) scroll: usize,
}

/// What a drill is started by: its file, else its name.
pub(crate) fn started_by(drill: &DrillInfo) -> String {
    match &drill.file {
        Some(path) => path.display().to_string(),
        None => drill.name.clone(),
    }
}

impl Drills {
    /// What is chosen.
    pub(crate) fn drill(&self) -> Option<&DrillInfo> {
        self.list.get(self.chosen)
    }

    /// The run of what is chosen.
    pub(crate) fn run_of_chosen(&self) -> Option<&DrillView> {
        let name = started_by(self.drill()?);
        self.run.as_ref().filter(|run| run.started_by == name)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.run.as_ref().is_some_and(DrillView::is_under_way)
    }

    /// Whether a blind drill is played.
    pub(crate) fn is_blind(&self) -> bool {
        let run = self.run.as_ref().filter(|run| run.is_under_way());
        run.is_some_and(|run| run.progress.blind.is_some())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        let state = self.run.as_ref().map(|run| &run.state);
        matches!(state, Some(DrillState::Stopping))
    }

    /// The drills as they are now; the choice stays where it was.
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

    /// A drill begins.
    pub(crate) fn starting(&mut self, started_by: &str) {
        self.plan = false;
        self.scroll = 0;
        self.run = Some(DrillView {
            started_by: started_by.to_owned(),
            state: DrillState::Running,
            progress: Progress::default(),
        });
    }

    /// It was asked to end.
    pub(crate) fn stopping(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|run| run.is_under_way()) {
            run.state = DrillState::Stopping;
        }
    }
}
