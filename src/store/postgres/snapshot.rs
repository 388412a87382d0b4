//! Reading much as of one moment, while the sale goes on.

use std::time::Duration;

use super::fault::Fault;
use super::pool::Lease;

/// Even an audit over a large dataset ends within this.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// From here to [`end`] every statement of the connection sees the same moment. Whole tables are read:
/// plans are made for that.
pub(super) async fn begin(lease: &mut Lease<'_>) -> Result<(), Fault> {
    lease.works();
    let long = LONG.as_millis();
    lease
        .batch(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL statement_timeout = {long};
             SET LOCAL enable_seqscan = on;
             SET LOCAL plan_cache_mode = force_custom_plan"
        ))
        .await
}

/// Ends what [`begin`] began.
pub(super) async fn end(lease: &mut Lease<'_>) -> Result<(), Fault> {
    lease.batch("COMMIT").await?;
    lease.rests();
    Ok(())
}
