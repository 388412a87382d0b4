//! Grafana dashboards as data: the parts of an untrusted file that the console can draw, and the reason for each
//! panel that it cannot draw. Pure, without widgets and I/O.

pub(crate) mod adhoc;
pub(crate) mod colour;
pub(crate) mod data_source;
pub(crate) mod dates;
pub(crate) mod formats;
pub(crate) mod grid;
pub(crate) mod interval;
pub(crate) mod json;
pub(crate) mod mappings;
pub(crate) mod old_rows;
pub(crate) mod options;
pub(crate) mod panel;
pub(crate) mod read;
pub(crate) mod reference;
pub(crate) mod repeat;
pub(crate) mod rows;
pub(crate) mod schema_v2;
pub(crate) mod scope;
pub(crate) mod targets;
pub(crate) mod text;
pub(crate) mod thresholds;
pub(crate) mod unit;
pub(crate) mod vars;

pub(crate) use grid::{Shelf, shelves};
pub(crate) use repeat::repeated;
pub(crate) use rows::contents;
pub(crate) use scope::{Scope, Times};
pub(crate) use unit::Unit;
pub(crate) use vars::Variable;

use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::panel::Panel;

#[cfg(test)]
pub(crate) use grid::Cell;

/// The largest dashboard file, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The on-sale dashboard: the same file that Grafana loads.
const SHIPPED: &str = include_str!("../../../otel/grafana/dashboards/on-sale.json");

/// A dashboard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    pub(crate) title: String,
    pub(crate) variables: Vec<Variable>,
    /// In the order on the screen: a row comes before its panels.
    pub(crate) panels: Vec<Panel>,
}

impl Dashboard {
    /// Parses the text of a dashboard file.
    ///
    /// # Errors
    /// A mistake in the file, with its place.
    pub fn read(text: &str) -> Result<Dashboard, DashboardError> {
        read::dashboard(text)
    }

    /// The on-sale dashboard that is shipped with the program and with the Grafana of the telemetry stack.
    #[must_use]
    pub fn shipped() -> Dashboard {
        Dashboard::read(SHIPPED).expect("a test reads the shipped dashboard")
    }
}

#[cfg(test)]
pub(crate) mod tests;
