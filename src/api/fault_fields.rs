//! The parameters of each kind of fault as fields of a form. They are made from the command line, so that the form has
//! the same names, defaults, checks and messages.

use std::error::Error as _;
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue};
use clap::{FromArgMatches as _, Subcommand as _};

use super::faults::{Fault, FaultKind};

/// One parameter of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultField {
    /// The name on the command line, without dashes: `share`.
    pub name: String,
    /// The meaning and the default.
    pub help: String,
    /// The field can stay empty.
    pub optional: bool,
    /// The field takes several values, separated by commas.
    pub many: bool,
}

/// A kind of fault and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultForm {
    /// The kind.
    pub kind: FaultKind,
    /// The effect of the fault.
    pub about: String,
    /// The parameters, in the order of the command line.
    pub fields: Vec<FaultField>,
}

/// The kinds that a server can inject into itself.
#[must_use]
pub fn forms() -> &'static [FaultForm] {
    static FORMS: LazyLock<Vec<FaultForm>> = LazyLock::new(|| {
        let command = command();
        FaultKind::injectable()
            .filter_map(|kind| form(&command, kind))
            .collect()
    });
    &FORMS
}

fn command() -> clap::Command {
    let command = Fault::augment_subcommands(clap::Command::new("fault"));
    command.no_binary_name(true)
}

/// The name of the subcommand, such as `slow-statement`.
fn subcommand(kind: FaultKind) -> String {
    kind.as_str().replace('_', "-")
}

fn form(command: &clap::Command, kind: FaultKind) -> Option<FaultForm> {
    let command = command.find_subcommand(subcommand(kind))?;
    let fields = command.get_arguments().filter_map(|argument| {
        let name = argument.get_long().filter(|name| *name != "help")?;
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        let mut help = argument
            .get_help()
            .map_or(String::new(), ToString::to_string);
        let choices = argument.get_possible_values();
        let choices: Vec<&str> = choices.iter().map(|choice| choice.get_name()).collect();
        if !choices.is_empty() {
            help = format!("{help}: {}", choices.join(", "));
        }
        if !defaults.is_empty() {
            help = format!("{help} [default: {}]", defaults.join(", "));
        }
        Some(FaultField {
            name: name.to_owned(),
            help,
            optional: !argument.is_required_set(),
            many: matches!(argument.get_action(), clap::ArgAction::Append),
        })
    });
    Some(FaultForm {
        kind,
        about: command
            .get_about()
            .map_or(String::new(), ToString::to_string),
        fields: fields.collect(),
    })
}

/// The fault that the texts describe, in the order of the fields. An empty text is left out.
///
/// # Errors
/// The index of the wrong field, and the reason as a sentence.
pub fn parse(form: &FaultForm, texts: &[&str]) -> Result<Fault, (usize, String)> {
    let mut line = vec![subcommand(form.kind)];
    for (field, text) in form.fields.iter().zip(texts) {
        let values: Vec<&str> = match field.many {
            true => text.split(',').map(str::trim).collect(),
            false => vec![text.trim()],
        };
        let given = values.into_iter().filter(|value| !value.is_empty());
        line.extend(given.map(|value| format!("--{}={value}", field.name)));
    }
    let matches = command().try_get_matches_from(line);
    let fault = matches.and_then(|matches| Fault::from_arg_matches(&matches));
    let fault = fault.map_err(|error| wrong(form, &error))?;
    let of_field = |problem: &String| {
        let named = |field: &FaultField| problem.starts_with(&field.name);
        form.fields.iter().position(named).unwrap_or_default()
    };
    match fault.check() {
        Ok(()) => Ok(fault),
        Err(problem) => Err((of_field(&problem), problem)),
    }
}

/// clap's error in one line, with the index of its field.
fn wrong(form: &FaultForm, error: &clap::Error) -> (usize, String) {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        Some(ContextValue::Strings(arguments)) => arguments.join(" "),
        _ => String::new(),
    };
    let is_named = |field: &FaultField| {
        let mut words = argument.split([' ', '=']);
        words.any(|word| word.strip_prefix("--") == Some(&field.name))
    };
    let index = form.fields.iter().position(is_named);
    let name = index.map_or("it", |index| form.fields[index].name.as_str());
    let problem = match (error.kind(), error.source()) {
        (clap::error::ErrorKind::MissingRequiredArgument, _) => format!("{name} is missing"),
        (_, Some(source)) => format!("{name}: {source}"),
        (_, None) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    };
    (index.unwrap_or_default(), problem)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(kind: FaultKind) -> &'static FaultForm {
        let mut forms = forms().iter();
        forms.find(|form| form.kind == kind).expect("a form")
    }

    #[test]
    fn every_kind_that_a_server_injects_has_a_form() {
        let kinds: Vec<FaultKind> = forms().iter().map(|form| form.kind).collect();
        assert_eq!(kinds, FaultKind::injectable().collect::<Vec<_>>());
        for form in forms() {
            assert!(!form.about.is_empty(), "{form:?}");
            assert!(form.fields.iter().all(|field| !field.help.is_empty()));
        }
    }

    #[test]
    fn typed_fields_become_a_fault_and_empty_ones_their_defaults() {
        let fault = parse(
            of(FaultKind::Errors),
            &["0.5", "", "GET /queue, POST /reservations"],
        );
        let expected = Fault::Errors {
            share: 0.5,
            status: 500,
            routes: Some(vec!["GET /queue".into(), "POST /reservations".into()]),
        };
        assert_eq!(fault, Ok(expected));
        let fault = parse(of(FaultKind::Latency), &["800ms", "", ""]);
        let expected = Fault::Latency {
            delay: Duration::from_millis(800),
            share: 1.0,
            routes: None,
        };
        assert_eq!(fault, Ok(expected));
    }

    #[test]
    fn an_error_names_its_field() {
        for (kind, texts, field, expected) in [
            (FaultKind::Errors, ["", "", ""], 0, "share is missing"),
            (FaultKind::Errors, ["7", "", ""], 0, "0 to 1"),
            (FaultKind::Errors, ["1", "404", ""], 1, "500 or 503"),
            (FaultKind::Errors, ["--help", "", ""], 0, "share"),
            (FaultKind::Latency, ["soon", "", ""], 0, "such as 250ms"),
            (FaultKind::Latency, ["2h", "", ""], 0, "1ms to 30s"),
            (FaultKind::SlowStatement, ["1s", "none", ""], 1, "not known"),
            (
                FaultKind::PoolExhaustion,
                ["0", "", ""],
                0,
                "from 1 to 1000",
            ),
            (FaultKind::RedisCut, ["away", "", ""], 0, "away"),
            (FaultKind::ClockStep, ["0", "", ""], 0, "but not 0"),
            (
                FaultKind::ClockStep,
                ["-90000", "", ""],
                0,
                "-86400 to 86400",
            ),
            (FaultKind::ClockStep, ["1h", "", ""], 0, "1h"),
        ] {
            let (index, problem) = parse(of(kind), &texts).unwrap_err();
            assert!(problem.contains(expected), "{texts:?}: {problem}");
            assert_eq!(index, field, "{texts:?}: {problem}");
            assert!(!problem.contains('\n'), "{problem}");
        }
    }
}
