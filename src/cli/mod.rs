//! The command line: one file per subcommand, which turns flags into settings and runs the command.
//!
//! It also starts the embedded server of `load` and `tui`, because those modules know a server only through its
//! listeners.

mod alerting;
mod backup;
mod completions_and_man;
mod config_file;
mod drill;
mod environment;
mod fault;
mod fire_alarm;
mod flags;
mod health;
mod local_server;
mod log_args;
mod restore;
mod seed;
mod serve;
mod serve_banner;
mod stdout;
mod stop_signals;
mod tui;

pub mod load;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::tls::{self, ClientFiles};

/// Rehearse a concert ticket on-sale, and the response to its failures
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// Configuration file, which sets any flag by its name [default: concertctl.toml in the working
    /// directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = config_file::VARIABLE)]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    certificates: CertificateArgs,
    #[command(subcommand)]
    command: Command,
}

/// The certificates of all clients: of servers, sources, collectors, receivers of alerts, and Redis.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Certificates of clients")]
struct CertificateArgs {
    /// PEM file with authorities to trust besides those of the system, for every https and rediss address
    #[arg(long, global = true, value_name = "FILE", env = "CONCERTCTL_CA")]
    ca: Option<std::path::PathBuf>,
    /// PEM file with the certificate to show to servers that ask for one; with --client-key
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CONCERTCTL_CLIENT_CERT"
    )]
    client_cert: Option<std::path::PathBuf>,
    /// PEM file with the private key of --client-cert
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CONCERTCTL_CLIENT_KEY"
    )]
    client_key: Option<std::path::PathBuf>,
}

impl CertificateArgs {
    /// Reads the files for all clients of the process.
    fn configure(self) -> Result<(), String> {
        let certificate = match (self.client_cert, self.client_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err("--client-cert needs its key: add --client-key".into()),
            (None, Some(_)) => {
                return Err("--client-key needs its certificate: add --client-cert".into());
            }
        };
        let ca = self.ca;
        tls::client::configure(&ClientFiles { ca, certificate })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the ticketing service, with the telemetry stores embedded
    Serve(serve::ServeArgs),
    /// Rehearse an on-sale: drive virtual users through a scenario, judge the run
    Load(load::LoadArgs),
    /// Load a dataset: demo (10,000 seats) or onsale (10,000,000 seats), or a profile file
    Seed(seed::SeedArgs),
    /// Copy the dataset of a data directory, also while a server uses it (embedded database)
    Backup(backup::BackupArgs),
    /// Put a backup in place of the dataset of a data directory (embedded database)
    Restore(restore::RestoreArgs),
    /// Ask a server whether it is ready
    Health(health::HealthArgs),
    /// Inject faults into a running server, list them, end them
    Fault(fault::FaultArgs),
    /// Rehearse the response: inject a fault under traffic, measure detection and recovery
    Drill(drill::DrillArgs),
    /// The console: see whether the sale is healthy, act, rehearse
    Tui(tui::TuiArgs),
    /// Print completions for a shell
    Completions(completions_and_man::CompletionsArgs),
    /// Print a manual page (roff) of this program or of one of its commands
    Man(completions_and_man::ManArgs),
}

/// Exit code of a command that failed.
const FAILED: u8 = 1;
/// Exit code of a wrong command line or a wrong input file.
const USAGE: u8 = 2;

/// Parses the process arguments and runs the chosen subcommand.
pub fn main() -> ExitCode {
    let (args, hidden) = match drill::arguments() {
        Ok(arguments) => arguments,
        Err(problem) => return fail(USAGE, &problem),
    };
    let args = flags::with_joined_negatives(args);
    let command = environment::without_empty(Cli::command());
    let parsed = match config_file::with_file(command.clone(), &args) {
        Ok(command) => config_file::matches(command, &args),
        Err(error) => match without_file(command, &args) {
            Some(parsed) => parsed,
            None => return fail(USAGE, &error.to_string()),
        },
    };
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return without_command(&error),
    };
    // These commands work whatever the settings of the clients are.
    match &cli.command {
        Command::Completions(args) => return completions_and_man::completions(args),
        Command::Man(args) => return completions_and_man::man(args),
        _ => {}
    }
    if let Err(problem) = cli.certificates.configure() {
        return fail(USAGE, &problem);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("cannot start the async runtime: {error}")),
    };
    let code = runtime.block_on(async {
        outlive_file_size_limit();
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Seed(args) => seed::run(args).await,
            Command::Backup(args) => backup::run(args).await,
            Command::Restore(args) => restore::run(args).await,
            Command::Health(args) => health::run(args).await,
            Command::Fault(args) => fault::run(args).await,
            Command::Drill(args) => Box::pin(drill::run(args, hidden)).await,
            Command::Tui(args) => Box::pin(tui::run(args)).await,
            Command::Load(args) => load::run(args).await,
            // These commands are handled above, because they need no runtime.
            Command::Completions(_) | Command::Man(_) => ExitCode::SUCCESS,
        }
    });
    // A blocking task that hangs must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// Parses the command line without the configuration file if the file does not matter: for help, the version,
/// completions and manual pages. A user needs these to repair a broken file.
fn without_file(
    command: clap::Command,
    args: &[OsString],
) -> Option<Result<ArgMatches, clap::Error>> {
    let parsed = command.try_get_matches_from(args);
    let needs_none = match &parsed {
        Ok(matches) => matches!(matches.subcommand_name(), Some("completions" | "man")),
        Err(error) => matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ),
    };
    needs_none.then_some(parsed)
}

/// Prints help and version to standard output, the error of a wrong command line to standard error.
fn without_command(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        // Without standard error only the exit code reports the failure.
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    let text = error.render();
    let text = match stdout::takes_colours() {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    stdout::print_and_exit(&text, 0)
}

/// Prints the reason on standard error, in one line.
fn fail(code: u8, why: &str) -> ExitCode {
    use std::io::Write as _;
    // Without standard error only the exit code reports the failure.
    drop(writeln!(std::io::stderr(), "concertctl: {why}"));
    ExitCode::from(code)
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) fail like a write to a full disk. Without a
/// handler for SIGXFSZ it would end the process.
fn outlive_file_size_limit() {
    use tokio::signal::unix::{SignalKind, signal};
    let number = rustix::process::Signal::XFSZ.as_raw();
    if let Err(error) = signal(SignalKind::from_raw(number)) {
        tracing::warn!(%error, "cannot handle SIGXFSZ: a file that reaches the limit on file sizes will end the process");
    }
}
