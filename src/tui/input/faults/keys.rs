//! The keys of the dialog of faults, and the question that follows its form.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};

use crate::api::fault_fields::{self, FaultForm};
use crate::api::faults::{self, FaultKind};
use crate::duration;
use crate::tui::event::Effect;
use crate::tui::faults::name;
use crate::tui::input::dialog::answer::{After, chosen};
use crate::tui::input::dialog::{Dialog, Question};
use crate::tui::input::faults::FaultsDialog;
use crate::tui::input::forms::{Form, Wrong};
use crate::tui::model::Model;
use crate::tui::update::actions;

/// `!`: opens the dialog.
pub(crate) fn open(model: &mut Model) {
    if actions::server_is_known(model) {
        model.dialog = Some(Dialog::Faults(FaultsDialog::default()));
    }
}

pub(crate) fn on_key(model: &Model, mut dialog: FaultsDialog, key: KeyEvent) -> After {
    let forms = fault_fields::forms();
    let form = forms.get(dialog.chosen);
    if let Some(at) = chosen(key, dialog.chosen, forms.len()) {
        dialog.chosen = at;
    } else {
        match (key.code, form) {
            (KeyCode::Enter, Some(form)) => {
                return After::Keep(Dialog::Form(Form::fault(form, &model.settings.target)));
            }
            (KeyCode::Char('c'), Some(form)) if model.faults.of(form.kind).is_some() => {
                return After::Ask(Dialog::Faults(dialog), clear(Some(form.kind)));
            }
            (KeyCode::Char('C'), _) if !model.faults.active.is_empty() => {
                return After::Ask(Dialog::Faults(dialog), clear(None));
            }
            (KeyCode::Char('q' | '!'), _) => return After::Close(vec![]),
            _ => {}
        }
    }
    After::Keep(Dialog::Faults(dialog))
}

/// Ends faults. This needs no confirmation, because ending a fault harms no user.
fn clear(kind: Option<FaultKind>) -> Effect {
    let what = match kind {
        Some(kind) => format!("fault {} ended", name(kind)),
        None => "all faults ended".to_owned(),
    };
    Effect::EndFaults(kind, what)
}

/// The question that follows the complete form. The last text of the form is the duration.
pub(crate) fn question(
    form: &'static FaultForm,
    texts: &[&str],
    target: &str,
) -> Result<Question, Wrong> {
    let (length, parameters) = texts.split_last().unwrap_or((&"", &[]));
    let at = parameters.len();
    let fault = fault_fields::parse(form, parameters)?;
    let length = length_of(length).map_err(|problem| (at, problem))?;
    let long = duration::show(length);
    let kind = name(form.kind);
    let given = form.fields.iter().zip(parameters);
    let given = given.filter(|(_, text)| !text.is_empty());
    let given: Vec<String> = given
        .map(|(field, text)| format!("{} {text}", field.name))
        .collect();
    let of = if given.is_empty() { "" } else { ": " };
    Ok(Question {
        title: "Inject the fault?",
        lines: vec![
            format!("{kind} for {long}{of}{}, at {target}.", given.join(", ")),
            "Users of this server feel it. It ends by itself; ! and c end it before.".to_owned(),
        ],
        yes: "inject it",
        effects: vec![Effect::InjectFault(
            fault,
            length,
            format!("fault {kind} for {long}"),
        )],
    })
}

fn length_of(text: &str) -> Result<Duration, String> {
    let length = duration::parse(text).filter(|length| faults::check_length(*length).is_ok());
    length.ok_or_else(|| {
        let longest = duration::show(faults::LONGEST);
        format!("for: {text:?} is not a time of at most {longest}, such as 30s")
    })
}
