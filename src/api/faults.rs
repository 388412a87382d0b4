//! Bodies of `/ops/v1/faults`: faults injected into a running server, to rehearse the response to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integer;

/// A kind of fault; its name stands in the path and in `concert_fault_active{fault}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A share of the buying requests, or of chosen routes, is answered 500 or 503.
    Errors,
    /// A share of the requests takes longer.
    Latency,
    /// A statement, or all of them, takes longer and holds its connection meanwhile.
    SlowStatement,
    /// Connections to the database are lent to nobody else.
    PoolExhaustion,
    /// Nothing gets through to Redis.
    RedisCut,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 5] = [
        FaultKind::Errors,
        FaultKind::Latency,
        FaultKind::SlowStatement,
        FaultKind::PoolExhaustion,
        FaultKind::RedisCut,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FaultKind::Errors => "errors",
            FaultKind::Latency => "latency",
            FaultKind::SlowStatement => "slow_statement",
            FaultKind::PoolExhaustion => "pool_exhaustion",
            FaultKind::RedisCut => "redis_cut",
        }
    }
}

/// How a cut link looks from the server.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LinkCut {
    /// What is sent gets lost: nobody answers.
    #[default]
    Hang,
    /// What is sent is refused at once.
    Refuse,
}

macro_rules! with_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// errors, latency: which part of the requests, 0 to 1. Latency: all of them by default.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub share: Option<f64>,
            /// errors: 500 (default) or 503.
            #[serde(
                default,
                deserialize_with = "integer::optional",
                skip_serializing_if = "Option::is_none"
            )]
            pub status: Option<u16>,
            /// errors, latency: `METHOD /path` as the route table has them. By default the steps of
            /// buying; latency: the queue as well.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub routes: Option<Vec<String>>,
            /// latency, slow_statement: how much longer it takes, 1 to 30,000 ms.
            #[serde(
                default,
                deserialize_with = "integer::optional",
                skip_serializing_if = "Option::is_none"
            )]
            pub delay_ms: Option<i64>,
            /// slow_statement: the statement's name as in `db_operation_name`; all of them by default.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub statement: Option<String>,
            /// pool_exhaustion: how many connections; all of them by default.
            #[serde(
                default,
                deserialize_with = "integer::optional",
                skip_serializing_if = "Option::is_none"
            )]
            pub connections: Option<i64>,
            /// redis_cut: hang (default) or refuse.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub how: Option<LinkCut>,
        }
    };
}

with_settings! {
    /// The settings of a fault; each kind has some of them.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
    pub struct FaultSettings {}
}

with_settings! {
    /// `PUT /ops/v1/faults/{kind}`: injects a fault; one of the same kind is replaced.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
    pub struct FaultRequest {
        /// For how long, 1 to 3,600,000 ms; then it ends by itself.
        #[serde(deserialize_with = "integer::whole")]
        pub for_ms: i64,
        /// Who injects it, for the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub by: Option<String>,
    }
}

impl FaultRequest {
    /// The settings alone.
    #[must_use]
    pub fn settings(&self) -> FaultSettings {
        FaultSettings {
            share: self.share,
            status: self.status,
            routes: self.routes.clone(),
            delay_ms: self.delay_ms,
            statement: self.statement.clone(),
            connections: self.connections,
            how: self.how,
        }
    }
}

impl From<FaultSettings> for FaultRequest {
    fn from(settings: FaultSettings) -> FaultRequest {
        FaultRequest {
            for_ms: 0,
            by: None,
            share: settings.share,
            status: settings.status,
            routes: settings.routes,
            delay_ms: settings.delay_ms,
            statement: settings.statement,
            connections: settings.connections,
            how: settings.how,
        }
    }
}

/// A fault that is on; the answer of PUT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFault {
    /// Its kind.
    pub kind: FaultKind,
    /// How it is set, defaults included.
    pub settings: FaultSettings,
    /// Who injected it.
    pub by: String,
    /// ISO 8601, UTC.
    pub started_at: String,
    /// ISO 8601, UTC; it ends by itself then.
    pub ends_at: String,
}

/// `GET /ops/v1/faults`, and the answer of DELETE: those that are on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultList {
    /// One a kind at most.
    pub faults: Vec<ActiveFault>,
}
