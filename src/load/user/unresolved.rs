//! The record of a write whose attempts failed, kept for the look-up after the run.

use std::sync::Arc;

use crate::api::ops::KeyFact;
use crate::load::model::Operation;
use crate::load::unacknowledged::MOST_KEPT;
use crate::load::worker::Worker;

/// A write with a failed attempt. Dropping it records the failure, unless [`UnresolvedWrite::settle`] was called. So
/// the failure is also recorded when the run ends between two attempts.
pub(super) struct UnresolvedWrite {
    worker: Arc<Worker>,
    write: Option<(Operation, KeyFact)>,
}

impl UnresolvedWrite {
    pub(super) fn new(worker: Arc<Worker>, operation: Operation, key: KeyFact) -> UnresolvedWrite {
        let write = Some((operation, key));
        UnresolvedWrite { worker, write }
    }

    /// Records that a later attempt succeeded.
    pub(super) fn settle(mut self) {
        self.write = None;
    }
}

impl Drop for UnresolvedWrite {
    fn drop(&mut self) {
        if let Some((operation, key)) = self.write.take() {
            let most = MOST_KEPT / self.worker.run.workers.max(1);
            self.worker.failed_writes.lock().note(operation, key, most);
        }
    }
}
