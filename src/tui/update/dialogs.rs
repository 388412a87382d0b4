//! Keys while something stands in front of the screen.

use crossterm::event::{KeyCode, KeyEvent};

use super::{actions, edit, forms, traces};
use crate::api::ops::SeedRequest;
use crate::tui::dialog::{
    AlertForm, Dialog, FORM_FIELDS, LaunchDialog, Reseed, SEVERITIES, SeedDialog, Stage,
};
use crate::tui::event::Effect;
use crate::tui::load_port::Progress;
use crate::tui::model::{Model, RunState, RunView, Screen};
use crate::tui::palette;
use crate::tui::trail;

/// Lines that a page key scrolls.
const PAGE: u16 = 10;

/// What the keys did to the dialog.
pub(super) enum After {
    Keep(Dialog),
    Close(Vec<Effect>),
}

/// Whether pasted text has a field to go to.
pub(super) fn takes_text(model: &Model) -> bool {
    match &model.dialog {
        Some(Dialog::Seed(dialog)) => matches!(dialog.stage, Stage::Type(_)),
        Some(Dialog::Launch(dialog)) => matches!(dialog.stage, Stage::Type(_)),
        Some(Dialog::Raise(form)) => form.focus != 1,
        Some(Dialog::Palette(_)) => true,
        Some(Dialog::Form(_)) => true,
        _ => false,
    }
}

pub(super) fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
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
            // The record is open again when one comes back.
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
                After::Close(question.effects)
            }
            KeyCode::Char('n' | 'N' | 'q') => After::Close(vec![]),
            _ => After::Keep(Dialog::Ask(question)),
        },
        Dialog::Palette(_) => After::Close(vec![]),
        Dialog::Seed(dialog) => seed(model, dialog, key),
        Dialog::Launch(dialog) => launch(model, dialog, key),
        Dialog::Raise(form) => raise(model, form, key),
        Dialog::Form(form) => forms::on_key(model, form, key),
        Dialog::History(at) => scrolled(key, at, KeyCode::Char('H'))
            .map_or(After::Close(vec![]), |at| After::Keep(Dialog::History(at))),
    };
    match after {
        After::Keep(dialog) => {
            model.dialog = Some(dialog);
            Vec::new()
        }
        After::Close(effects) => effects,
    }
}

/// The new scroll position; nothing when the key closes.
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

fn chosen(key: KeyEvent, at: usize, rows: usize) -> Option<usize> {
    let last = rows.saturating_sub(1);
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(at.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Some((at + 1).min(last)),
        KeyCode::Home => Some(0),
        KeyCode::End => Some(last),
        _ => None,
    }
}

fn is_yes(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('y' | 'Y'))
}

fn is_no(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('n' | 'N' | 'q'))
}

fn seed(model: &Model, mut dialog: SeedDialog, key: KeyEvent) -> After {
    let Some(profile) = model.profiles.row(dialog.chosen) else {
        return After::Close(vec![]);
    };
    let replace = model
        .status
        .as_ref()
        .is_some_and(|status| status.dataset.is_some());
    let begin = || {
        let request = SeedRequest {
            profile: profile.yaml.is_none().then(|| profile.name.clone()),
            profile_yaml: profile.yaml.clone(),
            replace,
        };
        After::Close(vec![Effect::Seed(request)])
    };
    match &mut dialog.stage {
        Stage::Choose => {
            if let Some(at) = chosen(key, dialog.chosen, model.profiles.all().len()) {
                dialog.chosen = at;
            } else if key.code == KeyCode::Enter {
                if profile.typed {
                    dialog.stage = Stage::Type(String::new());
                } else if replace {
                    dialog.stage = Stage::Confirm;
                } else {
                    return begin();
                }
            } else if is_no(key) {
                return After::Close(vec![]);
            }
        }
        Stage::Confirm if is_yes(key) => return begin(),
        Stage::Confirm if is_no(key) => return After::Close(vec![]),
        Stage::Confirm => {}
        Stage::Type(typed) => match key.code {
            KeyCode::Enter if *typed == profile.name => return begin(),
            _ => edit(typed, key),
        },
    }
    After::Keep(Dialog::Seed(dialog))
}

fn launch(model: &mut Model, mut dialog: LaunchDialog, key: KeyEvent) -> After {
    let rows = model.load.rows().len();
    let Some((scenario, phase)) = model.load.row(dialog.chosen) else {
        return After::Close(vec![]);
    };
    let (name, dataset) = (scenario.name.clone(), scenario.dataset.clone());
    let phase = phase.map(str::to_owned);
    let reseed = actions::reseed(model, scenario);
    match &mut dialog.stage {
        Stage::Choose => {
            if let Some(at) = chosen(key, dialog.chosen, rows) {
                dialog.chosen = at;
            } else if key.code == KeyCode::Enter {
                dialog.stage = Stage::Confirm;
            } else if is_no(key) {
                return After::Close(vec![]);
            }
        }
        Stage::Confirm
            if is_yes(key)
                && reseed != Reseed::NotNeeded
                && model.profiles.needs_typing(&dataset) =>
        {
            dialog.stage = Stage::Type(String::new());
        }
        Stage::Confirm if is_yes(key) => {
            return start(model, name, phase, reseed != Reseed::NotNeeded);
        }
        Stage::Confirm if is_no(key) => return After::Close(vec![]),
        Stage::Confirm => {}
        Stage::Type(typed) => match key.code {
            KeyCode::Enter if *typed == dataset => return start(model, name, phase, true),
            _ => edit(typed, key),
        },
    }
    After::Keep(Dialog::Launch(dialog))
}

fn start(model: &mut Model, scenario: String, phase: Option<String>, reseed: bool) -> After {
    model.load.run = Some(RunView {
        scenario: scenario.clone(),
        phase: phase.clone(),
        state: RunState::Running,
        progress: Progress {
            doing: "starting".into(),
            ..Progress::default()
        },
        requests: Default::default(),
        tps: Default::default(),
        p95: Default::default(),
        scroll: 0,
    });
    trail::clear(model);
    model.screen = Screen::Load;
    After::Close(vec![Effect::StartLoad {
        scenario,
        phase,
        reseed,
    }])
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
        _ if form.focus == 0 => edit(&mut form.name, key),
        _ if form.focus == 2 => edit(&mut form.summary, key),
        _ => {}
    }
    After::Keep(Dialog::Raise(form))
}
