//! Steering the rehearsal that is under way.

use crate::load::Command;
use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::question::Question;
use crate::tui::model::{Model, NoticeKind, RunState};

/// Returns whether a rehearsal can be steered; if not, reports why.
fn can_steer(model: &mut Model) -> bool {
    let reason = match model.load.run.as_ref().map(|run| &run.state) {
        Some(RunState::Running) => return true,
        Some(RunState::Stopping) => "the rehearsal is stopping",
        _ => "no rehearsal is under way: Enter launches the chosen one",
    };
    model.tell(NoticeKind::Info, reason);
    false
}

/// Makes the rehearsal slower or faster, without a question: the launch had one.
pub(crate) fn steer(model: &mut Model, command: Command) -> Vec<Effect> {
    if can_steer(model) {
        vec![Effect::Steer(command)]
    } else {
        Vec::new()
    }
}

/// Pauses or resumes the rehearsal.
pub(crate) fn pause(model: &mut Model) -> Vec<Effect> {
    let run = model.load.run.as_ref();
    let paused = run.is_some_and(|run| run.progress.paused);
    steer(
        model,
        if paused {
            Command::Resume
        } else {
            Command::Pause
        },
    )
}

/// Asks whether to end the phase under way, because this cannot be undone.
pub(crate) fn next_phase(model: &mut Model) {
    if !can_steer(model) {
        return;
    }
    model.dialog = Some(Dialog::Ask(Question {
        title: "End this phase?",
        lines: vec![
            "The phase that most users are in ends; they go on to the next, or home. The verdict \
             will be inconclusive."
                .into(),
        ],
        yes: "end it",
        effects: vec![Effect::Steer(Command::Next)],
    }));
}
