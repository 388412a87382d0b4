//! `concertctl completions` and `concertctl man`: generated from the clap definition.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::stdout::print_and_exit;
use super::{Cli, FAILED, USAGE, fail};
use crate::api::faults::FaultKind;
use crate::drill::file::shipped as drills;
use crate::load::PhaseName;
use crate::load::scenario::builtins;
use crate::seeding::Profile;
use crate::tui::Screen;

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
    let mut command = with_names(without_hidden(Cli::command()), args.shell);
    clap_complete::generate(args.shell, &mut command, "concertctl", &mut text);
    print_and_exit(&String::from_utf8_lossy(&text), 0)
}

/// The command without the hidden flags of its subcommands, which completions would offer.
fn without_hidden(command: Command) -> Command {
    command.mut_subcommands(|sub| {
        let hides = sub.get_arguments().any(clap::Arg::is_hide_set);
        if hides { visible(&sub) } else { sub }
    })
}

/// The parts of a command that completions show. clap cannot remove an argument from a command.
fn visible(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|arg| !arg.is_hide_set());
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(arguments.cloned())
        .subcommands(command.get_subcommands().cloned())
}

/// An argument whose values are names, for completions.
struct Named {
    command: &'static [&'static str],
    /// The argument's long name, or the id of a positional one.
    argument: &'static str,
    /// The argument also takes the path of a file.
    or_file: bool,
    names: Vec<String>,
}

fn named() -> Vec<Named> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let scenarios: Vec<&str> = builtins().iter().map(|builtin| builtin.name).collect();
    let drills: Vec<&str> = drills().iter().map(|(name, _)| *name).collect();
    let of_load = [scenarios.as_slice(), drills.as_slice()].concat();
    let profiles: Vec<&str> = Profile::built_in().collect();
    let kinds = FaultKind::injectable().map(|kind| kind.as_str().replace('_', "-"));
    let screens = Screen::ALL
        .iter()
        .map(|screen| screen.title().to_lowercase());
    let commands = Cli::command();
    let commands = commands.get_subcommands().map(Command::get_name);
    let commands: Vec<&str> = commands.collect();
    let all: [(&'static [&'static str], _, _, Vec<String>); 9] = [
        (&["load"], "scenario", true, owned(&of_load)),
        (&["load"], "print-scenario", false, owned(&of_load)),
        (
            &["load"],
            "phase",
            false,
            PhaseName::ALL.iter().map(ToString::to_string).collect(),
        ),
        (&["drill"], "drills", true, owned(&drills)),
        (&["drill"], "print", false, owned(&drills)),
        (&["seed"], "profile", true, owned(&profiles)),
        (&["seed"], "print-profile", false, owned(&profiles)),
        (&["fault", "clear"], "kind", false, kinds.collect()),
        (&["tui"], "screen", false, screens.collect()),
    ];
    let all = all
        .into_iter()
        .map(|(command, argument, or_file, names)| Named {
            command,
            argument,
            or_file,
            names,
        });
    let man = Named {
        command: &["man"],
        argument: "command",
        or_file: false,
        names: owned(&commands),
    };
    all.chain([man]).collect()
}

/// The command with the names of scenarios, drills, screens and so on as the possible values of arguments. Only the
/// completions have these lists: the command line also accepts other values, and has its own messages.
fn with_names(command: Command, shell: Shell) -> Command {
    named().into_iter().fold(command, |command, named| {
        // Where an argument also takes a file, zsh would offer only the names, so it gets none. Bash offers files if no
        // name fits.
        match named.or_file && shell == Shell::Zsh {
            true => command,
            false => with_names_of(command, named.command, &named),
        }
    })
}

fn with_names_of(command: Command, path: &[&'static str], named: &Named) -> Command {
    match path {
        [first, rest @ ..] => command.mut_subcommand(first, |sub| with_names_of(sub, rest, named)),
        [] => command.mut_args(|arg| {
            let is_named = arg.get_long() == Some(named.argument)
                || arg.is_positional() && arg.get_id() == named.argument;
            match is_named {
                true => arg.value_parser(PossibleValuesParser::new(named.names.clone())),
                false => arg,
            }
        }),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn completions(shell: Shell) -> String {
        let mut text = Vec::new();
        let mut command = with_names(without_hidden(Cli::command()), shell);
        clap_complete::generate(shell, &mut command, "concertctl", &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn completions_offer_the_names_that_arguments_take() {
        let bash = completions(Shell::Bash);
        // The words that bash offers after `concertctl COMMAND`.
        let words = |command: &str| {
            let case = format!(
                "concertctl__subcmd__{})",
                command.replace(' ', "__subcmd__")
            );
            let (_, rest) = bash.split_once(&case).unwrap_or_else(|| panic!("{case}"));
            let (_, rest) = rest.split_once("opts=\"").unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        for (command, name) in [
            ("load", "onsale-short"),
            ("load", "slow-charge"),
            ("drill", "errors-few"),
            ("seed", "demo"),
            ("man", "serve"),
            ("fault clear", "slow-statement"),
        ] {
            let words = words(command);
            assert!(
                words.split(' ').any(|word| word == name),
                "{command}: {words}"
            );
        }
        let zsh = completions(Shell::Zsh);
        for offered in [":SCREEN:(overview ", ":NAME:(errors "] {
            assert!(zsh.contains(offered), "{offered}: {zsh}");
        }
        // A scenario of the user's own is a file.
        let scenario = zsh.lines().find(|line| line.starts_with("'::scenario "));
        assert!(
            scenario.is_some_and(|line| line.contains(":_default'")),
            "{scenario:?}"
        );
    }

    #[test]
    fn completions_do_not_offer_hidden_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completions(shell);
            for hidden in ["guard", "panic-after-start"] {
                assert!(
                    !text.contains(&format!("--{hidden}"))
                        && !text.contains(&format!("-l {hidden}")),
                    "{shell} offers {hidden}"
                );
            }
            assert!(text.contains("allow-commands") && text.contains("dashboard"));
            assert!(text.contains("fire-alarm"), "the subcommands remain");
        }
    }

    #[test]
    fn every_named_argument_exists() {
        for named in named() {
            let root = Cli::command();
            let command = named.command.iter().fold(&root, |at, name| {
                at.find_subcommand(name).unwrap_or_else(|| panic!("{name}"))
            });
            let known = command.get_arguments().any(|arg| {
                arg.get_long() == Some(named.argument) || arg.get_id() == named.argument
            });
            assert!(known, "{:?} {}", named.command, named.argument);
            assert!(!named.names.is_empty(), "{}", named.argument);
        }
    }
}
