//! The embedded Prometheus: a bounded store of samples, a scraper that fills it, and the parts of PromQL and of the
//! HTTP API that dashboards and alert rules use.
//!
//! It replaces Prometheus 2.42 when no telemetry stack runs. Within the supported language it gives the same answers
//! over the same samples (a differential test runs both). It refuses everything else with Prometheus's own error
//! format.
//!
//! Each part uses only the parts above it:
//! - [`labels`]: label sets, the identity of a series;
//! - [`tsdb`]: samples in compressed chunks, bounded in bytes, age and series;
//! - [`exposition`]: the parser of the Prometheus text format;
//! - [`scrape`]: polls targets over HTTP into the store, with staleness;
//! - [`promql`]: parses, limits and evaluates queries over the store;
//! - [`api`]: the HTTP API under `/api/v1`.

pub mod api;
pub mod exposition;
pub mod labels;
pub mod promql;
pub mod scrape;
pub mod tsdb;

pub use api::routes;
pub(crate) use api::{ApiError, Params};
pub use promql::{QueryError, QueryLimits, evaluate};
pub use scrape::{ScrapeTarget, Scraper, spawn_scraper};
pub use tsdb::{Tsdb, TsdbConfig, TsdbStats};
