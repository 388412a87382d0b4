//! Environment variables of flags: an empty one counts as not set.
//!
//! Compose files and unit files pass on a variable that may not be set as an empty one (`${X:-}`). clap would take the
//! empty text for the value. Variables without a flag follow the same rule with [`crate::settings::variable`].

use std::ffi::OsStr;

use clap::Command;
use clap::builder::{OsStr as Name, Resettable};

/// The command, with empty variables ignored for its flags and the flags of all commands below it.
pub(super) fn without_empty(command: Command) -> Command {
    without(command, |name| {
        std::env::var_os(name).is_some_and(|value| value.is_empty())
    })
}

fn without(command: Command, is_empty: impl Fn(&OsStr) -> bool + Copy) -> Command {
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name) if is_empty(name) => {
            // The help must still name the variable.
            let sign = if arg.is_hide_env_values_set() {
                ""
            } else {
                "="
            };
            let note = format!(" [env: {}{sign}]", name.display());
            let help = arg.get_help().map(|help| format!("{help}{note}"));
            let arg = arg.env(Resettable::<Name>::Reset);
            match help {
                Some(help) => arg.help(help),
                None => arg,
            }
        }
        _ => arg,
    });
    command.mut_subcommands(|sub| without(sub, is_empty))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn variables(command: &Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(clap::Arg::get_env);
        let own = own.map(|name| name.to_string_lossy().into_owned());
        own.chain(command.get_subcommands().flat_map(variables))
            .collect()
    }

    #[test]
    fn an_empty_variable_of_any_command_counts_as_not_set() {
        assert!(variables(&Cli::command()).len() > 20);
        let none = without(Cli::command(), |_| true);
        assert_eq!(variables(&none), [""; 0]);
        let all = without(Cli::command(), |_| false);
        assert_eq!(variables(&all), variables(&Cli::command()));
    }

    #[test]
    fn the_help_still_names_an_empty_variable() {
        let mut command = without(Cli::command(), |name| name == "CONCERTCTL_GROUP_WAIT");
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("[env: CONCERTCTL_GROUP_WAIT=]"), "{help}");
    }
}
