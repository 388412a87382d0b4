//! The embedded Prometheus: a bounded store of samples, a scraper that fills it, and the part of
//! PromQL and of the HTTP API that dashboards and alert rules use.
//!
//! It stands in for Prometheus 2.42 where no telemetry stack runs: on the part of the language it
//! evaluates it gives the same answers over the same samples (a differential test runs both), and
//! everything outside is refused in Prometheus's own error form.
//!
//! Parts, each using only those above it:
//! - [`labels`]: label sets, the identity of a series;
//! - [`tsdb`]: samples in compressed chunks, bounded in bytes, age and series;
//! - [`exposition`]: the Prometheus text format, read;
//! - [`scrape`]: targets polled over HTTP into the store, with staleness;
//! - [`promql`]: queries parsed, limited and evaluated over the store;
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
