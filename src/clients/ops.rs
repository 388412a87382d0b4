//! The operations API, `/ops/v1/…`: status, seeding, admission, audit.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};

use super::http::{ClientError, HttpSource};
use crate::api::faults::{SEAL_HEADER, SealAnswer, SealRequest};
use crate::api::ops::{
    ActiveFault, AdmissionChange, AdmissionState, Audit, CONSOLE_HEADER, Fault, FaultKind,
    FaultList, FaultRequest, LookupAnswer, LookupRequest, SeedProgress, SeedRequest, Status,
};
use crate::secret::Secret;

/// The operations listener at one address.
#[derive(Clone, Debug)]
pub struct Ops {
    source: HttpSource,
    token: Option<Secret>,
    /// Identifies this console to the server.
    console: Option<String>,
    /// Changes faults while they are withheld.
    seal_key: Option<Secret>,
}

impl Ops {
    /// A client of `source`. Writes carry `token` as bearer token.
    #[must_use]
    pub fn new(source: HttpSource, token: Option<Secret>) -> Ops {
        Ops {
            source,
            token,
            console: None,
            seal_key: None,
        }
    }

    /// Identifies itself to the server as the console `id`.
    #[must_use]
    pub fn as_console(self, id: String) -> Ops {
        Ops {
            console: Some(id),
            ..self
        }
    }

    /// Withholds faults for at most `length`: `PUT /ops/v1/seal`. Returns a client with the key, which can change
    /// faults until then.
    ///
    /// # Errors
    /// [`ClientError`], with 409 when a fault is active or faults are withheld already.
    pub async fn seal(&self, length: Duration) -> Result<Ops, ClientError> {
        let for_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let request = self.write(Method::PUT, "ops/v1/seal");
        let request = request.json(&SealRequest { for_ms });
        let answer: SealAnswer = self.source.json(request).await?;
        Ok(Ops {
            seal_key: Some(Secret::new(&answer.key)),
            ..self.clone()
        })
    }

    /// Shows faults again: `DELETE /ops/v1/seal`. Returns the faults that are still active.
    pub async fn unseal(&self) -> Result<FaultList, ClientError> {
        self.source
            .json(self.write(Method::DELETE, "ops/v1/seal"))
            .await
    }

    /// The HTTP source that the requests go to.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.source
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn authority(&self) -> String {
        self.source.authority()
    }

    /// `GET /ops/v1/status`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let request = self.source.get("ops/v1/status");
        let request = match &self.console {
            Some(id) => request.header(CONSOLE_HEADER, id),
            None => request,
        };
        self.source.json(request).await
    }

    /// `GET /ops/v1/seed`.
    pub async fn seed_progress(&self) -> Result<SeedProgress, ClientError> {
        self.source.json(self.source.get("ops/v1/seed")).await
    }

    /// `POST /ops/v1/seed`: starts seeding. [`Ops::seed_progress`] reports its progress.
    ///
    /// # Errors
    /// [`ClientError`], with 409 when there is a dataset and `replace` is not set.
    pub async fn seed(&self, request: &SeedRequest) -> Result<SeedProgress, ClientError> {
        self.source
            .json(self.write(Method::POST, "ops/v1/seed").json(request))
            .await
    }

    /// `DELETE /ops/v1/seed`: cancels the seeding. The existing dataset stays active.
    pub async fn cancel_seed(&self) -> Result<SeedProgress, ClientError> {
        self.source
            .json(self.write(Method::DELETE, "ops/v1/seed"))
            .await
    }

    /// `PUT /ops/v1/admission`.
    pub async fn set_admission(
        &self,
        change: &AdmissionChange,
    ) -> Result<AdmissionState, ClientError> {
        self.source
            .json(self.write(Method::PUT, "ops/v1/admission").json(change))
            .await
    }

    /// `GET /metrics`: the exposition, as text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let body = self.source.accepted(self.source.get("metrics")).await?;
        String::from_utf8(body).map_err(|_| ClientError::Malformed("it is not UTF-8 text".into()))
    }

    /// `GET /ops/v1/audit`.
    pub async fn audit(&self) -> Result<Audit, ClientError> {
        self.source.json(self.source.get("ops/v1/audit")).await
    }

    /// `POST /ops/v1/audit/lookup`.
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupAnswer, ClientError> {
        self.source
            .json(
                self.write(Method::POST, "ops/v1/audit/lookup")
                    .json(request),
            )
            .await
    }

    /// `GET /ops/v1/faults`: the active faults.
    pub async fn faults(&self) -> Result<FaultList, ClientError> {
        self.source.json(self.source.get("ops/v1/faults")).await
    }

    /// `PUT /ops/v1/faults/{kind}`: injects the fault and replaces one of the same kind.
    ///
    /// # Errors
    /// [`ClientError`], with 400 for a wrong setting and 409 when there is nothing to break.
    pub async fn inject_fault(
        &self,
        fault: &Fault,
        length: Duration,
        by: Option<&str>,
    ) -> Result<ActiveFault, ClientError> {
        let request = FaultRequest {
            for_ms: i64::try_from(length.as_millis()).unwrap_or(i64::MAX),
            by: by.map(str::to_owned),
            settings: fault.settings(),
        };
        let path = format!("ops/v1/faults/{}", fault.kind().as_str());
        let request = self.write(Method::PUT, &path).json(&request);
        self.source.json(request).await
    }

    /// `DELETE /ops/v1/faults/{kind}`, or of all kinds. Returns the faults that are still active.
    pub async fn end_faults(&self, kind: Option<FaultKind>) -> Result<FaultList, ClientError> {
        let path = match kind {
            Some(kind) => format!("ops/v1/faults/{}", kind.as_str()),
            None => "ops/v1/faults".to_owned(),
        };
        self.source.json(self.write(Method::DELETE, &path)).await
    }

    fn write(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.source.request(method, path);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        match &self.seal_key {
            Some(key) => request.header(SEAL_HEADER, key.expose()),
            None => request,
        }
    }
}
