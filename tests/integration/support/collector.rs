//! An OpenTelemetry collector for tests: OTLP over HTTP and gRPC, decoded with the published message types. It keeps
//! everything.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

/// A record with its resource.
pub type From<T> = (Vec<KeyValue>, T);

/// Everything that was received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub logs: Vec<From<LogRecord>>,
    pub spans: Vec<From<Span>>,
    pub metrics: Vec<From<Metric>>,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Received>>);

/// A collector that listens until it is dropped.
pub struct Collector {
    pub url: String,
    kept: Kept,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    /// A collector for OTLP over HTTP.
    pub async fn http() -> Collector {
        Collector::http_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// The same at a given address.
    pub async fn http_at(addr: std::net::SocketAddr) -> Collector {
        let kept = Kept::default();
        let router = Router::new()
            .route(
                "/v1/logs",
                post(async |State(kept), body| take(&kept, body, Kept::logs)),
            )
            .route(
                "/v1/traces",
                post(async |State(kept), body| take(&kept, body, Kept::traces)),
            )
            .route(
                "/v1/metrics",
                post(async |State(kept), body| take(&kept, body, Kept::metrics)),
            )
            .with_state(kept.clone());
        let socket = tokio::net::TcpListener::bind(addr).await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        Collector {
            url,
            kept,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// A collector for OTLP over gRPC.
    pub async fn grpc() -> Collector {
        let kept = Kept::default();
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(logs::logs_service_server::LogsServiceServer::new(
                kept.clone(),
            ))
            .add_service(trace::trace_service_server::TraceServiceServer::new(
                kept.clone(),
            ))
            .add_service(metrics::metrics_service_server::MetricsServiceServer::new(
                kept.clone(),
            ));
        let incoming = tonic::transport::server::TcpIncoming::from(socket);
        let serving =
            tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });
        Collector {
            url,
            kept,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn received(&self) -> Received {
        self.kept.0.lock().clone()
    }
}

fn take<T: Message + Default>(kept: &Kept, body: Bytes, keep: fn(&Kept, T)) -> StatusCode {
    match T::decode(body) {
        Ok(message) => {
            keep(kept, message);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

impl Kept {
    fn logs(&self, request: logs::ExportLogsServiceRequest) {
        for of in request.resource_logs {
            let resource = of.resource.unwrap_or_default().attributes;
            let records = of
                .scope_logs
                .into_iter()
                .flat_map(|scope| scope.log_records);
            let from = records.map(|record| (resource.clone(), record));
            self.0.lock().logs.extend(from);
        }
    }

    fn traces(&self, request: trace::ExportTraceServiceRequest) {
        for of in request.resource_spans {
            let resource = of.resource.unwrap_or_default().attributes;
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let from = spans.map(|span| (resource.clone(), span));
            self.0.lock().spans.extend(from);
        }
    }

    fn metrics(&self, request: metrics::ExportMetricsServiceRequest) {
        for of in request.resource_metrics {
            let resource = of.resource.unwrap_or_default().attributes;
            let metrics = of.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            let from = metrics.map(|metric| (resource.clone(), metric));
            self.0.lock().metrics.extend(from);
        }
    }
}

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Kept {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        self.logs(request.into_inner());
        Ok(Response::new(logs::ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for Kept {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        self.traces(request.into_inner());
        Ok(Response::new(trace::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Kept {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        self.metrics(request.into_inner());
        Ok(Response::new(
            metrics::ExportMetricsServiceResponse::default(),
        ))
    }
}

/// An attribute as text; empty if it is missing.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|it| it.key == key);
    found
        .and_then(|it| it.value.as_ref())
        .map_or_else(String::new, text)
}

/// A value as text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        other => format!("{other:?}"),
    }
}
