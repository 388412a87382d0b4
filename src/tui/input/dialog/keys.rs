//! The keys of the dialogs.

use crossterm::event::{KeyCode, KeyEvent};

use crate::api::ops::SeedRequest;
use crate::tui::event::Effect;
use crate::tui::input::dialog::answer::{After, chosen, is_no, is_yes, would_replace};
use crate::tui::input::dialog::{
    AlertForm, Dialog, FORM_FIELDS, LaunchDialog, PROFILES, PathField, SEVERITIES, SeedDialog,
    Stage,
};
use crate::tui::input::faults::keys as faults;
use crate::tui::input::forms::keys as forms;
use crate::tui::input::launch::{keys as launch, pick_file};
use crate::tui::input::line::Input;
use crate::tui::input::palette::keys as palette;
use crate::tui::input::play;
use crate::tui::model::{Model, RunState};
use crate::tui::screens::traces::update as traces;
use crate::tui::update::actions;

/// Lines that a page key scrolls.
const PAGE: u16 = 10;

/// The field that pasted text goes to, if the dialog has one.
pub(crate) fn field(dialog: &mut Option<Dialog>) -> Option<&mut Input> {
    match dialog.as_mut()? {
        Dialog::Seed(SeedDialog { stage, .. }) | Dialog::Launch(LaunchDialog { stage, .. }) => {
            match stage {
                Stage::Path(field) => Some(&mut field.path),
                Stage::Type(typed) => Some(typed),
                Stage::Choose | Stage::Phase(_) | Stage::Confirm => None,
            }
        }
        Dialog::Raise(form) => match form.focus {
            0 => Some(&mut form.name),
            1 => None,
            _ => Some(&mut form.summary),
        },
        Dialog::Palette(palette) => {
            palette.chosen = 0;
            Some(&mut palette.text)
        }
        Dialog::Form(form) => {
            form.wrong = None;
            form.fields.get_mut(form.focus).map(|field| &mut field.text)
        }
        _ => None,
    }
}

pub(crate) fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(dialog) = model.dialog.take() else {
        return Vec::new();
    };
    if key.code == KeyCode::Esc {
        return Vec::new();
    }
    if let Dialog::Palette(palette) = dialog {
        return palette::on_key(model, palette, key);
    }
    let after = match dialog {
        Dialog::Help(at) => scrolled(key, at, KeyCode::Char('?'))
            .map_or(After::Close(vec![]), |at| After::Keep(Dialog::Help(at))),
        Dialog::Record(at) if key.code == KeyCode::Char('t') => {
            // Going back from the trace opens the record again.
            model.dialog = Some(Dialog::Record(at));
            traces::of_record(model);
            return Vec::new();
        }
        Dialog::Span(at) => scrolled(key, at, KeyCode::Enter)
            .map_or(After::Close(vec![]), |at| After::Keep(Dialog::Span(at))),
        Dialog::Record(at) => scrolled(key, at, KeyCode::Enter)
            .map_or(After::Close(vec![]), |at| After::Keep(Dialog::Record(at))),
        Dialog::Ask(question) => match key.code {
            KeyCode::Char('y' | 'Y') => {
                if question.effects == [Effect::StopLoad]
                    && let Some(run) = model.load.run.as_mut().filter(|run| run.is_under_way())
                {
                    run.state = RunState::Stopping;
                }
                if question.effects == [Effect::StopDrill] {
                    model.drills.stopping();
                }
                if let [Effect::StartDrill(drill)] = question.effects.as_slice() {
                    model.drills.starting(drill);
                }
                After::Close(question.effects)
            }
            KeyCode::Char('n' | 'N' | 'q') => After::Close(vec![]),
            _ => After::Keep(Dialog::Ask(question)),
        },
        Dialog::Palette(_) => After::Close(vec![]),
        Dialog::Seed(dialog) => seed(model, dialog, key),
        Dialog::Launch(dialog) => launch::on_key(model, dialog, key),
        Dialog::Raise(form) => raise(model, form, key),
        Dialog::Form(form) => forms::on_key(model, form, key),
        Dialog::Faults(dialog) => faults::on_key(model, dialog, key),
        Dialog::Play(marked) => play::on_key(model, marked, key),
        Dialog::History(at) => scrolled(key, at, KeyCode::Char('H'))
            .map_or(After::Close(vec![]), |at| After::Keep(Dialog::History(at))),
    };
    match after {
        After::Keep(dialog) => {
            model.dialog = Some(dialog);
            Vec::new()
        }
        After::Ask(dialog, effect) => {
            model.dialog = Some(dialog);
            vec![effect]
        }
        After::Close(effects) => effects,
    }
}

/// The new scroll position; `None` if the key closes the dialog.
fn scrolled(key: KeyEvent, at: u16, also_closes: KeyCode) -> Option<u16> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(at.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Some(at.saturating_add(1).min(500)),
        KeyCode::PageUp => Some(at.saturating_sub(PAGE)),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(at.saturating_add(PAGE).min(500)),
        KeyCode::Home => Some(0),
        KeyCode::Char('q') => None,
        code if code == also_closes => None,
        _ => Some(at),
    }
}

fn seed(model: &Model, mut dialog: SeedDialog, key: KeyEvent) -> After {
    let replace = would_replace(model);
    let begin = |dialog: &SeedDialog| {
        let named = dialog.profile().map(|profile| {
            let request = SeedRequest {
                profile: Some(profile.name.into()),
                profile_yaml: None,
                replace,
            };
            Effect::Seed(request, format!("seeding {}", profile.name))
        });
        let file = dialog.file.clone().map(|file| file.seed(replace));
        After::Close(named.or(file).into_iter().collect())
    };
    let profile = dialog.profile();
    match &mut dialog.stage {
        Stage::Choose => {
            if let Some(at) = chosen(key, dialog.chosen, PROFILES.len() + 1) {
                dialog.chosen = at;
            } else if key.code == KeyCode::Enter {
                dialog.stage = match profile {
                    None => Stage::Path(PathField::default()),
                    Some(profile) if profile.typed => Stage::Type(Input::default()),
                    Some(_) if replace => Stage::Confirm,
                    Some(_) => return begin(&dialog),
                };
            } else if is_no(key) {
                return After::Close(vec![]);
            }
        }
        Stage::Path(field) => {
            if let Some(path) = pick_file::on_key(field, key) {
                return After::Ask(Dialog::Seed(dialog), Effect::ReadProfile(path));
            }
        }
        Stage::Confirm if is_yes(key) => return begin(&dialog),
        Stage::Confirm if is_no(key) => return After::Close(vec![]),
        Stage::Confirm | Stage::Phase(_) => {}
        Stage::Type(typed) => match key.code {
            KeyCode::Enter if profile.is_some_and(|profile| typed.text() == profile.name) => {
                return begin(&dialog);
            }
            _ => drop(typed.key(key)),
        },
    }
    After::Keep(Dialog::Seed(dialog))
}

fn raise(model: &Model, mut form: AlertForm, key: KeyEvent) -> After {
    match key.code {
        KeyCode::Tab | KeyCode::Down => form.focus = (form.focus + 1) % FORM_FIELDS,
        KeyCode::BackTab | KeyCode::Up => form.focus = (form.focus + FORM_FIELDS - 1) % FORM_FIELDS,
        KeyCode::Enter if form.focus + 1 < FORM_FIELDS => form.focus += 1,
        KeyCode::Enter => match actions::alert(model, &form) {
            Ok(effect) => return After::Close(vec![effect]),
            Err(wrong) => form.wrong = Some(wrong),
        },
        KeyCode::Left if form.focus == 1 => form.severity = form.severity.saturating_sub(1),
        KeyCode::Right | KeyCode::Char(' ') if form.focus == 1 => {
            form.severity = (form.severity + 1).min(SEVERITIES.len() - 1);
        }
        _ if form.focus == 0 => drop(form.name.key(key)),
        _ if form.focus == 2 => drop(form.summary.key(key)),
        _ => {}
    }
    After::Keep(Dialog::Raise(form))
}
