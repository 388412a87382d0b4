//! The operations listener, as a run needs it: dataset, admission, audit. Off the measured path, so
//! an ordinary client will do.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Problem;
use crate::api::ops::{
    AdmissionChange, AdmissionState, Audit, LookupAnswer, LookupRequest, SeedProgress, SeedRequest,
    Status,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
/// The audit reads every seat and reservation.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(180);

/// Why a call to the operations listener came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// Nobody answers there, or not in time.
    #[error("no answer from {url}: {reason}")]
    NoAnswer {
        /// What was called.
        url: String,
        /// What the transport says.
        reason: String,
    },
    /// The bearer token is missing or wrong.
    #[error(
        "{url} refuses the operations token: give the server's own with --ops-token-file or CONCERTCTL_OPS_TOKEN"
    )]
    Unauthorized {
        /// What was called.
        url: String,
    },
    /// Another status than a success.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// What was called.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the server says about it.
        detail: String,
    },
    /// An answer that is none of the operations listener's.
    #[error("{url} answered with something else than the operations API: {reason}")]
    Foreign {
        /// What was called.
        url: String,
        /// What does not fit.
        reason: String,
    },
}

/// A client of the operations listener.
#[derive(Clone, Debug)]
pub(super) struct Ops {
    base: String,
    token: Option<String>,
    client: reqwest::Client,
}

impl Ops {
    pub(super) fn new(base: &str, token: Option<String>) -> Result<Ops, OpsError> {
        let base = base.trim_end_matches('/').to_owned();
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy();
        let client = builder.build().map_err(|error| OpsError::NoAnswer {
            url: base.clone(),
            reason: causes(&error),
        })?;
        Ok(Ops {
            base,
            token,
            client,
        })
    }

    pub(super) async fn status(&self) -> Result<Status, OpsError> {
        self.call(Method::GET, "status", None::<&()>, TIMEOUT).await
    }

    pub(super) async fn admission(
        &self,
        change: &AdmissionChange,
    ) -> Result<AdmissionState, OpsError> {
        self.call(Method::PUT, "admission", Some(change), TIMEOUT)
            .await
    }

    pub(super) async fn seed(&self, request: &SeedRequest) -> Result<SeedProgress, OpsError> {
        self.call(Method::POST, "seed", Some(request), TIMEOUT)
            .await
    }

    pub(super) async fn seeding(&self) -> Result<SeedProgress, OpsError> {
        self.call(Method::GET, "seed", None::<&()>, TIMEOUT).await
    }

    pub(super) async fn audit(&self) -> Result<Audit, OpsError> {
        self.call(Method::GET, "audit", None::<&()>, AUDIT_TIMEOUT)
            .await
    }

    pub(super) async fn lookup(&self, facts: &LookupRequest) -> Result<LookupAnswer, OpsError> {
        self.call(Method::POST, "audit/lookup", Some(facts), AUDIT_TIMEOUT)
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        timeout: Duration,
    ) -> Result<T, OpsError> {
        let url = format!("{}/ops/v1/{path}", self.base);
        let mut request = self.client.request(method, &url).timeout(timeout);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let no_answer = |error: reqwest::Error| OpsError::NoAnswer {
            url: url.clone(),
            reason: causes(&error),
        };
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let body = response.bytes().await.map_err(no_answer)?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(OpsError::Unauthorized { url });
        }
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&body);
            let detail =
                problem.map_or_else(|_| "no reason given".to_owned(), |problem| problem.detail);
            return Err(OpsError::Refused {
                url,
                status,
                detail,
            });
        }
        serde_json::from_slice(&body).map_err(|error| OpsError::Foreign {
            url,
            reason: error.to_string(),
        })
    }
}

/// The error and what is behind it, without the address, which the message names already.
fn causes(error: &reqwest::Error) -> String {
    let mut text = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push(error.to_string());
        cause = error.source();
    }
    match (text.last(), error.is_timeout()) {
        (_, true) => "it took too long".to_owned(),
        (Some(last), _) => last.clone(),
        (None, _) => error.to_string(),
    }
}
