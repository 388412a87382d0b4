//! The question that follows the form of a fault.

use std::time::Duration;

use crate::api::fault_fields::{self, FaultForm};
use crate::api::faults;
use crate::duration;
use crate::tui::event::Effect;
use crate::tui::faults::name;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::forms::Wrong;

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
