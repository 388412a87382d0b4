//! A client for each source, the interval of polls, and the current time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clients::alertmanager::Alertmanager;
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::tempo::Tempo;

/// The interval of polls for metrics, log lines and the server's status.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// A client for each source.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) prometheus: Prometheus,
    pub(crate) loki: Loki,
    pub(crate) tempo: Tempo,
    pub(crate) alertmanager: Alertmanager,
    pub(crate) ops: Ops,
}

/// The current time in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
