//! What the screens want fetched: the plan that the tasks of `sources` follow.

use std::collections::BTreeSet;

use crate::tui::dashboard::{Query, Times};
use crate::tui::model::{Model, Screen};
use crate::tui::recording::view::TapeView;
use crate::tui::sources::evidence::{Evidence, Wanted};
use crate::tui::sources::panels::{PANELS, PanelId, panel};
use crate::tui::sources::plan::Plan;

impl Model {
    /// The part of the terminal between header and footer.
    pub(crate) fn body(&self) -> (u16, u16) {
        let (width, height) = self.size;
        (width.max(80), height.max(24) - 4)
    }

    /// The PromQL whose answers go into `answers`. A recording is for every screen.
    pub(crate) fn board_queries(&self) -> BTreeSet<Query> {
        let mut queries = BTreeSet::new();
        if self.is_seen(Screen::Resources) {
            queries.extend(self.resources.queries(&self.answers));
        }
        if self.is_seen(Screen::Board) {
            let asked = self.board.queries(&self.answers, self.times(), self.body());
            queries.extend(asked);
        }
        queries
    }

    /// The LogQL whose answers go into `answers`.
    pub(crate) fn board_logs(&self) -> BTreeSet<Query> {
        if !self.is_seen(Screen::Board) {
            return BTreeSet::new();
        }
        self.board
            .log_queries(&self.answers, self.times(), self.body())
    }

    /// The time that charts show, as queries know it.
    pub(crate) fn times(&self) -> Times {
        Times {
            step_ms: self.zoom.step_ms(),
            span_ms: self.zoom.span_ms(),
            end_ms: self.time.end.unwrap_or(self.now),
        }
    }

    fn is_seen(&self, screen: Screen) -> bool {
        self.screen == screen || matches!(self.tape, TapeView::Recording(_))
    }

    /// The alert whose evidence is looked at.
    pub(crate) fn evidence_wanted(&self) -> Option<Wanted> {
        let row = self.alerts.chosen()?;
        Some(Wanted::of(&row.alert, self.now / 60_000 * 60_000))
    }

    /// What was found for the chosen alert.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        let row = self.alerts.chosen()?;
        let found = self.alerts.evidence.as_ref();
        found.filter(|found| found.of.alert == row.alert.labels)
    }

    /// What is to be fetched now.
    pub(crate) fn plan(&self) -> Plan {
        let shown: &[PanelId] = match self.screen {
            Screen::Overview => &[],
            Screen::Load => &[PanelId::Tps, PanelId::P95, PanelId::Seats],
            Screen::Resources | Screen::Logs | Screen::Traces | Screen::Alerts | Screen::Board => {
                &[PanelId::Tps]
            }
        };
        // A recording is for every screen.
        let recording = matches!(self.tape, TapeView::Recording(_));
        let all = self.screen == Screen::Overview || self.settings.once || recording;
        let tail = self.screen == Screen::Logs && !self.logs.frozen;
        let (traces, trace) = match self.screen {
            Screen::Traces => self.traces.wanted(self.now),
            _ => (recording.then(|| self.traces.asked()), None),
        };
        let mut queries: BTreeSet<Query> = if all {
            PANELS.iter().map(|panel| panel.query.into()).collect()
        } else {
            shown.iter().map(|id| panel(*id).query.into()).collect()
        };
        queries.extend(self.board_queries());
        Plan {
            queries,
            board_logs: self.board_logs(),
            zoom: self.zoom,
            end: self.time.end,
            evidence: (self.screen == Screen::Alerts)
                .then(|| self.evidence_wanted())
                .flatten(),
            logs: (tail || recording).then(|| self.logs.query()),
            log_window: self.logs.window,
            traces,
            trace,
            seeding: self.is_seeding(),
            rules: self.screen == Screen::Alerts || self.settings.once || recording,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::screens::traces::Asked;

    #[test]
    fn the_log_is_followed_only_while_it_is_looked_at() {
        let mut model = Model::default();
        assert_eq!(model.plan().logs, None);
        model.screen = Screen::Logs;
        assert_eq!(
            model.plan().logs.as_deref(),
            Some(r#"{service_name=~".+"}"#)
        );
        model.logs.frozen = true;
        assert_eq!(model.plan().logs, None);
    }

    #[test]
    fn traces_are_asked_for_only_while_they_are_looked_at() {
        let mut model = Model::default();
        assert_eq!((model.plan().traces, model.plan().trace), (None, None));
        model.screen = Screen::Traces;
        assert_eq!(model.plan().traces, Some(Asked::default()));
    }

    #[test]
    fn every_screen_asks_for_the_tps_so_that_the_header_knows_the_link() {
        for screen in Screen::ALL {
            let model = Model {
                screen: *screen,
                ..Model::default()
            };
            assert!(model.plan().queries.contains(panel(PanelId::Tps).query));
        }
    }
}
