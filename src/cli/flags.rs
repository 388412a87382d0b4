//! Flags and values that several subcommands share.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

pub(super) use crate::api::faults::share;
use crate::duration;
use crate::secret::Secret;
use crate::settings;
use crate::telemetry::Otlp;

// A plain comment: clap takes a doc comment for the help of the command that these flags are added to.
//
// The data directory.
#[derive(Clone, Debug, Args)]
pub(super) struct DataDirArg {
    /// The directory of datasets and secrets [default: the platform's place for application data]
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

// A plain comment, for the same reason. A database other than the embedded one.
#[derive(Clone, Debug, Args)]
pub(super) struct DatabaseArg {
    /// Keep data in PostgreSQL: postgres://USER:PASSWORD@HOST:PORT/DATABASE, or in MySQL or MariaDB:
    /// mysql://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_DATABASE_URL",
        hide_env_values = true
    )]
    pub(super) database_url: Option<Secret>,
}

/// The command line, with each negative value joined to its flag: `--hold -5m` becomes `--hold=-5m`.
///
/// clap takes `-5m` for a flag that does not exist. Joined, it reaches the check of the value, whose message states the
/// bounds. No flag begins with a dash and a digit, so that a flag never becomes a value.
pub(super) fn with_joined_negatives(args: Vec<OsString>) -> Vec<OsString> {
    let is_flag = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        arg.len() > 2 && arg.starts_with("--") && !arg.contains('=')
    };
    let is_negative = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        let number = arg.strip_prefix('-').unwrap_or_default();
        let number = number.strip_prefix('.').unwrap_or(number);
        number.starts_with(|first: char| first.is_ascii_digit())
    };
    let mut joined: Vec<OsString> = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    for arg in args.by_ref() {
        if arg == "--" {
            joined.push(arg);
            break;
        }
        match joined.last_mut() {
            Some(flag) if is_negative(&arg) && is_flag(flag) => {
                flag.push("=");
                flag.push(&arg);
            }
            _ => joined.push(arg),
        }
    }
    joined.extend(args);
    joined
}

/// Parses a duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .ok_or_else(|| format!("{text:?} is not a duration such as 15s, 1m30s or 250ms"))
}

/// Returns whether the text is a duration below zero.
fn is_negative_duration(text: &str) -> bool {
    let positive = text.trim().strip_prefix('-');
    positive.is_some_and(|text| duration::parse(text).is_some())
}

/// Parses a duration between two bounds, both given as on the command line.
///
/// Both bounds are needed. Zero would turn an interval into a busy loop and leave no time for a hold. A huge value
/// would overflow sums, or its time would never come.
pub(super) fn between(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let bounds = duration(least)?..=duration(most)?;
        let out_of_bounds = || format!("must be from {least} to {most}");
        if is_negative_duration(text) {
            return Err(out_of_bounds());
        }
        let given = duration(text)?;
        bounds
            .contains(&given)
            .then_some(given)
            .ok_or_else(out_of_bounds)
    }
}

/// A whole number within bounds.
pub(super) fn whole<N>(
    least: N,
    most: N,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync
where
    N: std::str::FromStr + std::fmt::Display + PartialOrd + Copy + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse::<N>().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
    }
}

/// An address to listen on.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    address.map_err(|_| {
        "write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"
            .to_owned()
    })
}

/// The largest token file, in bytes. A longer file does not hold a token.
const MAX_TOKEN_FILE: u64 = 4096;

/// The operations token from `--ops-token-file`, or else from the environment.
///
/// # Errors
/// The file cannot be read, or holds no token.
pub(super) fn ops_token(file: Option<&Path>) -> Result<Option<Secret>, String> {
    use std::io::Read as _;
    let Some(path) = file else {
        let token = settings::variable("CONCERTCTL_OPS_TOKEN");
        let token = token.and_then(|token| token.into_string().ok());
        return Ok(token.map(|token| Secret::new(&token)));
    };
    let name = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE).read_to_string(&mut text));
    read.map_err(|error| format!("cannot read the token file {name}: {error}"))?;
    match text.trim() {
        "" => Err(format!(
            "the token file {name} is empty: write the operations token into it"
        )),
        token => Ok(Some(Secret::new(token))),
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Checks that load may be put on `url`: on this machine, or on a host of `allowed`, which the user named on purpose.
///
/// # Errors
/// `url` is not a URL, or its host is not allowed.
pub(super) fn may_be_loaded(url: &str, allowed: &[String]) -> Result<(), String> {
    let uri: http::Uri = url
        .parse()
        .map_err(|_| format!("`{url}` is not a URL: write http://host:port"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if is_loopback(host) || host.is_empty() || allowed.iter().any(|it| it == host) {
        return Ok(());
    }
    Err(format!(
        "{host} is not this machine: add --allow-target {host} if it may be put under load"
    ))
}

/// The collector that `--otlp` or else the environment names. `None` if `OTEL_SDK_DISABLED` is true.
pub(super) fn collector(named: Option<&str>) -> anyhow::Result<Option<Otlp>> {
    if Otlp::is_disabled() {
        return Ok(None);
    }
    let found = match named.filter(|url| !url.is_empty()) {
        Some(url) => Otlp::at("--otlp", url).map(Some),
        None => Otlp::from_environment(),
    };
    found.map_err(|problem| anyhow::anyhow!("OTLP: {problem}"))
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
    fn a_number_and_an_address_say_how_they_are_written() {
        assert_eq!(whole(2_u16, 1_000)("16"), Ok(16));
        for bad in ["", "1", "1001", "many", "-1", "1.5"] {
            let error = whole(2_u16, 1_000)(bad).unwrap_err();
            assert_eq!(error, "must be a whole number from 2 to 1000", "{bad}");
        }
        assert!(listen_address("[::1]:80").is_ok());
        for bad in ["8080", "localhost", ":8080", "127.0.0.1"] {
            assert!(
                listen_address(bad).unwrap_err().contains("127.0.0.1:8080"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_duration_out_of_bounds_is_refused_and_both_bounds_are_named() {
        let interval = between("100ms", "1h");
        for (text, read) in [("100ms", 100), ("2s", 2_000), ("1h", 3_600_000)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(read)));
        }
        for bad in ["0s", "99ms", "61m", "1000000h", "-1s", "-1m30s"] {
            assert_eq!(interval(bad), Err("must be from 100ms to 1h".to_owned()));
        }
        assert!(interval("-1").unwrap_err().contains("is not a duration"));
    }

    #[test]
    fn a_negative_value_reaches_the_check_of_its_flag() {
        let of = |line: &str| {
            let args = line.split(' ').map(OsString::from).collect();
            let joined = with_joined_negatives(args);
            let joined = joined.iter().map(|arg| arg.to_string_lossy().into_owned());
            joined.collect::<Vec<_>>().join(" ")
        };
        for (given, joined) in [
            ("serve --hold -5m", "serve --hold=-5m"),
            (
                "serve --token-rate -1 --hold 1m",
                "serve --token-rate=-1 --hold 1m",
            ),
            ("fault errors --share -.5", "fault errors --share=-.5"),
            // A flag after a flag is not a value.
            (
                "fault errors --for --share 1",
                "fault errors --for --share 1",
            ),
            ("load --out - -q", "load --out - -q"),
            ("serve --hold=1s -1", "serve --hold=1s -1"),
            ("health -1", "health -1"),
            ("load -- --x -1", "load -- --x -1"),
            ("load --set -- -1", "load --set -- -1"),
        ] {
            assert_eq!(of(given), joined);
        }
    }

    #[test]
    fn durations_are_read_with_their_unit_and_never_negative() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "15", "-5s", "soon"] {
            assert!(
                duration(bad).unwrap_err().contains("is not a duration"),
                "{bad}"
            );
        }
    }
}
