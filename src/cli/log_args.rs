//! The flags of the log: the filter, the destination and the limits.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::flags::whole;
use crate::files::{self, Limits};
use crate::size::Size;
use crate::telemetry::{AccessSampling, LogConfig, LogLimits, LogOutput, Logs, TraceConfig, logs};

/// A smaller file would hold only a few lines.
const LEAST_BYTES: u64 = 1_000;

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Filter of the log: a level, or target=level pairs
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        value_parser = filter,
        env = "CONCERTCTL_LOG"
    )]
    log: String,
    /// Log to a file instead of standard output, with mode 0600, and rotate it. SIGHUP reopens it
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Size at which the log file is renamed to FILE.1, such as 100MB; 0: another program rotates it
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = size)]
    log_max_size: u64,
    /// Number of older log files to keep. All files together have at most (N + 1) × --log-max-size
    #[arg(long, value_name = "N", default_value_t = LogLimits::DEFAULT_KEEP, value_parser = whole(0_u32, 1_000))]
    log_keep: u32,
    /// The most access records a second for each route's successful, fast reads. Above it one in N is kept, with the
    /// weight N. `all` or 0 keeps all
    #[arg(long, value_name = "N", default_value = AccessSampling::DEFAULT_RATE.to_string(), value_parser = rate)]
    access_log_rate: AccessRate,
}

/// Records per second. `None` means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AccessRate(Option<NonZeroU32>);

impl LogArgs {
    /// Starts the log. Access records of requests that took `slow` or longer are always kept.
    pub(super) fn begin(&self, slow: Duration, traces: TraceConfig) -> anyhow::Result<Logs> {
        logs::init(LogConfig {
            service_name: "concertctl-api",
            output: self.output(),
            filter: self.log.clone(),
            queue: 65_536,
            limits: LogLimits {
                file: Limits {
                    max_bytes: self.log_max_size,
                    keep: self.log_keep,
                },
                access: AccessSampling {
                    rate: self.access_log_rate.0,
                    slow,
                },
            },
            traces,
        })
    }

    /// Returns whether the log goes to a file, which SIGHUP reopens. Without a file SIGHUP ends a process that serves
    /// without TLS.
    pub(super) fn to_a_file(&self) -> bool {
        matches!(self.output(), LogOutput::File(_))
    }

    fn output(&self) -> LogOutput {
        match &self.log_file {
            None => LogOutput::Stdout,
            Some(path) if files::is_stdout(path) => LogOutput::Stdout,
            Some(path) if path == Path::new("/dev/stderr") => LogOutput::Stderr,
            Some(path) => LogOutput::File(path.clone()),
        }
    }
}

fn filter(text: &str) -> Result<String, String> {
    logs::check_filter(text).map(|()| text.to_owned())
}

/// The size of a log file: none, or enough for some lines.
fn size(text: &str) -> Result<u64, String> {
    let Size(bytes) = text.parse()?;
    if bytes != 0 && bytes < LEAST_BYTES {
        return Err(format!("{text:?} is less than {LEAST_BYTES} bytes"));
    }
    Ok(bytes)
}

fn rate(text: &str) -> Result<AccessRate, String> {
    if text == "all" {
        return Ok(AccessRate(None));
    }
    let rate: Option<u32> = text.parse().ok();
    rate.map(|rate| AccessRate(NonZeroU32::new(rate)))
        .ok_or_else(|| format!("{text:?} is neither a number of records a second nor `all`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_file_has_no_limit_or_room_for_some_lines() {
        assert_eq!(size("100MB"), Ok(LogLimits::DEFAULT_MAX_BYTES));
        assert_eq!(size("0"), Ok(0));
        for wrong in ["MB", "1", "999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_a_number_or_all() {
        assert_eq!(
            rate("100"),
            Ok(AccessRate(Some(AccessSampling::DEFAULT_RATE)))
        );
        assert_eq!(
            (rate("0"), rate("all")),
            (Ok(AccessRate(None)), Ok(AccessRate(None)))
        );
        assert!(rate("-1").is_err() && rate("some").is_err());
    }
}
