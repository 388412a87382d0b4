//! Processors, memory, load, disks and networks from `/proc`, with the names and modes of the node exporter
//! (<https://github.com/prometheus/node_exporter>). Like it, this leaves out RAM disks, loop devices and partitions.
//! The formats are those of proc(5). A missing file or field leaves out its metric and nothing else.
//!
//! The crate procfs does not fit. It reads a file into a struct completely or not at all: one missing field loses all
//! of `meminfo`, and fields that the crate does not know are lost. The node exporter shows every field under the
//! kernel's name.

use std::fs;

use super::exposition::Exposition;

/// Ticks per second in `/proc`. The kernel keeps it at 100 for user space on every architecture.
pub(super) const USER_HZ: f64 = 100.0;
/// `/proc/diskstats` counts sectors of this size, whatever the device uses.
const SECTOR_BYTES: u64 = 512;

/// Reads the files and writes their metrics. To add a file, read it here and write its families in a function below.
pub(super) fn render(out: &mut Exposition<'_>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    cpu(&read("stat"), out);
    memory(&read("meminfo"), out);
    load(&read("loadavg"), out);
    disks(&read("diskstats"), out);
    networks(&read("net/dev"), out);
}

fn cpu(stat: &str, out: &mut Exposition<'_>) {
    const MODES: [&str; 8] = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ];
    let mut family = out.counter(
        "node_cpu_seconds_total",
        "Seconds the CPUs spent in each mode.",
    );
    for line in stat.lines() {
        let mut fields = line.split_ascii_whitespace();
        let cpu = fields.next().and_then(|name| name.strip_prefix("cpu"));
        // The line "cpu" is the sum of the other lines.
        let Some(cpu) = cpu.filter(|cpu| !cpu.is_empty()) else {
            continue;
        };
        for (mode, ticks) in MODES.iter().zip(fields) {
            if let Ok(ticks) = ticks.parse::<f64>() {
                family.sample(&[("cpu", cpu), ("mode", mode)], ticks / USER_HZ);
            }
        }
    }
    let field = |name: &str| {
        let rest = stat.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().parse::<u64>().ok()
    };
    if let Some(switches) = field("ctxt ") {
        out.counter(
            "node_context_switches_total",
            "Total number of context switches.",
        )
        .value(switches);
    }
    if let Some(boot) = field("btime ") {
        out.gauge("node_boot_time_seconds", "Node boot time, in unixtime.")
            .value(boot);
    }
    if let Some(running) = field("procs_running ") {
        out.gauge(
            "node_procs_running",
            "Number of processes in runnable state.",
        )
        .value(running);
    }
    if let Some(blocked) = field("procs_blocked ") {
        out.gauge(
            "node_procs_blocked",
            "Number of processes blocked waiting for I/O to complete.",
        )
        .value(blocked);
    }
}

fn memory(meminfo: &str, out: &mut Exposition<'_>) {
    for line in meminfo.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        // "Active(anon)" becomes "Active_anon".
        let name = name.replace('(', "_").replace(')', "");
        let mut fields = value.split_ascii_whitespace();
        let Some(number) = fields.next().and_then(|n| n.parse::<u64>().ok()) else {
            continue;
        };
        let (name, number) = match fields.next() {
            Some("kB") => (format!("node_memory_{name}_bytes"), number * 1024),
            _ => (format!("node_memory_{name}"), number),
        };
        out.gauge(&name, "Memory information field.").value(number);
    }
}

fn load(loadavg: &str, out: &mut Exposition<'_>) {
    let loads = loadavg.split_ascii_whitespace().map(str::parse::<f64>);
    for (minutes, load) in ["1", "5", "15"].iter().zip(loads) {
        if let Ok(load) = load {
            let name = format!("node_load{minutes}");
            out.gauge(&name, &format!("{minutes}m load average."))
                .value(load);
        }
    }
}

/// A column of a table in `/proc`, and the conversion of its numbers.
struct Column {
    /// From 0, counted after the device's name.
    index: usize,
    name: &'static str,
    help: &'static str,
    unit: Unit,
}

/// The unit of a column. All are counters, except `Now`, which is a gauge.
#[derive(Clone, Copy)]
enum Unit {
    Count,
    Sectors,
    Milliseconds,
    Now,
}

const fn column(index: usize, name: &'static str, unit: Unit, help: &'static str) -> Column {
    Column {
        index,
        name,
        help,
        unit,
    }
}

/// Writes one family per column, with a sample for each row.
fn table(rows: &[(&str, Vec<u64>)], columns: &[Column], out: &mut Exposition<'_>) {
    for column in columns {
        let mut family = match column.unit {
            Unit::Now => out.gauge(column.name, column.help),
            _ => out.counter(column.name, column.help),
        };
        for (device, values) in rows {
            let Some(value) = values.get(column.index).copied() else {
                continue;
            };
            let labels = [("device", *device)];
            match column.unit {
                Unit::Count | Unit::Now => family.sample(&labels, value),
                Unit::Sectors => family.sample(&labels, value.saturating_mul(SECTOR_BYTES)),
                Unit::Milliseconds => family.sample(&labels, value as f64 / 1e3),
            };
        }
    }
}

/// The leading numbers of a row; it ends at the first field that is not a number.
fn numbers<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<u64> {
    fields.map_while(|field| field.parse().ok()).collect()
}

fn disks(diskstats: &str, out: &mut Exposition<'_>) {
    use Unit::{Count, Milliseconds, Now, Sectors};
    const COLUMNS: [Column; 9] = [
        column(
            0,
            "node_disk_reads_completed_total",
            Count,
            "The total number of reads completed successfully.",
        ),
        column(
            2,
            "node_disk_read_bytes_total",
            Sectors,
            "The total number of bytes read successfully.",
        ),
        column(
            3,
            "node_disk_read_time_seconds_total",
            Milliseconds,
            "The total number of seconds spent by all reads.",
        ),
        column(
            4,
            "node_disk_writes_completed_total",
            Count,
            "The total number of writes completed successfully.",
        ),
        column(
            6,
            "node_disk_written_bytes_total",
            Sectors,
            "The total number of bytes written successfully.",
        ),
        column(
            7,
            "node_disk_write_time_seconds_total",
            Milliseconds,
            "The total number of seconds spent by all writes.",
        ),
        column(
            8,
            "node_disk_io_now",
            Now,
            "The number of I/Os currently in progress.",
        ),
        column(
            9,
            "node_disk_io_time_seconds_total",
            Milliseconds,
            "Total seconds spent doing I/Os.",
        ),
        column(
            10,
            "node_disk_io_time_weighted_seconds_total",
            Milliseconds,
            "The weighted number of seconds spent doing I/Os.",
        ),
    ];
    let rows: Vec<_> = diskstats
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(2);
            let device = fields.next().filter(|device| is_whole_disk(device))?;
            Some((device, numbers(fields)))
        })
        .collect();
    table(&rows, &COLUMNS, out);
}

/// Returns whether a device is a whole disk: not a RAM disk, loop device, floppy or partition. The counters of a disk
/// already include those of its partitions.
fn is_whole_disk(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return true;
    }
    let drive = ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        stem.strip_prefix(kind).is_some_and(|letter| {
            letter.len() == 1 && letter.bytes().all(|b| b.is_ascii_lowercase())
        })
    });
    let partition = (stem.starts_with("nvme") || stem.starts_with("mmcblk")) && stem.ends_with('p');
    !(drive || partition || matches!(stem, "ram" | "zram" | "loop" | "fd"))
}

fn networks(net_dev: &str, out: &mut Exposition<'_>) {
    use Unit::Count;
    const COLUMNS: [Column; 8] = [
        column(
            0,
            "node_network_receive_bytes_total",
            Count,
            "Network device statistic receive_bytes.",
        ),
        column(
            1,
            "node_network_receive_packets_total",
            Count,
            "Network device statistic receive_packets.",
        ),
        column(
            2,
            "node_network_receive_errs_total",
            Count,
            "Network device statistic receive_errs.",
        ),
        column(
            3,
            "node_network_receive_drop_total",
            Count,
            "Network device statistic receive_drop.",
        ),
        column(
            8,
            "node_network_transmit_bytes_total",
            Count,
            "Network device statistic transmit_bytes.",
        ),
        column(
            9,
            "node_network_transmit_packets_total",
            Count,
            "Network device statistic transmit_packets.",
        ),
        column(
            10,
            "node_network_transmit_errs_total",
            Count,
            "Network device statistic transmit_errs.",
        ),
        column(
            11,
            "node_network_transmit_drop_total",
            Count,
            "Network device statistic transmit_drop.",
        ),
    ];
    let rows: Vec<_> = net_dev
        .lines()
        .skip(2)
        .filter_map(|line| {
            let (device, fields) = line.rsplit_once(':')?;
            Some((device.trim(), numbers(fields.split_ascii_whitespace())))
        })
        .collect();
    table(&rows, &COLUMNS, out);
}

#[cfg(test)]
mod tests;
