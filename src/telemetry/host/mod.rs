//! Figures of the host and of this process, under the names the node exporter and the Prometheus
//! client libraries use, so that one panel serves both.
//!
//! On Linux they are read from `/proc` at each scrape; elsewhere `sysinfo` tells what it can. What
//! cannot be read is left out.

mod exposition;
#[cfg(target_os = "linux")]
mod filesystems;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod procfs;
// Compiled everywhere, so that it does not rot where nobody looks.
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod portable;

use exposition::Exposition;

/// Reads and renders host and process figures.
#[derive(Debug)]
pub(super) struct HostMetrics {
    #[cfg(not(target_os = "linux"))]
    portable: portable::Portable,
}

impl HostMetrics {
    pub(super) fn new() -> Self {
        HostMetrics {
            #[cfg(not(target_os = "linux"))]
            portable: portable::Portable::new(),
        }
    }

    /// Appends the current figures in the Prometheus text exposition format.
    pub(super) fn render(&self, text: &mut String) {
        let mut out = Exposition::new(text);
        #[cfg(target_os = "linux")]
        {
            procfs::render(&mut out);
            filesystems::render(&mut out);
            process::render(&mut out);
        }
        #[cfg(not(target_os = "linux"))]
        self.portable.render(&mut out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn rendered() -> String {
        let mut text = String::new();
        HostMetrics::new().render(&mut text);
        text
    }

    fn value(text: &str, series: &str) -> f64 {
        let line = text.lines().find(|line| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_host_and_the_process_are_described() {
        let text = rendered();
        let total = value(&text, "node_memory_MemTotal_bytes");
        let available = value(&text, "node_memory_MemAvailable_bytes");
        assert!(
            available > 0.0 && available <= total,
            "{available} of {total}"
        );
        assert!(value(&text, "node_load1") >= 0.0);
        let resident = value(&text, "process_resident_memory_bytes");
        assert!(resident > 1e6 && resident < total, "{resident}");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let age = now - value(&text, "process_start_time_seconds");
        assert!((-5.0..3600.0).contains(&age), "{age}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_processors_disks_networks_and_files() {
        let text = rendered();
        assert!(value(&text, "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}") > 0.0);
        assert!(
            text.contains("node_network_receive_bytes_total{device=\"lo\"} "),
            "{text}"
        );
        assert!(
            text.contains("node_filesystem_avail_bytes{device="),
            "{text}"
        );
        let open = value(&text, "process_open_fds");
        assert!(
            open >= 3.0 && open <= value(&text, "process_max_fds"),
            "{open}"
        );
        let files: Vec<_> = (0..10)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(value(&rendered(), "process_open_fds") >= open + files.len() as f64 - 5.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_shows_in_the_process_time() {
        let before = value(&rendered(), "process_cpu_seconds_total");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while value(&rendered(), "process_cpu_seconds_total") <= before {
            assert!(std::time::Instant::now() < deadline, "still {before}");
        }
    }

    #[test]
    fn every_series_is_there_once_and_under_its_type() {
        let text = rendered();
        let (mut families, mut seen) = (HashSet::new(), HashSet::new());
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                assert!(families.insert(family), "{family} twice");
            } else if !line.starts_with('#') {
                let series = line.rsplit_once(' ').unwrap().0;
                assert_eq!(series.split('{').next().unwrap(), family);
                assert!(seen.insert(series), "{series} twice");
            }
        }
        assert!(seen.len() > 5, "{text}");
    }

    #[test]
    fn the_portable_reader_describes_the_host_too() {
        let mut text = String::new();
        portable::Portable::new().render(&mut Exposition::new(&mut text));
        assert!(value(&text, "node_memory_MemTotal_bytes") > 0.0);
        assert!(value(&text, "process_resident_memory_bytes") > 0.0);
        assert!(
            text.contains("node_network_receive_bytes_total{device="),
            "{text}"
        );
    }
}
