//! The keys of forms, and the actions on the chosen alert.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::event::Effect;
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::answer::After;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::forms::{Form, Then};
use crate::tui::model::{Model, NoticeKind};
use crate::tui::screens::alerts::Stage;
use crate::tui::screens::alerts::name;
use crate::tui::update::actions;

/// Opens the form for batch and interval of admission.
pub(crate) fn admission(model: &mut Model) {
    if !actions::server_is_known(model) {
        return;
    }
    if let Some(status) = &model.status {
        model.dialog = Some(Dialog::Form(Form::admission(&status.admission)));
    }
}

/// Opens the form that acknowledges the chosen alert.
pub(crate) fn acknowledge(model: &mut Model) {
    let Some(row) = model.alerts.chosen() else {
        nothing_chosen(model, "acknowledge");
        return;
    };
    if row.stage == Stage::Acknowledged {
        let by = row.silences.first();
        let by = by.map_or("another user", |silence| silence.created_by.as_str());
        let text = format!("{} is acknowledged by {by}: U ends that", name(&row.alert));
        model.tell(NoticeKind::Info, one_line(&text));
    } else if row.stage == Stage::Resolved {
        over(model);
    } else {
        let form = Form::acknowledge(&row.alert, &model.settings.who);
        model.dialog = Some(Dialog::Form(form));
    }
}

/// Opens the form that silences the chosen alert.
pub(crate) fn silence(model: &mut Model) {
    let Some(row) = model.alerts.chosen() else {
        nothing_chosen(model, "silence");
        return;
    };
    if row.stage == Stage::Resolved {
        over(model);
        return;
    }
    let form = Form::silence(&row.alert, &model.settings.who);
    model.dialog = Some(Dialog::Form(form));
}

/// Asks whether to end the silence of the chosen alert.
pub(crate) fn end_silence(model: &mut Model) {
    let Some(row) = model.alerts.chosen() else {
        nothing_chosen(model, "unsilence");
        return;
    };
    if row.silences.is_empty() {
        let text = match row.stage {
            Stage::Silenced => "its silence is not known yet",
            Stage::Inhibited => "another alert inhibits this one: no silence to end",
            _ => "this alert is neither silenced nor acknowledged",
        };
        model.tell(NoticeKind::Info, text);
        return;
    }
    let mut lines = Vec::new();
    let mut effects = Vec::new();
    for silence in &row.silences {
        let matchers: Vec<String> = silence.matchers.iter().map(|one| one.text()).collect();
        lines.push(one_line(&format!(
            "By {}, “{}”: {}",
            silence.created_by,
            silence.comment,
            matchers.join(", ")
        )));
        let text = format!(
            "silence of {} by {} ended",
            name(&row.alert),
            silence.created_by
        );
        effects.push(Effect::EndSilence(silence.id.clone(), text));
    }
    lines.push("All alerts that match notify again, at once.".into());
    model.dialog = Some(Dialog::Ask(Question {
        title: "End the silence?",
        lines,
        yes: "end it",
        effects,
    }));
}

fn nothing_chosen(model: &mut Model, what: &str) {
    model.tell(NoticeKind::Info, format!("there is no alert to {what}"));
}

fn over(model: &mut Model) {
    let ago = model.alerts.chosen().and_then(|row| row.since);
    let ago = ago.map_or("?".into(), |since| format::span(model.now - since));
    model.tell(
        NoticeKind::Info,
        format!("this alert has been over for {ago}"),
    );
}

/// Handles a key. Enter sends the form from any field, because most fields have a value already.
pub(crate) fn on_key(model: &Model, mut form: Form, key: KeyEvent) -> After {
    let fields = form.fields.len().max(1);
    match key.code {
        KeyCode::Tab | KeyCode::Down => form.focus = (form.focus + 1) % fields,
        KeyCode::BackTab | KeyCode::Up => form.focus = (form.focus + fields - 1) % fields,
        KeyCode::Enter => match form.finish(model.now, model.load.is_under_way()) {
            Ok(Then::Ask(question)) => return After::Keep(Dialog::Ask(question)),
            Ok(Then::Do(effects)) => return After::Close(effects),
            Err((field, text)) => {
                form.focus = field;
                form.wrong = Some(one_line(&text));
            }
        },
        _ => {
            if let Some(field) = form.fields.get_mut(form.focus) {
                field.text.key(key);
                form.wrong = None;
            }
        }
    }
    After::Keep(Dialog::Form(form))
}
