//! The requests of a run to the operations listener: dataset, admission, audit. They are not measured, so they use
//! the same client as the console.

use std::time::Duration;

use crate::api::ops::{
    AdmissionChange, AdmissionState, Audit, Fault, FaultKind, LookupAnswer, LookupRequest,
    SeedProgress, SeedRequest, Status,
};
use crate::clients::{self, ClientError, HttpSource, Secret};

/// This is long, because the server may be under the load of the run.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The audit reads every seat and reservation.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(180);

/// The reason why a request to the operations listener failed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The address is invalid.
    #[error("{0}")]
    Address(#[from] clients::BadUrl),
    /// The bearer token is missing or wrong.
    #[error(
        "{authority} refuses the operations token: give the server's own with --ops-token-file or CONCERTCTL_OPS_TOKEN"
    )]
    Unauthorized {
        /// Host and port.
        authority: String,
    },
    /// There was no answer, a refusal, or an answer that does not come from the operations API.
    #[error("{authority}: {source}")]
    Failed {
        /// Host and port.
        authority: String,
        /// The client's error.
        source: ClientError,
    },
}

impl OpsError {
    /// Returns whether the same request may succeed a moment later.
    pub(super) fn is_silence(&self) -> bool {
        let silence = |source: &ClientError| {
            matches!(
                source,
                ClientError::Unreachable(_) | ClientError::Untrusted(_) | ClientError::TimedOut(_)
            )
        };
        matches!(self, OpsError::Failed { source, .. } if silence(source))
    }
}

/// A client of the operations listener.
#[derive(Clone, Debug)]
pub(super) struct Ops {
    quick: clients::ops::Ops,
    patient: clients::ops::Ops,
}

impl OpsError {
    /// Returns whether the server did not understand the request.
    pub(super) fn is_bad_request(&self) -> bool {
        let OpsError::Failed { source, .. } = self else {
            return false;
        };
        matches!(
            source,
            ClientError::Refused {
                status: 400 | 422,
                ..
            }
        )
    }
}

impl Ops {
    pub(super) fn new(base: &str, token: Option<&str>) -> Result<Ops, OpsError> {
        let source = HttpSource::new(base)?;
        let token = token.map(Secret::new);
        let client =
            |timeout| clients::ops::Ops::new(source.clone().with_timeout(timeout), token.clone());
        Ok(Ops {
            quick: client(TIMEOUT),
            patient: client(AUDIT_TIMEOUT),
        })
    }

    fn failed(&self, source: ClientError) -> OpsError {
        let authority = self.quick.authority();
        match source {
            ClientError::Refused { status: 401, .. } => OpsError::Unauthorized { authority },
            source => OpsError::Failed { authority, source },
        }
    }

    pub(super) async fn status(&self) -> Result<Status, OpsError> {
        self.quick
            .status()
            .await
            .map_err(|error| self.failed(error))
    }

    pub(super) async fn admission(
        &self,
        change: &AdmissionChange,
    ) -> Result<AdmissionState, OpsError> {
        self.quick
            .set_admission(change)
            .await
            .map_err(|error| self.failed(error))
    }

    pub(super) async fn seed(&self, request: &SeedRequest) -> Result<SeedProgress, OpsError> {
        self.quick
            .seed(request)
            .await
            .map_err(|error| self.failed(error))
    }

    pub(super) async fn seeding(&self) -> Result<SeedProgress, OpsError> {
        self.quick
            .seed_progress()
            .await
            .map_err(|error| self.failed(error))
    }

    /// The metrics of the server.
    pub(super) async fn metrics(&self) -> Result<String, OpsError> {
        self.quick
            .metrics()
            .await
            .map_err(|error| self.failed(error))
    }

    pub(super) async fn audit(&self) -> Result<Audit, OpsError> {
        self.patient
            .audit()
            .await
            .map_err(|error| self.failed(error))
    }

    /// Injects a fault, which ends by itself.
    pub(super) async fn inject(&self, fault: &Fault, length: Duration) -> Result<(), OpsError> {
        let injected = self.quick.inject_fault(fault, length, Some("load")).await;
        injected.map(drop).map_err(|error| self.failed(error))
    }

    /// Ends the active fault of that kind.
    pub(super) async fn end_fault(&self, kind: FaultKind) -> Result<(), OpsError> {
        let ended = self.quick.end_faults(Some(kind)).await;
        ended.map(drop).map_err(|error| self.failed(error))
    }

    pub(super) async fn lookup(&self, facts: &LookupRequest) -> Result<LookupAnswer, OpsError> {
        self.patient
            .lookup(facts)
            .await
            .map_err(|error| self.failed(error))
    }
}
