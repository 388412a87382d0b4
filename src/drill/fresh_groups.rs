//! Alertmanager keeps the group of an alert for a while after the alert has ended. If the alert fires again in the
//! meantime, its notification waits for `group_interval` and not for `group_wait`, so the prediction would be wrong. A
//! drill on a running system therefore waits until the groups of its alerts are gone.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::basis::Basis;
use super::file::Drill;
use super::now;
use crate::clients::prometheus::Prometheus;

/// The time between two removals of empty groups: `maintenance` in Alertmanager's `dispatch.go`.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait. The drill begins after it in any case. If an alert still fires then, the drill is inconclusive and
/// names it.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The time between two queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(500);

/// Waits until no alert that `drill` expects has a group, but not longer than [`LONGEST_WAIT`].
pub(super) async fn wait(
    drill: &Drill,
    basis: &Basis,
    prometheus: &Prometheus,
    stop: &CancellationToken,
) {
    let Some(query) = query(drill, basis) else {
        return;
    };
    let waiting = async {
        // Without an answer there is nothing to wait for. The drill itself reports that Prometheus is gone.
        while let Ok(found) = prometheus.instant(&query, now()).await
            && !found.is_empty()
        {
            tokio::time::sleep(QUERY_INTERVAL).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(LONGEST_WAIT, waiting) => {}
        () = stop.cancelled() => {}
    }
}

/// The query for the expected alerts that fired so recently that they may have a group. `None` if no group can delay a
/// notification of this drill.
fn query(drill: &Drill, basis: &Basis) -> Option<String> {
    let interval = basis.running.as_ref()?.group_interval;
    let mut expected = drill.injects.iter().flat_map(|it| it.expect.fires.keys());
    let first = expected.next()?.clone();
    if interval <= basis.settings.group_wait {
        return None;
    }
    let names = expected.fold(first, |names, name| format!("{names}|{name}"));
    // The notification of the end empties the group, at most one interval after the end.
    let kept = (interval + REMOVAL_INTERVAL).as_secs() + 1;
    Some(format!(
        "max_over_time(ALERTS{{alertname=~\"{names}\",alertstate=\"firing\"}}[{kept}s])"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::basis::Running;
    use super::*;

    #[test]
    fn only_groups_that_delay_a_notification_are_awaited() {
        let mut basis = Basis::embedded(&[]).unwrap();
        let drill = Drill::load("errors").unwrap();
        assert_eq!(query(&drill, &basis), None);
        let group_interval = Duration::from_secs(10);
        basis.running = Some(Running {
            group_interval,
            ..Running::default()
        });
        let expected = "max_over_time(ALERTS{alertname=~\"ErrorBudgetBurnFast|HighErrorRate\",\
                        alertstate=\"firing\"}[41s])";
        assert_eq!(query(&drill, &basis).as_deref(), Some(expected));
        assert_eq!(query(&Drill::load("quiet").unwrap(), &basis), None);
        basis.settings.group_wait = group_interval;
        assert_eq!(query(&drill, &basis), None);
    }
}
