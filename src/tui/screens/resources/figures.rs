//! The queries for each instance: the columns of the table, and the charts of the chosen instance. The server exports
//! the host's figures under the node exporter's names, so one row shows host and service.

use std::sync::LazyLock;

use crate::tui::dashboard::Unit;
use crate::tui::dashboard::panel::{Kind, Mapping, Panel, Query, Step, Target};
use crate::tui::theme::Severity;

/// A column of the table: one figure of each instance.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) width: u16,
    pub(crate) panel: Panel,
    /// The query, with one series for each instance.
    pub(crate) query: Query,
}

/// The description of a column.
struct Figure {
    /// The heading.
    head: &'static str,
    /// The width in characters, with a space at the left. All widths together are at most 62, so that 80 columns leave
    /// 16 for the instance's name.
    width: u16,
    /// The id of the unit in Grafana.
    unit: &'static str,
    decimals: Option<u64>,
    limits: Limits,
    /// The query, with one series for each instance.
    query: &'static str,
}

/// The values of a figure that have a severity.
enum Limits {
    None,
    /// The lowest warning value, and the lowest bad value.
    From(f64, f64),
    /// Two values: 0 is away, 1 is up.
    UpOrAway,
}

const FIGURES: &[Figure] = &[
    Figure {
        head: "CPU",
        width: 5,
        unit: "percent",
        decimals: Some(0),
        limits: Limits::From(80.0, 95.0),
        query: "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[30s])))",
    },
    Figure {
        head: "MEM",
        width: 6,
        unit: "percent",
        decimals: Some(0),
        limits: Limits::From(80.0, 95.0),
        query: "100 * (1 - max by (instance) (node_memory_MemAvailable_bytes) / max by (instance) (node_memory_MemTotal_bytes))",
    },
    Figure {
        head: "DISK",
        width: 6,
        unit: "percent",
        decimals: Some(0),
        limits: Limits::From(80.0, 90.0),
        query: "100 * max by (instance) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)",
    },
    Figure {
        head: "LOAD",
        width: 5,
        unit: "short",
        decimals: Some(1),
        limits: Limits::None,
        query: "max by (instance) (node_load1)",
    },
    Figure {
        head: "NET",
        width: 9,
        unit: "bps",
        decimals: None,
        limits: Limits::None,
        query: "8 * (sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[30s])) \
         + sum by (instance) (rate(node_network_transmit_bytes_total{device!=\"lo\"}[30s])))",
    },
    Figure {
        head: "NETERR",
        width: 7,
        unit: "short",
        decimals: None,
        limits: Limits::From(0.001, 10.0),
        query: "sum by (instance) (rate(node_network_receive_errs_total[30s])) \
         + sum by (instance) (rate(node_network_transmit_errs_total[30s]))",
    },
    Figure {
        head: "POOL",
        width: 6,
        unit: "percent",
        decimals: Some(0),
        limits: Limits::From(80.0, 100.0),
        query: "100 * sum by (instance) (db_client_connection_count{state=\"used\"}) / sum by (instance) (db_client_connection_max)",
    },
    Figure {
        head: "WAIT",
        width: 7,
        unit: "s",
        decimals: None,
        limits: Limits::From(0.1, 0.25),
        query: "histogram_quantile(0.95, sum by (le, instance) (rate(db_client_connection_wait_time_seconds_bucket[30s])))",
    },
    Figure {
        head: "REDIS",
        width: 6,
        unit: "none",
        decimals: None,
        limits: Limits::UpOrAway,
        query: "min by (instance) (concert_coordination_up{backend=\"redis\"})",
    },
    Figure {
        head: "LOCK",
        width: 5,
        unit: "short",
        decimals: None,
        limits: Limits::From(0.001, 1.0),
        query: "sum by (instance) (rate(concert_seat_lock_wait_seconds_count{outcome=~\"failed|timed_out\"}[30s])) \
         or 0 * min by (instance) (concert_coordination_up)",
    },
];

/// The columns of the table.
pub(crate) static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let column = |figure: &Figure| {
        let mut panel = Panel::new(figure.head, Kind::Table, figure.unit);
        panel.unit = Unit::new(figure.unit, figure.decimals);
        match figure.limits {
            Limits::None => {}
            Limits::From(warn, bad) => panel.steps = steps(warn, bad),
            Limits::UpOrAway => panel.mappings = up_or_away(),
        }
        Column {
            head: figure.head,
            width: figure.width,
            panel,
            query: Query::from(figure.query),
        }
    };
    FIGURES.iter().map(column).collect()
});

fn steps(warn: f64, bad: f64) -> Vec<Step> {
    [
        (None, Severity::Good),
        (Some(warn), Severity::Warn),
        (Some(bad), Severity::Bad),
    ]
    .map(|(from, severity)| Step { from, severity })
    .to_vec()
}

fn up_or_away() -> Vec<Mapping> {
    [(0.0, "away", Severity::Bad), (1.0, "up", Severity::Good)]
        .map(|(value, text, severity)| Mapping {
            from: value,
            to: value,
            text: text.to_owned(),
            severity: Some(severity),
        })
        .to_vec()
}

/// Title, Grafana unit, lowest warning value and lowest bad value, queries with their legends. `$instance` is the
/// chosen instance.
type Graph = (
    &'static str,
    &'static str,
    Option<(f64, f64)>,
    &'static [(&'static str, &'static str)],
);

const GRAPHS: &[Graph] = &[
    (
        "CPU",
        "percent",
        Some((80.0, 95.0)),
        &[
            (
                "100 * (1 - avg(rate(node_cpu_seconds_total{instance=\"$instance\",mode=\"idle\"}[30s])))",
                "busy",
            ),
            (
                "100 * avg by (mode) (rate(node_cpu_seconds_total{instance=\"$instance\",mode=~\"user|system|iowait|steal\"}[30s]))",
                "{{mode}}",
            ),
        ],
    ),
    (
        "Memory",
        "bytes",
        None,
        &[
            (
                "max(node_memory_MemTotal_bytes{instance=\"$instance\"}) - max(node_memory_MemAvailable_bytes{instance=\"$instance\"})",
                "used",
            ),
            (
                "max(node_memory_MemAvailable_bytes{instance=\"$instance\"})",
                "available",
            ),
        ],
    ),
    (
        "Network",
        "bps",
        None,
        &[
            (
                "8 * sum(rate(node_network_receive_bytes_total{instance=\"$instance\",device!=\"lo\"}[30s]))",
                "in",
            ),
            (
                "8 * sum(rate(node_network_transmit_bytes_total{instance=\"$instance\",device!=\"lo\"}[30s]))",
                "out",
            ),
        ],
    ),
    (
        "Connections",
        "short",
        None,
        &[
            (
                "sum by (state) (db_client_connection_count{instance=\"$instance\"})",
                "{{state}}",
            ),
            (
                "sum(db_client_connection_max{instance=\"$instance\"})",
                "max",
            ),
        ],
    ),
    (
        "Wait p95",
        "s",
        Some((0.1, 0.25)),
        &[(
            "histogram_quantile(0.95, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{instance=\"$instance\"}[30s])))",
            "wait",
        )],
    ),
    (
        "Disk used",
        "percent",
        Some((80.0, 90.0)),
        &[(
            "100 * (1 - node_filesystem_avail_bytes{instance=\"$instance\"} / node_filesystem_size_bytes{instance=\"$instance\"})",
            "{{mountpoint}}",
        )],
    ),
    (
        "Load",
        "short",
        None,
        &[
            ("max(node_load1{instance=\"$instance\"})", "1 min"),
            ("max(node_load5{instance=\"$instance\"})", "5 min"),
            (
                "count(node_cpu_seconds_total{instance=\"$instance\",mode=\"idle\"})",
                "cores",
            ),
        ],
    ),
    (
        "Packets",
        "pps",
        None,
        &[
            (
                "sum(rate(node_network_receive_packets_total{instance=\"$instance\",device!=\"lo\"}[30s]))",
                "in",
            ),
            (
                "sum(rate(node_network_transmit_packets_total{instance=\"$instance\",device!=\"lo\"}[30s]))",
                "out",
            ),
        ],
    ),
    (
        "Errors, drops",
        "pps",
        Some((0.001, 10.0)),
        &[
            (
                "sum(rate(node_network_receive_errs_total{instance=\"$instance\"}[30s])) + sum(rate(node_network_transmit_errs_total{instance=\"$instance\"}[30s]))",
                "errors",
            ),
            (
                "sum(rate(node_network_receive_drop_total{instance=\"$instance\"}[30s])) + sum(rate(node_network_transmit_drop_total{instance=\"$instance\"}[30s]))",
                "drops",
            ),
        ],
    ),
    (
        "Disk traffic",
        "Bps",
        None,
        &[
            (
                "sum(rate(node_disk_read_bytes_total{instance=\"$instance\"}[30s]))",
                "read",
            ),
            (
                "sum(rate(node_disk_written_bytes_total{instance=\"$instance\"}[30s]))",
                "written",
            ),
        ],
    ),
    (
        "Seat locks",
        "cps",
        None,
        &[(
            "sum by (outcome) (rate(concert_seat_lock_wait_seconds_count{instance=\"$instance\"}[30s]))",
            "{{outcome}}",
        )],
    ),
    (
        "Redis, database",
        "none",
        None,
        &[
            (
                "min(concert_coordination_up{instance=\"$instance\",backend=\"redis\"})",
                "redis",
            ),
            (
                "min(concert_database_up{instance=\"$instance\"})",
                "database",
            ),
        ],
    ),
];

/// The charts of the chosen instance, the most useful first.
pub(crate) static CHARTS: LazyLock<Vec<Panel>> = LazyLock::new(|| {
    let chart = |(title, unit, limits, queries): &Graph| {
        let mut panel = Panel::new(title, Kind::TimeSeries, unit);
        panel.type_name = "timeseries".to_owned();
        if let Some((warn, bad)) = limits {
            panel.steps = steps(*warn, *bad);
        }
        if *unit == "none" {
            panel.kind = Kind::Stat;
            panel.mappings = up_or_away();
        }
        panel.targets = queries
            .iter()
            .map(|(expr, legend)| Target {
                expr: (*expr).to_owned(),
                legend: (*legend).to_owned(),
                ..Target::default()
            })
            .collect();
        panel
    };
    GRAPHS.iter().map(chart).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_columns_leave_sixteen_for_the_name_of_the_instance() {
        let taken: u16 = COLUMNS.iter().map(|column| column.width).sum();
        assert!(taken <= 62, "{taken}");
    }
}
