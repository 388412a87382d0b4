//! The number of file descriptors that each listener may use. Each connection takes one. Some are reserved for the
//! operations listener, the database and telemetry, so that many clients of the ticketing API cannot take them.

/// Descriptors for connections of the operations listener.
const OPERATIONS: u64 = 256;
/// Descriptors for everything else: dataset, log, Redis, scrapes, notifications, collectors.
const OTHER: u64 = 256;

/// File descriptors by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileBudget {
    /// The limit of the process.
    pub(super) limit: u64,
    /// The largest number of connections of the ticketing API.
    pub(super) api: usize,
    /// The largest number of connections of the operations listener.
    pub(super) operations: usize,
}

impl FileBudget {
    /// The budget under the current limit.
    pub(super) fn now(wanted: usize, database: usize) -> FileBudget {
        use rustix::process::{Resource, getrlimit};
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        FileBudget::of(limit, wanted, database)
    }

    fn of(limit: u64, wanted: usize, database: usize) -> FileBudget {
        // Under a low limit every part gets less, but the operations listener always gets its share.
        let operations = OPERATIONS.min(limit / 4);
        let kept = (operations + OTHER + database as u64).min(limit / 4 * 3);
        let api = usize::try_from(limit - kept).unwrap_or(usize::MAX);
        FileBudget {
            limit,
            api: api.min(wanted).max(1),
            operations: usize::try_from(operations).unwrap_or(usize::MAX).max(1),
        }
    }

    pub(super) fn report(&self) {
        let (limit, api, operations) = (self.limit, self.api, self.operations);
        if api < 1_000 {
            tracing::warn!(
                limit,
                api,
                operations,
                "the limit of open files allows few connections: raise it (ulimit -n)"
            );
        } else {
            tracing::info!(
                limit,
                api,
                operations,
                "connections, by the limit of open files"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_back_from_the_ticketing_api_whatever_the_limit() {
        for limit in [64, 256, 1_024, 20_000, u64::MAX] {
            let budget = FileBudget::of(limit, 50_000, 16);
            let used = budget.api as u64 + budget.operations as u64;
            assert!(
                used < limit && limit - used >= limit.min(1_024) / 8,
                "{budget:?}"
            );
        }
        let usual = FileBudget::of(20_000, 50_000, 16);
        assert_eq!((usual.api, usual.operations), (19_472, 256));
        assert_eq!(FileBudget::of(20_000, 50, 16).api, 50, "the setting holds");
    }
}
