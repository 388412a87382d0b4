//! The keys of the dialog of faults.

use crossterm::event::{KeyCode, KeyEvent};

use crate::api::fault_fields;
use crate::api::faults::FaultKind;
use crate::tui::event::Effect;
use crate::tui::faults::name;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::answer::{After, chosen};
use crate::tui::input::faults::FaultsDialog;
use crate::tui::input::forms::Form;
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
