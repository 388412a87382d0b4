//! Metrics of this process, under the names of the Prometheus client libraries
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use super::exposition::Exposition;
use super::procfs::USER_HZ;

pub(super) fn render(out: &mut Exposition<'_>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    let stat = read("self/stat");
    if let Some(seconds) = cpu_seconds(&stat) {
        out.counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )
        .value(seconds);
    }
    let status = read("self/status");
    if let Some(bytes) = status_bytes(&status, "VmRSS:") {
        out.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
        )
        .value(bytes);
    }
    if let Some(bytes) = status_bytes(&status, "VmSize:") {
        out.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
        )
        .value(bytes);
    }
    if let Some(open) = open_fds() {
        out.gauge("process_open_fds", "Number of open file descriptors.")
            .value(open);
    }
    if let Some(max) = max_fds(&read("self/limits")) {
        out.gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
        )
        .value(max);
    }
    if let Some(start) = start_time(&stat, &read("stat")) {
        out.gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
        )
        .value(start);
    }
}

/// The resident memory of this process, in bytes.
pub(super) fn resident_memory() -> Option<u64> {
    status_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The field `number` of `/proc/self/stat`, counted from 1 as in proc(5).
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    // The second field, the name of the program, may contain any character, including parentheses.
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name
        .split(' ')
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / USER_HZ)
}

fn start_time(stat: &str, system_stat: &str) -> Option<f64> {
    let boot = system_stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + stat_field(stat, 22)? / USER_HZ)
}

fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn open_fds() -> Option<u64> {
    // Since Linux 6.2 the size of the directory is the number of descriptors, so thousands of sockets need not be
    // listed.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => {
            let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
            // The listing itself uses one descriptor.
            Some(listed.saturating_sub(1))
        }
        size => Some(size),
    }
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat =
            "42 (a) b (c) S 1 1 1 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 5 0 12345 100000 200 1 2";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(start_time(stat, "cpu 1\nbtime 1000\n"), Some(1123.45));
        assert_eq!(cpu_seconds("odd"), None);
    }

    #[test]
    fn sizes_and_limits_are_read() {
        assert_eq!(
            status_bytes("VmSize:\t  10 kB\nVmRSS:\t  3 kB\n", "VmRSS:"),
            Some(3072)
        );
        assert_eq!(
            max_fds("Limit  Soft  Hard\nMax open files            1024   524288    files\n"),
            Some(1024)
        );
        assert_eq!(max_fds("Max open files unlimited unlimited files\n"), None);
    }
}
