//! `concertctl fault`: injects faults into a running server, lists them, ends them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};

use super::flags::{DataDirArg, between, ops_token};
use super::local_server::LocalServer;
use super::stdout::print_and_exit;
use super::{FAILED, USAGE, fail};
use crate::api::ops::{ActiveFault, Fault, FaultKind};
use crate::clients::ops::Ops;
use crate::clients::{ClientError, HttpSource};

/// Inject faults into a running server, to rehearse the response to them. Each ends by itself. Exit codes: 0 done, 1
/// not done, 2 usage
#[derive(Debug, Args)]
pub(super) struct FaultArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Inject(Inject),
    /// List the injected faults
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End a fault, or all of them
    Clear {
        /// Kind of the fault, such as slow-statement [default: all]
        #[arg(value_parser = kind)]
        kind: Option<FaultKind>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// The longest duration of a fault, as the operations API has it.
const LONGEST: &str = "1h";

/// A fault as [`Fault`] declares it, with the flags that all kinds share.
#[derive(Debug)]
struct Inject {
    fault: Fault,
    common: Common,
}

impl FromArgMatches for Inject {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (_, flags) = matches
            .subcommand()
            .ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        Ok(Inject {
            fault: Fault::from_arg_matches(matches)?,
            common: Common::from_arg_matches(flags)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Inject::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Inject {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let kinds = Fault::augment_subcommands(clap::Command::new("kinds"));
        command.subcommands(kinds.get_subcommands().cloned().map(Common::augment_args))
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Inject::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Fault::has_subcommand(name)
    }
}

#[derive(Debug, Args)]
struct Common {
    /// Duration of the fault, at most 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = between("1ms", LONGEST))]
    length: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server's operations API [default: that of the server on the data directory]
    #[arg(long, value_name = "URL", visible_alias = "ops-url")]
    target: Option<String>,
    /// File with the operations token; CONCERTCTL_OPS_TOKEN may hold the token itself [default: the token of the data
    /// directory]
    #[arg(long, value_name = "FILE")]
    ops_token_file: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArg,
}

fn kind(text: &str) -> Result<FaultKind, String> {
    FaultKind::injectable_named(&text.replace('-', "_"))
}

pub(super) async fn run(args: FaultArgs) -> ExitCode {
    match carry_out(args.command).await {
        Ok(text) => print_and_exit(&text, 0),
        Err(error) => {
            let refused = error.downcast_ref::<ClientError>();
            let usage = matches!(refused, Some(ClientError::Refused { status: 400, .. }));
            fail(if usage { USAGE } else { FAILED }, &format!("{error:#}"))
        }
    }
}

/// Sends the command to the server and returns the text to print.
async fn carry_out(command: Command) -> anyhow::Result<String> {
    match command {
        Command::List { server } => {
            let ops = server.ops()?;
            let listed = ops.faults().await.with_context(|| ops.authority())?;
            Ok(lines(&listed.faults))
        }
        Command::Clear { kind, server } => {
            let ops = server.ops()?;
            let left = ops.end_faults(kind).await;
            Ok(lines(&left.with_context(|| ops.authority())?.faults))
        }
        Command::Inject(Inject { fault, common }) => {
            let ops = common.server.ops()?;
            let by = Some("concertctl fault");
            let injected = ops.inject_fault(&fault, common.length, by).await;
            Ok(line(&injected.with_context(|| ops.authority())?))
        }
    }
}

impl ServerArgs {
    /// Returns whether the flags name a server, or the data directory holds the address of one.
    pub(super) fn is_there(&self) -> bool {
        self.target.is_some() || LocalServer::of(&self.data_dir.path()).is_some()
    }

    /// A client of the chosen server, with its token if the token is known.
    pub(super) fn ops(&self) -> anyhow::Result<Ops> {
        let dir = self.data_dir.path();
        let local = LocalServer::of(&dir);
        let url = match (&self.target, &local) {
            (Some(url), _) => url.clone(),
            (None, Some(local)) => local.ops_url(),
            (None, None) => anyhow::bail!(
                "{} has no server.json of a server: name a server with --target, or its data directory with --data-dir",
                dir.display()
            ),
        };
        let source = HttpSource::new(&url)?;
        let given = ops_token(self.ops_token_file.as_deref()).map_err(anyhow::Error::msg)?;
        let token = match (given, local.filter(|local| local.is_at(&url))) {
            (None, Some(local)) => Some(local.token()?),
            (given, _) => given,
        };
        Ok(Ops::new(source, token))
    }
}

fn lines(faults: &[ActiveFault]) -> String {
    if faults.is_empty() {
        return "no fault is injected\n".to_owned();
    }
    faults.iter().map(line).collect()
}

fn line(fault: &ActiveFault) -> String {
    let settings = serde_json::to_string(&fault.fault.settings()).unwrap_or_default();
    format!(
        "{}: until {}, by {}, {settings}\n",
        fault.fault.kind().as_str(),
        fault.ends_at,
        fault.by
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::faults;

    #[test]
    fn the_duration_of_a_fault_has_the_bounds_of_the_operations_api() {
        let length = between("1ms", LONGEST);
        assert_eq!(length(LONGEST), Ok(faults::LONGEST));
        for wrong in ["1d", "0s", "-1s"] {
            assert_eq!(
                length(wrong),
                Err("must be from 1ms to 1h".to_owned()),
                "{wrong}"
            );
        }
        let refused = faults::check_length(Duration::from_secs(86_400)).unwrap_err();
        assert_eq!(refused, "for is 24h: it can be 1ms to 1h");
    }

    #[test]
    fn the_help_of_each_kind_says_what_the_fault_does() {
        let kinds = Fault::augment_subcommands(clap::Command::new("kinds"));
        let shown = Inject::augment_subcommands(clap::Command::new("fault"));
        for kind in kinds.get_subcommands() {
            let name = kind.get_name();
            let about = kind.get_about().map(ToString::to_string);
            let found = shown
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            assert!(about.is_some(), "{name} has no help");
            assert_eq!(found.map(ToString::to_string), about, "{name}");
        }
    }
}
