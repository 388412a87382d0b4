//! The configuration file. It sets flags; the environment and the command line override it.
//!
//! `concertctl.toml` holds flags by their long names. A table named after a command holds flags of that command alone.
//! The values become the defaults of the command line: clap then applies the order flag > environment > file, and
//! checks the values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::yaml::{self, FileError, suggestion};

/// The file in the working directory, used when none is named.
const NAME: &str = "concertctl.toml";
/// The environment variable that names a file.
pub(super) const VARIABLE: &str = "CONCERTCTL_CONFIG";

/// Values by the name of the flag, each with its byte offset in the file.
type Values = BTreeMap<String, (Vec<String>, usize)>;

/// Gives `command` the values of the configuration file as defaults.
///
/// # Errors
/// The file cannot be read, is not TOML, or holds an unknown flag or a wrong value.
pub(super) fn with_file(command: Command, args: &[OsString]) -> Result<Command, FileError> {
    let named = named(args).or_else(|| {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        named.map(PathBuf::from)
    });
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
                    let texts = self.texts(&field(path, &name), value_read, value.span())?;
                    values.insert(name, (texts, value.span().start));
                }
            }
        }
        for name in flags(&command) {
            if let Some((texts, at)) = values.get(&name) {
                self.check_value(root, path, &name, texts, *at)?;
                command = set_default(command, &name, texts);
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

fn set_default(command: Command, name: &str, texts: &[String]) -> Command {
    let found = {
        let mut args = command.get_arguments();
        let arg = args.find(|arg| arg.get_long() == Some(name));
        arg.map(|arg| arg.get_id().clone())
    };
    let Some(id) = found else {
        return command;
    };
    command.mut_arg(id, |arg| {
        // A value that is secret in the environment is secret in the file too.
        let secret = arg.is_hide_env_values_set();
        arg.default_values(texts.to_vec())
            .hide_default_value(secret)
    })
}

/// The long names of the flags of a command that a file may set.
fn flags(command: &Command) -> Vec<String> {
    let settable = |name: &&str| !matches!(*name, "help" | "version" | "config");
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
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
        let args = ["concertctl"].iter().chain(args);
        let matches = command
            .try_get_matches_from(args)
            .map_err(|error| error.to_string())?;
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
            ("config = \"x\"", "no command has a flag `--config`"),
        ];
        for (text, expected) in cases {
            let error = parsed(text, &["serve"]).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
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
