//! The plan of a drill, and the worst case of each alert, before the drill sends anything.

use super::basis::Basis;
use super::file::{Drill, Inject};
use super::prediction::worst_case;
use super::rules::place_of;
use crate::yaml::FileError;

/// The plan of a drill as text, with the worst case of each alert. Sends nothing.
///
/// # Errors
/// No rule raises an alert, or a budget is below the worst case.
pub fn plan(drill: &Drill, basis: &Basis) -> Result<String, FileError> {
    let planned = outline(drill, basis)?;
    let mut lines = vec![format!("{}: {}", drill.name, drill.title)];
    lines.push(format!("  traffic  {}", drill.load));
    for inject in planned {
        lines.push(format!("  at {}  {}", inject.at, inject.fault));
        for Planned {
            alert,
            budget,
            predicted,
            notified,
            predicted_notified,
            rule,
        } in inject.alerts
        {
            lines.push(format!(
                "    {alert} fires: budget {budget}, worst case {predicted:.1} s  ({rule})"
            ));
            let budget = notified.as_deref().unwrap_or("none");
            lines.push(format!(
                "    {alert} notifies: budget {budget}, worst case {predicted_notified:.1} s"
            ));
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// A fault of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedInject {
    /// The range of its beginning, from the opening of the sale: `6s..10s`.
    pub at: String,
    /// Its kind and settings as JSON, as in the file.
    pub fault: String,
    /// The alerts that are expected.
    pub alerts: Vec<Planned>,
}

/// An alert of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its name.
    pub alert: String,
    /// The budget from the fault's beginning, as in the file: `18s`.
    pub budget: String,
    /// The worst case by rule and settings, in seconds.
    pub predicted: f64,
    /// The budget from firing to the notification, if there is one, as in the file: `3s`.
    pub notified: Option<String>,
    /// The worst case of the notification by the settings, in seconds.
    pub predicted_notified: f64,
    /// The file and the line of its rule: `otel/prometheus/alerts.yml:93`.
    pub rule: String,
}

/// The plan as data: the faults of a drill, with the worst case of each alert. Sends nothing.
///
/// # Errors
/// No rule raises an alert, or a budget is below the worst case.
pub fn outline(drill: &Drill, basis: &Basis) -> Result<Vec<PlannedInject>, FileError> {
    basis.check(drill)?;
    let Basis {
        rules, settings, ..
    } = basis;
    let planned = |inject: &Inject| {
        let alerts = inject.expect.fires.iter().map(|(alert, budget)| {
            let worst = worst_case(alert, inject, rules, *settings);
            Planned {
                alert: alert.clone(),
                budget: budget.to_string(),
                predicted: worst.map_or(0.0, |it| it.firing.as_secs_f64()),
                notified: inject.expect.notified.map(|it| it.to_string()),
                predicted_notified: worst.map_or(0.0, |it| it.notified.as_secs_f64()),
                rule: place_of(alert, rules).unwrap_or_default(),
            }
        });
        PlannedInject {
            at: inject.at.to_string(),
            fault: serde_json::to_string(&inject.fault).unwrap_or_default(),
            alerts: alerts.collect(),
        }
    };
    Ok(drill.injects.iter().map(planned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_tells_the_worst_case_of_each_notification() {
        let basis = Basis::embedded(&[]).unwrap();
        let told = plan(&Drill::load("slow-charge").unwrap(), &basis).unwrap();
        let line = "    SlowStatements notifies: budget 3s, worst case 2.0 s\n";
        assert!(told.contains(line), "{told}");
    }
}
