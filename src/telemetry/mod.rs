//! Logs, metrics, traces and host metrics.
//!
//! Other modules count with [`Metrics`], log with the `tracing` macros, and pass on a request's [`TraceContext`].
//! Only this module decides how records are written, rendered and kept.

pub mod host;
pub mod logs;
pub mod metrics;
pub mod otlp;
mod statement;
mod subscription;
pub mod trace;

pub use logs::{
    AccessRecord, AccessSampling, LogConfig, LogLimits, LogOutput, LogRecord, LogSubscription,
    Logs, slow_query,
};
pub use metrics::{
    Buying, BuyingCounts, ClockStep, Latencies, LoadgenKind, LoadgenMetrics, LockOutcome, Metrics,
    NotificationOutcome, PaymentOutcome, ReservationOutcome, RouteMetrics, UnderWay,
};
pub use otlp::{Deliveries, Otlp, Pushing, Sampler, Signal};
pub use statement::{ACQUIRE, Statement, connection_acquired};
pub use subscription::Subscription;
pub use trace::{
    RequestSpan, RootSpan, SpanKind, SpanRecord, Step, TraceConfig, TraceContext, TraceHandle,
    TraceRecord, TraceSubscription, Traces, Value,
};
