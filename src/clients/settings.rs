//! The settings of Prometheus and Alertmanager, as their APIs report them.

use serde::Deserialize;

use super::alertmanager::Alertmanager;
use super::http::ClientError;
use super::prometheus::Prometheus;

#[derive(Deserialize)]
struct Targets {
    data: ActiveTargets,
}

#[derive(Deserialize)]
struct ActiveTargets {
    #[serde(rename = "activeTargets")]
    active: Vec<ScrapeTarget>,
}

#[derive(Deserialize)]
struct ScrapeTarget {
    /// An interval such as `5s` or `1m30s`. Prometheus has reported it since version 2.31.
    #[serde(rename = "scrapeInterval", default)]
    interval: String,
}

impl Prometheus {
    /// `GET /api/v1/targets`: the time between two scrapes of each target.
    ///
    /// # Errors
    /// [`ClientError`]; the embedded Prometheus API refuses with 404.
    pub async fn scrape_intervals(&self) -> Result<Vec<String>, ClientError> {
        let request = self.source().get("api/v1/targets");
        let request = request.query(&[("state", "active")]);
        let targets: Targets = self.source().json(request).await?;
        let targets = targets.data.active.into_iter();
        Ok(targets.map(|target| target.interval).collect())
    }
}

#[derive(Deserialize)]
struct Status {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    original: String,
}

impl Alertmanager {
    /// `GET /api/v2/status`: the settings, as YAML.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn config(&self) -> Result<String, ClientError> {
        let request = self.source().get("api/v2/status");
        let status: Status = self.source().json(request).await?;
        Ok(status.config.original)
    }
}
