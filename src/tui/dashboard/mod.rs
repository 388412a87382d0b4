//! Grafana dashboards as data: what a dashboard file says that the console can draw, read without
//! trust, and the reason for each panel that it cannot. Pure; knows neither widgets nor I/O.

mod grid;
mod options;
mod read;
mod unit;
mod vars;

use std::sync::Arc;

#[cfg(test)]
pub(super) use grid::Cell;
pub(super) use grid::{Shelf, shelves};
pub(super) use unit::Unit;
pub(super) use vars::{Scope, Variable};

use super::theme::Severity;

/// Most bytes of a dashboard file.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most panels of a dashboard.
const MAX_PANELS: usize = 300;
/// Most queries of a panel; what is beyond is told.
const MAX_TARGETS: usize = 12;

/// The on-sale dashboard: the very file that Grafana gets.
const SHIPPED: &str = include_str!("../../../otel/grafana/dashboards/on-sale.json");

/// A text that is asked of a source: PromQL or LogQL.
pub(super) type Query = Arc<str>;

/// Why a file is not shown: where in it and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct DashboardError {
    /// Line and column, or a path as in `$.panels[3].targets`.
    place: String,
    what: String,
}

/// A dashboard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    pub(super) title: String,
    pub(super) variables: Vec<Variable>,
    /// As they are shown: a row comes before its panels.
    pub(super) panels: Vec<Panel>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading whose panels can be folded away.
    Row,
    TimeSeries,
    Stat,
    Gauge,
    BarGauge,
    Table,
    Logs,
    Heatmap,
    /// Named with the reason why it is not drawn.
    NotDrawn,
}

/// What a stat shows of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Calc {
    #[default]
    Last,
    Mean,
    Min,
    Max,
}

/// One of a panel's queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) expr: String,
    /// Grafana's legend format; empty: from the labels.
    pub(super) legend: String,
}

/// From `from` on (absent: from the bottom) a value stands like that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) from: Option<f64>,
    pub(super) severity: Severity,
}

/// A value that is shown as a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapping {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) text: String,
    pub(super) severity: Option<Severity>,
}

/// Where a panel stands in the grid of 24 columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: u16,
    pub(super) y: u32,
    pub(super) w: u16,
    pub(super) h: u16,
}

/// A panel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) kind: Kind,
    /// Grafana's name of its type.
    pub(super) type_name: String,
    /// Why it is not drawn, or what of it is left out.
    pub(super) why_not: String,
    pub(super) place: Place,
    pub(super) targets: Vec<Target>,
    pub(super) unit: Unit,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// Lowest first.
    pub(super) steps: Vec<Step>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) calc: Calc,
    /// A row that is folded in the file.
    pub(super) folded: bool,
    /// A panel that such a row holds.
    pub(super) nested: bool,
}

impl Panel {
    /// A panel with nothing but that.
    pub(super) fn new(title: &str, kind: Kind, unit: &str) -> Panel {
        Panel {
            title: title.to_owned(),
            kind,
            type_name: String::new(),
            why_not: String::new(),
            place: Place::default(),
            targets: Vec::new(),
            unit: Unit::new(unit, None),
            low: None,
            high: None,
            steps: Vec::new(),
            mappings: Vec::new(),
            calc: Calc::default(),
            folded: false,
            nested: false,
        }
    }

    /// How `value` stands.
    pub(super) fn judge(&self, value: f64) -> Severity {
        let mapped = self.mapped(value).and_then(|mapping| mapping.severity);
        // A single step is a colour, not a threshold.
        let step = || {
            let reached = |step: &&Step| step.from.is_none_or(|from| value >= from);
            let step = self.steps.iter().rev().find(reached);
            let judged = self.steps.len() > 1;
            step.filter(|_| judged).map(|step| step.severity)
        };
        mapped.or_else(step).unwrap_or(Severity::Plain)
    }

    fn mapped(&self, value: f64) -> Option<&Mapping> {
        self.mappings
            .iter()
            .find(|mapping| value >= mapping.from && value <= mapping.to)
    }

    /// Number and unit apart, so that the number can be drawn big; a mapped text has no unit.
    pub(super) fn show(&self, value: f64) -> (String, String) {
        match self.mapped(value) {
            Some(mapping) => (mapping.text.clone(), String::new()),
            None => self.unit.show(value),
        }
    }

    /// Number and unit together.
    pub(super) fn text(&self, value: f64) -> String {
        let (number, unit) = self.show(value);
        if unit.is_empty() {
            number
        } else if unit == "%" {
            format!("{number}{unit}")
        } else {
            format!("{number} {unit}")
        }
    }

    /// The values from which on something else holds, for lines across a chart.
    pub(super) fn limits(&self) -> impl Iterator<Item = (f64, Severity)> {
        let steps = self.steps.iter();
        steps.filter_map(|step| Some((step.from?, step.severity)))
    }

    /// Asks Prometheus.
    pub(super) const fn asks_metrics(&self) -> bool {
        !matches!(self.kind, Kind::Row | Kind::Logs | Kind::NotDrawn)
    }
}

impl Dashboard {
    /// Reads a dashboard file's text.
    ///
    /// # Errors
    /// [`DashboardError`]: where, and what is wrong.
    pub fn read(text: &str) -> Result<Dashboard, DashboardError> {
        read::dashboard(text)
    }

    /// The on-sale dashboard that Grafana gets too.
    #[must_use]
    pub fn shipped() -> Dashboard {
        Dashboard::read(SHIPPED).expect("a test reads the shipped dashboard")
    }
}

#[cfg(test)]
pub(super) mod tests;
