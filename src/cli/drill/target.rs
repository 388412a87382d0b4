//! The flags of a running system to drill on.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::cli::flags::{listen_address, may_be_loaded, ops_token};
use crate::clients::HttpSource;
use crate::drill::system::Given;
use crate::load::{Reseed, Target};

/// A running system; without `--target` the drill starts a server of its own.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "A running system")]
pub(super) struct TargetArgs {
    /// The ticketing API of a running system, or of all its servers, separated by commas. The drill puts load on the
    /// system and injects faults into it [default: the drill starts a server of its own]
    #[arg(
        long,
        value_name = "URL,…",
        value_delimiter = ',',
        requires = "ops_url",
        requires = "notified_at"
    )]
    target: Vec<String>,
    /// The operations listener of that server, or of the server to inject faults into
    #[arg(long, value_name = "URL", requires = "target")]
    ops_url: Option<String>,
    /// File with the operations token; CONCERTCTL_OPS_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE", requires = "target")]
    ops_token_file: Option<PathBuf>,
    /// The Prometheus that has the rules [default: that server]
    #[arg(
        long,
        value_name = "URL",
        requires = "target",
        conflicts_with = "rules"
    )]
    prometheus_url: Option<String>,
    /// The Alertmanager [default: that server]
    #[arg(long, value_name = "URL", requires = "target")]
    alertmanager_url: Option<String>,
    /// Address at which the drill receives notifications; Alertmanager's webhook, or the server's --webhook, must post
    /// to it
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address, requires = "target")]
    notified_at: Option<SocketAddr>,
    /// Allow a target that is not on this machine
    #[arg(long, value_name = "HOST")]
    allow_target: Vec<String>,
    /// Replace the target's dataset by that of the traffic
    #[arg(long, requires = "target")]
    reseed: bool,
}

impl TargetArgs {
    /// The running system that the flags name. `None`: the drill starts a server of its own.
    ///
    /// # Errors
    /// The flags contradict each other or hold a wrong value.
    pub(super) fn given(&self) -> Result<Option<Given>, String> {
        let Some((ops_url, notified_at)) = self.ops_url.as_ref().zip(self.notified_at) else {
            return Ok(None);
        };
        for url in self.target.iter().chain([ops_url]) {
            may_be_loaded(url, &self.allow_target)?;
        }
        let source = |url: &Option<String>| {
            let url = url.as_ref().unwrap_or(ops_url);
            HttpSource::new(url).map_err(|error| error.to_string())
        };
        let token = ops_token(self.ops_token_file.as_deref())?;
        Ok(Some(Given {
            target: Target {
                api_urls: self.target.clone(),
                ops_url: ops_url.clone(),
                ops_token: token.map(|token| token.expose().to_owned()),
            },
            prometheus: source(&self.prometheus_url)?,
            alertmanager: source(&self.alertmanager_url)?,
            notified_at,
            reseed: match self.reseed {
                true => Reseed::Always,
                false => Reseed::WhenMissing,
            },
        }))
    }
}
