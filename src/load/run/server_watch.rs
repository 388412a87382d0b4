//! Watches the server through its operations API during a run: polls its queue, and audits it regularly.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::api::ops::{Audit, QueueState};
use crate::load::ops::Ops;
use crate::load::summary::AuditsDuring;

/// The pause between two polls of the queue.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The pause between two audits. An audit reads much data and must not be a load itself.
const AUDIT_EVERY: Duration = Duration::from_secs(5);
/// The largest number of marks that wait for [`ServerWatch::take_marks`]. Further ones are dropped.
const MAX_MARKS: usize = 16;

/// Two tasks that poll the server until this value is dropped.
pub(super) struct ServerWatch {
    seen: Arc<Seen>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Seen {
    queue: Mutex<Option<QueueState>>,
    /// The largest memory that the server reported, in bytes.
    memory: Mutex<Option<u64>>,
    audits: Mutex<Audits>,
    /// Texts of the timeline's marks that were not taken yet.
    marks: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Audits {
    during: AuditsDuring,
    /// The number of violations that the last audit found.
    last: Option<u64>,
}

impl ServerWatch {
    pub(super) fn start(ops: &Ops) -> ServerWatch {
        let seen = Arc::<Seen>::default();
        let tasks = [
            tokio::spawn(follow_queue(ops.clone(), Arc::clone(&seen))),
            tokio::spawn(audit_regularly(ops.clone(), Arc::clone(&seen))),
        ];
        ServerWatch { seen, tasks }
    }

    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// The queue's state at the last successful poll.
    pub(super) fn queue(&self) -> Option<QueueState> {
        *self.seen.queue.lock()
    }

    /// The largest memory that the server reported at a poll of the queue, in bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        *self.seen.memory.lock()
    }

    /// The audits so far.
    pub(super) fn audits(&self) -> AuditsDuring {
        self.seen.audits.lock().during
    }

    /// The number of violations that the last audit found. Absent before the first audit.
    pub(super) fn violations(&self) -> Option<u64> {
        self.seen.audits.lock().last
    }

    /// Takes the texts for marks of the timeline since the last call: one for each new highest number of violations.
    pub(super) fn take_marks(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.marks.lock())
    }
}

impl Drop for ServerWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Polls the queue once a second. If a poll fails, the earlier state stays.
async fn follow_queue(ops: Ops, seen: Arc<Seen>) {
    loop {
        if let Ok(status) = ops.status().await {
            *seen.queue.lock() = Some(status.queue);
            let mut memory = seen.memory.lock();
            *memory = (*memory).max(status.memory_bytes);
        }
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

/// Audits the server again and again. An audit that fails is not counted.
async fn audit_regularly(ops: Ops, seen: Arc<Seen>) {
    loop {
        tokio::time::sleep(AUDIT_EVERY).await;
        let Ok(audit) = ops.audit().await else {
            continue;
        };
        let violations = Audit::violations(&audit);
        let mut audits = seen.audits.lock();
        audits.during.count += 1;
        audits.last = Some(violations);
        if violations > audits.during.worst {
            audits.during.worst = violations;
            let mut marks = seen.marks.lock();
            if marks.len() < MAX_MARKS {
                marks.push(format!("the audit finds {violations} violations"));
            }
        }
    }
}
