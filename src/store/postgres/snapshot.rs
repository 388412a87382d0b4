//! Reads of the whole dataset as of one moment, while the sale continues.

use super::driver::PgDriver;
use crate::store::LONG_READ;
use crate::store::fault::Fault;
use crate::store::pooled::Lease;

/// Begins a transaction in which every statement sees the same moment. It reads whole tables, so the plans are made for
/// that.
pub(super) async fn begin(lease: &mut Lease<'_, PgDriver>) -> Result<(), Fault> {
    let long = LONG_READ.as_millis();
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SET LOCAL statement_timeout = {long};
         SET LOCAL enable_seqscan = on;
         SET LOCAL plan_cache_mode = force_custom_plan"
    );
    lease.begin(&sql).await
}
