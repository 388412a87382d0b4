//! Texts for failures of a source: the reason and what to do. Pure.

use crate::clients::{Api, ClientError};
use crate::tui::connection::Source;

/// The reason for a failed call to `source`.
pub(crate) fn reason(source: Source, error: &ClientError) -> String {
    match error {
        // The server's own stores need its token, because their answers contain user ids.
        ClientError::Refused {
            status: 401,
            message,
        } if message.contains("operations token") => {
            "needs the operations token (401): give --ops-token-file FILE or CONCERTCTL_OPS_TOKEN"
                .into()
        }
        ClientError::Refused {
            status: status @ (401 | 403),
            ..
        } => format!("not authorised ({status}): {}", give(source)),
        ClientError::Refused { status: 429, .. } => "too many requests (429)".into(),
        // The console's own flag comes first, because a cell may cut the rest.
        ClientError::Untrusted(message) => {
            format!("its certificate is not trusted: --source-ca FILE, or --ca FILE ({message})")
        }
        page @ ClientError::WebPage(_) => format!("{page}: is this {}?", product(source)),
        error => error.to_string(),
    }
}

/// The product that the source should be.
fn product(source: Source) -> &'static str {
    match source {
        Source::Ops => "the server's operations listener",
        Source::Prometheus => "Prometheus",
        Source::Loki => "Loki",
        Source::Tempo => "Tempo",
        Source::Alertmanager => "Alertmanager",
    }
}

/// The reason why an action failed.
pub(crate) trait Why {
    fn why(&self) -> String;
}

impl Why for &str {
    fn why(&self) -> String {
        (*self).to_owned()
    }
}

impl Why for ClientError {
    fn why(&self) -> String {
        of_a_write(self)
    }
}

/// The reason for a failed write to the server.
fn of_a_write(error: &ClientError) -> String {
    match error {
        ClientError::Refused {
            status: status @ (401 | 403),
            message,
        } => format!(
            "not authorised ({status}, {message}): give --ops-token-file FILE or CONCERTCTL_OPS_TOKEN"
        ),
        error => error.to_string(),
    }
}

fn give(source: Source) -> String {
    match api(source) {
        Api::Ops => "give http://NAME:PASSWORD@HOST or --source-header".into(),
        api => format!("give --source-token-file {}:FILE", api.name()),
    }
}

fn api(source: Source) -> Api {
    match source {
        Source::Ops => Api::Ops,
        Source::Prometheus => Api::Prometheus,
        Source::Loki => Api::Loki,
        Source::Tempo => Api::Tempo,
        Source::Alertmanager => Api::Alertmanager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_credentials_names_the_flag_that_gives_them() {
        let error = ClientError::Refused {
            status: 401,
            message: "nope".into(),
        };
        assert_eq!(
            reason(Source::Prometheus, &error),
            "not authorised (401): give --source-token-file prometheus:FILE"
        );
        assert!(reason(Source::Ops, &error).contains("http://NAME:PASSWORD@HOST"));
        assert!(of_a_write(&error).contains("--ops-token-file"));
        let certificate = ClientError::Untrusted("an unknown authority: --ca".into());
        assert!(reason(Source::Loki, &certificate).contains("--source-ca"));
        let page = ClientError::WebPage("Sign in".into());
        assert_eq!(
            reason(Source::Prometheus, &page),
            "the address answers with a web page (Sign in): is this Prometheus?"
        );
        let hung = ClientError::TimedOut(std::time::Duration::from_secs(2));
        assert_eq!(reason(Source::Loki, &hung), "no answer within 2 s");
    }
}
