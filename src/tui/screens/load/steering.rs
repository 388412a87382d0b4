//! Steering the rehearsal that is under way.

use crate::load::Command;
use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::question::Question;
use crate::tui::model::{Model, NoticeKind, RunState};

/// Whether a rehearsal can be steered; if not, why is said.
fn can_steer(model: &mut Model) -> bool {
    let said = match model.load.run.as_ref().map(|run| &run.state) {
        Some(RunState::Running) => return true,
        Some(RunState::Stopping) => "the rehearsal is stopping",
        _ => "no rehearsal is under way: Enter launches the chosen one",
    };
    model.tell(NoticeKind::Info, said);
    false
}

/// Slower or faster, at once: the launch was the question.
pub(crate) fn steer(model: &mut Model, command: Command) -> Vec<Effect> {
    if can_steer(model) {
        vec![Effect::Steer(command)]
    } else {
        Vec::new()
    }
}

/// Paused, or on again.
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

/// Ends the phase under way, which nothing brings back.
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
