//! `concertctl seed` loads a dataset directly, or through the server that holds the data directory.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::flags::{DataDirArg, DatabaseArg};
use super::local_server::LocalServer;
use super::stdout::print_and_exit;
use super::stop_signals::StopSignals;
use super::{FAILED, USAGE, fail};
use crate::api::ops::{SeedPhase, SeedProgress, SeedRequest};
use crate::clients::HttpSource;
use crate::clients::ops::Ops;
use crate::clock::Clock;
use crate::domain::Epoch;
use crate::secret::Secret;
use crate::seeding::{self, Profile, Progress, SeedError};
use crate::serve::open_database;
use crate::store::DatasetStorage;
use crate::store::data_dir::{DataDir, DataDirError};
use crate::store::sqlite::Options;

#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// A built-in profile (demo, onsale) or a profile file
    #[arg(default_value = "demo")]
    profile: String,
    /// Print a built-in profile, as the beginning of your own file
    #[arg(long, value_name = "NAME", help_heading = "Without seeding")]
    print_profile: Option<String>,
    /// Print the JSON Schema of profile files, for editors
    #[arg(long, help_heading = "Without seeding")]
    profile_schema: bool,
    /// Replace the existing dataset, and lose everything sold in it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    data_dir: DataDirArg,
    #[command(flatten)]
    database: DatabaseArg,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn run(args: SeedArgs) -> ExitCode {
    if args.profile_schema {
        return print_and_exit(&Profile::json_schema(), 0);
    }
    if let Some(name) = &args.print_profile {
        return print_profile(name);
    }
    let profile = match Profile::find(&args.profile) {
        Ok(profile) => profile,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    let outcome = match &args.database.database_url {
        Some(url) => into_database(url, profile, &args).await,
        None => into_directory(&args.data_dir.path(), profile, &args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

fn print_profile(name: &str) -> ExitCode {
    match Profile::text_of(name) {
        Some(text) => print_and_exit(text, 0),
        None => {
            let known = Profile::built_in().collect::<Vec<_>>().join(", ");
            fail(
                USAGE,
                &format!("--print-profile {name}: there is no such profile; there are {known}"),
            )
        }
    }
}

/// Seeds a shared database. Its servers switch to the new dataset by themselves.
async fn into_database(url: &Secret, profile: Profile, args: &SeedArgs) -> anyhow::Result<()> {
    seed_directly(open_database(url).await?, profile, args).await
}

async fn into_directory(dir: &Path, profile: Profile, args: &SeedArgs) -> anyhow::Result<()> {
    match DataDir::open(dir) {
        Ok(held) => {
            if let Some(warning) = held.exposed().filter(|_| !args.quiet) {
                print_line(&format!("warning: {warning}"));
            }
            let storage = DatasetStorage::Files(Arc::new(held), Options::default());
            let seeded = seed_directly(storage, profile, args).await;
            // The error of the database does not name the directory, so this adds it.
            seeded.with_context(|| format!("the data directory {}", dir.display()))
        }
        Err(DataDirError::InUse(_)) => through_server(dir, args).await,
        Err(error) => Err(error.into()),
    }
}

/// The error when a dataset would be replaced without `--replace`.
fn refusal(there: &str) -> anyhow::Error {
    anyhow::anyhow!("{there}; --replace replaces it and loses everything sold in it")
}

async fn seed_directly(
    storage: DatasetStorage,
    profile: Profile,
    args: &SeedArgs,
) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen()?;
    if !args.replace {
        storage.check_named().await?;
    }
    storage.sweep().await?;
    if let (Some(there), false) = (storage.current().await?, args.replace) {
        let there = match storage.describe(there).await {
            Ok(info) => format!(
                "the dataset {} with {} seats and {} users exists already",
                info.profile,
                info.seats(),
                info.users
            ),
            Err(error) => format!("a dataset exists already, but {error}"),
        };
        return Err(refusal(&there));
    }
    let progress = Arc::new(Progress::new(&profile));
    let epoch = Epoch(rand::random());
    let bulk = storage.begin(epoch).await?;
    let loading = {
        let (profile, progress) = (profile.clone(), Arc::clone(&progress));
        tokio::task::spawn_blocking(move || {
            seeding::load(&profile, bulk, epoch, Clock::default().now(), &progress)
        })
    };
    let output = ProgressOutput::new(args.quiet);
    let loaded = watch(&mut stop, loading, || {
        let at = progress.snapshot();
        output.show(at.done, at.total, at.rate(), at.left());
        progress.as_ref()
    })
    .await?;
    match loaded {
        Ok((info, kept)) => {
            storage.activate(epoch).await?;
            drop(kept);
            let followed = storage.await_followers(epoch).await;
            storage.sweep().await?;
            output.done(
                &info.profile,
                progress.snapshot().total,
                progress.snapshot().elapsed,
            );
            if !followed {
                print_line("a server of this database has not switched to the new dataset yet");
            }
            Ok(())
        }
        Err(error) => {
            storage.discard(epoch).await;
            Err(error.into())
        }
    }
}

/// Waits for the loading thread and shows its progress; a signal cancels it.
async fn watch<'a, T>(
    stop: &mut StopSignals,
    mut loading: tokio::task::JoinHandle<Result<T, SeedError>>,
    show: impl Fn() -> &'a Progress,
) -> anyhow::Result<Result<T, SeedError>> {
    let mut stopping = false;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            loaded = &mut loading => return Ok(loaded?),
            () = stop.requested(), if !stopping => {
                stopping = true;
                show().cancel();
            }
            _ = ticks.tick() => drop(show()),
        }
    }
}

async fn through_server(dir: &Path, args: &SeedArgs) -> anyhow::Result<()> {
    let server = LocalServer::of(dir).with_context(|| {
        format!(
            "{} is in use by another process that is not a server, or by a server that is still starting: wait, or choose another directory with --data-dir",
            dir.display(),
        )
    })?;
    let source = HttpSource::new(&server.ops_url())?;
    let token = server.token();
    let token = token.with_context(|| format!("the server at {}", server.ops_addr()))?;
    let ops = Ops::new(source, Some(token));
    let built_in = Profile::built_in().any(|known| known == args.profile);
    let request = SeedRequest {
        profile: built_in.then(|| args.profile.clone()),
        profile_yaml: match built_in {
            true => None,
            false => Some(std::fs::read_to_string(&args.profile)?),
        },
        replace: args.replace,
    };
    let mut stop = StopSignals::listen()?;
    let mut at = ops
        .seed(&request)
        .await
        .with_context(|| format!("the server at {} refused", server.ops_addr()))?;
    let output = ProgressOutput::new(args.quiet);
    let mut stopping = false;
    while at.phase == SeedPhase::Running {
        output.show_answer(&at);
        tokio::select! {
            () = stop.requested(), if !stopping => {
                stopping = true;
                at = ops.cancel_seed().await?;
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => at = ops.seed_progress().await?,
        }
    }
    match at.phase {
        SeedPhase::Done => {
            output.done(
                &at.profile,
                at.rows_total,
                Duration::from_secs_f64(at.elapsed_seconds),
            );
            Ok(())
        }
        SeedPhase::Cancelled => Err(SeedError::Cancelled.into()),
        _ => Err(anyhow::anyhow!(at.error.unwrap_or_else(|| {
            "the server lost the seeding: was it restarted?".to_owned()
        }))),
    }
}

/// Progress on standard error: a bar on a terminal, else a line every two seconds.
struct ProgressOutput {
    bar: ProgressBar,
    plain: bool,
    quiet: bool,
    last_line: std::cell::Cell<Option<std::time::Instant>>,
}

impl ProgressOutput {
    fn new(quiet: bool) -> ProgressOutput {
        let bar = ProgressBar::new(0);
        let plain = !std::io::stderr().is_terminal();
        if quiet || plain {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3}%  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        ProgressOutput {
            bar,
            plain,
            quiet,
            last_line: std::cell::Cell::new(None),
        }
    }

    fn show_answer(&self, at: &SeedProgress) {
        let left = at.seconds_left.map(Duration::from_secs_f64);
        self.show(at.rows_done, at.rows_total, at.rows_per_second, left);
    }

    fn show(&self, done: u64, total: u64, rate: f64, left: Option<Duration>) {
        let left = left.map_or_else(
            || "…".to_owned(),
            |left| format!("{:.0} s", left.as_secs_f64()),
        );
        let line = format!(
            "{done}/{total} rows, {:.2} M rows/s, {left} left",
            rate / 1e6
        );
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(line.clone());
        let due = self
            .last_line
            .get()
            .is_none_or(|at| at.elapsed() >= Duration::from_secs(2));
        if self.plain && !self.quiet && done > 0 && due {
            self.last_line.set(Some(std::time::Instant::now()));
            print_line(&line);
        }
    }

    fn done(&self, profile: &str, rows: u64, elapsed: Duration) {
        self.bar.finish_and_clear();
        if !self.quiet {
            let seconds = elapsed.as_secs_f64();
            let rate = rows as f64 / seconds.max(1e-6) / 1e6;
            print_line(&format!(
                "{profile}: {rows} rows in {seconds:.1} s ({rate:.2} M rows/s)"
            ));
        }
    }
}

fn print_line(line: &str) {
    use std::io::Write as _;
    // A closed standard error must not stop the seeding.
    drop(writeln!(std::io::stderr(), "{line}"));
}
