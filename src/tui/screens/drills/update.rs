//! Starts a drill after a question, and takes its progress and its end.

use crate::drill::progress::Progress;
use crate::drill::report::Report;
use crate::drill::verdict::Verdict;
use crate::tui::event::Effect;
use crate::tui::format::one_line;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::question::Question;
use crate::tui::model::{Model, NoticeKind};
use crate::tui::screens::drills::{DrillState, started_by};

/// Asks whether to start the chosen drill, unless the drill cannot start now.
pub(crate) fn start(model: &mut Model) {
    let obstacle = if model.drills.is_under_way() {
        "a drill is under way: stop it first (x)"
    } else if model.load.is_under_way() {
        "a rehearsal is under way, and two loads on one machine distort each other: stop it first (x)"
    } else if model.is_seeding() {
        "a seeding is under way: wait for it, or cancel it (x)"
    } else {
        ""
    };
    if !obstacle.is_empty() {
        model.tell(NoticeKind::Failed, obstacle);
        return;
    }
    let Some(drill) = model.drills.drill() else {
        model.tell(NoticeKind::Info, "there is no drill to start");
        return;
    };
    if let Some(problem) = &drill.problem {
        let text = one_line(problem);
        model.tell(NoticeKind::Failed, text);
        return;
    }
    let target = &model.settings.target;
    let question = Question {
        title: "Start the drill?",
        lines: vec![
            format!("{}: {}.", one_line(&drill.name), one_line(&drill.title)),
            format!(
                "It loads this machine for a minute or two, on a server of its own. Nothing is sent to {target}."
            ),
        ],
        yes: "start it",
        effects: vec![Effect::StartDrill(started_by(drill))],
    };
    model.dialog = Some(Dialog::Ask(question));
}

pub(crate) fn on_progress(model: &mut Model, progress: Progress) {
    if let Some(run) = model.drills.run.as_mut().filter(|run| run.is_under_way()) {
        run.progress = progress;
    }
}

pub(crate) fn on_ended(model: &mut Model, result: Result<Box<Report>, String>) -> Vec<Effect> {
    let Some(run) = model.drills.run.as_mut() else {
        return Vec::new();
    };
    let name = one_line(&run.started_by);
    let (kind, text) = match &result {
        Ok(report) => match &report.verdict {
            Verdict::Passed => (NoticeKind::Done, format!("drill {name} passed")),
            Verdict::Failed(_) => (
                NoticeKind::Failed,
                format!("drill {name} failed (7 shows why)"),
            ),
            Verdict::Inconclusive(reasons) => (
                NoticeKind::Info,
                format!("drill {name} is inconclusive: {}", reasons.join("; ")),
            ),
        },
        Err(reason) => (
            NoticeKind::Failed,
            format!("drill {name} could not run: {}", one_line(reason)),
        ),
    };
    run.state = match result {
        Ok(report) => DrillState::Ended(report),
        Err(reason) => DrillState::Failed(reason),
    };
    model.drills.scroll = 0;
    model.tell(kind, text);
    vec![Effect::Bell]
}
