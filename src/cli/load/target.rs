//! The target of the load: URLs, the operations token, and the permission to use the target.

use std::io::Write as _;

use super::{Failure, LoadArgs};
use crate::cli::flags::{is_loopback, may_be_loaded, ops_token};
use crate::cli::local_server::{self, LocalServer};
use crate::load::Target;
use crate::settings::{self, OPS_ADDR};
use crate::telemetry::Otlp;

/// A running server, and the way in which it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) target: Target,
    /// How the server was found; `None` when the user named all of it.
    how: Option<String>,
}

impl Found {
    /// Names the server on standard error unless the user named it.
    pub(super) fn announce(&self, quiet: bool) {
        if let Some(how) = self.how.as_ref().filter(|_| !quiet) {
            let api = self.target.api_urls.join(",");
            let ops = &self.target.ops_url;
            let line = format!("target: {api}, operations API {ops} ({how})");
            // Without standard error there is no reader.
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
}

/// Finds the server to rehearse on: the named one, otherwise the one that runs on the data directory. `None` means that
/// the caller must start an embedded server.
pub(super) async fn find(args: &LoadArgs) -> Result<Option<Found>, Failure> {
    if args.embedded {
        return Ok(None);
    }
    let dir = args.data_dir.clone().unwrap_or_else(settings::data_dir);
    let local = LocalServer::of(&dir);
    let token = ops_token(args.ops_token_file.as_deref()).map_err(Failure::usage)?;
    let (api_urls, ops_url, how) = match args.target.is_empty() {
        false => {
            let (ops_url, how) = ops_of(args, local.as_ref()).await?;
            for url in args.target.iter().chain([&ops_url]) {
                check_allowed(url, &args.allow_target)?;
            }
            (args.target.clone(), ops_url, how)
        }
        true => match running(args, local.as_ref()).await? {
            None => return Ok(None),
            Some(local) => (
                vec![local.api_url()],
                local.ops_url(),
                Some(on_directory(local)),
            ),
        },
    };
    let local = local.filter(|local| local.is_at(&ops_url));
    let ops_token = match (token, local) {
        (None, Some(local)) => Some(
            local
                .token()
                .map_err(|error| Failure::could_not(format!("{error:#}")))?,
        ),
        (token, _) => token,
    };
    let target = Target {
        api_urls,
        ops_url,
        ops_token: ops_token.map(|token| token.expose().to_owned()),
    };
    Ok(Some(Found { target, how }))
}

fn on_directory(local: &LocalServer) -> String {
    let dir = local.dir().display();
    format!("it runs on the data directory {dir}; --embedded starts a fresh one instead")
}

/// The server of the data directory if it runs. If the user named the directory, its server must run.
async fn running<'l>(
    args: &LoadArgs,
    local: Option<&'l LocalServer>,
) -> Result<Option<&'l LocalServer>, Failure> {
    if let Some(local) = local
        && local.runs().await
    {
        return Ok(Some(local));
    }
    if let Some(dir) = &args.data_dir {
        let dir = dir.display();
        return Err(Failure::could_not(format!(
            "no server runs on {dir}: start one with `concertctl serve --data-dir {dir}`, name one with --target, or leave --data-dir out to use an embedded one"
        )));
    }
    if args.shard.is_some() || args.ops_token_file.is_some() {
        return Err(Failure::usage(
            "--shard and --ops-token-file are about a running server: name it with --target, or its directory with --data-dir",
        ));
    }
    Ok(None)
}

/// The operations API of the named target, and the way in which it was found.
async fn ops_of(
    args: &LoadArgs,
    local: Option<&LocalServer>,
) -> Result<(String, Option<String>), Failure> {
    if let Some(url) = &args.ops_url {
        return Ok((url.clone(), None));
    }
    let scheme = match args.target.iter().any(|url| url.starts_with("https:")) {
        true => "https",
        false => "http",
    };
    let targets: Vec<(String, u16)> = args.target.iter().filter_map(|url| place(url)).collect();
    let is_target = |host: &str, port: u16| {
        let same = |named: &(String, u16)| {
            named.1 == port && (named.0 == host || is_loopback(&named.0) && is_loopback(host))
        };
        targets.iter().any(same)
    };
    if let Some(local) = local
        && is_target(&local.api_addr().ip().to_string(), local.api_addr().port())
    {
        let how = format!("from the data directory {}", local.dir().display());
        return Ok((local.ops_url(), Some(how)));
    }
    if let Some((host, port)) = targets.first() {
        let ops = format!("{scheme}://{}:{}", bracketed(host), OPS_ADDR.port());
        check_allowed(&ops, &args.allow_target)?;
        let status = local_server::status(&ops).await;
        let serves = status.and_then(|status| status.api_addr.parse::<std::net::SocketAddr>().ok());
        if serves.is_some_and(|addr| addr.port() == *port) {
            let how = format!("asked on port {}", OPS_ADDR.port());
            return Ok((ops, Some(how)));
        }
    }
    Err(Failure::usage(
        "the target's operations API is not known: name it with --ops-url http://HOST:8081, or the server's data directory with --data-dir",
    ))
}

/// Host and port of a URL.
fn place(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    Some((host, uri.port_u16().unwrap_or(usual)))
}

fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

/// The collector that telemetry is pushed to, if one was named.
pub(super) fn collector(args: &LoadArgs) -> Result<Option<Otlp>, Failure> {
    crate::cli::flags::collector(args.otlp.as_deref())
        .map_err(|problem| Failure::usage(problem.to_string()))
}

/// The target must be this machine, or a host that the user allowed explicitly.
fn check_allowed(url: &str, allowed: &[String]) -> Result<(), Failure> {
    may_be_loaded(url, allowed).map_err(Failure::usage)
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
