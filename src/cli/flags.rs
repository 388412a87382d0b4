//! Values that several subcommands take.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::settings::{self, SecretUrl};
use crate::telemetry::Otlp;

/// Where data is kept.
#[derive(Clone, Debug, Args)]
pub(super) struct DataDirArg {
    /// Where datasets and secrets are kept [default: the platform's place for application data]
    #[arg(long, value_name = "DIR", env = "CONCERTCTL_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArg {
    pub(super) fn path(&self) -> PathBuf {
        self.data_dir
            .clone()
            .unwrap_or_else(settings::default_data_dir)
    }
}

/// The database, where it is not the embedded one.
#[derive(Clone, Debug, Args)]
pub(super) struct DatabaseArg {
    /// Keep data in PostgreSQL: postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_DATABASE_URL",
        hide_env_values = true
    )]
    pub(super) database_url: Option<SecretUrl>,
}

/// `15s`, `5m`, `250ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok())
        .ok_or_else(|| format!("{text:?} is not a duration such as 15s, 5m or 250ms"))
}

/// A duration between two others, both given as on the command line.
///
/// Unbounded durations are dangerous at both ends: zero turns an interval into a busy loop and a
/// hold into none, and a huge one overflows sums or never comes.
pub(super) fn between(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let given = duration(text)?;
        if (duration(least)?..=duration(most)?).contains(&given) {
            Ok(given)
        } else {
            Err(format!("must be from {least} to {most}"))
        }
    }
}

/// `0.01`, `1`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is not a share from 0 to 1, such as 0.05"))
}

/// The collector that `--otlp` names, or else the environment; none where `OTEL_SDK_DISABLED` is true.
pub(super) fn collector(named: Option<&str>) -> anyhow::Result<Option<Otlp>> {
    if Otlp::is_disabled() {
        return Ok(None);
    }
    let found = match named.filter(|url| !url.is_empty()) {
        Some(url) => Otlp::at(url).map(Some),
        None => Otlp::from_environment(),
    };
    found.map_err(|problem| anyhow::anyhow!("OTLP (--otlp, OTEL_EXPORTER_OTLP_…): {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_between_none_and_all() {
        assert_eq!(share("0.05"), Ok(0.05));
        assert_eq!(share("1"), Ok(1.0));
        for bad in ["", "1.1", "-0.1", "NaN", "5%"] {
            assert!(share(bad).unwrap_err().contains("from 0 to 1"), "{bad}");
        }
    }

    #[test]
    fn a_duration_out_of_bounds_is_refused_and_both_bounds_are_named() {
        let interval = between("100ms", "1h");
        for (text, read) in [("100ms", 100), ("2s", 2_000), ("1h", 3_600_000)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(read)));
        }
        for bad in ["0s", "99ms", "61m", "1000000h"] {
            assert_eq!(interval(bad), Err("must be from 100ms to 1h".to_owned()));
        }
        assert!(interval("-1s").unwrap_err().contains("is not a duration"));
    }

    #[test]
    fn durations_are_read_with_their_unit_and_never_negative() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for bad in ["", "15", "-5s", "soon"] {
            assert!(
                duration(bad).unwrap_err().contains("is not a duration"),
                "{bad}"
            );
        }
    }
}
