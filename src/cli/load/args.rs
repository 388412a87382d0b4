//! The flags of `concertctl load`.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::flags::{listen_address, whole};
use crate::load::{PhaseName, ShardSpec};

/// Rehearse an on-sale: drive virtual users through a scenario, judge the run
///
/// Exit codes: 0 passed, 99 a threshold was missed, 3 inconclusive, 2 usage or bad scenario, 1 could not run.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LoadArgs {
    /// Another command.
    #[command(subcommand)]
    pub what: Option<LoadCommand>,
    /// A shipped scenario's name, or the path of a scenario file; a drill's, as for `concertctl drill`
    #[arg(default_value = crate::load::scenario::DEFAULT)]
    pub scenario: String,
    /// List the shipped scenarios
    #[arg(long, help_heading = "Without a run")]
    pub list: bool,
    /// Print the capacity estimate and send nothing
    #[arg(long, help_heading = "Without a run")]
    pub plan: bool,
    /// Print a shipped scenario or drill, as the beginning of your own file
    #[arg(long, value_name = "NAME", help_heading = "Without a run")]
    pub print_scenario: Option<String>,
    /// Print the JSON Schema of scenario files, for editors
    #[arg(long, help_heading = "Without a run")]
    pub scenario_schema: bool,
    /// Print the JSON Schema of summaries (--out), for programs that read them
    #[arg(long, help_heading = "Without a run")]
    pub summary_schema: bool,
    /// Prove that a stall of the server shows in the latencies; takes four seconds
    #[arg(long, help_heading = "Without a run")]
    pub self_check: bool,
    /// Measure one phase alone; the phases before it run unmeasured
    #[arg(long, value_parser = parse_phase, value_name = "register|open|pay")]
    pub phase: Option<PhaseName>,
    /// Override a field of the scenario, such as admission.every=1s or thresholds.buying.p95=200ms
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Run only this part of the users. Other processes run the other parts, and `load merge` joins their summaries
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<ShardSpec>,
    /// Serve the run's metrics, progress and commands here; commands need the operations token
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address)]
    pub metrics_addr: Option<SocketAddr>,
    /// Push the run's metrics, logs and slowest requests to this OpenTelemetry collector:
    /// http://HOST:4318 [default: what OTEL_EXPORTER_OTLP_ENDPOINT says]
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// The ticketing API of a running server, or of all servers of one service, separated by commas [default: the
    /// server on the data directory; if none runs there, an embedded one is started and seeded]
    #[arg(
        long,
        value_name = "URL,…",
        value_delimiter = ',',
        help_heading = "Target"
    )]
    pub target: Vec<String>,
    /// The operations listener of the server, or of any one of the servers [default: that of the server on the data
    /// directory, else port 8081 of the target's host]
    #[arg(long, value_name = "URL", requires = "target", help_heading = "Target")]
    pub ops_url: Option<String>,
    /// File with the operations token; CONCERTCTL_OPS_TOKEN may hold the token itself [default: the token of the data
    /// directory, for its own server]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub ops_token_file: Option<PathBuf>,
    /// The data directory of the running server [default: CONCERTCTL_DATA_DIR, or the platform's place for application
    /// data]
    #[arg(long, value_name = "DIR", help_heading = "Target")]
    pub data_dir: Option<PathBuf>,
    /// Start and seed an embedded server, even if a server runs on the data directory
    #[arg(long, conflicts_with_all = ["target", "data_dir", "ops_token_file", "shard"], help_heading = "Target")]
    pub embedded: bool,
    /// Allow a target that is not on this machine
    #[arg(long, value_name = "HOST", help_heading = "Target")]
    pub allow_target: Vec<String>,
    /// Replace the target's dataset by the scenario's before the run
    #[arg(long, help_heading = "Target")]
    pub reseed: bool,
    /// The outputs of a run.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl LoadArgs {
    /// Returns whether the flags ask for a run or a plan of the scenario, and not for another output.
    pub(super) fn runs(&self) -> bool {
        let asks = self.list || self.scenario_schema || self.summary_schema || self.self_check;
        self.what.is_none() && self.print_scenario.is_none() && !asks
    }
}

/// The outputs of a run.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Report")]
pub struct OutputArgs {
    /// Write the summary as JSON to this file; `-` prints it instead of the report
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the report as one HTML page to this file; `-` prints it instead of the report
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the summary as JSON instead of the report
    #[arg(long)]
    pub json: bool,
    /// Compare with an earlier run, whose summary this file holds
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Count smaller differences from the baseline as noise, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = whole(0_u8, 100))]
    pub noise: u8,
    /// Fail when a figure is worse than the baseline
    #[arg(long, requires = "baseline")]
    pub fail_on_regression: bool,
}

/// Commands beside a rehearsal.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum LoadCommand {
    /// Join the parts of a run that several processes made with --shard, or report a saved run again
    Merge {
        /// The summaries of the parts, written with --out
        #[arg(required = true, value_name = "FILE")]
        parts: Vec<PathBuf>,
        /// What is shown and written.
        #[command(flatten)]
        output: OutputArgs,
    },
}

fn parse_shard(text: &str) -> Result<ShardSpec, String> {
    let read = || {
        let (index, of) = text.split_once('/')?;
        let (index, of): (usize, usize) = (index.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&index).then(|| ShardSpec {
            index: index - 1,
            of,
        })
    };
    let shard = read().filter(|shard| shard.of <= 1_000);
    shard.ok_or_else(|| "write which part of how many, such as 1/3".to_owned())
}

fn parse_phase(text: &str) -> Result<PhaseName, String> {
    PhaseName::named(text).ok_or_else(|| format!("there are the phases {}", PhaseName::names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_run_is_written_as_which_of_how_many() {
        assert_eq!(parse_shard("2/3"), Ok(ShardSpec { index: 1, of: 3 }));
        for wrong in ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3", "1/1001"] {
            assert!(parse_shard(wrong).is_err(), "{wrong}");
        }
    }
}
