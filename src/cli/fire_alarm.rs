//! `concertctl drill fire-alarm` sends an alert through the whole chain and times each hop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::fault::ServerArgs;
use super::flags::{between, listen_address};
use super::stdout::print_and_exit;
use super::{FAILED, fail};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::Prometheus;
use crate::clients::{HttpSource, Secret};
use crate::drill::fire_alarm::{Chain, is_whole, text};

/// The exit code of a broken chain, as for a drill.
const BROKEN: u8 = 99;

/// Send an alert with drill="true" through the whole chain (metric, rule, Alertmanager, receiver), and time each hop,
/// on the day before the sale. It breaks nothing. Exit codes: 0 the chain is complete, 99 a hop is missing, 2 usage, 1
/// could not run
#[derive(Debug, Args)]
pub(super) struct FireAlarmArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Start a server for the check, even if one runs already
    #[arg(long, conflicts_with_all = ["target", "prometheus_url", "alertmanager_url", "receive"])]
    embedded: bool,
    /// The Prometheus that scrapes the server [default: the server itself]
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,
    /// The Alertmanager that receives the alerts [default: the server itself]
    #[arg(long, value_name = "URL")]
    alertmanager_url: Option<String>,
    /// Address at which to receive the notification; a webhook of Alertmanager must post to it [default: count what
    /// Alertmanager delivered to its own receivers]
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address)]
    receive: Option<SocketAddr>,
    /// The longest time for the firing alert, and for its end
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = between("1s", "10m"))]
    within: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: FireAlarmArgs) -> ExitCode {
    let stop = CancellationToken::new();
    let stopping = tokio::spawn(super::drill::stop_on_signal(stop.clone()));
    let hops = async {
        let chain = chain(&args).await?;
        chain.check(args.within, &stop).await
    };
    let hops = Box::pin(hops).await;
    stopping.abort();
    match hops {
        Err(problem) => fail(FAILED, &problem),
        Ok(hops) => {
            let text = match args.json {
                true => serde_json::to_string_pretty(&hops).unwrap_or_default() + "\n",
                false => text(&hops),
            };
            print_and_exit(&text, if is_whole(&hops) { 0 } else { BROKEN })
        }
    }
}

async fn chain(args: &FireAlarmArgs) -> Result<Chain, String> {
    let is_named = args.prometheus_url.is_some() || args.alertmanager_url.is_some();
    if args.embedded || !is_named && !args.server.is_there() {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("this program's own file: {error}"))?;
        return Chain::embedded(&program).await;
    }
    let ops = args.server.ops().map_err(|error| format!("{error:#}"))?;
    let source = |url: &Option<String>| match url {
        Some(url) => HttpSource::new(url).map_err(|error| error.to_string()),
        None => Ok(ops.source().clone()),
    };
    let prometheus = Prometheus::new(source(&args.prometheus_url)?);
    // This client only reads, so it needs no token.
    let alertmanager = Alertmanager::new(source(&args.alertmanager_url)?, None::<Secret>);
    Chain::running(ops, prometheus, alertmanager, args.receive).await
}
