//! Measurements by operation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Latency;
use crate::load::model::{Class, Operation, PhaseName};
use crate::load::recorder::{Cell, Frame, span_seconds};

/// Requests of one operation in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationSummary {
    /// The traffic group; absent for the buyers.
    pub traffic: Option<String>,
    /// The operation.
    pub operation: Operation,
    /// The phase of the operation.
    pub phase: PhaseName,
    /// Finished requests.
    pub count: u64,
    /// Finished requests per second, from the first to the last.
    pub rate: f64,
    /// Successes.
    pub ok: u64,
    /// Intended refusals.
    pub refused: u64,
    /// Errors.
    pub errors: u64,
    /// Errors by kind.
    #[serde(rename = "faults")]
    pub error_counts: BTreeMap<String, u64>,
    /// The latency of the successes from the due time; absent without one.
    pub latency: Option<Latency>,
    /// The latency of the successes from the sending.
    pub service: Option<Latency>,
    /// The latency of the intended refusals from the due time.
    pub refusal_latency: Option<Latency>,
    /// The latency of the errors from the due time.
    pub error_latency: Option<Latency>,
}

/// All measurements of the operations with requests, row by row: first the buyers, then each traffic group.
pub(in crate::load) fn operations(
    frame: &Frame,
    traffic_groups: &[String],
) -> Vec<OperationSummary> {
    let whose =
        (0..frame.groups()).map(|traffic| (traffic, traffic_groups.get(traffic.wrapping_sub(1))));
    let mut order: Vec<Operation> = Operation::ALL.to_vec();
    order.sort_by_key(|operation| operation.phase());
    let mut rows = Vec::new();
    for (traffic, name) in whose {
        let of = |operation: &Operation| row(frame, traffic, name, *operation);
        rows.extend(order.iter().filter_map(of));
    }
    rows
}

fn row(
    frame: &Frame,
    traffic: usize,
    name: Option<&String>,
    operation: Operation,
) -> Option<OperationSummary> {
    let cell = |class| {
        let cell = frame.cell(traffic, operation, class);
        cell.filter(|cell| !cell.latency.is_empty())
    };
    let count = |class| cell(class).map_or(0, |cell| cell.latency.len());
    let (ok, refused, errors) = (count(Class::Ok), count(Class::Refused), count(Class::Error));
    if ok + refused + errors == 0 {
        return None;
    }
    let rates = Class::ALL.iter().filter_map(|class| cell(*class).map(rate));
    let latency = |class| cell(class).map(|cell: &Cell| Latency::of(&cell.latency));
    let error_counts = frame.error_counts(traffic, operation);
    Some(OperationSummary {
        traffic: name.cloned(),
        operation,
        phase: operation.phase(),
        count: ok + refused + errors,
        rate: rates.sum(),
        ok,
        refused,
        errors,
        error_counts: error_counts
            .map(|(error_kind, count)| (error_kind.to_string(), count))
            .collect(),
        latency: latency(Class::Ok),
        service: cell(Class::Ok).map(|cell| Latency::of(&cell.service)),
        refusal_latency: latency(Class::Refused),
        error_latency: latency(Class::Error),
    })
}

/// Requests per second from the first to the last. A shorter time than a second counts as a second.
fn rate(cell: &Cell) -> f64 {
    let seconds = cell.span.map_or(0.0, span_seconds);
    cell.latency.len() as f64 / seconds.max(1.0)
}
