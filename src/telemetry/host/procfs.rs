//! Processors, memory, load, disks and networks from `/proc`, with the node exporter's names, modes
//! and exclusions (<https://github.com/prometheus/node_exporter>). Formats: proc(5).

use std::fs;

use super::exposition::Exposition;

/// Ticks a second in `/proc`, which the kernel keeps at 100 for user space on every architecture.
pub(super) const USER_HZ: f64 = 100.0;
const SECTOR_BYTES: u64 = 512;

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
        // The line "cpu" is the sum of the others.
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

/// A column of a table in `/proc`, and what becomes of its numbers.
struct Column {
    index: usize,
    name: &'static str,
    help: &'static str,
    unit: Unit,
}

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

/// Writes one family a column, with a sample for each row.
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

/// Leaves out RAM disks, loop devices, floppies and partitions, whose I/O is their disk's too.
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
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Exposition<'_>)) -> Vec<String> {
        let mut text = String::new();
        write(&mut Exposition::new(&mut text));
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn processor_times_are_seconds_by_mode() {
        let stat = "cpu  1 2 3 4 5 6 7 8 9 0\ncpu0 150 2 300 4000 5 0 7 8 9 0\nintr 1 2\nctxt 77\nbtime 1700000000\nprocs_running 2\nprocs_blocked 0\n";
        assert_eq!(
            written(|out| cpu(stat, out)),
            [
                "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1.5",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 0.02",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 3",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 40",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 0.05",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"irq\"} 0",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"softirq\"} 0.07",
                "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0.08",
                "node_context_switches_total 77",
                "node_boot_time_seconds 1700000000",
                "node_procs_running 2",
                "node_procs_blocked 0",
            ]
        );
    }

    #[test]
    fn memory_fields_are_bytes_under_their_own_names() {
        let meminfo = "MemTotal:        2 kB\nActive(anon):  3 kB\nHugePages_Total:       4\nodd\n";
        assert_eq!(
            written(|out| memory(meminfo, out)),
            [
                "node_memory_MemTotal_bytes 2048",
                "node_memory_Active_anon_bytes 3072",
                "node_memory_HugePages_Total 4"
            ]
        );
    }

    #[test]
    fn partitions_are_not_counted_beside_their_disks() {
        for (device, whole) in [
            ("sda", true),
            ("sda1", false),
            ("vda", true),
            ("vda2", false),
            ("xvdb1", false),
            ("nvme0n1", true),
            ("nvme0n1p2", false),
            ("mmcblk0", true),
            ("mmcblk0p1", false),
            ("loop3", false),
            ("ram0", false),
            ("zram0", false),
            ("dm-0", true),
            ("md127", true),
            ("sr0", true),
        ] {
            assert_eq!(is_whole_disk(device), whole, "{device}");
        }
        let diskstats = " 254       0 vda 10 1 20 3000 40 4 60 7000 1 9000 10000 0 0 0 0 0 0\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n";
        let lines = written(|out| disks(diskstats, out));
        for line in [
            "node_disk_reads_completed_total{device=\"vda\"} 10",
            "node_disk_read_bytes_total{device=\"vda\"} 10240",
            "node_disk_read_time_seconds_total{device=\"vda\"} 3",
            "node_disk_written_bytes_total{device=\"vda\"} 30720",
            "node_disk_io_now{device=\"vda\"} 1",
            "node_disk_io_time_seconds_total{device=\"vda\"} 9",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
        }
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn networks_are_counted_in_both_directions() {
        let net_dev = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 11 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n";
        assert_eq!(
            written(|out| networks(net_dev, out)),
            [
                "node_network_receive_bytes_total{device=\"lo\"} 11",
                "node_network_receive_packets_total{device=\"lo\"} 12",
                "node_network_receive_errs_total{device=\"lo\"} 13",
                "node_network_receive_drop_total{device=\"lo\"} 14",
                "node_network_transmit_bytes_total{device=\"lo\"} 21",
                "node_network_transmit_packets_total{device=\"lo\"} 22",
                "node_network_transmit_errs_total{device=\"lo\"} 23",
                "node_network_transmit_drop_total{device=\"lo\"} 24",
            ]
        );
    }

    #[test]
    fn odd_files_leave_figures_out_and_break_nothing() {
        for odd in [
            "",
            "x",
            "cpu0",
            "cpu0 a b",
            "a:",
            ":",
            "1 2",
            "Inter\nface\n:\nlo:x",
        ] {
            written(|out| {
                cpu(odd, out);
                memory(odd, out);
                load(odd, out);
                disks(odd, out);
                networks(odd, out);
            });
        }
    }
}
