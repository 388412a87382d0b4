//! The keys of the launch dialog. Its stages: choose a scenario or type the path of a file, choose all phases or one,
//! confirm, and, before a large dataset is replaced, type its name. `draw.rs` beside it draws them.

use crossterm::event::{KeyCode, KeyEvent};

use crate::load::{PhaseName, Progress, ScenarioInfo};
use crate::tui::event::Effect;
use crate::tui::input::dialog::answer::{After, chosen, is_no, is_yes};
use crate::tui::input::dialog::{Dialog, LaunchDialog, PathField, Reseed, Stage, needs_typing};
use crate::tui::input::launch::pick_file;
use crate::tui::model::{Model, RunState, RunView, Screen};
use crate::tui::navigation;
use crate::tui::update::actions;

/// Handles a key in the stage of the dialog. The result keeps the dialog, closes it, or starts an effect.
pub(crate) fn on_key(model: &mut Model, mut dialog: LaunchDialog, key: KeyEvent) -> After {
    let scenario = model.load.scenarios.get(dialog.chosen).cloned();
    match (&mut dialog.stage, &scenario) {
        (Stage::Choose, _) => {
            let rows = model.load.scenarios.len() + 1;
            if let Some(at) = chosen(key, dialog.chosen, rows) {
                dialog.chosen = at;
            } else if key.code == KeyCode::Enter {
                dialog.stage = match scenario {
                    Some(_) => Stage::Phase(0),
                    None => Stage::Path(PathField::default()),
                };
            } else if is_no(key) {
                return After::Close(vec![]);
            }
        }
        (Stage::Path(field), _) => {
            if let Some(path) = pick_file::on_key(field, key) {
                return After::Ask(Dialog::Launch(dialog), Effect::ReadScenario(path));
            }
        }
        (Stage::Phase(at), Some(_)) => {
            if let Some(to) = chosen(key, *at, PhaseName::ALL.len() + 1) {
                *at = to;
            } else if key.code == KeyCode::Enter {
                dialog.phase = at.checked_sub(1);
                dialog.stage = Stage::Confirm;
            } else if is_no(key) {
                return After::Close(vec![]);
            }
        }
        (Stage::Confirm, Some(scenario)) => {
            return confirm(model, dialog, scenario, key);
        }
        (Stage::Type(typed), Some(scenario)) => match key.code {
            KeyCode::Enter if typed.text() == scenario.dataset => {
                return start(model, scenario, dialog.phase, true);
            }
            _ => drop(typed.key(key)),
        },
        // The list of scenarios has become shorter, so the index of the chosen one may be out of range.
        (_, None) => return After::Close(vec![]),
    }
    After::Keep(Dialog::Launch(dialog))
}

/// Handles a key in the question. A seeding of a large dataset asks for its name as well.
fn confirm(
    model: &mut Model,
    mut dialog: LaunchDialog,
    scenario: &ScenarioInfo,
    key: KeyEvent,
) -> After {
    let reseed = actions::reseed(model, scenario) != Reseed::NotNeeded;
    if is_yes(key) && reseed && needs_typing(&scenario.dataset) {
        dialog.stage = Stage::Type(Default::default());
    } else if is_yes(key) {
        return start(model, scenario, dialog.phase, reseed);
    } else if is_no(key) {
        return After::Close(vec![]);
    }
    After::Keep(Dialog::Launch(dialog))
}

/// Shows the Load screen and starts the rehearsal. `phase` is the index of the only phase to run, `reseed` whether the
/// dataset is seeded first.
fn start(model: &mut Model, scenario: &ScenarioInfo, phase: Option<usize>, reseed: bool) -> After {
    let phase = phase.and_then(|at| PhaseName::ALL.get(at).copied());
    model.load.run = Some(RunView {
        scenario: scenario.name.clone(),
        phase,
        state: RunState::Running,
        progress: Progress::default(),
        requests: Default::default(),
        tps: Default::default(),
        p95: Default::default(),
        scroll: 0,
    });
    navigation::clear(model);
    model.screen = Screen::Load;
    After::Close(vec![Effect::StartLoad {
        scenario: scenario.name.clone(),
        file: scenario.file.clone(),
        phase,
        reseed,
    }])
}
