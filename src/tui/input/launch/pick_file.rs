//! The path field of a dialog, and the file that it names: a scenario or a dataset profile.

use crossterm::event::{KeyCode, KeyEvent};

use crate::load::ScenarioInfo;
use crate::tui::event::Effect;
use crate::tui::event::ProfileFile;
use crate::tui::format::one_line;
use crate::tui::input::dialog::{Dialog, PathField, Stage};
use crate::tui::model::Model;

/// Handles a key; returns the path if the file is to be read. One file is read at a time.
pub(crate) fn on_key(field: &mut PathField, key: KeyEvent) -> Option<String> {
    let path = field.path.text().trim();
    match key.code {
        KeyCode::Enter if path.is_empty() => field.wrong = Some("type the path of a file".into()),
        KeyCode::Enter if !field.reading => {
            field.reading = true;
            field.wrong = None;
            return Some(path.to_owned());
        }
        KeyCode::Enter => {}
        _ => {
            field.path.key(key);
            field.wrong = None;
        }
    }
    None
}

/// Adds a scenario file to the list and goes on to the choice of its phases. If the dialog that asked for the file
/// is closed, the file is dropped.
pub(crate) fn scenario(model: &mut Model, read: Result<ScenarioInfo, String>) {
    let Some(Dialog::Launch(dialog)) = &mut model.dialog else {
        return;
    };
    let Stage::Path(field) = &mut dialog.stage else {
        return;
    };
    match read {
        Ok(scenario) => {
            let all = &mut model.load.scenarios;
            let known = all
                .iter()
                .position(|known| known.file.is_some() && known.file == scenario.file);
            dialog.chosen = known.unwrap_or(all.len());
            match known {
                Some(at) => all[at] = scenario,
                None => all.push(scenario),
            }
            dialog.stage = Stage::Phase(0);
        }
        Err(why) => failed(field, &why),
    }
}

/// Continues with a profile file like with a named profile.
pub(crate) fn profile(model: &mut Model, read: Result<ProfileFile, String>) -> Vec<Effect> {
    let replace = crate::tui::input::dialog::answer::would_replace(model);
    let Some(Dialog::Seed(dialog)) = &mut model.dialog else {
        return Vec::new();
    };
    let Stage::Path(field) = &mut dialog.stage else {
        return Vec::new();
    };
    match read {
        Ok(file) if replace => {
            dialog.file = Some(file);
            dialog.stage = Stage::Confirm;
        }
        Ok(file) => {
            model.dialog = None;
            return vec![file.seed(false)];
        }
        Err(why) => failed(field, &why),
    }
    Vec::new()
}

fn failed(field: &mut PathField, why: &str) {
    field.reading = false;
    field.wrong = Some(one_line(why));
}
