//! `concertctl load`: flags to a run, a live view of it, the report and the exit code.

mod embedded;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::load::report::{self, Colours};
use crate::load::{
    LoadError, PhaseName, Reseed, RunHandle, RunOptions, Scenario, Summary, Target, plan,
    scenarios, start,
};

const COULD_NOT_RUN: u8 = 1;
const USAGE: u8 = 2;
/// A token is short; a longer file is something else.
const MAX_TOKEN_FILE: u64 = 4096;

/// Rehearse an on-sale: drive virtual users through a scenario, judge what happened.
///
/// Exit codes: 0 passed, 99 a threshold was missed, 3 inconclusive, 2 usage or bad scenario,
/// 1 could not run.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadArgs {
    /// A shipped scenario's name, or the path of a scenario file
    #[arg(default_value = crate::load::scenario::DEFAULT)]
    pub scenario: String,
    /// List the shipped scenarios
    #[arg(long)]
    pub list: bool,
    /// Print the capacity estimate and send nothing
    #[arg(long)]
    pub plan: bool,
    /// Measure one phase alone; what comes before it happens unmeasured
    #[arg(long, value_parser = parse_phase, value_name = "register|open|pay")]
    pub phase: Option<PhaseName>,
    /// Override a field of the scenario, such as admission.every=1s or thresholds.buying.p95=200ms
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// The ticketing API of a running server; of several servers of one service all of them, with
    /// commas between; left out: an embedded one is started and seeded
    #[arg(
        long,
        value_name = "URL,…",
        requires = "ops_url",
        value_delimiter = ','
    )]
    pub target: Vec<String>,
    /// The operations listener of that server, or of any one of them
    #[arg(long, value_name = "URL", requires = "target")]
    pub ops_url: Option<String>,
    /// File with the operations token; CONCERTCTL_OPS_TOKEN may hold it instead
    #[arg(long, value_name = "FILE", requires = "target")]
    pub ops_token_file: Option<PathBuf>,
    /// Allow a target that is not on this machine
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
    /// Replace the target's dataset by the scenario's before the run
    #[arg(long)]
    pub reseed: bool,
    /// Write the summary as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the summary as JSON instead of the report
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn parse_phase(text: &str) -> Result<PhaseName, String> {
    PhaseName::named(text).ok_or_else(|| format!("there are the phases {}", PhaseName::names()))
}

/// A message for people and the exit code that goes with it.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: USAGE,
        }
    }

    fn could_not(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: COULD_NOT_RUN,
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        Failure {
            code: error.exit_code(),
            message: error.to_string(),
        }
    }
}

/// Runs the subcommand.
pub async fn run(args: LoadArgs) -> ExitCode {
    match rehearse(&args).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // One line, whatever the cause says.
            let message = failure.message.replace('\n', " ");
            let _ = writeln!(std::io::stderr(), "concertctl load: {message}");
            ExitCode::from(failure.code)
        }
    }
}

async fn rehearse(args: &LoadArgs) -> Result<u8, Failure> {
    if args.list {
        let lines = scenarios()
            .into_iter()
            .map(|known| format!("{:<14} {}\n", known.name, known.title));
        print(&lines.collect::<String>());
        return Ok(0);
    }
    let scenario = Scenario::load(&args.scenario, &args.set)
        .map_err(|error| Failure::usage(error.to_string()))?;
    if args.plan {
        print(&plan_text(&scenario));
        return Ok(0);
    }
    check_out(args.out.as_deref())?;
    let summary = match args.target.is_empty() {
        false => {
            let target = remote_target(args)?;
            let reseed = if args.reseed {
                Reseed::Always
            } else {
                Reseed::Never
            };
            drive(args, scenario, target, reseed, false).await?
        }
        true => {
            let server = embedded::start()
                .await
                .map_err(|error| Failure::could_not(format!("{error:#}")))?;
            let summary = drive(args, scenario, server.target(), Reseed::WhenUnfit, true).await;
            server.stop().await;
            summary?
        }
    };
    finish(args, &summary)
}

async fn drive(
    args: &LoadArgs,
    scenario: Scenario,
    target: Target,
    reseed: Reseed,
    embedded: bool,
) -> Result<Summary, Failure> {
    let view = view::View::new(args.quiet, &scenario);
    let handle = start(
        target,
        RunOptions {
            scenario,
            phase: args.phase,
            reseed,
            embedded,
        },
    );
    let stopping = tokio::spawn(stop_on_signal(handle.control.clone()));
    let summary = watched(handle, view).await;
    stopping.abort();
    Ok(summary?)
}

async fn watched(handle: RunHandle, mut view: view::View) -> Result<Summary, LoadError> {
    let mut progress = handle.progress.clone();
    let mut joining = std::pin::pin!(handle.join());
    loop {
        tokio::select! {
            ended = &mut joining => {
                view.close();
                return ended;
            }
            changed = progress.changed() => match changed {
                Ok(()) => view.show(&progress.borrow_and_update().clone()),
                // The run is about to end: only the join is left to wait for.
                Err(_) => {
                    let ended = joining.await;
                    view.close();
                    return ended;
                }
            }
        }
    }
}

/// The first Ctrl-C or SIGTERM ends the run gracefully, a second one the process.
async fn stop_on_signal(control: crate::load::LoadControl) {
    wait_for_signal().await;
    let _ = writeln!(
        std::io::stderr(),
        "stopping: requests under way are awaited; once more to end at once"
    );
    control.stop();
    wait_for_signal().await;
    std::process::exit(130);
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

fn finish(args: &LoadArgs, summary: &Summary) -> Result<u8, Failure> {
    if args.json {
        print(&format!("{}\n", summary.to_json()));
    } else {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let ansi = std::io::stdout().is_terminal() && !plain;
        print(&report::text(
            summary,
            if ansi { Colours::Ansi } else { Colours::None },
        ));
    }
    if let Some(path) = &args.out {
        let wrote = summary.write(path);
        wrote.map_err(|error| {
            Failure::could_not(format!(
                "the summary could not be written to {}: {error}",
                path.display()
            ))
        })?;
    }
    Ok(summary.verdict.exit_code())
}

/// A summary that could not be written after the run would be a run for nothing: look first.
fn check_out(out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else { return Ok(()) };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Failure::usage(format!(
            "--out {}: there is no directory {}",
            path.display(),
            parent.display()
        )));
    }
    if path.is_dir() || path.file_name().is_none() {
        return Err(Failure::usage(format!(
            "--out {}: is a directory, name a file",
            path.display()
        )));
    }
    Ok(())
}

fn remote_target(args: &LoadArgs) -> Result<Target, Failure> {
    let ops_url = args
        .ops_url
        .clone()
        .ok_or_else(|| Failure::usage("--target needs --ops-url"))?;
    for url in args.target.iter().chain([&ops_url]) {
        check_allowed(url, &args.allow_target)?;
    }
    let ops_token = match &args.ops_token_file {
        Some(path) => Some(read_token(path)?),
        None => std::env::var("CONCERTCTL_OPS_TOKEN")
            .ok()
            .filter(|token| !token.is_empty()),
    };
    Ok(Target {
        api_urls: args.target.clone(),
        ops_url,
        ops_token,
    })
}

/// Load goes to this machine, or to a host that was named on purpose.
fn check_allowed(url: &str, allowed: &[String]) -> Result<(), Failure> {
    let uri: http::Uri = url
        .parse()
        .map_err(|_| Failure::usage(format!("`{url}` is not a URL: write http://host:port")))?;
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if loopback || host.is_empty() || allowed.contains(&host) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{host} is not this machine: add --allow-target {host} if it may be put under load"
    )))
}

fn read_token(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE).read_to_string(&mut text));
    read.map_err(|error| Failure::usage(format!("--ops-token-file {}: {error}", path.display())))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format!(
            "--ops-token-file {}: is empty",
            path.display()
        )));
    }
    Ok(token.to_owned())
}

fn plan_text(scenario: &Scenario) -> String {
    let lines = plan::estimate(scenario);
    let width = lines
        .iter()
        .map(|line| line.quantity.chars().count())
        .max()
        .unwrap_or(0);
    let rows = lines
        .iter()
        .map(|line| format!("{:<width$}  {}\n", line.quantity, line.value));
    format!("{}\n\n{}", scenario.title, rows.collect::<String>())
}

/// To standard output; a reader that went away is no failure of the run.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_put_under_load_unless_a_host_is_named() {
        for url in [
            "http://127.0.0.1:1",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(check_allowed(url, &[]).is_ok(), "{url}");
        }
        let refused = check_allowed("http://tickets.example:80", &[]).unwrap_err();
        assert_eq!(refused.code, 2);
        assert!(
            refused.message.contains("--allow-target tickets.example"),
            "{}",
            refused.message
        );
        assert!(check_allowed("http://tickets.example", &["tickets.example".to_owned()]).is_ok());
        assert!(check_allowed("http://127.0.0.1.evil.example", &[]).is_err());
    }

    #[test]
    fn a_summary_that_cannot_be_written_is_refused_before_the_run() {
        let missing = check_out(Some(Path::new("/no/such/place/x.json"))).unwrap_err();
        assert!(
            missing
                .message
                .contains("there is no directory /no/such/place"),
            "{}",
            missing.message
        );
        assert!(check_out(Some(Path::new("/"))).is_err());
        assert!(check_out(Some(Path::new("x.json"))).is_ok());
    }
}
