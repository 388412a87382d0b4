//! `concertctl drill`: rehearses the response to a fault, and judges it.

mod hidden;
mod player;
mod progress_output;
mod target;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) use self::hidden::arguments;
use self::progress_output::ProgressOutput;
use self::target::TargetArgs;
use super::fire_alarm::{self, FireAlarmArgs};
use super::flags::{DataDirArg, whole};
use super::stdout::print_and_exit;
use super::{FAILED, USAGE, fail};
use crate::drill::basis::Basis;
use crate::drill::blind::plan::{self as blind_plan, Sealed};
use crate::drill::blind::{self, Blind};
use crate::drill::file::{self, Drill, shipped};
use crate::drill::report::baseline::compare;
use crate::drill::report::matrix::Skipped;
use crate::drill::report::{self, Document, Report};
use crate::drill::verdict::Verdict;
use crate::drill::{DrillError, fit, guard, kept, plan, run};
use crate::yaml::FileError;

/// Rehearse the response: inject a fault under traffic, and measure each step from detection to recovery against a
/// budget, on a server of its own or on a running system. Exit codes: 0 passed, 99 an expectation was missed or a false
/// alarm came, 3 inconclusive, 2 usage or bad file, 1 could not run
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DrillArgs {
    #[command(subcommand)]
    command: Option<DrillCommand>,
    /// A shipped drill (--list), or a drill file; several run one after the other
    #[arg(value_name = "DRILL")]
    drills: Vec<String>,
    /// List the shipped drills
    #[arg(long)]
    list: bool,
    /// Run all shipped drills, then the named ones, and print which alerts fired. A running system skips the drills
    /// whose faults it does not support
    #[arg(long)]
    suite: bool,
    /// Print what the drill will do and the worst case of each alert; send nothing
    #[arg(long)]
    plan: bool,
    /// Print a shipped drill, as the beginning of your own file
    #[arg(long, value_name = "NAME")]
    print: Option<String>,
    /// Print the JSON Schema of drill files
    #[arg(long)]
    schema: bool,
    /// Seed of the random choices [default: 1; random for a blind drill]
    #[arg(long, value_name = "N", value_parser = whole(0_u64, u64::MAX))]
    seed: Option<u64>,
    /// Withhold the fault, its strength and its moment, so that the player has to find the cause. Without a name the
    /// seed chooses the drill
    #[arg(long, conflicts_with_all = ["suite", "plan"], help_heading = "Blind drill")]
    blind: bool,
    /// The time that the player has, 10s to 4m; then the fault ends by itself
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = within, requires = "blind", help_heading = "Blind drill")]
    within: Duration,
    /// A file of the player's rules; `-` reads an action per line from standard input
    #[arg(
        long,
        value_name = "FILE",
        requires = "blind",
        help_heading = "Blind drill"
    )]
    player: Option<PathBuf>,
    /// Rule file in Prometheus's format; may be given several times [default: the shipped rules]
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Allow drills to run commands that their file names (`kind: command`)
    #[arg(long)]
    allow_commands: bool,
    /// Write the report as a page (.html), as Markdown (.md) or as JSON (.json), by the extension of the file; may be
    /// given several times
    #[arg(long, value_name = "FILE", value_parser = report_file, help_heading = "Report")]
    report: Vec<PathBuf>,
    /// Compare with an earlier run, whose report this file holds as JSON
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    baseline: Option<PathBuf>,
    /// Run no drill: report a saved run again, from its report as JSON
    #[arg(long, value_name = "FILE", conflicts_with_all = ["drills", "suite", "plan"], help_heading = "Report")]
    from: Option<PathBuf>,
    /// Print the JSON Schema of reports
    #[arg(long, help_heading = "Report")]
    report_schema: bool,
    /// Write the progress as JSON lines, at most four a second, with the report at the end; `-` is standard output. The
    /// drill ends when the reader closes the pipe
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
    /// The directory whose `drills` keeps the newest hundred reports
    #[command(flatten)]
    data_dir: DataDirArg,
    /// For the process that guards a drill's server
    #[arg(long, hide = true)]
    guard: bool,
    #[command(flatten)]
    system: TargetArgs,
}

/// Commands beside a drill.
#[derive(Debug, Subcommand)]
enum DrillCommand {
    FireAlarm(FireAlarmArgs),
}

pub(super) async fn run(args: DrillArgs, hidden: bool) -> ExitCode {
    if let Some(DrillCommand::FireAlarm(args)) = args.command {
        return fire_alarm::run(args).await;
    }
    if args.guard {
        // When the drill dies while the server is stopped, the kernel sends SIGHUP to the guard's process group, as to
        // every orphaned group with a stopped process. With a handler the guard survives it.
        let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let code = guard::run();
        drop(hangup);
        return code;
    }
    if let Some(code) = printed(&args) {
        return code;
    }
    if args.blind && !hidden {
        return fail(FAILED, &hidden::hide());
    }
    let outputs = match Outputs::check(&args) {
        Ok(outputs) => outputs,
        Err(problem) => return fail(USAGE, &problem),
    };
    if let Some(path) = &args.from {
        return match Document::read(path) {
            Ok(document) => again(&outputs, document),
            Err(problem) => fail(USAGE, &format!("--from {problem}")),
        };
    }
    let seed = seed(&args);
    let drills = match chosen(&args, seed) {
        Ok(drills) => drills,
        Err(problem) => return fail(USAGE, &problem),
    };
    let mut options = match options(&args, &drills, seed) {
        Ok(options) => options,
        Err(problem) => return fail(USAGE, &problem),
    };
    let basis = match Basis::of(options.given.as_ref(), &options.rules).await {
        Ok(basis) => basis,
        Err(error) => return fail_of(&error),
    };
    let mut program = match Program::of(drills, &basis, args.suite) {
        Ok(program) => program,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    if args.blind {
        let blind = match blind(&args, &mut program.drills, seed, &basis) {
            Ok(blind) => blind,
            Err(problem) => return fail(USAGE, &problem),
        };
        options.blind = Some(blind);
    }
    // All files are checked before the first drill runs, because a suite takes a quarter of an hour.
    let (mut plans, mut problems) = (String::new(), Vec::new());
    for drill in &program.drills {
        match plan::plan(drill, &basis) {
            Ok(plan) => plans.push_str(&plan),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if !problems.is_empty() {
        return fail(USAGE, &problems.join("\n"));
    }
    if args.plan {
        for Skipped { drill, reason, .. } in &program.skipped {
            plans += &format!("{drill}: not exercised: {reason}\n");
        }
        return print_and_exit(&plans, 0);
    }
    conduct(&args, program, &options, &basis, &outputs).await
}

/// Prints the text that a flag asks for instead of a run.
fn printed(args: &DrillArgs) -> Option<ExitCode> {
    if args.list {
        return Some(print_and_exit(&list(), 0));
    }
    if args.schema {
        return Some(print_and_exit(&crate::drill::file::json_schema(), 0));
    }
    if args.report_schema {
        return Some(print_and_exit(&report::json_schema(), 0));
    }
    let name = args.print.as_ref()?;
    Some(match shipped().iter().find(|(known, _)| known == name) {
        Some((_, text)) => print_and_exit(text, 0),
        None => fail(
            USAGE,
            &format!("--print {name}: shipped drills are {}", file::names()),
        ),
    })
}

/// The drills of a run, and those of the suite that the system cannot have.
struct Program {
    drills: Vec<Drill>,
    skipped: Vec<Skipped>,
}

impl Program {
    fn of(chosen: Vec<Drill>, basis: &Basis, is_suite: bool) -> Result<Program, FileError> {
        let (mut drills, mut skipped) = (Vec::new(), Vec::new());
        for drill in chosen {
            match fit::unsupported(&drill, basis).filter(|_| is_suite) {
                Some(reason) => skipped.push(Skipped {
                    alerts: drill.expected().map(str::to_owned).collect(),
                    drill: drill.name,
                    reason,
                }),
                None if is_shipped(&drill) => drills.push(fit::fitted(drill, basis)?),
                None => drills.push(drill),
            }
        }
        Ok(Program { drills, skipped })
    }
}

/// Returns whether the drill is a shipped one. A file with the name of a shipped drill and other content is not.
fn is_shipped(drill: &Drill) -> bool {
    let found = shipped().iter().find(|(known, _)| *known == drill.name);
    found.is_some_and(|(name, text)| Drill::parse(name, text).is_ok_and(|it| it == *drill))
}

/// Reports a saved run again.
fn again(outputs: &Outputs<'_>, document: Document) -> ExitCode {
    let texts = document.drills.iter().map(report::text);
    let mut text: String = texts.collect();
    if document.drills.len() != 1 {
        text += &document.matrix.text(&document.drills, &document.skipped);
    }
    match outputs.finish(document) {
        Ok(code) => print_and_exit(&text, code),
        Err(failure) => failure,
    }
}

/// The destinations of the report. They are checked before the run, so that no report is lost.
struct Outputs<'a> {
    files: &'a [PathBuf],
    baseline: Option<Document>,
}

impl<'a> Outputs<'a> {
    fn check(args: &'a DrillArgs) -> Result<Outputs<'a>, String> {
        for path in &args.report {
            crate::files::check(path)
                .map_err(|error| format!("--report {}: {error}", path.display()))?;
        }
        let baseline = args.baseline.as_ref().map(|path| Document::read(path));
        let baseline = baseline.transpose();
        Ok(Outputs {
            files: &args.report,
            baseline: baseline.map_err(|problem| format!("--baseline {problem}"))?,
        })
    }

    /// Compares and writes the report; returns the exit code. If one file cannot be written, the others still are.
    fn finish(&self, mut document: Document) -> Result<u8, ExitCode> {
        let baseline = self.baseline.as_ref();
        let compared = baseline
            .map(|before| compare(&document, before))
            .transpose();
        let problem = match compared {
            Ok(compared) => {
                if compared.is_some() {
                    document.baseline = compared;
                }
                None
            }
            Err(problem) => Some(problem),
        };
        let written = self
            .files
            .iter()
            .filter_map(|path| write(path, &document).err());
        let failed: Vec<String> = written.collect();
        match (failed.is_empty(), problem) {
            (false, _) => Err(fail(FAILED, &failed.join("; "))),
            (true, Some(problem)) => Err(fail(USAGE, &problem)),
            (true, None) => Ok(document.exit_code()),
        }
    }
}

fn write(path: &Path, document: &Document) -> Result<(), String> {
    let text = match path.extension().and_then(|it| it.to_str()) {
        Some("html") => report::html(document),
        Some("md") => report::markdown(document),
        _ => document.to_json(),
    };
    crate::files::replace(path, text.as_bytes(), crate::files::Access::Umask).map_err(|error| {
        format!(
            "the report could not be written to {}: {error}",
            path.display()
        )
    })
}

/// A file whose extension names the format of the report.
fn report_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|it| it.to_str()) {
        Some("html" | "md" | "json") => Ok(path),
        _ => Err("name a file that ends with .html, .md or .json".to_owned()),
    }
}

fn list() -> String {
    let lines = shipped().iter().map(|(name, text)| {
        let title = Drill::parse(name, text).map_or_else(|error| error.to_string(), |it| it.title);
        format!("{name:<28} {title}\n")
    });
    lines.collect()
}

/// The seed of the random choices. A player who knows the seed of a blind drill could draw its plan.
fn seed(args: &DrillArgs) -> u64 {
    // Programs that read JSON numbers as floating point keep these.
    let random = || u64::from(rand::random::<u32>());
    let usual = if args.blind { random() } else { 1 };
    args.seed.unwrap_or(usual)
}

/// Parses the time that the player of a blind drill has.
fn within(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text)
        .filter(|it| (Duration::from_secs(10)..=Duration::from_secs(240)).contains(it))
        .ok_or_else(|| "write a duration from 10s to 4m".to_owned())
}

/// Draws and seals the plan of a blind drill.
fn blind(
    args: &DrillArgs,
    drills: &mut [Drill],
    seed: u64,
    basis: &Basis,
) -> Result<Arc<Blind>, String> {
    let [drill] = drills else {
        return Err("--blind: name one drill, or none".to_owned());
    };
    if let Some(reason) = fit::unsupported(drill, basis) {
        return Err(format!("{}: {reason}", drill.name));
    }
    *drill = blind_plan::draw(drill.clone(), seed, args.within, basis)?;
    let blind = player::prepare(Sealed::of(drill, seed), args.player.as_deref())?;
    let hash = &blind.sealed.sha256;
    drop(writeln!(
        std::io::stderr(),
        "blind drill: SHA-256 of salt and plan {hash}"
    ));
    Ok(blind)
}

fn chosen(args: &DrillArgs, seed: u64) -> Result<Vec<Drill>, String> {
    let suite = shipped().iter().filter(|_| args.suite);
    let suite = suite.map(|(name, _)| *name);
    let drawn = (args.blind && args.drills.is_empty()).then(|| blind_plan::choose(seed));
    let named = args.drills.iter().map(String::as_str);
    let names: Vec<&str> = suite.chain(drawn).chain(named).collect();
    if names.is_empty() {
        return Err(format!(
            "name a drill or a drill file, or run all with --suite; shipped drills are {}",
            file::names()
        ));
    }
    loaded(&names)
}

/// The drills of these names.
///
/// # Errors
/// The mistakes of all files, one in each line.
fn loaded(names: &[&str]) -> Result<Vec<Drill>, String> {
    let (mut drills, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        match Drill::load(name) {
            Ok(drill) => drills.push(drill),
            Err(error) => problems.push(error.to_string()),
        }
    }
    match problems.is_empty() {
        true => Ok(drills),
        false => Err(problems.join("\n")),
    }
}

fn options(args: &DrillArgs, drills: &[Drill], seed: u64) -> Result<run::Options, String> {
    if let Some(drill) = drills.iter().find(|drill| drill.runs_commands())
        && !args.allow_commands
    {
        return Err(format!(
            "{} runs commands of its file: read them, and add --allow-commands",
            drill.name
        ));
    }
    let program = std::env::current_exe();
    Ok(run::Options {
        seed,
        blind: None,
        program: program.map_err(|error| format!("this program's own file: {error}"))?,
        rules: args.rules.clone(),
        given: args.system.given()?,
        allow_commands: args.allow_commands,
        progress: watch::Sender::default(),
    })
}

fn fail_of(error: &DrillError) -> ExitCode {
    let code = match error {
        DrillError::File(_) => USAGE,
        _ => FAILED,
    };
    fail(code, &error.to_string())
}

async fn conduct(
    args: &DrillArgs,
    program: Program,
    options: &run::Options,
    basis: &Basis,
    outputs: &Outputs<'_>,
) -> ExitCode {
    let stop = CancellationToken::new();
    let stopping = tokio::spawn(stop_on_signal(stop.clone()));
    let output = args.progress.as_deref().map(ProgressOutput::to).transpose();
    let output = match output {
        Ok(output) => output,
        Err(problem) => return fail(USAGE, &problem),
    };
    let writing = output.clone().map(|output| {
        let progress = options.progress.subscribe();
        tokio::spawn(output.follow(progress, stop.clone()))
    });
    let printing = options.blind.as_ref().map(|_| {
        let progress = options.progress.subscribe();
        tokio::spawn(player::print_watch_command(progress))
    });
    let kept_in = args.data_dir.path().join(kept::DIR_NAME);
    let mut reports = Vec::new();
    for drill in &program.drills {
        match Box::pin(hold(drill, options, basis, &stop, args.suite)).await {
            Ok(report) => reports.push(report),
            Err(error) => return fail_of(&error),
        }
        if let Some(report) = reports.last() {
            if let Err(error) = kept::keep(&kept_in, report) {
                let dir = kept_in.display();
                drop(writeln!(
                    std::io::stderr(),
                    "the report is not kept in {dir}: {error}"
                ));
            }
            if let Some(output) = &output {
                output.report(report);
            }
        }
        if stop.is_cancelled() {
            break;
        }
    }
    stopping.abort();
    for task in writing.into_iter().chain(printing) {
        task.abort();
    }
    let document = Document::new(reports, program.skipped);
    let is_one = program.drills.len() == 1 && document.skipped.is_empty();
    let matrix = document.matrix.text(&document.drills, &document.skipped);
    let streams_progress = args
        .progress
        .as_deref()
        .is_some_and(crate::files::is_stdout);
    match outputs.finish(document) {
        Ok(code) if is_one => ExitCode::from(code),
        // Standard output is for the reader of the JSON lines.
        Ok(code) if streams_progress => {
            drop(write!(std::io::stderr(), "{matrix}"));
            ExitCode::from(code)
        }
        Ok(code) => print_and_exit(&matrix, code),
        Err(failure) => failure,
    }
}

/// Runs a drill and prints its outcome. An inconclusive drill runs once more if `again` is set, because the load on the
/// machine may have ended. A drill that a stop condition ended does not: it would do the same harm again.
async fn hold(
    drill: &Drill,
    options: &run::Options,
    basis: &Basis,
    stop: &CancellationToken,
    mut again: bool,
) -> Result<Report, DrillError> {
    loop {
        // A closed standard error must not end the drill.
        let mut stderr = std::io::stderr();
        let (name, title) = match options.blind {
            Some(_) => (blind::NAME, blind::TITLE),
            None => (&*drill.name, &*drill.title),
        };
        drop(writeln!(stderr, "{name}: {title}"));
        let report = Box::pin(run::run(drill, options, basis, stop)).await?;
        drop(write!(stderr, "{}", report::text(&report)));
        let says_nothing = matches!(report.verdict, Verdict::Inconclusive(_));
        if !(says_nothing && again) || report.stopped || stop.is_cancelled() {
            return Ok(report);
        }
        again = false;
    }
}

/// The first Ctrl-C, SIGTERM or SIGHUP ends the drill gracefully, and its fault with it.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    super::load::wait_for_stop().await;
    stop.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistakes_of_all_drills_are_reported_with_the_nearest_name() {
        let problems = loaded(&["slow-chrge", "errors", "/no/such/drill.yaml"]).unwrap_err();
        let problems: Vec<&str> = problems.lines().collect();
        let [first, second] = problems[..] else {
            panic!("{problems:?}")
        };
        let near = "slow-chrge: there is no such drill; did you mean `slow-charge`? There are ";
        assert!(first.starts_with(near), "{first}");
        assert!(second.starts_with("/no/such/drill.yaml: "), "{second}");
        let loaded = loaded(&["errors", "pool"]).unwrap();
        assert_eq!(loaded.len(), 2);
    }
}
