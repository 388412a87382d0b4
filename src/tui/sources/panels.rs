//! The table of panels: name, PromQL, unit, thresholds. `screens` defines their positions.

use crate::tui::format;
use crate::tui::theme::Severity;

/// The id of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PanelId {
    Tps,
    Errors,
    P95,
    Waiting,
    Active,
    Admitted,
    Batch,
    Interval,
    Paused,
    Seats,
    Reservations,
}

/// The unit of a panel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Events per second.
    PerSecond,
    /// A percentage.
    Percent,
    /// A latency in seconds.
    Seconds,
    /// A number.
    Count,
}

impl Unit {
    /// The number and its unit, separately, so that the number can be drawn big.
    pub(crate) fn show(self, value: f64) -> (String, &'static str) {
        match self {
            Unit::PerSecond => (format::short(value), "/s"),
            Unit::Percent => (format::percent(value), "%"),
            Unit::Seconds => format::latency(value),
            Unit::Count => (format::short(value), ""),
        }
    }

    /// The number with its unit: `412 ms`.
    pub(crate) fn text(self, value: f64) -> String {
        let (number, unit) = self.show(value);
        if unit.is_empty() {
            number
        } else {
            format!("{number} {unit}")
        }
    }
}

/// The lowest value that is a warning, and the lowest that is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) warn: f64,
    pub(crate) bad: f64,
}

/// A panel of the overview: its query, its unit and its limits.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) id: PanelId,
    pub(crate) title: &'static str,
    /// The window of its rate, for the title; empty for a value that is not a rate.
    pub(crate) window: &'static str,
    pub(crate) query: &'static str,
    pub(crate) unit: Unit,
    pub(crate) thresholds: Option<Thresholds>,
    /// The label that distinguishes its series. Without a label there is one series.
    pub(crate) label: Option<&'static str>,
    /// A missing series means zero while the panel with this id has traffic: a status code that never occurred has no
    /// series, and the other panel proves that the server is scraped.
    pub(crate) zero_while: Option<PanelId>,
}

impl Panel {
    const fn plain(id: PanelId, title: &'static str, query: &'static str) -> Panel {
        Panel {
            id,
            title,
            window: "",
            query,
            unit: Unit::Count,
            thresholds: None,
            label: None,
            zero_while: None,
        }
    }

    /// The severity of `value`.
    pub(crate) fn judge(&self, value: f64) -> Severity {
        match self.thresholds {
            None => Severity::Plain,
            Some(limits) if value >= limits.bad => Severity::Bad,
            Some(limits) if value >= limits.warn => Severity::Warn,
            Some(_) => Severity::Good,
        }
    }
}

/// The panel with this id.
pub(crate) fn panel(id: PanelId) -> &'static Panel {
    PANELS
        .iter()
        .find(|panel| panel.id == id)
        .expect("a test finds every id in the table")
}

/// Requests of probes and scrapers are not traffic. This project's server does not count them, but others may.
macro_rules! traffic {
    () => {
        "http_route!~\"/(health|healthz|livez|readyz|metrics|actuator)(/.*)?\""
    };
}

/// The panels that the Overview draws as charts, in order.
pub(crate) const CHARTS: &[PanelId] = &[
    PanelId::Tps,
    PanelId::P95,
    PanelId::Waiting,
    PanelId::Errors,
];

/// All panels. A value that every server reports for the whole sale (queue, seats) is not summed over servers.
pub(crate) const PANELS: &[Panel] = &[
    Panel {
        window: "10s",
        unit: Unit::PerSecond,
        ..Panel::plain(
            PanelId::Tps,
            "TPS",
            concat!(
                "sum(rate(http_server_request_duration_seconds_count{",
                traffic!(),
                "}[10s]))"
            ),
        )
    },
    Panel {
        window: "30s",
        unit: Unit::Percent,
        thresholds: Some(Thresholds {
            warn: 0.001,
            bad: 1.0,
        }),
        zero_while: Some(PanelId::Tps),
        ..Panel::plain(
            PanelId::Errors,
            "5xx rate",
            concat!(
                "100 * sum(rate(http_server_request_duration_seconds_count{",
                traffic!(),
                ",http_response_status_code=~\"5..\"}[30s])) / ",
                "sum(rate(http_server_request_duration_seconds_count{",
                traffic!(),
                "}[30s]))"
            ),
        )
    },
    Panel {
        window: "30s",
        unit: Unit::Seconds,
        thresholds: Some(Thresholds {
            warn: 0.3,
            bad: 0.5,
        }),
        ..Panel::plain(
            PanelId::P95,
            "p95 buy",
            "histogram_quantile(0.95, sum by (le) (rate(\
             http_server_request_duration_seconds_bucket{http_route=~\"/(concerts|reservations|accounts|users)(/.*)?\"}[30s])))",
        )
    },
    Panel::plain(PanelId::Waiting, "Queue", "max(concert_queue_waiting)"),
    Panel::plain(PanelId::Active, "Admitted now", "max(concert_queue_active)"),
    Panel::plain(
        PanelId::Admitted,
        "Admitted mark",
        "max(concert_queue_admitted_mark)",
    ),
    Panel::plain(
        PanelId::Batch,
        "Admission batch",
        "max(concert_admission_batch)",
    ),
    Panel {
        unit: Unit::Seconds,
        ..Panel::plain(
            PanelId::Interval,
            "Every",
            "max(concert_admission_interval_seconds)",
        )
    },
    Panel::plain(PanelId::Paused, "Paused", "max(concert_admission_paused)"),
    Panel {
        label: Some("status"),
        ..Panel::plain(PanelId::Seats, "Seats", "max by (status) (concert_seats)")
    },
    Panel {
        label: Some("outcome"),
        ..Panel::plain(
            PanelId::Reservations,
            "Reservations",
            "sum by (outcome) (concert_reservations_total)",
        )
    },
];

/// The status of a sold seat, as in the label of `concert_seats`.
pub(crate) const SOLD: &str = "UNAVAILABLE";
/// The status of a held seat.
pub(crate) const HELD: &str = "PENDING";
/// The status of a free seat.
pub(crate) const FREE: &str = "AVAILABLE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_in_the_table_once_and_every_query_is_promql() {
        use PanelId::*;
        let all = [
            Tps,
            Errors,
            P95,
            Waiting,
            Active,
            Admitted,
            Batch,
            Interval,
            Paused,
            Seats,
            Reservations,
        ];
        assert_eq!(all.len(), PANELS.len());
        for id in all {
            assert_eq!(
                PANELS.iter().filter(|panel| panel.id == id).count(),
                1,
                "{id:?}"
            );
            let query = panel(id).query;
            assert!(promql_parser::parser::parse(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn probes_and_scrapes_do_not_count_as_traffic() {
        for id in [PanelId::Tps, PanelId::Errors] {
            let query = panel(id).query;
            let counts = query.matches("duration_seconds_count{").count();
            assert!(
                counts > 0 && query.matches("/(health|").count() == counts,
                "{query}"
            );
        }
        assert!(
            !panel(PanelId::P95).query.contains("health"),
            "only the routes of buying count"
        );
    }

    #[test]
    fn the_window_in_the_title_is_that_of_the_query() {
        for panel in PANELS {
            let asked = panel.query.contains(&format!("[{}]", panel.window));
            assert!(panel.window.is_empty() || asked, "{}", panel.title);
        }
    }

    #[test]
    fn a_value_at_a_threshold_counts_as_beyond_it() {
        let p95 = panel(PanelId::P95);
        assert_eq!(
            [0.299, 0.3, 0.499, 0.5].map(|v| p95.judge(v)),
            [
                Severity::Good,
                Severity::Warn,
                Severity::Warn,
                Severity::Bad
            ]
        );
    }
}
