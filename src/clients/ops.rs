//! The operations API, `/ops/v1/…`: status, seeding, admission, audit.

use reqwest::{Method, RequestBuilder};

use super::http::{ClientError, HttpSource, Secret};
use crate::api::ops::{
    AdmissionChange, AdmissionState, Audit, LookupAnswer, LookupRequest, SeedProgress, SeedRequest,
    Status,
};

/// The operations listener at one address.
#[derive(Clone, Debug)]
pub struct Ops {
    source: HttpSource,
    token: Option<Secret>,
}

impl Ops {
    /// Asks `source`; writes carry `token` as bearer token.
    #[must_use]
    pub fn new(source: HttpSource, token: Option<Secret>) -> Ops {
        Ops { source, token }
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn authority(&self) -> String {
        self.source.authority()
    }

    /// `GET /ops/v1/status`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.source.json(self.source.get("ops/v1/status")).await
    }

    /// `GET /ops/v1/seed`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn seed_progress(&self) -> Result<SeedProgress, ClientError> {
        self.source.json(self.source.get("ops/v1/seed")).await
    }

    /// `POST /ops/v1/seed`: begins; [`Ops::seed_progress`] tells how it goes on.
    ///
    /// # Errors
    /// [`ClientError`]; 409 when a dataset is there and `replace` is not set.
    pub async fn seed(&self, request: &SeedRequest) -> Result<SeedProgress, ClientError> {
        self.source
            .json(self.write(Method::POST, "ops/v1/seed").json(request))
            .await
    }

    /// `DELETE /ops/v1/seed`: cancels; the dataset that was there stays.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_seed(&self) -> Result<SeedProgress, ClientError> {
        self.source
            .json(self.write(Method::DELETE, "ops/v1/seed"))
            .await
    }

    /// `PUT /ops/v1/admission`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_admission(
        &self,
        change: &AdmissionChange,
    ) -> Result<AdmissionState, ClientError> {
        self.source
            .json(self.write(Method::PUT, "ops/v1/admission").json(change))
            .await
    }

    /// `GET /ops/v1/audit`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self) -> Result<Audit, ClientError> {
        self.source.json(self.source.get("ops/v1/audit")).await
    }

    /// `POST /ops/v1/audit/lookup`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupAnswer, ClientError> {
        self.source
            .json(
                self.write(Method::POST, "ops/v1/audit/lookup")
                    .json(request),
            )
            .await
    }

    fn write(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.source.request(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }
}
