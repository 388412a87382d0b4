//! The parts of a dashboard that the console can draw, as data: panels with queries, thresholds and texts.

use std::sync::Arc;

use crate::tui::dashboard::json::{DashboardError, too_large};
use crate::tui::dashboard::scope::Scope;
use crate::tui::dashboard::unit::Unit;
use crate::tui::dashboard::vars;
use crate::tui::format;
use crate::tui::theme::Severity;

/// The most panels of a dashboard. The largest known ones have more than 800. Only visible ones are queried.
pub(crate) const MAX_PANELS: usize = 1_000;
/// The most rows and tabs of a dashboard.
pub(crate) const MAX_ROWS: usize = 1_000;

/// The most queries of a panel. A note on the panel gives the number of the others.
pub(crate) const MAX_TARGETS: usize = 12;

/// Counts panels and rows up to the bounds of a dashboard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    panels: usize,
    rows: usize,
}

impl Bound {
    pub(crate) const fn add(&mut self, row: bool) {
        if row {
            self.rows += 1;
        } else {
            self.panels += 1;
        }
    }

    pub(crate) const fn is_exceeded(self) -> bool {
        self.panels > MAX_PANELS || self.rows > MAX_ROWS
    }

    /// The bound that is exceeded, with the number found.
    fn excess(self) -> Option<String> {
        let excess = |found: usize, most: usize, what: &str| {
            let count = |number: usize| format::count(u64::try_from(number).unwrap_or(u64::MAX));
            let (found, most) = (count(found), count(most));
            format!("{found} {what}, of which a board has at most {most}")
        };
        if self.panels > MAX_PANELS {
            Some(excess(self.panels, MAX_PANELS, "panels"))
        } else if self.rows > MAX_ROWS {
            Some(excess(self.rows, MAX_ROWS, "rows and tabs"))
        } else {
            None
        }
    }

    /// Refuses a dashboard that exceeds a bound. `place` is the list that was counted.
    pub(crate) fn check(self, place: &str) -> Result<(), DashboardError> {
        self.excess()
            .map_or(Ok(()), |what| Err(too_large(place, what)))
    }
}

/// A query to a source: PromQL or LogQL.
pub(crate) type Query = Arc<str>;

/// The kind of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A heading whose panels can be folded away.
    Row,
    TimeSeries,
    Stat,
    Gauge,
    BarGauge,
    /// Each series' share of their sum.
    Pie,
    /// The number of occurrences of each range of values.
    Histogram,
    Table,
    Logs,
    Heatmap,
    /// A row of states over time for each series.
    StateTimeline,
    /// The same with a sign for each sample.
    StatusHistory,
    /// The file's own text.
    Text,
    /// Shown by its title and the reason why it is not drawn.
    NotDrawn,
}

/// The calculation that reduces a series to one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Calc {
    #[default]
    Last,
    First,
    Mean,
    Min,
    Max,
    Sum,
    Count,
    /// The maximum minus the minimum.
    Range,
    /// The last value minus the first.
    Difference,
}

/// One of a panel's queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) expr: String,
    /// Loki answers this query with numbers.
    pub(crate) counts_lines: bool,
    /// Grafana's legend format. If it is empty, the labels give the legend.
    pub(crate) legend: String,
    /// The least interval, `2m` or `$interval`; empty if the file gives none.
    pub(crate) interval: String,
}

/// One panel or row for each value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) variable: String,
    /// Copies are placed below each other, not side by side.
    pub(crate) down: bool,
    pub(crate) per_line: u16,
}

/// The severity of values from `from` on (`None` for the lowest values).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) from: Option<f64>,
    pub(crate) severity: Severity,
}

/// A threshold that is drawn as a line across a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) at: f64,
    /// The severity beyond the limit.
    pub(crate) severity: Severity,
    /// Values below the limit are the worse ones.
    pub(crate) below: bool,
}

/// A value that is shown as a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// If it is empty, the value itself is shown in that colour.
    pub(crate) text: String,
    pub(crate) severity: Option<Severity>,
}

/// The position of a panel in the grid of 24 columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) x: u16,
    pub(crate) y: u32,
    pub(crate) w: u16,
    pub(crate) h: u16,
}

/// A panel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// Grafana's name of its type.
    pub(crate) type_name: String,
    /// The reason why the panel is not drawn, or the options that are not applied.
    pub(crate) why_not: String,
    pub(crate) place: Place,
    pub(crate) targets: Vec<Target>,
    pub(crate) unit: Unit,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Lowest first.
    pub(crate) steps: Vec<Step>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) calc: Calc,
    /// The name of its series, from Grafana's `displayName`. If it is empty, the legend gives the name.
    pub(crate) display_name: String,
    /// The text for missing data. If it is empty, a default is shown.
    pub(crate) no_value: String,
    /// The lines of a text panel.
    pub(crate) words: Vec<String>,
    pub(crate) repeat: Option<Repeat>,
    /// The variables that have a fixed value in this panel: those that repeat it or its row, and those of its row or
    /// tab whose names another variable has too. The first value of a name counts.
    pub(crate) fixed: Vec<(String, String)>,
    /// The index of the panel in the file.
    pub(crate) origin: usize,
    /// The file has this row folded.
    pub(crate) folded: bool,
    /// The number of such rows around it.
    pub(crate) nested: u8,
}

impl Panel {
    /// A panel with these values and defaults for all others.
    pub(crate) fn new(title: &str, kind: Kind, unit: &str) -> Panel {
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
            display_name: String::new(),
            no_value: String::new(),
            words: Vec::new(),
            repeat: None,
            fixed: Vec::new(),
            origin: 0,
            folded: false,
            nested: 0,
        }
    }

    /// The severity of `value`.
    pub(crate) fn judge(&self, value: f64) -> Severity {
        let mapped = self.mapped(value).and_then(|mapping| mapping.severity);
        // One step alone colours all values: it is not a threshold.
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

    /// The number and its unit, separately, so that the number can be drawn big. A mapped text has no unit.
    pub(crate) fn show(&self, value: f64) -> (String, String) {
        match self.mapped(value).filter(|found| !found.text.is_empty()) {
            Some(mapping) => (mapping.text.clone(), String::new()),
            None => self.unit.show(value),
        }
    }

    /// The number with its unit.
    pub(crate) fn text(&self, value: f64) -> String {
        let (number, unit) = self.show(value);
        if unit.starts_with(['$', '€', '£', '¥']) {
            format!("{unit}{number}")
        } else if unit.is_empty() {
            number
        } else if unit == "%" {
            format!("{number}{unit}")
        } else {
            format!("{number} {unit}")
        }
    }

    /// The thresholds, for lines across a chart.
    pub(crate) fn limits(&self) -> impl Iterator<Item = Limit> {
        let before = |index: usize| {
            let step = index
                .checked_sub(1)
                .and_then(|before| self.steps.get(before));
            step.map_or(Severity::Plain, |step| step.severity)
        };
        let steps = self.steps.iter().enumerate();
        steps.filter_map(move |(index, step)| {
            let before = before(index);
            Some(Limit {
                at: step.from?,
                severity: step.severity.max(before),
                below: before > step.severity,
            })
        })
    }

    /// Returns whether the panel's queries go to Prometheus.
    pub(crate) const fn asks_metrics(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Row | Kind::Logs | Kind::Text | Kind::NotDrawn
        )
    }

    /// The current query of `target`.
    pub(crate) fn query(&self, target: &Target, scope: &Scope) -> String {
        let query = scope.fill_in(&target.expr, &self.fixed, &target.interval);
        if target.counts_lines {
            LINE_COUNT.to_owned() + &query
        } else {
            query
        }
    }

    /// The title with its variables filled in.
    pub(crate) fn heading(&self, scope: &Scope) -> String {
        scope.words(&self.title, &self.fixed)
    }
}

/// Precedes a metric query for Loki, so that it is not mistaken for PromQL.
const LINE_COUNT: &str = "loki: ";

/// The LogQL of a query that Loki answers with numbers.
pub(crate) fn line_count(query: &str) -> Option<&str> {
    query.strip_prefix(LINE_COUNT)
}

/// A request for the labels of a source, written as a query that is not PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelQuery<'a> {
    Names,
    /// All values of a label.
    Values(&'a str),
}

impl LabelQuery<'_> {
    pub(crate) fn of(query: &str) -> Option<LabelQuery<'_>> {
        if query == "label_names()" {
            return Some(LabelQuery::Names);
        }
        let label = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        label
            .bytes()
            .all(vars::is_name)
            .then_some(LabelQuery::Values(label))
    }
}
