//! Polls the server's state: status, seeding and faults.

use std::time::Duration;

use crate::clients::ops::Ops;
use crate::tui::event::Event;
use crate::tui::sources::clients::EVERY;
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;

/// The interval while the server is seeding, so that the progress moves.
const EVERY_SEEDING: Duration = Duration::from_millis(250);

pub(crate) struct ServerState(pub(crate) Ops);

impl Poll for ServerState {
    /// Whether a seeding is under way.
    type Wanted = bool;

    fn wanted(&self, plan: &Plan) -> Option<bool> {
        Some(plan.seeding)
    }

    async fn ask(&mut self, seeding: &bool) -> Answer {
        let state = (self.0.status().await?, self.0.seed_progress().await?);
        let mut events = vec![Event::Ops(Box::new(state))];
        // An older server does not have this endpoint.
        if let Ok(list) = self.0.faults().await {
            events.push(Event::Faults(list.faults));
        }
        let every = if *seeding { EVERY_SEEDING } else { EVERY };
        Ok((events, every))
    }
}
