//! The queries for each instance: the columns of the table, and the charts of the chosen instance.

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

/// Heading, width, unit, decimals, lowest warning value, lowest bad value, query.
type Figure = (
    &'static str,
    u16,
    &'static str,
    Option<u64>,
    Option<(f64, f64)>,
    &'static str,
);

const FIGURES: &[Figure] = &[
    (
        "CPU",
        5,
        "percent",
        Some(0),
        Some((80.0, 95.0)),
        "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[30s])))",
    ),
    (
        "MEM",
        6,
        "percent",
        Some(0),
        Some((80.0, 95.0)),
        "100 * (1 - max by (instance) (node_memory_MemAvailable_bytes) / max by (instance) (node_memory_MemTotal_bytes))",
    ),
    (
        "DISK",
        6,
        "percent",
        Some(0),
        Some((80.0, 90.0)),
        "100 * max by (instance) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)",
    ),
    (
        "LOAD",
        5,
        "short",
        Some(1),
        None,
        "max by (instance) (node_load1)",
    ),
    (
        "NET",
        9,
        "bps",
        None,
        None,
        "8 * (sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[30s])) \
         + sum by (instance) (rate(node_network_transmit_bytes_total{device!=\"lo\"}[30s])))",
    ),
    (
        "ERR/s",
        6,
        "short",
        None,
        Some((0.001, 10.0)),
        "sum by (instance) (rate(node_network_receive_errs_total[30s])) \
         + sum by (instance) (rate(node_network_transmit_errs_total[30s]))",
    ),
    (
        "POOL",
        6,
        "percent",
        Some(0),
        Some((80.0, 100.0)),
        "100 * sum by (instance) (db_client_connection_count{state=\"used\"}) / sum by (instance) (db_client_connection_max)",
    ),
    (
        "WAIT",
        8,
        "s",
        None,
        Some((0.1, 0.25)),
        "histogram_quantile(0.95, sum by (le, instance) (rate(db_client_connection_wait_time_seconds_bucket[30s])))",
    ),
    (
        "REDIS",
        6,
        "none",
        None,
        Some((f64::NAN, f64::NAN)),
        "min by (instance) (concert_coordination_up{backend=\"redis\"})",
    ),
    (
        "LOCK",
        5,
        "short",
        None,
        Some((0.001, 1.0)),
        "sum by (instance) (rate(concert_seat_lock_wait_seconds_count{outcome=~\"failed|timed_out\"}[30s])) \
         or 0 * min by (instance) (concert_coordination_up)",
    ),
];

/// The columns of the table. A figure whose thresholds are NaN has two states: up and away.
pub(crate) static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let column = |(head, width, unit, decimals, limits, query): &Figure| {
        let mut panel = Panel::new(head, Kind::Table, unit);
        panel.unit = Unit::new(unit, *decimals);
        match limits {
            Some((warn, _)) if warn.is_nan() => panel.mappings = switch(),
            Some((warn, bad)) => panel.steps = steps(*warn, *bad),
            None => {}
        }
        Column {
            head,
            width: *width,
            panel,
            query: Query::from(*query),
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

fn switch() -> Vec<Mapping> {
    [(0.0, "away", Severity::Bad), (1.0, "up", Severity::Good)]
        .map(|(value, text, severity)| Mapping {
            from: value,
            to: value,
            text: text.to_owned(),
            severity: Some(severity),
        })
        .to_vec()
}

/// Title, unit, lowest warning and bad value, queries with their legends; `$instance` is the chosen one.
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
            panel.mappings = switch();
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
