//! `concertctl load` turns flags into a run, shows its progress and its report, and sets the exit code.

mod args;
mod drill;
mod embedded;
mod keys;
mod listener;
mod output;
mod progress_output;
mod target;
mod telemetry;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub use self::args::LoadArgs;
use self::args::{LoadCommand, OutputArgs};
use self::listener::Listener;
use self::output::Outputs;
use self::progress_output::ProgressOutput;
use self::telemetry::RunTelemetry;
use crate::cells;
use crate::cli::stdout;
use crate::load::own_profile;
use crate::load::scenario::{builtins, json_schema};
use crate::load::self_check::self_check;
use crate::load::{
    LoadError, OwnProfile, Reseed, RunHandle, RunOptions, Scenario, Summary, Target, merge, plan,
    scenarios, start,
};

const COULD_NOT_RUN: u8 = 1;
const USAGE: u8 = 2;

/// A message for people, and its exit code.
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
    let code = match args.runs() && drill::is_one(&args.scenario) {
        true => Box::pin(drill::run(&args)).await,
        false => Box::pin(rehearse(&args)).await.map(ExitCode::from),
    };
    match code {
        Ok(code) => code,
        Err(failure) => {
            // The message is one line, whatever the cause contains.
            let message = failure.message.replace('\n', " ");
            let _ = writeln!(std::io::stderr(), "concertctl load: {message}");
            ExitCode::from(failure.code)
        }
    }
}

async fn rehearse(args: &LoadArgs) -> Result<u8, Failure> {
    if let Some(LoadCommand::Merge { parts, output }) = &args.what {
        return merge_parts(parts, output);
    }
    if let Some(text) = without_a_run(args)? {
        print(&text)?;
        return Ok(0);
    }
    if args.self_check {
        return check_self().await;
    }
    let (scenario, profile) = scenario(args)?;
    let outputs = Outputs::check(&args.output)?;
    let mut telemetry = RunTelemetry::start(target::collector(args)?)?;
    let options = RunOptions {
        phase: args.phase,
        shard: args.shard.unwrap_or_default(),
        profile,
        ..RunOptions::new(scenario)
    };
    let summary = match target::find(args).await? {
        Some(found) => {
            found.announce(args.quiet);
            telemetry.push()?;
            let reseed = match args.reseed {
                true => Reseed::Always,
                false => Reseed::WhenMissing,
            };
            let options = RunOptions { reseed, ..options };
            drive(args, found.target, options, &telemetry).await?
        }
        None => {
            own_profile::check_for_new_server(&options.scenario, options.profile.as_ref())
                .map_err(|problem| wrong_dataset(args, problem))?;
            let server = embedded::start(&telemetry.logs, telemetry.collector.clone())
                .await
                .map_err(|error| Failure::could_not(format!("{error:#}")))?;
            let options = RunOptions {
                reseed: Reseed::WhenUnfit,
                embedded: true,
                ..options
            };
            let summary = drive(args, server.target(), options, &telemetry).await;
            server.stop().await;
            summary?
        }
    };
    telemetry.end().await;
    outputs.finish(summary)
}

fn print(text: &str) -> Result<(), Failure> {
    stdout::print(text).map_err(Failure::could_not)
}

/// The scenario, and the profile of its dataset if that is a file.
fn scenario(args: &LoadArgs) -> Result<(Scenario, Option<OwnProfile>), Failure> {
    let scenario = Scenario::load(&args.scenario, &args.set);
    let mut scenario = scenario.map_err(|error| Failure::usage(error.to_string()))?;
    let profile = own_profile::resolve(&mut scenario, &args.scenario);
    let profile = profile.map_err(|problem| wrong_dataset(args, problem))?;
    Ok((scenario, profile))
}

fn wrong_dataset(args: &LoadArgs, problem: String) -> Failure {
    let wrong = own_profile::wrong_dataset(&args.scenario, &args.set, problem);
    Failure::usage(wrong.to_string())
}

/// The output of the options that need no run.
fn without_a_run(args: &LoadArgs) -> Result<Option<String>, Failure> {
    if args.list {
        let lines = scenarios()
            .into_iter()
            .map(|known| format!("{:<14} {}\n", known.name, known.title));
        return Ok(Some(lines.collect()));
    }
    if args.scenario_schema {
        return Ok(Some(json_schema()));
    }
    if args.summary_schema {
        return Ok(Some(crate::load::summary::json_schema()));
    }
    if let Some(name) = &args.print_scenario {
        let known = builtins();
        let found = known.iter().find(|known| known.name == name);
        let text = found.map(|known| known.text).or_else(|| {
            let mut drills = crate::drill::file::shipped().iter();
            drills
                .find(|(known, _)| known == name)
                .map(|(_, text)| *text)
        });
        let text = text.map(str::to_owned).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|known| known.name).collect();
            let (names, drills) = (names.join(", "), crate::drill::file::names());
            Failure::usage(format!(
                "--print-scenario {name}: shipped ones are {names}; drills are {drills}"
            ))
        })?;
        return Ok(Some(text));
    }
    if args.plan {
        return Ok(Some(plan_text(&scenario(args)?.0)));
    }
    Ok(None)
}

fn merge_parts(parts: &[PathBuf], output: &OutputArgs) -> Result<u8, Failure> {
    let outputs = Outputs::check(output)?;
    let read = parts.iter().map(|path| Summary::read(path));
    let parts = read
        .collect::<Result<Vec<Summary>, String>>()
        .map_err(Failure::usage)?;
    outputs.finish(merge(&parts).map_err(Failure::usage)?)
}

async fn check_self() -> Result<u8, Failure> {
    let check = self_check().await?;
    let problems = check.problems();
    let millis = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    print(&format!(
        "self-check  a server stood still for {}; {} of {} planned requests answered\n\
         latency     p99 {}, max {}, from the instant each request was due\n\
         service     p99 {}, from sending: what waiting for answers hides\n\
         verdict     {}\n",
        millis(check.stall),
        check.answered,
        check.planned,
        millis(check.latency_p99),
        millis(check.latency_max),
        millis(check.service_p99),
        if problems.is_empty() {
            "passed: the stall shows"
        } else {
            "failed"
        },
    ))?;
    match problems.is_empty() {
        true => Ok(0),
        false => Err(Failure::could_not(problems.join("; "))),
    }
}

async fn drive(
    args: &LoadArgs,
    target: Target,
    options: RunOptions,
    telemetry: &RunTelemetry,
) -> Result<Summary, Failure> {
    let scenario = &options.scenario;
    let title = format!("{} ({})", scenario.title, scenario.name);
    let listener = Listener::bind(args.metrics_addr, telemetry).await?;
    // Without a token, a random one locks the commands. An empty one would open them to every client.
    let token = target.ops_token.clone().filter(|token| !token.is_empty());
    let token = token.unwrap_or_else(crate::settings::new_secret);
    let meter = listener.meter();
    let handle = start(target, RunOptions { meter, ..options });
    let serving = listener.serve(&token, handle.progress.clone(), handle.control.clone());
    let keys = match args.quiet {
        true => None,
        false => keys::Keys::listen(handle.control.clone()),
    };
    let view = ProgressOutput::new(args.quiet, &title, keys.is_some());
    let stopping = tokio::spawn(stop_on_signal(handle.control.clone()));
    let summary = show_until_end(handle, view).await;
    stopping.abort();
    drop(keys);
    if !serving.close().await {
        let _ = writeln!(
            std::io::stderr(),
            "--otlp: metrics were lost: the collector did not take the last push; check that it runs and look at its log"
        );
    }
    Ok(summary?)
}

async fn show_until_end(handle: RunHandle, mut view: ProgressOutput) -> Result<Summary, LoadError> {
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
                // The run is about to end, so only the join remains.
                Err(_) => {
                    let ended = joining.await;
                    view.close();
                    return ended;
                }
            }
        }
    }
}

/// The first Ctrl-C or SIGTERM, or the end of the terminal, ends the run gracefully; a second Ctrl-C or SIGTERM ends
/// the process. A shell and the kernel both send SIGHUP at the end of a terminal, so a second SIGHUP has no effect.
async fn stop_on_signal(control: crate::load::LoadControl) {
    wait_for_stop().await;
    let _ = writeln!(
        std::io::stderr(),
        "stopping: waiting for the requests in flight; press Ctrl-C again to end at once"
    );
    control.stop();
    wait_for_signal().await;
    std::process::exit(130);
}

/// Waits for Ctrl-C, SIGTERM, or SIGHUP.
pub(super) async fn wait_for_stop() {
    tokio::select! {
        () = wait_for_signal() => {}
        () = wait_for_hangup() => {}
    }
}

/// Waits for SIGHUP, which means that the terminal is closed. Without a handler the process would end at once, and
/// leave behind the embedded server's data and the changed admission of a target.
async fn wait_for_hangup() {
    use tokio::signal::unix::{SignalKind, signal};
    // A handler would undo `nohup`.
    if is_hangup_ignored() {
        return std::future::pending().await;
    }
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            hangup.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Returns whether the process was started with SIGHUP ignored. If the system does not report it, it counts as ignored.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, the lowest bit.
    ignored.is_none_or(|mask| mask & 1 == 1)
}

/// Waits for Ctrl-C or SIGTERM.
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

fn plan_text(scenario: &Scenario) -> String {
    let lines = plan::estimate(scenario);
    let width = lines
        .iter()
        .map(|line| cells::width(line.quantity))
        .max()
        .unwrap_or(0);
    let rows = lines
        .iter()
        .map(|line| format!("{}  {}\n", cells::left(line.quantity, width), line.value));
    format!("{}\n\n{}", scenario.title, rows.collect::<String>())
}
