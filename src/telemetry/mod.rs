//! Logs, metrics and host figures: what the system says of itself.
//!
//! Uses no other module of the crate. The rest of the house asks [`Metrics`] to count, logs through
//! the `tracing` macros, and passes a request's [`TraceContext`] along; how any of it is written,
//! rendered or kept is decided here and nowhere else.

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
    ClockStep, LoadgenKind, LoadgenMetrics, LockOutcome, Metrics, NotificationOutcome,
    PaymentOutcome, ReservationOutcome, RouteMetrics,
};
pub use otlp::{Deliveries, Otlp, Pushing, Sampler, Signal};
pub use statement::{ACQUIRE, Statement, connection_acquired};
pub use subscription::Subscription;
pub use trace::{
    RequestSpan, RootSpan, SpanKind, SpanRecord, Step, TraceConfig, TraceContext, TraceHandle,
    TraceRecord, TraceSubscription, Traces, Value,
};
