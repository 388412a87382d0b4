//! Writes that the server did although the client saw them fail, because the answer was lost, came too late, or was
//! an error. Users of a real service repeat such a write, or give up although they have paid.
//!
//! A write counts as failed when one of its attempts failed and no later attempt succeeded. After the run its
//! idempotency key is looked up. A stored success means that the write was done.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Operation;
use super::ops::Ops;
use crate::api::ops::{KeyFact, LOOKUP_MAX, LookupRequest};

/// The largest number of failed writes that one process keeps for the look-up. Further ones are only counted.
pub(super) const MOST_KEPT: usize = 100_000;
/// The largest number of writes that are named.
const EXAMPLES: usize = 10;

/// Failed writes, up to a given number.
#[derive(Debug, Default)]
pub(super) struct FailedWrites {
    writes: Vec<(Operation, KeyFact)>,
    /// The number of failed writes beyond the bound.
    beyond: u64,
}

impl FailedWrites {
    pub(super) fn note(&mut self, operation: Operation, key: KeyFact, most: usize) {
        match self.writes.len() < most {
            true => self.writes.push((operation, key)),
            false => self.beyond += 1,
        }
    }

    /// Adds the failed writes of `other`.
    pub(super) fn add(&mut self, other: &FailedWrites) {
        self.writes.extend_from_slice(&other.writes);
        self.beyond += other.beyond;
    }
}

/// Writes that were done although their answer reported a failure, or no answer arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unacknowledged {
    /// The number of writes that were done; absent when they could not be looked up.
    pub total: Option<u64>,
    /// The same number by operation, for operations with failed writes.
    pub operations: BTreeMap<String, u64>,
    /// Failed writes that were looked up.
    pub checked: u64,
    /// Failed writes that were not looked up, because there were too many, or the look-up failed.
    pub unchecked: u64,
    /// The first writes that were done, as text.
    pub examples: Vec<String>,
    /// The reason why they could not be looked up.
    pub problem: Option<String>,
}

impl Unacknowledged {
    /// The count to compare with `limit`. `None` when the count is within the limit but some failed writes were not
    /// looked up.
    pub(super) fn measured(&self, limit: u64) -> Option<u64> {
        self.total
            .filter(|total| self.unchecked == 0 || *total > limit)
    }

    /// The sum over the parts of a run. It is unknown when it is unknown for one of them.
    pub(super) fn merged<'a>(parts: impl Iterator<Item = &'a Unacknowledged>) -> Unacknowledged {
        let mut sum = Unacknowledged {
            total: Some(0),
            ..Unacknowledged::default()
        };
        for part in parts {
            sum.total = sum.total.zip(part.total).map(|(one, other)| one + other);
            for (operation, count) in &part.operations {
                *sum.operations.entry(operation.clone()).or_default() += count;
            }
            sum.checked += part.checked;
            sum.unchecked += part.unchecked;
            sum.examples.extend(part.examples.iter().cloned());
            sum.problem = sum.problem.or_else(|| part.problem.clone());
        }
        sum.examples.truncate(EXAMPLES);
        sum
    }
}

/// Looks up which of the failed writes were done. The count stays unknown with an older server, which does not know
/// the keys.
pub(super) async fn look_up(ops: &Ops, failed: &FailedWrites) -> Unacknowledged {
    match counted(ops, failed).await {
        Ok(counted) => counted,
        Err(problem) => Unacknowledged {
            unchecked: failed.writes.len() as u64 + failed.beyond,
            problem: Some(problem),
            ..Unacknowledged::default()
        },
    }
}

async fn counted(ops: &Ops, failed: &FailedWrites) -> Result<Unacknowledged, String> {
    let mut by_operation: BTreeMap<Operation, Vec<KeyFact>> = BTreeMap::new();
    for (operation, key) in &failed.writes {
        by_operation
            .entry(*operation)
            .or_default()
            .push(key.clone());
    }
    let mut sum = Unacknowledged {
        checked: failed.writes.len() as u64,
        unchecked: failed.beyond,
        ..Unacknowledged::default()
    };
    let mut total = 0;
    for (operation, keys) in &by_operation {
        let mut count = 0;
        for keys in keys.chunks(LOOKUP_MAX) {
            let done = done(ops, keys).await?;
            count += done.len() as u64;
            let named = done
                .iter()
                .map(|it| format!("{operation} of user {}, key {}", it.user_id, it.key));
            let room = EXAMPLES - sum.examples.len();
            sum.examples.extend(named.take(room));
        }
        total += count;
        sum.operations.insert(operation.to_string(), count);
    }
    sum.total = Some(total);
    Ok(sum)
}

async fn done(ops: &Ops, keys: &[KeyFact]) -> Result<Vec<KeyFact>, String> {
    const TOO_OLD: &str = "the server does not look up idempotency keys; use a newer server";
    let request = LookupRequest {
        keys: keys.to_vec(),
        ..LookupRequest::default()
    };
    match ops.lookup(&request).await {
        Ok(answer) => answer.done.ok_or_else(|| TOO_OLD.to_owned()),
        Err(error) if error.is_bad_request() => Err(format!("{TOO_OLD} ({error})")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user_id: i64) -> KeyFact {
        KeyFact {
            user_id,
            key: user_id.to_string(),
        }
    }

    #[test]
    fn failed_writes_beyond_the_bound_are_counted_only() {
        let mut failed = FailedWrites::default();
        for user in 0..5 {
            failed.note(Operation::Pay, key(user), 3);
        }
        assert_eq!((failed.writes.len(), failed.beyond), (3, 2));
    }

    #[test]
    fn writes_that_were_not_looked_up_never_count_as_none() {
        let of = |total, unchecked| Unacknowledged {
            total,
            unchecked,
            ..Unacknowledged::default()
        };
        assert_eq!(of(Some(0), 0).measured(0), Some(0));
        assert_eq!(of(Some(0), 1).measured(0), None);
        assert_eq!(of(Some(3), 1).measured(2), Some(3), "too many already");
        assert_eq!(of(None, 1).measured(5), None);
        let parts = [of(Some(2), 0), of(None, 4)];
        let merged = Unacknowledged::merged(parts.iter());
        assert_eq!((merged.total, merged.unchecked), (None, 4));
        let parts = [of(Some(2), 0), of(Some(1), 0)];
        assert_eq!(Unacknowledged::merged(parts.iter()).total, Some(3));
    }
}
