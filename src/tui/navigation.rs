//! The navigation stack: each link from symptom to cause pushes the current place, and Esc pops it. Choosing a screen
//! by its number clears the stack. Pure.

use crate::clients::prometheus::Labels;
use crate::tui::input::dialog::Dialog;
use crate::tui::model::{Model, Screen};
use crate::tui::screens::logs::{LogAim, Logs};
use crate::tui::screens::traces::{Open, Traces};

/// The largest number of steps in the stack. The oldest ones are dropped.
const DEPTH: usize = 8;
/// The largest number of screens that [`crumbs`] names, the current one included. An ellipsis stands for the others.
const NAMED: usize = 4;

/// A place that the user left by a link.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    screen: Screen,
    /// The scroll position of the log record that was open.
    record: Option<u16>,
    /// The state of the Logs screen, if the link led from it or to it.
    logs: Option<Box<Logs>>,
    /// The state of the Traces screen, if the link led from it or to it.
    traces: Option<Box<Traces>>,
    /// The labels of the chosen alert. They find it again if its position in the list has changed.
    alert: Option<Labels>,
}

impl Step {
    fn of(model: &Model, to: Screen) -> Step {
        let touches = |screen| model.screen == screen || to == screen;
        let chosen = model.alerts.chosen();
        Step {
            screen: model.screen,
            record: match model.dialog {
                Some(Dialog::Record(scroll)) => Some(scroll),
                _ => None,
            },
            logs: touches(Screen::Logs).then(|| Box::new(model.logs.clone())),
            traces: touches(Screen::Traces).then(|| Box::new(model.traces.clone())),
            alert: chosen.map(|row| row.alert.labels.clone()),
        }
    }

    fn restore(self, model: &mut Model) {
        model.screen = self.screen;
        model.dialog = self.record.map(Dialog::Record);
        if let Some(logs) = self.logs {
            model.logs = *logs;
        }
        if let Some(traces) = self.traces {
            model.traces = *traces;
        }
        let alerts = &mut model.alerts;
        let at = self.alert.and_then(|labels| {
            let mut rows = alerts.rows.iter();
            rows.position(|row| row.alert.labels == labels)
        });
        if let Some(at) = at {
            alerts.choose(at);
        }
    }
}

/// Follows a link to `to` and pushes the current place.
pub(crate) fn follow(model: &mut Model, to: Screen) {
    model.logs.editing = None;
    model.traces.editing = None;
    let step = Step::of(model, to);
    if model.navigation.len() >= DEPTH {
        model.navigation.remove(0);
    }
    model.navigation.push(step);
    model.dialog = None;
    model.screen = to;
}

/// Follows a link to the log records of a time or a trace, from a level on.
pub(crate) fn to_logs(model: &mut Model, aim: LogAim) {
    follow(model, Screen::Logs);
    model.logs = Logs::aimed(aim);
}

/// Follows a link to a trace, whether or not the list has it.
pub(crate) fn to_trace(model: &mut Model, id: &str) {
    follow(model, Screen::Traces);
    model.traces.open = Some(Open::new(id, true));
}

/// Goes one step back; returns whether there was one.
pub(crate) fn back(model: &mut Model) -> bool {
    let step = model.navigation.pop();
    let existed = step.is_some();
    if let Some(step) = step {
        step.restore(model);
    }
    existed
}

/// Clears the stack.
pub(crate) fn clear(model: &mut Model) {
    model.navigation.clear();
}

/// The steps and the current screen as text, `Alerts › Logs › Traces`; `None` if there are no steps.
pub(crate) fn crumbs(model: &Model) -> Option<String> {
    if model.navigation.is_empty() {
        return None;
    }
    let steps = model.navigation.iter().map(|step| step.screen);
    let all: Vec<&str> = steps
        .chain([model.screen])
        .map(|screen| screen.title())
        .collect();
    let hidden = all.len().saturating_sub(NAMED);
    let named = all[hidden..].join(" › ");
    Some(if hidden > 0 {
        format!("… › {named}")
    } else {
        named
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::alertmanager::Alert;
    use crate::clients::loki::LogLine;
    use crate::tui::screens::logs::Level;

    fn line(at_ns: i64) -> LogLine {
        LogLine {
            at_ns,
            labels: Labels::new(),
            line: format!("my own record {at_ns}"),
        }
    }

    fn alert(name: &str) -> Alert {
        Alert {
            labels: Labels::from([("alertname".into(), name.into())]),
            ..Alert::default()
        }
    }

    /// The second of two alerts is chosen, and Logs has a filter that the user typed.
    fn on_alerts() -> Model {
        let mut model = Model {
            screen: Screen::Alerts,
            ..Model::default()
        };
        model.alerts.take(vec![alert("A"), alert("B")], 0);
        model.alerts.row = 1;
        model.logs.text = "my own".into();
        model
            .logs
            .merge((1..=9).map(line).collect(), &Default::default());
        model.logs.move_by(-3);
        model
    }

    fn errors() -> LogAim {
        LogAim {
            level: Level::Error,
            window: Some((1_000, 2_000)),
            ..LogAim::default()
        }
    }

    #[test]
    fn each_step_back_restores_the_place_before_the_link() {
        let mut model = on_alerts();
        to_logs(&mut model, errors());
        assert_eq!(model.screen, Screen::Logs);
        assert_eq!(model.logs.level, Level::Error);
        assert!(model.logs.records.is_empty() && model.logs.text.is_empty());
        model
            .logs
            .merge(vec![line(1_500_000_000)], &Default::default());
        model.dialog = Some(Dialog::Record(2));
        follow(&mut model, Screen::Load);
        assert!(model.dialog.is_none());

        assert!(back(&mut model));
        assert_eq!(model.screen, Screen::Logs);
        assert!(matches!(model.dialog, Some(Dialog::Record(2))));
        assert_eq!(model.logs.window, Some((1_000, 2_000)));
        assert_eq!(model.logs.chosen().map(|it| it.at_ns), Some(1_500_000_000));

        let mut list = model.alerts.list.clone();
        list.insert(0, alert("Above"));
        model.alerts.take(list, 0);
        model.alerts.row = 0;
        assert!(back(&mut model));
        assert_eq!((model.screen, model.alerts.row), (Screen::Alerts, 2));
        assert_eq!(model.logs.text, "my own");
        assert_eq!((model.logs.cursor, model.logs.frozen), (5, true));
        assert!(!back(&mut model), "there is nothing before the beginning");
    }

    #[test]
    fn going_back_to_a_removed_alert_keeps_the_choice() {
        let mut model = on_alerts();
        follow(&mut model, Screen::Logs);
        model.alerts = Default::default();
        model.alerts.take(vec![alert("other")], 0);
        // A resolved alert stays in the list for some minutes.
        model.alerts.arrange(3_600_000);
        model.alerts.row = 0;
        back(&mut model);
        assert_eq!(model.alerts.row, 0);
    }

    #[test]
    fn the_stack_is_bounded_and_its_newest_steps_are_named() {
        let mut model = on_alerts();
        assert_eq!(crumbs(&model), None);
        follow(&mut model, Screen::Logs);
        assert_eq!(crumbs(&model).as_deref(), Some("Alerts › Logs"));
        for _ in 0..20 {
            follow(&mut model, Screen::Load);
            follow(&mut model, Screen::Logs);
        }
        assert_eq!(model.navigation.len(), DEPTH);
        assert_eq!(
            crumbs(&model).as_deref(),
            Some("… › Load › Logs › Load › Logs")
        );
        clear(&mut model);
        assert_eq!(crumbs(&model), None);
    }
}
