//! `concertctl serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use super::alerting::AlertingArgs;
use super::flags::{DataDirArg, DatabaseArg, between, listen_address, share, whole};
use super::log_args::LogArgs;
use super::stop_signals::StopSignals;
use super::{FAILED, fail, serve_banner};
use crate::booking::{Admission, Follow, PollBudget, Rules};
use crate::duration::show;
use crate::http::TokenLimit;
use crate::http::cors::Origin;
use crate::secret::Secret;
use crate::settings::{API_ADDR, DATABASE_CONNECTIONS, EmbeddedSettings, OPS_ADDR, ServeSettings};
use crate::store::sqlite::Options;
use crate::telemetry::{Logs, Sampler, TraceConfig};
use crate::tls::ServerTlsFiles;

/// The limits of one Wait-Token.
#[derive(Debug, Args)]
struct TokenLimitArgs {
    /// Requests per second that one Wait-Token may make; 20 polls of the queue count as one. 0: no limit
    #[arg(long, value_name = "N", default_value = TokenLimit::default().per_second.to_string(), value_parser = whole(0_u32, 100_000))]
    token_rate: u32,
    /// Requests that one Wait-Token may make at once after a pause
    #[arg(long, value_name = "N", default_value = TokenLimit::default().burst.to_string(), value_parser = whole(1_u32, 1_000_000))]
    token_burst: u32,
    /// Requests of one Wait-Token that may be in flight
    #[arg(long, value_name = "N", default_value_t = TokenLimit::default().at_once, value_parser = whole(1_u32, 1_000_000))]
    token_concurrency: u32,
}

impl TokenLimitArgs {
    fn limit(&self) -> Option<TokenLimit> {
        (self.token_rate > 0).then(|| TokenLimit {
            per_second: self.token_rate.into(),
            burst: self.token_burst.into(),
            at_once: self.token_concurrency,
        })
    }
}

/// The certificate of both listeners.
#[derive(Debug, Args)]
struct ServerTlsArgs {
    /// Serve https, on both listeners, with the certificate in this PEM file, followed by those of intermediate
    /// authorities. The files are read again when they change and at SIGHUP [default: http]
    #[arg(long, value_name = "FILE", env = "CONCERTCTL_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert
    #[arg(long, value_name = "FILE", env = "CONCERTCTL_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// PEM file with authorities. Only clients with a certificate of one of them may connect, on both listeners
    /// [default: clients need no certificate]
    #[arg(long, value_name = "FILE", env = "CONCERTCTL_TLS_CLIENT_CA")]
    tls_client_ca: Option<PathBuf>,
}

impl ServerTlsArgs {
    /// The files, if the user wants TLS. Each file may come from the command line, the environment or the configuration
    /// file, so clap cannot check that they are complete.
    fn files(&self) -> anyhow::Result<Option<ServerTlsFiles>> {
        let client_ca = self.tls_client_ca.clone();
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(ServerTlsFiles {
                certificate,
                key,
                client_ca,
            })),
            (Some(_), None) => anyhow::bail!("--tls-cert needs its private key: add --tls-key"),
            (None, Some(_)) => anyhow::bail!("--tls-key needs its certificate: add --tls-cert"),
            (None, None) if client_ca.is_some() => {
                anyhow::bail!("--tls-client-ca needs TLS: add --tls-cert and --tls-key")
            }
            (None, None) => Ok(None),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Address of the ticketing API
    #[arg(long, value_name = "HOST:PORT", default_value_t = API_ADDR, value_parser = listen_address)]
    api_addr: SocketAddr,
    /// Address of the operations API: metrics, admission, seeding, telemetry stores
    #[arg(long, value_name = "HOST:PORT", default_value_t = OPS_ADDR, value_parser = listen_address)]
    ops_addr: SocketAddr,
    #[command(flatten)]
    tls: ServerTlsArgs,
    /// Origin whose web pages may call the ticketing API, such as https://shop.example, or `*` for all; may be given
    /// several times [default: none]
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<Origin>,
    /// Host name, besides localhost, that an operations listener on loopback answers to, behind a proxy; may be given
    /// several times
    #[arg(long, value_name = "NAME")]
    ops_host: Vec<String>,
    #[command(flatten)]
    token_limit: TokenLimitArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    #[command(flatten)]
    database: DatabaseArg,
    /// The most connections to the database that this server opens
    #[arg(long, value_name = "N", default_value_t = DATABASE_CONNECTIONS, value_parser = whole(2_u16, 1000))]
    database_connections: u16,
    /// Share queue, admission and seat locks with other servers: redis://:PASSWORD@HOST:PORT, or
    /// rediss:// for TLS, or the nodes of a cluster, separated by commas
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_REDIS_URL",
        hide_env_values = true
    )]
    redis_url: Option<Secret>,
    /// File with the key that tokens are signed with [default: the database's own, or the data
    /// directory's]
    #[arg(long, value_name = "FILE", env = "CONCERTCTL_TOKEN_KEY_FILE")]
    token_key_file: Option<PathBuf>,
    /// Time for which a seat is held for payment, from 1s to 24h
    #[arg(long, value_name = "DURATION", default_value = show(Rules::default().hold), value_parser = between("1s", "24h"))]
    hold: Duration,
    /// Length of an admission, from 1s to 24h
    #[arg(long, value_name = "DURATION", default_value = show(Rules::default().active), value_parser = between("1s", "24h"))]
    active: Duration,
    /// Users that one batch admits, until the admission of the dataset is changed over the operations API
    #[arg(long, value_name = "N", default_value_t = Admission::default().batch, value_parser = whole(1_u64, 1_000_000))]
    admission_batch: u64,
    /// Time between two batches, from 100ms to 1h, until the admission of the dataset is changed
    #[arg(long, value_name = "DURATION", default_value = show(Admission::default().every()), value_parser = between("100ms", "1h"))]
    admission_interval: Duration,
    /// Whether admission follows the settings or the objective. objective: batch and interval are the upper limit, and
    /// fewer users are admitted while the requests of buying come near 500 ms; until the admission of the dataset is
    /// changed
    #[arg(long, value_name = "WHAT", default_value_t = Admission::default().follow, value_parser = follow())]
    admission_follow: Follow,
    /// Polls a second that all waiting users together should make; each waits at most 2 minutes between two
    #[arg(long, value_name = "N", default_value_t = PollBudget::default().0, value_parser = whole(*PollBudget::BOUNDS.start(), *PollBudget::BOUNDS.end()))]
    poll_budget: u32,
    /// The most live reservations of one user
    #[arg(long, value_name = "N", default_value_t = Rules::default().max_live, value_parser = whole(1_u32, 1000))]
    max_reservations: u32,
    /// Statements slower than this are logged; at most 1h
    #[arg(long, value_name = "DURATION", default_value = show(Options::default().slow), value_parser = between("0s", "1h"))]
    slow_query: Duration,
    /// Add this to every commit, to rehearse a slow disk; at most 30s
    #[arg(long, value_name = "DURATION", default_value = show(Options::default().commit_delay), value_parser = between("0s", "30s"))]
    commit_delay: Duration,
    #[command(flatten)]
    log: LogArgs,
    /// Start even if acknowledged writes are missing from the dataset; they stay lost
    #[arg(long)]
    accept_data_loss: bool,
    /// Push logs, traces and metrics to this OpenTelemetry collector: http://HOST:4318 [default:
    /// OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Traces of requests slower than this are kept; at most 1h
    #[arg(long, value_name = "DURATION", default_value = show(TraceConfig::default().slow), value_parser = between("0s", "1h"))]
    slow_trace: Duration,
    /// Share of all other traces to keep, from 0 to 1 [default: OTEL_TRACES_SAMPLER, or else 0.01]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    trace_ratio: Option<f64>,
    /// Time between two scrapes of the embedded metrics store, from 100ms to 1h
    #[arg(long, value_name = "DURATION", default_value = show(EmbeddedSettings::default().scrape_interval), value_parser = between("100ms", "1h"))]
    scrape_interval: Duration,
    #[command(flatten)]
    alerting: AlertingArgs,
}

impl ServeArgs {
    fn settings(&self) -> anyhow::Result<ServeSettings> {
        let mut settings = ServeSettings::new(self.data_dir.path());
        settings.api_addr = self.api_addr;
        settings.ops_addr = self.ops_addr;
        settings.tls = self.tls.files()?;
        settings.cors_origins = self.cors_origin.clone();
        settings.ops_hosts = self.ops_host.clone();
        settings.limits.token = self.token_limit.limit();
        settings.database_url = self.database.database_url.clone();
        settings.database_connections = self.database_connections.into();
        settings.redis_url = self.redis_url.clone();
        settings.token_key_file = self.token_key_file.clone();
        settings.rules.hold = self.hold;
        settings.rules.active = self.active;
        settings.rules.admission.follow = self.admission_follow;
        settings.rules.max_live = self.max_reservations;
        settings.rules.admission.batch = self.admission_batch;
        settings.rules.admission.every_ms = whole_millis(self.admission_interval);
        settings.rules.polls = PollBudget(self.poll_budget);
        settings.store.slow = self.slow_query;
        settings.store.commit_delay = self.commit_delay;
        settings.store.accept_data_loss = self.accept_data_loss;
        settings.embedded.scrape_interval = self.scrape_interval;
        settings.alerting = self.alerting.settings();
        settings.otlp = super::flags::collector(self.otlp.as_deref())?;
        Ok(settings)
    }

    /// The rules for keeping traces, from the flags or else from the environment, and warnings about variables that
    /// have no effect.
    fn traces(&self) -> (TraceConfig, Vec<String>) {
        let mut traces = TraceConfig {
            slow: self.slow_trace,
            ..TraceConfig::default()
        };
        if let Some(ratio) = self.trace_ratio {
            traces.ratio = ratio;
            return (traces, Vec::new());
        }
        let (sampler, warnings) = Sampler::from_environment();
        if let Some(Sampler { ratio, parent, off }) = sampler {
            traces = TraceConfig {
                ratio,
                parent,
                off,
                ..traces
            };
        }
        (traces, warnings)
    }
}

/// `settings` or `objective`.
fn follow() -> impl TypedValueParser<Value = Follow> {
    let names = PossibleValuesParser::new(Follow::ALL.map(Follow::label));
    names.try_map(|name| {
        let mut all = Follow::ALL.into_iter();
        all.find(|it| it.label() == name).ok_or("unknown")
    })
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn run(args: ServeArgs) -> ExitCode {
    match serve(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

async fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let settings = args.settings()?;
    // A request with a slow statement may be fast enough to be sampled out, so the smaller limit applies to its record.
    let slow = args.slow_query.min(args.slow_trace);
    let (traces, warnings) = args.traces();
    let logs = args.log.begin(slow, traces)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let _reopening = args
        .log
        .to_a_file()
        .then(|| reopen_on_hangup(&logs))
        .transpose()?;
    // Each user has a connection. If the system refuses, the old limit holds and connections wait.
    let _ = crate::load::raise_file_limit();
    let data_dir = settings.data_dir.clone();
    let mut stop = StopSignals::listen()?;
    let running = tokio::select! {
        running = crate::serve::start(settings, &logs) => running?,
        () = start_cancelled(&mut stop) => anyhow::bail!("stopped before the server had started"),
    };
    serve_banner::show(&running, &data_dir);
    let why = tokio::select! {
        () = stop.requested() => None,
        why = running.ended() => Some(why),
    };
    tracing::info!("stopping");
    let stopped = running.stop().await;
    tracing::info!("stopped");
    logs.flush(Duration::from_secs(2));
    match why {
        None => stopped,
        Some(why) => anyhow::bail!("the server ended: {why}"),
    }
}

/// Resolves some time after a stop signal, so that a start can finish and the server can stop in good order.
async fn start_cancelled(stop: &mut StopSignals) {
    stop.requested().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
}

/// Reopens the log file at each SIGHUP, until the result is dropped.
fn reopen_on_hangup(logs: &Logs) -> anyhow::Result<AbortOnDropHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let logs = logs.clone();
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            logs.reopen();
            tracing::info!("the log file was reopened");
        }
    })))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;
    use crate::http::Limits;
    use crate::http::listener::Bounds;
    use crate::load::Scenario;

    const PAGE: &str = include_str!("../../docs/operations.md");

    fn serve_command() -> clap::Command {
        let cli = Cli::command();
        cli.find_subcommand("serve").unwrap().clone()
    }

    /// The flags in the table of the page, each with its documented default.
    fn documented() -> Vec<(String, String)> {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `--"));
        let mut flags = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.split(" | ").collect();
            let names = cells[0].split('`').filter(|part| part.starts_with("--"));
            let names: Vec<&str> = names.collect();
            let defaults: Vec<&str> = match names.len() {
                1 => vec![cells[1]],
                _ => cells[1].split(", ").collect(),
            };
            for (at, name) in names.iter().enumerate() {
                let default = defaults.get(at).or(defaults.last()).unwrap();
                flags.push((name[2..].to_owned(), (*default).to_owned()));
            }
        }
        flags
    }

    #[test]
    fn the_page_on_operations_names_every_flag_of_serve_with_its_default() {
        let (command, documented) = (serve_command(), documented());
        for arg in command.get_arguments() {
            let Some(name) = arg
                .get_long()
                .filter(|name| !["help", "version"].contains(name))
            else {
                continue;
            };
            let found = documented.iter().find(|(flag, _)| flag == name);
            let (_, stated) = found.unwrap_or_else(|| panic!("docs/operations.md lacks --{name}"));
            if let [default] = arg.get_default_values()
                && arg.get_action().takes_values()
            {
                assert_eq!(default.to_str(), Some(stated.as_str()), "--{name}");
            }
        }
        for (flag, _) in &documented {
            let known = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(flag.as_str()));
            assert!(
                known,
                "docs/operations.md documents --{flag}, which serve does not have"
            );
        }
    }

    #[test]
    fn the_page_on_operations_states_the_limits_that_hold() {
        let (limits, bounds) = (Limits::default(), Bounds::default());
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        for (row, limit) in [
            (
                "connections to the ticketing API",
                thousands(bounds.connections),
            ),
            (
                "from a connection's last answer",
                seconds(bounds.idle_timeout),
            ),
            ("header ", seconds(bounds.header_timeout)),
            (
                "unfinished headers",
                format!("{} MiB", bounds.unfinished_headers >> 20),
            ),
            ("body ", format!("{} KiB", crate::http::BODY_LIMIT >> 10)),
            ("body ", seconds(limits.body_timeout)),
            ("an answer of which", seconds(bounds.write_timeout)),
            ("requests under way", thousands(limits.in_flight)),
            ("a request ", seconds(limits.request_timeout)),
        ] {
            let found = PAGE
                .lines()
                .find(|line| line.starts_with(&format!("| {row}")));
            let found = found.unwrap_or_else(|| panic!("docs/operations.md lacks {row:?}"));
            assert!(found.contains(&limit), "{limit}: {found}");
        }
    }

    /// `50,000`.
    fn thousands(count: usize) -> String {
        format!("{},{:03}", count / 1_000, count % 1_000)
    }

    #[test]
    fn the_flags_of_admission_have_the_bounds_of_the_operations_api_and_of_scenarios() {
        let (batches, intervals) = Admission::BOUNDS;
        let batch = |batch: u64| ("admission-batch", "admission.batch", batch.to_string());
        let interval = |millis: u64| {
            let text = show(Duration::from_millis(millis));
            ("admission-interval", "admission.every", text)
        };
        for ((flag, field, value), fits) in [
            (batch(*batches.start()), true),
            (batch(*batches.end()), true),
            (batch(batches.start() - 1), false),
            (batch(batches.end() + 1), false),
            (interval(*intervals.start()), true),
            (interval(*intervals.end()), true),
            (interval(intervals.start() - 1), false),
            (interval(intervals.end() + 1), false),
        ] {
            let args = ["serve".to_owned(), format!("--{flag}={value}")];
            let accepted = serve_command().try_get_matches_from(args);
            assert_eq!(accepted.is_ok(), fits, "--{flag} {value}");
            let set = [format!("{field}={value}")];
            let accepted = Scenario::load("onsale-short", &set);
            assert_eq!(accepted.is_ok(), fits, "{field} {value}");
        }
    }
}
