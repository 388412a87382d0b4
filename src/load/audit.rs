//! Audits after the run, and looks up in the database every success and every failed write that a client saw.

use super::ops::{Ops, OpsError};
use super::unacknowledged::{self, FailedWrites, Unacknowledged};
use crate::api::ops::{Audit, LOOKUP_MAX, LookupAnswer, LookupRequest};

/// The largest number of missing facts that are named.
const EXAMPLES: usize = 10;

/// The results of audit and look-up, as far as the server answered.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub audit: Option<Audit>,
    pub lookup: Option<LookupAnswer>,
    pub unacknowledged: Unacknowledged,
    /// The reason why audit or look-up failed; of two failures the later one.
    pub problem: Option<String>,
}

/// Audits, and looks up the `facts` of all workers.
pub(super) async fn audit(ops: &Ops, facts: &[LookupRequest], failed: &FailedWrites) -> Findings {
    let mut findings = Findings {
        unacknowledged: unacknowledged::look_up(ops, failed).await,
        ..Findings::default()
    };
    match ops.audit().await {
        Ok(audit) => findings.audit = Some(audit),
        Err(error) => findings.problem = Some(error.to_string()),
    }
    match look_up(ops, facts).await {
        Ok(lookup) => findings.lookup = Some(lookup),
        Err(error) => findings.problem = Some(error.to_string()),
    }
    findings
}

async fn look_up(ops: &Ops, facts: &[LookupRequest]) -> Result<LookupAnswer, OpsError> {
    let mut sum = LookupAnswer::default();
    for part in facts.iter().flat_map(parts) {
        let answer = ops.lookup(&part).await?;
        add(&mut sum, answer);
    }
    Ok(sum)
}

/// Adds an answer. The examples are limited to the number in a report.
pub(super) fn add(sum: &mut LookupAnswer, answer: LookupAnswer) {
    sum.checked += answer.checked;
    sum.missing += answer.missing;
    sum.examples.extend(answer.examples);
    sum.examples.truncate(EXAMPLES);
}

/// Splits the facts into parts that one look-up accepts. Only one part at a time is in memory twice.
fn parts(facts: &LookupRequest) -> impl Iterator<Item = LookupRequest> {
    let places = facts.places.chunks(LOOKUP_MAX).map(|part| LookupRequest {
        places: part.to_vec(),
        ..LookupRequest::default()
    });
    let reservations = facts
        .reservations
        .chunks(LOOKUP_MAX)
        .map(|part| LookupRequest {
            reservations: part.to_vec(),
            ..LookupRequest::default()
        });
    let payments = facts.payments.chunks(LOOKUP_MAX).map(|part| LookupRequest {
        payments: part.to_vec(),
        ..LookupRequest::default()
    });
    let charges = facts.charges.chunks(LOOKUP_MAX).map(|part| LookupRequest {
        charges: part.to_vec(),
        ..LookupRequest::default()
    });
    places.chain(reservations).chain(payments).chain(charges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ops::PlaceFact;

    #[test]
    fn every_fact_is_in_exactly_one_part_and_no_part_is_too_long() {
        let place = |place| PlaceFact { place, user_id: 1 };
        let facts = LookupRequest {
            places: (0..25_000).map(place).collect(),
            payments: vec![1, 2, 3],
            ..LookupRequest::default()
        };
        let parts: Vec<LookupRequest> = parts(&facts).collect();
        assert!(
            parts
                .iter()
                .all(|part| part.places.len() + part.payments.len() <= LOOKUP_MAX)
        );
        let places: Vec<PlaceFact> = parts.iter().flat_map(|part| part.places.clone()).collect();
        assert_eq!(places, facts.places);
        assert_eq!(
            parts.iter().map(|part| part.payments.len()).sum::<usize>(),
            3
        );
    }
}
