//! Computes the plan: the data that the screens need and that the tasks of `sources` fetch.

use std::collections::BTreeSet;

use crate::tui::dashboard::Times;
use crate::tui::dashboard::panel::Query;
use crate::tui::model::{Model, Screen};
use crate::tui::recording::view::RecordingState;
use crate::tui::screens::table::view;
use crate::tui::screens::view::View;
use crate::tui::sources::evidence::{Evidence, Wanted};
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::sources::plan::Plan;

impl Model {
    /// The size of the area between header and footer.
    pub(crate) fn body(&self) -> (u16, u16) {
        let (width, height) = self.size;
        (width.max(80), height.max(24) - 4)
    }

    /// The PromQL whose answers go into `answers`.
    pub(crate) fn board_queries(&self) -> BTreeSet<Query> {
        self.seen().flat_map(|view| view.queries(self)).collect()
    }

    /// The LogQL whose answers go into `answers`.
    pub(crate) fn board_logs(&self) -> BTreeSet<Query> {
        self.seen()
            .flat_map(|view| view.log_queries(self))
            .collect()
    }

    /// The time range of the charts, for queries.
    pub(crate) fn times(&self) -> Times {
        Times {
            step_ms: self.zoom.step_ms(),
            span_ms: self.zoom.span_ms(),
            end_ms: self.time.end.unwrap_or(self.now),
        }
    }

    /// The screens whose data are fetched: the visible one, or all of them while the console records.
    fn seen(&self) -> impl Iterator<Item = &'static dyn View> {
        let recording = matches!(self.recording, RecordingState::Recording(_));
        let shown = self.screen;
        let seen = Screen::ALL
            .iter()
            .filter(move |one| recording || **one == shown);
        seen.map(|one| view(*one))
    }

    /// The visible alert, whose evidence is needed.
    pub(crate) fn evidence_wanted(&self) -> Option<Wanted> {
        let row = self.alerts.chosen()?;
        Some(Wanted::of(&row.alert, self.now / 60_000 * 60_000))
    }

    /// The evidence for the chosen alert.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        let row = self.alerts.chosen()?;
        let found = self.alerts.evidence.as_ref();
        found.filter(|found| found.of.alert == row.alert.labels)
    }

    /// The data to fetch now.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan {
            // Every screen needs it: the header shows whether the metrics source answers.
            queries: BTreeSet::from([panel(PanelId::Tps).query.into()]),
            zoom: self.zoom,
            end: self.time.end,
            log_window: self.logs.window,
            seeding: self.is_seeding(),
            rules: self.settings.once,
            ..Plan::default()
        };
        if self.settings.once {
            view(Screen::Overview).plan(self, &mut plan);
        }
        for view in self.seen() {
            view.plan(self, &mut plan);
        }
        plan.queries.extend(self.board_queries());
        plan.board_logs = self.board_logs();
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::screens::traces::Asked;

    #[test]
    fn the_log_is_followed_only_while_it_is_visible() {
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
    fn traces_are_fetched_only_while_they_are_visible() {
        let mut model = Model::default();
        assert_eq!((model.plan().traces, model.plan().trace), (None, None));
        model.screen = Screen::Traces;
        assert_eq!(model.plan().traces, Some(Asked::default()));
    }

    #[test]
    fn every_screen_fetches_the_tps_because_the_header_shows_whether_metrics_answer() {
        for screen in Screen::ALL {
            let model = Model {
                screen: *screen,
                ..Model::default()
            };
            assert!(model.plan().queries.contains(panel(PanelId::Tps).query));
        }
    }
}
