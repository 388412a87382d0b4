//! Notifications about the alerts in the embedded alert store.
//!
//! One task watches the store, to which rules and operators add alerts. It groups alerts like Alertmanager (`groups`)
//! and offers each update of a group to every receiver. A receiver has its own task, a bounded queue and a record of
//! its notifications (`receiver`). So a slow or failing receiver delays no other, and each receiver is notified once
//! of every change. Another Alertmanager gets the alerts themselves (`forward`). `payload` makes the messages, and
//! `poster` sends them.

mod forward;
mod groups;
mod health;
mod payload;
mod poster;
mod receiver;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::embedded::alertmanager::AlertStore;
use crate::telemetry::Metrics;
use crate::tls::Trust;
use forward::Forward;
use groups::Groups;
use health::Health;
pub use payload::Style;
use poster::Poster;
pub use poster::{Address, BadAddress};
use receiver::Receiver;

/// The receivers of notifications, and their timing.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// Webhooks by name.
    pub webhooks: Vec<Webhook>,
    /// Another Alertmanager that gets every alert.
    pub alertmanager: Option<Address>,
    /// The address at which people can see the alerts. Messages link to it.
    pub external_url: String,
    /// The times of notifications.
    pub timing: Timing,
}

/// A receiver to which notifications are posted.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The name in metrics and log lines.
    pub name: String,
    /// The address to which messages are posted.
    pub address: Address,
    /// The format of the messages.
    pub style: Style,
}

/// The times of notifications.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The wait after the first alert of a group, so that further alerts can join its message.
    pub group_wait: Duration,
    /// The pause between two messages of a group that changes.
    pub group_interval: Duration,
    /// The pause until receivers are notified again of a group that does not change.
    pub repeat_interval: Duration,
    /// The time-out of one attempt.
    pub attempt: Duration,
    /// The pause after the first failed attempt. It doubles each time.
    pub least_pause: Duration,
    /// The longest pause, even if a receiver asks for more.
    pub most_pause: Duration,
    /// A message is given up after this time without success.
    pub give_up: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            group_wait: Duration::from_secs(1),
            group_interval: Duration::from_secs(5),
            repeat_interval: Duration::from_secs(4 * 3600),
            attempt: Duration::from_secs(5),
            least_pause: Duration::from_millis(500),
            most_pause: Duration::from_secs(60),
            give_up: Duration::from_secs(15 * 60),
        }
    }
}

/// Notifies the receivers of the alerts in `store` until `stop`.
///
/// Must be called within a Tokio runtime.
///
/// # Errors
/// The reason why messages cannot be sent.
pub fn spawn(
    config: NotifyConfig,
    store: Arc<AlertStore>,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, String> {
    if config.webhooks.is_empty() && config.alertmanager.is_none() {
        return Ok(Vec::new());
    }
    let (timing, trust) = (config.timing, Trust::default());
    let mut tasks = Vec::new();
    let mut receivers = Vec::new();
    for webhook in config.webhooks {
        let poster = Poster::new(webhook.address, &trust, timing)?;
        let health = Health::new(&webhook.name, metrics.clone());
        let style = webhook.style;
        let url = config.external_url.clone();
        let receiver = Arc::new(Receiver::new(webhook.name, style, url, timing));
        let work = Arc::clone(&receiver).deliver(poster, health, stop.clone());
        tasks.push(tokio::spawn(work));
        receivers.push(receiver);
    }
    let forward = match config.alertmanager {
        None => None,
        Some(address) => {
            let poster = Poster::new(address.join("api/v2/alerts"), &trust, timing)?;
            let health = Health::new("alertmanager", metrics.clone());
            let forward = Arc::new(Forward::new(timing));
            let work = Arc::clone(&forward).deliver(poster, health, stop.clone());
            tasks.push(tokio::spawn(work));
            Some(forward)
        }
    };
    let (metrics, stop) = (metrics.clone(), stop.clone());
    tasks.push(tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = dispatch(&store, &receivers, forward.as_deref(), timing, &metrics) => {}
        }
    }));
    Ok(tasks)
}

/// Offers the updates of the alerts to the receivers. It never ends.
async fn dispatch(
    store: &AlertStore,
    receivers: &[Arc<Receiver>],
    forward: Option<&Forward>,
    timing: Timing,
    metrics: &Metrics,
) {
    let mut groups = Groups::new(timing);
    let mut changes = store.changes();
    loop {
        changes.borrow_and_update();
        let now = Timestamp::now();
        let alerts = store.all(now);
        if let Some(forward) = forward {
            forward.offer(&alerts, now, metrics);
        }
        for update in groups.due(&alerts, now) {
            let update = Arc::new(update);
            for receiver in receivers {
                receiver.offer(&update, metrics);
            }
        }
        let due = groups.next_due().map(|due| due.duration_since(now));
        let wait = due.and_then(|wait| Duration::try_from(wait).ok());
        // Without groups nothing is due before the store changes, and the store lives as long as this task.
        let wait = wait.unwrap_or(Duration::from_secs(3600));
        let _ = tokio::time::timeout(wait, changes.changed()).await;
    }
}

#[cfg(test)]
mod tests;
