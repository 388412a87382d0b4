//! The configuration file. It sets flags; the environment and the command line override it.
//!
//! `concertctl.toml` holds flags by their long names. A table named after a command holds flags of that command alone.
//! The values become the defaults of the command line: clap then applies the order flag > environment > file, and
//! checks the values. clap does not count a default as given by the user, so this module also decides how a value of
//! the file affects the rules between flags:
//!
//! - a required flag may come from the file ([`set_default`]),
//! - a flag may require one that only the file holds ([`matches`]),
//! - a flag or variable overrides the flags of the file that it conflicts with ([`set_default`]). In the file itself
//!   the command's own table overrides the tables around it, and a conflict within a table is an error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::{ArgPredicate, OsStr, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings;
use crate::yaml::{self, FileError, suggestion};

/// The file in the working directory, used when none is named.
const NAME: &str = "concertctl.toml";
/// The environment variable that names a file.
pub(super) const VARIABLE: &str = "CONCERTCTL_CONFIG";

/// A value of the file.
#[derive(Clone, Debug)]
struct Value {
    texts: Vec<String>,
    /// Its byte offset in the file.
    at: usize,
    /// The number of commands in the name of its table: 0 outside of all tables.
    depth: usize,
}

impl Value {
    /// Returns whether the flag is set. `false` leaves a switch off.
    fn is_set(&self) -> bool {
        self.texts != ["false"]
    }
}

/// Values by the name of the flag.
type Values = BTreeMap<String, Value>;

/// Gives `command` the values of the configuration file as defaults.
///
/// # Errors
/// The file cannot be read, is not TOML, or holds an unknown flag or a wrong value.
pub(super) fn with_file(command: Command, args: &[OsString]) -> Result<Command, FileError> {
    let named = named(args).or_else(|| settings::variable(VARIABLE).map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None if Path::new(NAME).is_file() => PathBuf::from(NAME),
        None => return Ok(command),
    };
    let origin = path.display().to_string();
    let text = yaml::read_file(&path, yaml::SMALL).map_err(|error| {
        let problem = format!("the configuration file cannot be read: {error}");
        FileError::new(&origin, problem)
    })?;
    with_text(command, &origin, &text)
}

/// Parses the command line with the command that [`with_file`] returned.
///
/// If a flag on the command line requires one that only the file holds, the command line is parsed again with that flag
/// and the file's value.
///
/// # Errors
/// The error of the command line.
pub(super) fn matches(command: Command, args: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let parsed = command.clone().try_get_matches_from(args);
    match parsed {
        Err(error) => match with_required(&command, args, &error) {
            Some(args) => command.try_get_matches_from(args),
            None => Err(error),
        },
        parsed => parsed,
    }
}

/// The command line with the missing flags of the error, if the file holds one of them.
fn with_required(
    command: &Command,
    args: &[OsString],
    error: &clap::Error,
) -> Option<Vec<OsString>> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return None;
    }
    let chosen = args
        .iter()
        .skip(1)
        .fold(command, |at, arg| at.find_subcommand(arg).unwrap_or(at));
    // The usage is text such as `--target <URL,…>`.
    let names = missing.iter().filter_map(|usage| {
        let flag = usage.split([' ', '=']).next()?;
        flag.strip_prefix("--")
    });
    let known = |name: &str| {
        chosen
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name))
    };
    let from_file: Vec<OsString> = names
        .filter_map(|name| Some((name, known(name)?)))
        .flat_map(|(name, arg)| {
            let values = arg.get_default_values().iter();
            let takes_values = arg.get_action().takes_values();
            values.filter_map(move |value| match takes_values {
                true => {
                    let mut flag = OsString::from(format!("--{name}="));
                    flag.push(value);
                    Some(flag)
                }
                false => (value == "true").then(|| OsString::from(format!("--{name}"))),
            })
        })
        .collect();
    if from_file.is_empty() {
        return None;
    }
    let end = args.iter().position(|arg| arg == "--");
    let (flags, rest) = args.split_at(end.unwrap_or(args.len()));
    Some([flags, from_file.as_slice(), rest].concat())
}

/// The file that `--config` names.
fn named(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    while let Some(arg) = args.next() {
        match arg.as_ref() {
            "--" => return None,
            "--config" => return args.next().map(|path| PathBuf::from(path.as_ref())),
            arg => {
                if let Some(path) = arg.strip_prefix("--config=") {
                    return Some(PathBuf::from(path));
                }
            }
        }
    }
    None
}

fn with_text(command: Command, origin: &str, text: &str) -> Result<Command, FileError> {
    let file = File { origin, text };
    if text.len() > yaml::SMALL.bytes {
        let problem = "longer than 64 KiB, which is more than a configuration needs";
        return Err(FileError::new(origin, problem));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        file.wrong(at, "", format!("is not TOML: {}", error.message()))
    })?;
    let root = command.clone();
    file.apply(&root, command, &[], table.get_ref(), &Values::new())
}

struct File<'f> {
    origin: &'f str,
    text: &'f str,
}

impl File<'_> {
    fn wrong(&self, at: usize, field: &str, problem: String) -> FileError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() as u64 + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count() as u64
            + 1;
        FileError {
            at: Some((line, column)),
            field: Some(field.to_owned()).filter(|field| !field.is_empty()),
            ..FileError::new(self.origin, problem)
        }
    }

    /// Gives `command`, at `path` below `root`, the values of its own table and of the tables around it.
    fn apply(
        &self,
        root: &Command,
        mut command: Command,
        path: &[String],
        table: &DeTable<'_>,
        around: &Values,
    ) -> Result<Command, FileError> {
        let mut values = around.clone();
        let mut below: BTreeMap<String, &DeTable<'_>> = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            match value.get_ref() {
                DeValue::Table(table) if command.find_subcommand(&name).is_some() => {
                    below.insert(name, table);
                }
                value_read => {
                    self.check_known(&command, path, &name, key.span())?;
                    let value = Value {
                        texts: self.texts(&field(path, &name), value_read, value.span())?,
                        at: value.span().start,
                        depth: path.len(),
                    };
                    values.insert(name, value);
                }
            }
        }
        for name in flags(&command) {
            let Some(value) = values.get(&name) else {
                continue;
            };
            self.check_value(root, path, &name, &value.texts, value.at)?;
            let rivals = rivals(&command, &name);
            if !self.is_overridden(path, &name, value, &rivals, &values)? {
                command = set_default(command, &name, &value.texts, &rivals);
            }
        }
        let nothing = DeTable::new();
        let names: Vec<String> = command
            .get_subcommands()
            .map(|sub| sub.get_name().to_owned())
            .collect();
        for name in names {
            let own = below.get(&name).copied().unwrap_or(&nothing);
            let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
            let sub = command.find_subcommand(&name).cloned();
            if let Some(sub) = sub {
                let sub = self.apply(root, sub, &path, own, &values)?;
                command = command.mut_subcommand(name, |_| sub);
            }
        }
        Ok(command)
    }

    /// Returns whether the table of this command holds a flag that conflicts with `name` of a table around it.
    fn is_overridden(
        &self,
        path: &[String],
        name: &str,
        value: &Value,
        rivals: &[Arg],
        values: &Values,
    ) -> Result<bool, FileError> {
        let own = path.len();
        for rival in rivals.iter().filter_map(Arg::get_long) {
            let Some(other) = values.get(rival).filter(|other| other.is_set()) else {
                continue;
            };
            if !value.is_set() || other.depth < own {
                continue;
            }
            if value.depth < own {
                return Ok(true);
            }
            let problem = format!("cannot stand beside `{rival}`: keep one of them");
            return Err(self.wrong(value.at, &field(path, name), problem));
        }
        Ok(false)
    }

    /// Checks that a key names a flag of this command or of one below it, or a command.
    fn check_known(
        &self,
        command: &Command,
        path: &[String],
        name: &str,
        span: Range<usize>,
    ) -> Result<(), FileError> {
        let mut known = all_flags(command);
        if known.iter().any(|flag| flag == name) {
            return Ok(());
        }
        if command.find_subcommand(name).is_some() {
            let table = field(path, name);
            let problem = format!(
                "is a command, whose flags stand in a table: write [{table}], and its flags below it"
            );
            return Err(self.wrong(span.start, &table, problem));
        }
        known.extend(
            command
                .get_subcommands()
                .map(|sub| sub.get_name().to_owned()),
        );
        known.sort();
        known.dedup();
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let whose = match path {
            [] => "no command has a flag".to_owned(),
            path => format!("`concertctl {}` has no flag", path.join(" ")),
        };
        let problem = format!("{whose} `--{name}`{}", suggestion::among(name, &names));
        Err(self.wrong(span.start, &field(path, name), problem))
    }

    fn texts(
        &self,
        field: &str,
        value: &DeValue<'_>,
        span: Range<usize>,
    ) -> Result<Vec<String>, FileError> {
        let wrong = || {
            let problem = "write a text, a number, true, false, or a list of these".to_owned();
            self.wrong(span.start, field, problem)
        };
        match value {
            DeValue::Array(items) => {
                let text = |item: &Spanned<DeValue<'_>>| text_of(item.get_ref()).ok_or_else(wrong);
                items.iter().map(text).collect()
            }
            value => Ok(vec![text_of(value).ok_or_else(wrong)?]),
        }
    }

    /// Checks that the flag accepts the value. It asks the command line itself, so that a file has the same bounds.
    fn check_value(
        &self,
        root: &Command,
        path: &[String],
        name: &str,
        texts: &[String],
        at: usize,
    ) -> Result<(), FileError> {
        let wrong = |problem: String| Err(self.wrong(at, &field(path, name), problem));
        let command = path
            .iter()
            .try_fold(root, |at, name| at.find_subcommand(name));
        let arg = command.and_then(|command| {
            let mut args = command.get_arguments();
            args.find(|arg| arg.get_long() == Some(name))
        });
        let Some(arg) = arg else {
            return Ok(());
        };
        let takes_many =
            matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
        if texts.len() != 1 && !takes_many {
            return wrong("takes one value: write it without a list".to_owned());
        }
        if !arg.get_action().takes_values() {
            return match texts {
                [text] if text == "true" || text == "false" => Ok(()),
                _ => wrong("write true or false".to_owned()),
            };
        }
        for text in texts {
            let line = std::iter::once("concertctl".to_owned())
                .chain(path.iter().cloned())
                .chain([format!("--{name}={text}")]);
            if let Err(error) = root.clone().try_get_matches_from(line)
                && let Some(problem) = refusal(&error)
            {
                if text.is_empty() {
                    return wrong("is empty: write a value, or remove the line".to_owned());
                }
                return wrong(format!("`{text}` {problem}"));
            }
        }
        Ok(())
    }
}

/// The reason why the command line refuses the value; `None` if the value is not the reason.
fn refusal(error: &clap::Error) -> Option<String> {
    use std::error::Error as _;
    match error.kind() {
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(String::new, ToString::to_string);
            Some(format!("cannot stand here: {why}"))
        }
        ErrorKind::InvalidValue => {
            let known = error.get(ContextKind::ValidValue);
            let known = known.map_or_else(String::new, ToString::to_string);
            Some(format!("is none of: {known}"))
        }
        _ => None,
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            // TOML allows separators and hexadecimal digits in numbers.
            let digits = number.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Gives the flag the value of the file. `rivals` are the arguments that conflict with it.
fn set_default(command: Command, name: &str, texts: &[String], rivals: &[Arg]) -> Command {
    let Some(id) = long(&command, name).map(|arg| arg.get_id().clone()) else {
        return command;
    };
    command.mut_arg(id, |mut arg| {
        // If a rival is given, the flag has the value that it has without a file.
        let without_file = match arg.get_action().takes_values() {
            true => arg.get_default_values().first().cloned(),
            false => Some(OsStr::from("false")),
        };
        for rival in rivals {
            let given = match rival.get_action().takes_values() {
                true => ArgPredicate::IsPresent,
                // clap itself gives a switch the value `false`.
                false => ArgPredicate::Equals(OsStr::from("true")),
            };
            arg = arg.default_value_if(
                rival.get_id().clone(),
                given,
                Resettable::<OsStr>::from(without_file.clone()),
            );
        }
        // A value that is secret in the environment is secret in the file too.
        let secret = arg.is_hide_env_values_set();
        arg.default_values(texts.to_vec())
            .hide_default_value(secret)
            .required(false)
    })
}

/// The arguments that conflict with a flag, whichever of the two declares the conflict.
fn rivals(command: &Command, name: &str) -> Vec<Arg> {
    let Some(flag) = long(command, name) else {
        return Vec::new();
    };
    let conflict = |one: &Arg, other: &Arg| {
        let mut declared = command.get_arg_conflicts_with(one).into_iter();
        declared.any(|arg| arg.get_id() == other.get_id())
    };
    let others = command.get_arguments();
    let others = others.filter(|other| conflict(flag, other) || conflict(other, flag));
    others.cloned().collect()
}

fn long<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
}

/// The long names of the flags of a command that a file may set. Hidden flags are for this program itself.
fn flags(command: &Command) -> Vec<String> {
    let settable = |name: &&str| !matches!(*name, "help" | "version" | "config");
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let names = args.filter_map(Arg::get_long);
    names.filter(settable).map(ToOwned::to_owned).collect()
}

/// The long names of the flags of a command and of all commands below it.
fn all_flags(command: &Command) -> Vec<String> {
    let mut names = flags(command);
    for sub in command.get_subcommands() {
        names.extend(all_flags(sub));
    }
    names
}

fn field(path: &[String], name: &str) -> String {
    let mut steps: Vec<&str> = path.iter().map(String::as_str).collect();
    steps.push(name);
    steps.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _};

    use crate::cli::Cli;

    fn parsed(text: &str, args: &[&str]) -> Result<String, String> {
        let command =
            with_text(Cli::command(), "c.toml", text).map_err(|error| error.to_string())?;
        let args: Vec<OsString> = ["concertctl"].iter().chain(args).map(Into::into).collect();
        let matches = matches(command, &args).map_err(|error| error.to_string())?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        Ok(format!("{cli:?}"))
    }

    #[test]
    fn a_file_sets_any_flag_and_the_command_line_overrides_it() {
        let text = "data-dir = \"/srv/a\"\n[serve]\nhold = \"1m30s\"\ntoken-rate = 1_00\naccept-data-loss = true\nops-host = [\"a\", \"b\"]\n";
        let serve = parsed(text, &["serve"]).unwrap();
        for expected in [
            "data_dir: Some(\"/srv/a\")",
            "hold: 90s",
            "token_rate: 100",
            "accept_data_loss: true",
            "ops_host: [\"a\", \"b\"]",
        ] {
            assert!(serve.contains(expected), "{expected}: {serve}");
        }
        let serve = parsed(text, &["serve", "--hold", "2m", "--data-dir", "/srv/b"]).unwrap();
        assert!(
            serve.contains("hold: 120s") && serve.contains("/srv/b"),
            "{serve}"
        );
        let seed = parsed(text, &["seed"]).unwrap();
        assert!(seed.contains("/srv/a"), "{seed}");
    }

    /// All commands, each with its path.
    fn commands(command: &Command, path: &[String]) -> Vec<(Vec<String>, Command)> {
        let below = command.get_subcommands().flat_map(|sub| {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            commands(sub, &path)
        });
        let own = (path.to_vec(), command.clone());
        std::iter::once(own).chain(below).collect()
    }

    #[test]
    fn every_required_flag_of_every_command_may_come_from_the_file() {
        let values = [
            ("delay", "200ms"),
            ("for", "5s"),
            ("seconds", "-60"),
            ("share", "0.5"),
        ];
        let mut found = Vec::new();
        for (path, command) in commands(&Cli::command(), &[]) {
            let required = command.get_arguments().filter(|arg| arg.is_required_set());
            let required: Vec<&str> = required.filter_map(Arg::get_long).collect();
            if required.is_empty() {
                continue;
            }
            let mut text = format!("[{}]\n", path.join("."));
            for flag in required {
                let value = values.iter().find(|(name, _)| *name == flag);
                let (_, value) =
                    value.unwrap_or_else(|| panic!("the test needs a value of {flag}"));
                text += &format!("{flag} = \"{value}\"\n");
            }
            let args: Vec<&str> = path.iter().map(String::as_str).collect();
            let read = parsed(&text, &args).unwrap_or_else(|error| panic!("{text}{error}"));
            found.push((path.join(" "), read));
        }
        let latency = found.iter().find(|(path, _)| path == "fault latency");
        let (_, latency) = latency.expect("a required flag of fault latency");
        assert!(
            latency.contains("delay: 200ms") && latency.contains("length: 5s"),
            "{latency}"
        );
        let overriding = ["fault", "latency", "--delay", "1s"];
        let text = "[fault.latency]\ndelay = \"200ms\"\nfor = \"5s\"\n";
        let latency = parsed(text, &overriding).unwrap();
        assert!(latency.contains("delay: 1s"), "{latency}");
        let without = parsed("[fault.latency]\ndelay = \"1s\"", &["fault", "latency"]).unwrap_err();
        assert!(
            without.contains("--for") && !without.contains("--delay"),
            "{without}"
        );
    }

    #[test]
    fn a_flag_may_require_one_that_only_the_file_holds() {
        let text = "[load]\ntarget = [\"http://a\", \"http://b\"]\nbaseline = \"x.json\"\n[drill]\nblind = true\n";
        let load = ["load", "--ops-url", "http://a:8081", "--fail-on-regression"];
        let load = parsed(text, &load).unwrap();
        for expected in [
            "target: [\"http://a\", \"http://b\"]",
            "baseline: Some(\"x.json\")",
        ] {
            assert!(load.contains(expected), "{expected}: {load}");
        }
        let drill = parsed(text, &["drill", "--within", "1m", "errors"]).unwrap();
        assert!(
            drill.contains("blind: true") && drill.contains("within: 60s"),
            "{drill}"
        );
        let error = parsed("", &["load", "--ops-url", "http://a:8081"]).unwrap_err();
        assert!(error.contains("--target"), "{error}");
        let off = text.replace("true", "false");
        let error = parsed(&off, &["drill", "--within", "1m", "errors"]).unwrap_err();
        assert!(error.contains("--blind"), "{error}");
    }

    #[test]
    fn what_the_file_holds_yields_to_a_conflicting_flag() {
        let text = "[load]\nembedded = true\n[tui]\nreplay = \"x\"\n[drill]\nfrom = \"a.json\"\n";
        let load = parsed(text, &["load", "--target", "http://a"]).unwrap();
        assert!(
            load.contains("embedded: false") && load.contains("http://a"),
            "{load}"
        );
        let tui = parsed(text, &["tui", "--record", "y"]).unwrap();
        assert!(tui.contains("replay: None"), "{tui}");
        let drill = parsed(text, &["drill", "errors"]).unwrap();
        assert!(drill.contains("from: None"), "{drill}");
        let text = "[load]\ntarget = \"http://a\"";
        let load = parsed(text, &["load", "--embedded"]).unwrap();
        assert!(
            load.contains("target: []") && load.contains("embedded: true"),
            "{load}"
        );
        // The table of the command is nearer than the flags of all commands.
        let text = "data-dir = \"/srv\"\n[load]\nembedded = true\n";
        let load = parsed(text, &["load"]).unwrap();
        assert!(
            load.contains("data_dir: None") && load.contains("embedded: true"),
            "{load}"
        );
        let text = text.replace("[load]", "[load]\ntarget = \"http://a\"");
        let error = parsed(&text, &["load"]).unwrap_err();
        assert!(
            error.contains("load.target: cannot stand beside `embedded`: keep one of them"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_flag_is_refused_with_its_place_and_the_nearest_name() {
        let cases = [
            (
                "data-dri = \"x\"",
                "c.toml:1:1: data-dri: no command has a flag `--data-dri`; did you mean `data-dir`?",
            ),
            (
                "[serve]\nhodl = \"1s\"",
                "c.toml:2:1: serve.hodl: `concertctl serve` has no flag `--hodl`; did you mean `hold`?",
            ),
            (
                "[srve]\nhold = 1",
                "c.toml:1:2: srve: no command has a flag `--srve`; did you mean `serve`?",
            ),
            (
                "[serve]\nhold = \"15\"",
                "c.toml:2:8: serve.hold: `15` cannot stand here: \"15\" is not a duration such as 15s",
            ),
            (
                "[serve]\ntoken-rate = -1",
                "c.toml:2:14: serve.token-rate: `-1` cannot stand here: ",
            ),
            (
                "[serve]\nhold = [\"1s\", \"2s\"]",
                "serve.hold: takes one value",
            ),
            (
                "[serve]\naccept-data-loss = 7",
                "serve.accept-data-loss: write true or false",
            ),
            (
                "[tui]\ntheme = \"pink\"",
                "tui.theme: `pink` is none of: dark, light, none",
            ),
            ("[serve]\nhold = {}", "serve.hold: write a text, a number"),
            ("[serve", "c.toml:1:7: is not TOML: "),
            (
                "serve = \"x\"",
                "c.toml:1:1: serve: is a command, whose flags stand in a table: write [serve], and",
            ),
            (
                "[[serve]]\nhold = \"1s\"",
                "serve: is a command, whose flags",
            ),
            (
                "[fault]\nlatency = \"1s\"",
                "c.toml:2:1: fault.latency: is a command, whose flags stand in a table: write [fault.latency]",
            ),
            ("config = \"x\"", "no command has a flag `--config`"),
            (
                "[drill]\nprogress = \"\"",
                "c.toml:2:12: drill.progress: is empty: write a value, or remove the line",
            ),
            (
                "[drill]\nguard = true",
                "c.toml:2:1: drill.guard: `concertctl drill` has no flag `--guard`. There are",
            ),
            ("guard = true", "no command has a flag `--guard`"),
        ];
        for (text, expected) in cases {
            let error = parsed(text, &["serve"]).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
            let (_, listed) = error.split_once("There are ").unwrap_or_default();
            let mut listed = listed.split(", ");
            assert!(!listed.any(|flag| flag == "guard"), "{error}");
        }
    }

    #[test]
    fn the_file_is_named_before_anything_else_is_read() {
        let of = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            named(&args)
        };
        assert_eq!(of(&["c", "serve", "--config", "a"]), Some("a".into()));
        assert_eq!(of(&["c", "--config=b", "serve"]), Some("b".into()));
        assert_eq!(of(&["c", "serve", "--", "--config=b"]), None);
    }
}
