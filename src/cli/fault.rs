//! `concertctl fault`: injects faults into a running server, lists them, ends them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::flags::{DataDirArg, duration, ops_token, share, whole};
use super::local_server::LocalServer;
use super::stdout::print_and_exit;
use super::{FAILED, USAGE, fail};
use crate::api::ops::{ActiveFault, FaultKind, FaultRequest, FaultSettings, LinkCut};
use crate::clients::ops::Ops;
use crate::clients::{ClientError, HttpSource};

/// Inject faults into a running server, to rehearse the response to them. Each ends by itself. Exit
/// codes: 0 done, 1 not done, 2 usage.
#[derive(Debug, Args)]
pub(super) struct FaultArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Inject(Injection),
    /// List the faults that are injected now
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End a fault, or all of them
    Clear {
        /// errors, latency, slow-statement, pool-exhaustion or redis-cut [default: all]
        #[arg(value_parser = kind)]
        kind: Option<FaultKind>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Subcommand)]
enum Injection {
    /// Answer a share of the requests with an error
    Errors {
        /// Which part of the requests, 0 to 1
        #[arg(long, value_name = "SHARE", value_parser = share)]
        share: f64,
        /// 500 or 503
        #[arg(long, default_value_t = 500, value_parser = whole(500_u16, 599))]
        status: u16,
        #[command(flatten)]
        routes: Routes,
        #[command(flatten)]
        common: Common,
    },
    /// Delay requests
    Latency {
        /// How much longer they take, at most 30s
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        delay: Duration,
        /// Which part of the requests, 0 to 1
        #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
        share: f64,
        #[command(flatten)]
        routes: Routes,
        #[command(flatten)]
        common: Common,
    },
    /// Slow a statement down, or all of them
    #[command(alias = "slow_statement")]
    SlowStatement {
        /// How much longer it takes, at most 30s
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        delay: Duration,
        /// Its name, as in the metric label db_operation_name [default: all]
        #[arg(long, value_name = "NAME")]
        statement: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Take the connections to the database
    #[command(alias = "pool_exhaustion")]
    PoolExhaustion {
        /// How many [default: all]
        #[arg(long, value_name = "N", value_parser = whole(1_u32, 1_000))]
        connections: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Cut the link to Redis
    #[command(alias = "redis_cut")]
    RedisCut {
        /// What the server sees
        #[arg(long, value_enum, default_value_t = How::Hang)]
        how: How,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    /// Requests to Redis get no answer
    Hang,
    /// Connections to Redis are refused at once
    Refuse,
}

#[derive(Debug, Args)]
struct Routes {
    /// A route such as 'POST /reservations', several times if need be [default: the steps of buying;
    /// of latency, the queue as well]
    #[arg(long = "route", value_name = "ROUTE")]
    routes: Vec<String>,
}

#[derive(Debug, Args)]
struct Common {
    /// For how long, at most 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct ServerArgs {
    /// The server's operations API [default: that of the server on the data directory]
    #[arg(long, value_name = "URL", visible_alias = "ops-url")]
    target: Option<String>,
    /// File with the operations token; CONCERTCTL_OPS_TOKEN may hold it instead [default: that of the
    /// data directory]
    #[arg(long, value_name = "FILE")]
    ops_token_file: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArg,
}

fn kind(text: &str) -> Result<FaultKind, String> {
    let name = text.replace('-', "_");
    let found = FaultKind::ALL.into_iter().find(|it| it.as_str() == name);
    found.ok_or_else(|| {
        let known = FaultKind::ALL.map(FaultKind::as_str).join(", ");
        format!("there is no fault {text:?}; there are {known}")
    })
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

/// Sends the command to the server, and gives what to print.
async fn carry_out(command: Command) -> anyhow::Result<String> {
    match command {
        Command::List { server } => Ok(table(&server.ops()?.faults().await?.faults)),
        Command::Clear { kind, server } => Ok(table(&server.ops()?.end_faults(kind).await?.faults)),
        Command::Inject(injection) => {
            let (kind, settings, common) = injection.into_parts();
            let request = FaultRequest {
                for_ms: millis(common.length),
                by: Some("concertctl fault".to_owned()),
                ..FaultRequest::from(settings)
            };
            let injected = common.server.ops()?.inject_fault(kind, &request).await?;
            Ok(line(&injected))
        }
    }
}

impl Injection {
    fn into_parts(self) -> (FaultKind, FaultSettings, Common) {
        let mut settings = FaultSettings::default();
        let (kind, common) = match self {
            Injection::Errors {
                share,
                status,
                routes,
                common,
            } => {
                settings.share = Some(share);
                settings.status = Some(status);
                settings.routes = routes.named();
                (FaultKind::Errors, common)
            }
            Injection::Latency {
                delay,
                share,
                routes,
                common,
            } => {
                settings.share = Some(share);
                settings.delay_ms = Some(millis(delay));
                settings.routes = routes.named();
                (FaultKind::Latency, common)
            }
            Injection::SlowStatement {
                delay,
                statement,
                common,
            } => {
                settings.delay_ms = Some(millis(delay));
                settings.statement = statement;
                (FaultKind::SlowStatement, common)
            }
            Injection::PoolExhaustion {
                connections,
                common,
            } => {
                settings.connections = connections.map(i64::from);
                (FaultKind::PoolExhaustion, common)
            }
            Injection::RedisCut { how, common } => {
                settings.how = Some(match how {
                    How::Hang => LinkCut::Hang,
                    How::Refuse => LinkCut::Refuse,
                });
                (FaultKind::RedisCut, common)
            }
        };
        (kind, settings, common)
    }
}

impl Routes {
    fn named(self) -> Option<Vec<String>> {
        (!self.routes.is_empty()).then_some(self.routes)
    }
}

impl ServerArgs {
    /// A client of the chosen server, with its token if that is known.
    fn ops(&self) -> anyhow::Result<Ops> {
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn table(faults: &[ActiveFault]) -> String {
    if faults.is_empty() {
        return "no fault is injected\n".to_owned();
    }
    faults.iter().map(line).collect()
}

fn line(fault: &ActiveFault) -> String {
    let settings = serde_json::to_string(&fault.settings).unwrap_or_default();
    format!(
        "{}: until {}, by {}, {settings}\n",
        fault.kind.as_str(),
        fault.ends_at,
        fault.by
    )
}
