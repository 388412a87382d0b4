//! `concertctl completions` and `concertctl man`: generated from the clap definition.

use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::stdout::print_and_exit;
use super::{Cli, FAILED, USAGE, fail};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell to print completions for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command, such as `load` or `fault errors` [default: concertctl itself]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "concertctl", &mut text);
    print_and_exit(&String::from_utf8_lossy(&text), 0)
}

pub(super) fn man(args: &ManArgs) -> ExitCode {
    let mut command = Cli::command();
    command.build();
    let Some(page) = find(command, &args.command) else {
        let wanted = args.command.join(" ");
        return fail(
            USAGE,
            &format!("there is no command `{wanted}`; `concertctl help` lists the commands"),
        );
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page).render(&mut text) {
        Ok(()) => print_and_exit(&String::from_utf8_lossy(&text), 0),
        Err(error) => fail(FAILED, &format!("cannot generate the manual page: {error}")),
    }
}

/// The subcommand at `path`, renamed to the name of its page, such as `concertctl-fault-errors`.
fn find(root: Command, path: &[String]) -> Option<Command> {
    let start = (root, "concertctl".to_owned());
    let (command, name) = path.iter().try_fold(start, |(at, name), step| {
        let found = at.find_subcommand(step)?.clone();
        let name = format!("{name}-{}", found.get_name());
        Some((found, name))
    })?;
    Some(command.name(name).version(env!("CARGO_PKG_VERSION")))
}
