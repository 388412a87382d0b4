//! Where the load goes: URLs, the operations token, and the leave to go there.

use std::net::IpAddr;
use std::path::Path;

use super::{Failure, LoadArgs};
use crate::load::Target;
use crate::telemetry::Otlp;

/// A token is short; a longer file is something else.
const MAX_TOKEN_FILE: u64 = 4096;

/// The target that was named.
pub(super) fn remote(args: &LoadArgs) -> Result<Target, Failure> {
    let ops_url = args
        .ops_url
        .clone()
        .ok_or_else(|| Failure::usage("--target needs --ops-url"))?;
    for url in args.target.iter().chain([&ops_url]) {
        check_allowed(url, &args.allow_target)?;
    }
    let ops_token = match &args.ops_token_file {
        Some(path) => Some(read_token(path)?),
        None => std::env::var("CONCERTCTL_OPS_TOKEN")
            .ok()
            .filter(|token| !token.is_empty()),
    };
    Ok(Target {
        api_urls: args.target.clone(),
        ops_url,
        ops_token,
    })
}

/// The collector that telemetry is pushed to, if one was named.
pub(super) fn collector(args: &LoadArgs) -> Result<Option<Otlp>, Failure> {
    crate::cli::flags::collector(args.otlp.as_deref())
        .map_err(|problem| Failure::usage(problem.to_string()))
}

/// Load goes to this machine, or to a host that was named on purpose.
fn check_allowed(url: &str, allowed: &[String]) -> Result<(), Failure> {
    let uri: http::Uri = url
        .parse()
        .map_err(|_| Failure::usage(format!("`{url}` is not a URL: write http://host:port")))?;
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if loopback || host.is_empty() || allowed.contains(&host) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{host} is not this machine: add --allow-target {host} if it may be put under load"
    )))
}

fn read_token(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE).read_to_string(&mut text));
    read.map_err(|error| Failure::usage(format!("--ops-token-file {}: {error}", path.display())))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format!(
            "--ops-token-file {}: is empty",
            path.display()
        )));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_put_under_load_unless_a_host_is_named() {
        for url in [
            "http://127.0.0.1:1",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(check_allowed(url, &[]).is_ok(), "{url}");
        }
        let refused = check_allowed("http://tickets.example:80", &[]).unwrap_err();
        assert_eq!(refused.code, 2);
        assert!(
            refused.message.contains("--allow-target tickets.example"),
            "{}",
            refused.message
        );
        assert!(check_allowed("http://tickets.example", &["tickets.example".to_owned()]).is_ok());
        assert!(check_allowed("http://127.0.0.1.evil.example", &[]).is_err());
    }
}
