//! The panels as data: name, PromQL, unit, thresholds. This table defines the questions and the judgement. `screens`
//! defines the positions.

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
    /// Things a second.
    PerSecond,
    /// Of a hundred.
    Percent,
    /// A latency in seconds.
    Seconds,
    /// Things.
    Count,
}

impl Unit {
    /// The number and its unit, apart, so that the number can be drawn big.
    pub(crate) fn show(self, value: f64) -> (String, &'static str) {
        match self {
            Unit::PerSecond => (format::short(value), "/s"),
            Unit::Percent => (format::percent(value), "%"),
            Unit::Seconds => format::latency(value),
            Unit::Count => (format::short(value), ""),
        }
    }

    /// The two together: `412 ms`.
    pub(crate) fn text(self, value: f64) -> String {
        let (number, unit) = self.show(value);
        if unit.is_empty() {
            number
        } else {
            format!("{number} {unit}")
        }
    }
}

/// From which value on a number is worth a look, and from which it is past the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) warn: f64,
    pub(crate) bad: f64,
}

/// One panel.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) id: PanelId,
    pub(crate) title: &'static str,
    /// Over which time its rate is taken, for the reader; empty for a plain value.
    pub(crate) window: &'static str,
    pub(crate) query: &'static str,
    pub(crate) unit: Unit,
    pub(crate) thresholds: Option<Thresholds>,
    /// The label that distinguishes its series. Without a label there is one series.
    pub(crate) label: Option<&'static str>,
    /// No series here while that panel has traffic means zero, truly: a status code that never
    /// occurred has no series, and the other panel proves that the server is being watched.
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

/// The panel of that id.
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

/// Those that the overview draws as charts, in their order.
pub(crate) const CHARTS: &[PanelId] = &[
    PanelId::Tps,
    PanelId::P95,
    PanelId::Waiting,
    PanelId::Errors,
];

/// All panels. Values that every server reports for the whole sale (the queue, the seats) are not summed over
/// servers.
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

/// Status of a seat that is sold, as `concert_seats` labels it.
pub(crate) const SOLD: &str = "UNAVAILABLE";
/// Status of a seat that is held.
pub(crate) const HELD: &str = "PENDING";
/// Status of a free seat.
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
    fn probes_and_scrapes_are_no_traffic() {
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
            "by the routes of buying alone"
        );
    }

    #[test]
    fn the_stated_window_is_the_one_that_is_asked() {
        for panel in PANELS {
            let asked = panel.query.contains(&format!("[{}]", panel.window));
            assert!(panel.window.is_empty() || asked, "{}", panel.title);
        }
    }

    #[test]
    fn thresholds_judge_at_their_edge() {
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
