//! `concertctl health` asks whether a server can serve, for people and for container health checks.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::local_server::LocalServer;
use super::stdout::print_and_exit;
use super::{FAILED, USAGE, fail};
use crate::api::ticketing::Health;
use crate::clients::{HttpSource, clean, health};
use crate::settings;

/// Ask a server whether it is ready. Exit codes: 0 ready, 1 not ready or no answer, 2 usage
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The address of the ticketing API
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Ask only whether the process answers, not whether it is ready
    #[arg(long)]
    live: bool,
}

/// A server that takes longer counts as failed.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(args: HealthArgs) -> ExitCode {
    // The check of a container asks its own server by its address, for which no authority issues a certificate.
    let _trusted = LocalServer::of(&settings::data_dir());
    let source = match HttpSource::new(&args.url) {
        Ok(source) => source.with_timeout(TIMEOUT),
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    match health::ask(&source, args.live).await {
        Ok((serves, health)) => {
            let report = report(&source.authority(), &health);
            print_and_exit(&report, if serves { 0 } else { FAILED })
        }
        Err(error) => fail(FAILED, &format!("{}: {error}", source.authority())),
    }
}

/// The answer as text. Anyone may answer at the address, so control characters are replaced.
fn report(authority: &str, health: &Health) -> String {
    let mut report = format!("{authority}: {}\n", clean(&health.status));
    for (part, state) in &health.parts {
        let (part, state) = (clean(part), clean(state));
        report.push_str(&format!("  {part:<14}{state}\n"));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_change_the_terminal() {
        let health = Health {
            status: "\u{1b}[2Jok".to_owned(),
            parts: [("data\rbase".to_owned(), "a\u{1b}]0;b\u{7}\nc".to_owned())].into(),
        };
        let report = report("localhost", &health);
        let expected = "localhost:  [2Jok\n  data base     a ]0;b  c\n";
        assert_eq!(report, expected);
    }
}
