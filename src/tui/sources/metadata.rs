//! Reports the metadata of responses: the source's clock and its warnings. Sends no requests itself.

use std::sync::Arc;
use std::time::Duration;

use crate::clients::ResponseMeta;
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::sources::clients::Clients;
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;

const EVERY: Duration = Duration::from_secs(2);

/// The last reported metadata of each source, so that each change is reported once.
#[derive(Default)]
pub(crate) struct Metadata(Vec<Reported>);

struct Reported {
    source: Source,
    meta: Arc<ResponseMeta>,
    ahead_s: i64,
    warning: Option<String>,
}

impl Metadata {
    pub(crate) fn new(clients: &Clients) -> Metadata {
        let reported = |source: &Source| Reported {
            source: *source,
            meta: Arc::clone(clients.http(*source).response_meta()),
            ahead_s: 0,
            warning: None,
        };
        Metadata(Source::ALL.iter().map(reported).collect())
    }
}

impl Poll for Metadata {
    type Wanted = ();

    fn wanted(&self, _: &Plan) -> Option<()> {
        Some(())
    }

    async fn ask(&mut self, (): &()) -> Answer {
        let mut events = Vec::new();
        for reported in &mut self.0 {
            let source = reported.source;
            let warning = reported.meta.warning();
            if warning != reported.warning {
                reported.warning.clone_from(&warning);
                events.push(Event::Warned { source, warning });
            }
            let ahead_s = reported.meta.ahead_ms().unwrap_or(0) / 1000;
            if ahead_s != reported.ahead_s {
                reported.ahead_s = ahead_s;
                events.push(Event::Clock { source, ahead_s });
            }
        }
        Ok((events, EVERY))
    }
}
