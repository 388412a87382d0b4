//! What sources say beside their answers: what time it is there, and what they call wrong themselves.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::tui::event::Event;
use crate::tui::model::Source;
use crate::tui::sources::fetch::Clients;

/// How often it is looked at; nobody is asked for it.
const EVERY: Duration = Duration::from_secs(2);

/// Tells when a source's clock is seen to differ from this machine's by another number of seconds, and
/// when it begins to warn, warns of something else, or no longer does.
pub(crate) async fn watch(clients: Clients, events: mpsc::Sender<Event>) {
    let heard = [
        (Source::Ops, clients.ops.source().response_meta()),
        (
            Source::Prometheus,
            clients.prometheus.source().response_meta(),
        ),
        (Source::Loki, clients.loki.source().response_meta()),
        (Source::Tempo, clients.tempo.source().response_meta()),
        (
            Source::Alertmanager,
            clients.alertmanager.source().response_meta(),
        ),
    ];
    let mut told = [0; 5];
    let mut warned = [const { None }; 5];
    loop {
        tokio::time::sleep(EVERY).await;
        for ((source, heard), warned) in heard.iter().zip(&mut warned) {
            let warning = heard.warning();
            if warning == *warned {
                continue;
            }
            warned.clone_from(&warning);
            let source = *source;
            if events
                .send(Event::Warned { source, warning })
                .await
                .is_err()
            {
                return;
            }
        }
        for ((source, heard), told) in heard.iter().zip(&mut told) {
            let ahead = heard.ahead_ms().unwrap_or(0) / 1000;
            if ahead == *told {
                continue;
            }
            *told = ahead;
            let event = Event::Clock {
                source: *source,
                ahead_s: ahead,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}
