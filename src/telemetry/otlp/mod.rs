//! Pushes metrics, traces and logs to a collector over OTLP.
//!
//! The protocol is <https://opentelemetry.io/docs/specs/otlp/>, over HTTP with protobuf bodies or over gRPC. The
//! environment variables are those of the standard (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>):
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_PROTOCOL`, `…_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION`, each also for one signal
//! (`OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`); `OTEL_LOGS_EXPORTER=none` and the like; `OTEL_SDK_DISABLED`;
//! `OTEL_METRIC_EXPORT_INTERVAL`; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` (`resource`); `OTEL_TRACES_SAMPLER`
//! (`sampler`).
//!
//! An unusable value is reported and the default applies. Variables of the standard without effect are named
//! (`environment`).
//!
//! The program never waits for the collector, because a bounded buffer is before the threads that push. Records that
//! do not fit or that cannot be delivered are dropped and counted.

mod client;
mod delivery;
mod environment;
mod logs;
mod metrics;
mod pusher;
mod resource;
mod sampler;
mod spans;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use delivery::Delivery;
pub use delivery::{Deliveries, Signal};
use pusher::Pusher;
pub(super) use resource::resource;
pub use sampler::Sampler;

use super::Logs;
use crate::http_client::{is_https, without_password};

/// The largest number of log records, and of traces, that wait for a push.
const LOGS_WAITING: usize = 16_384;
const TRACES_WAITING: usize = 2_048;

/// A collector and the protocol to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The URL without the signal's path. `None` if only single signals have an address.
    base: Option<String>,
}

/// The settings for one signal.
#[derive(Debug)]
struct Route {
    endpoint: String,
    grpc: bool,
    /// The time-out for an answer.
    timeout: Duration,
    delivery: Arc<Delivery>,
}

impl Otlp {
    /// The collector at `url`: `http://host:4318`, or `http://host:4317` with the protocol `grpc`. `name` is the flag or
    /// the variable with this value.
    ///
    /// # Errors
    /// One line that says that the URL is invalid or that the environment asks for another protocol. It leaves out
    /// a password.
    pub fn at(name: &str, url: &str) -> Result<Otlp, String> {
        check(name, url)?;
        let otlp = Otlp {
            base: Some(url.trim_end_matches('/').to_owned()),
        };
        otlp.checked()
    }

    /// Returns whether the environment disables all pushes, whatever other settings say.
    #[must_use]
    pub fn is_disabled() -> bool {
        environment::is_disabled()
    }

    /// The collector that the environment names, if it names one.
    ///
    /// # Errors
    /// See [`Otlp::at`].
    pub fn from_environment() -> Result<Option<Otlp>, String> {
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        match set(ALL) {
            Some(url) => Otlp::at(ALL, &url).map(Some),
            None if Signal::ALL
                .iter()
                .any(|of| set(&of.variable("ENDPOINT")).is_some()) =>
            {
                Otlp { base: None }.checked().map(Some)
            }
            None => Ok(None),
        }
    }

    fn checked(self) -> Result<Otlp, String> {
        for signal in Signal::ALL {
            let variable = signal.variable("ENDPOINT");
            let own = set(&variable);
            if let Some(url) = &own {
                check(&variable, url).map_err(|problem| {
                    let off = format!("OTEL_{}_EXPORTER=none", signal.upper());
                    format!("{problem}; {off} pushes no {}", signal.label())
                })?;
            }
            let grpc = protocol(signal)?;
            let url = own.as_ref().or(self.base.as_ref());
            if grpc && url.is_some_and(|url| is_https(url)) {
                return Err(
                    "gRPC is pushed without TLS only: use http/protobuf for https, or a collector on this machine"
                        .to_owned(),
                );
            }
        }
        Ok(self)
    }

    /// The settings for `signal`, if it is pushed.
    fn route(&self, signal: Signal, deliveries: &Deliveries) -> Option<Route> {
        let none = set(&format!("OTEL_{}_EXPORTER", signal.upper()));
        if none.is_some_and(|exporter| exporter.eq_ignore_ascii_case("none")) {
            return None;
        }
        let grpc = protocol(signal).unwrap_or(false);
        let endpoint = match (set(&signal.variable("ENDPOINT")), &self.base) {
            (Some(own), _) => own,
            (None, Some(base)) if grpc => base.clone(),
            (None, Some(base)) => format!("{base}/v1/{}", signal.label()),
            (None, None) => return None,
        };
        Some(Route {
            endpoint,
            grpc,
            timeout: environment::push_timeout(signal),
            delivery: deliveries.of(signal),
        })
    }

    /// Starts to push the records and kept traces of `logs` as `instance`.
    ///
    /// # Errors
    /// An exporter cannot be built, or a thread cannot be started.
    pub fn push(
        &self,
        logs: &Logs,
        instance: &str,
        deliveries: &Deliveries,
    ) -> anyhow::Result<Pushing> {
        let mut pushers = Vec::new();
        if let Some(route) = self.route(Signal::Logs, deliveries) {
            let sender = logs::Sender::new(route, instance.to_owned());
            let records = logs.subscribe(LOGS_WAITING);
            pushers.push(Pusher::start(records, sender, deliveries.of(Signal::Logs))?);
        }
        if let Some(route) = self.route(Signal::Traces, deliveries) {
            let sender = spans::Sender::new(route, instance.to_owned());
            let traces = logs.traces().subscribe(TRACES_WAITING);
            deliveries.of(Signal::Traces).also_lost({
                let traces = logs.traces().clone();
                move || traces.passed_over()
            });
            pushers.push(Pusher::start(
                traces,
                sender,
                deliveries.of(Signal::Traces),
            )?);
        }
        let logs = logs.clone();
        Ok(Pushing { pushers, logs })
    }
}

/// The running pushes of logs and traces.
#[derive(Debug)]
pub struct Pushing {
    pushers: Vec<Pusher>,
    logs: Logs,
}

impl Pushing {
    /// Pushes the waiting records and ends. It blocks the thread for at most `within`. Records that are not delivered
    /// by then are dropped and counted.
    pub fn end(self, within: Duration) {
        let until = std::time::Instant::now() + within;
        // The last records wait for the log writer's thread, which passes them on in batches.
        self.logs.flush(within);
        self.pushers.iter().for_each(Pusher::stop);
        for pusher in self.pushers {
            pusher.ended_by(until);
        }
    }
}

fn check(name: &str, url: &str) -> Result<(), String> {
    let uri: Result<http::Uri, _> = url.parse();
    let uri = uri.ok().filter(|uri| uri.host().is_some());
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("http" | "https") => Ok(()),
        _ => Err(format!(
            "{name} is {:?}: write http://host:4318 or https://host:4318, the collector's port for HTTP",
            without_password(url)
        )),
    }
}

/// Returns whether the protocol is gRPC.
fn protocol(signal: Signal) -> Result<bool, String> {
    let own = signal.variable("PROTOCOL");
    let all = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let (name, value) = match set(&own) {
        Some(value) => (own.as_str(), Some(value)),
        None => (all, set(all)),
    };
    match value.as_deref() {
        None | Some("http/protobuf") => Ok(false),
        Some("grpc") => Ok(true),
        Some(other) => Err(format!(
            "{name} is {other}, which is not supported: use http/protobuf or grpc"
        )),
    }
}

/// The runtime for gRPC, with one thread. It is created at the first use.
fn grpc_runtime() -> anyhow::Result<&'static tokio::runtime::Runtime> {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("otlp-grpc")
        .enable_all()
        .build()
        .context("OTLP over gRPC")?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Builds an exporter of one of three kinds. Their builders have the same functions but no common trait.
macro_rules! exporter {
    ($builder:expr, $route:expr) => {{
        use opentelemetry_otlp::{
            Protocol, RetryPolicy, WithExportConfig as _, WithHttpConfig as _,
        };
        let route: &$crate::telemetry::otlp::Route = $route;
        if route.grpc {
            // The connection is a task of the runtime in which it is built.
            let _inside = $crate::telemetry::otlp::grpc_runtime()?.enter();
            let builder = $builder.with_tonic().with_endpoint(&route.endpoint);
            builder.with_timeout(route.timeout).build()
        } else {
            let delivery = std::sync::Arc::clone(&route.delivery);
            let (url, timeout) = (&route.endpoint, route.timeout);
            let client = $crate::telemetry::otlp::client::Client::new(url, timeout, delivery)?;
            let builder = $builder.with_http().with_endpoint(&route.endpoint);
            let builder = builder.with_protocol(Protocol::HttpBinary);
            // The pusher makes the retries itself, because only it has the pause that the collector asked for.
            let builder = builder.with_retry_policy(RetryPolicy::disabled());
            let builder = builder.with_http_client(client);
            builder.with_timeout(route.timeout).build()
        }
    }};
}
use exporter;

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::logs::build;
    use crate::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig};

    #[test]
    fn only_what_can_be_pushed_to_is_taken() {
        assert!(Otlp::at("--otlp", "http://127.0.0.1:4318/").is_ok());
        assert!(Otlp::at("--otlp", "https://collector:4318").is_ok());
        for wrong in [
            "",
            "127.0.0.1:4318",
            "grpc://secret@x:4317",
            "http://",
            "/v1",
        ] {
            let error = Otlp::at("--otlp", wrong).unwrap_err();
            assert!(error.starts_with("--otlp is "), "{wrong}: {error}");
            assert!(error.contains("http://host:4318"), "{wrong}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_invalid_address_is_named_with_its_variable() {
        let variable = Signal::Logs.variable("ENDPOINT");
        assert_eq!(
            check(&variable, "none").unwrap_err(),
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is \"none\": write http://host:4318 or https://host:4318, the collector's port for HTTP"
        );
    }

    #[test]
    fn every_signal_has_its_path() {
        let otlp = Otlp::at("--otlp", "http://127.0.0.1:4318/").unwrap();
        for (signal, path) in [
            (Signal::Logs, "http://127.0.0.1:4318/v1/logs"),
            (Signal::Traces, "http://127.0.0.1:4318/v1/traces"),
            (Signal::Metrics, "http://127.0.0.1:4318/v1/metrics"),
        ] {
            let route = otlp.route(signal, &Deliveries::default()).unwrap();
            assert_eq!(route.endpoint, path);
        }
    }

    fn logging(filter: &str) -> (impl tracing::Subscriber + Send + Sync, Logs) {
        build(LogConfig {
            service_name: "concertctl-api",
            output: LogOutput::None,
            filter: filter.to_owned(),
            queue: 10,
            limits: LogLimits::default(),
            traces: TraceConfig::default(),
        })
        .unwrap()
    }

    #[test]
    fn records_that_the_log_writer_still_has_are_pushed_at_the_end() {
        let (subscriber, logs) = logging("info");
        let deliveries = Deliveries::default();
        let unreachable = Otlp::at("--otlp", "http://127.0.0.1:9").unwrap();
        let pushing = unreachable.push(&logs, "test", &deliveries).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("the writer passes it on and rests");
            assert!(logs.flush(Duration::from_secs(20)));
            tracing::info!("it waits until the writer's rest is over");
        });
        pushing.end(Duration::from_secs(20));
        assert_eq!(deliveries.dropped(Signal::Logs), 2);
    }

    #[test]
    fn traces_that_were_not_kept_since_too_many_came_are_counted_as_lost() {
        let (_subscriber, logs) = logging("off");
        let deliveries = Deliveries::default();
        let unreachable = Otlp::at("--otlp", "http://127.0.0.1:9").unwrap();
        let pushing = unreachable.push(&logs, "test", &deliveries).unwrap();
        let keep = |id| logs.traces().worth_keeping(id, Duration::ZERO, true);
        let too_many = (0..100_000).find(|id| !keep(*id));
        assert!(too_many.is_some(), "all were kept");
        assert_eq!(deliveries.dropped(Signal::Traces), 1);
        pushing.end(Duration::from_secs(20));
    }
}
