//! Metrics of the host and of this process, under the names of the node exporter and of the Prometheus client
//! libraries, so that dashboards made for those show these metrics too.
//!
//! On Linux `procfs`, `filesystems` and `process` read them at each scrape. Elsewhere `portable` reads those that the
//! system offers. Each reader describes its metrics once, to an `Exposition`, which is either the text of `/metrics` or
//! the list that a pushing meter observes (`HostMetrics::observe`). Values that cannot be read are left out.

mod exposition;
#[cfg(target_os = "linux")]
mod filesystems;
mod instruments;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod procfs;
// It is compiled on every system, so that errors in it are found everywhere.
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod portable;

use std::sync::Arc;

use exposition::{Described, Exposition};

/// The metrics of host and process. Clones share the readers.
#[derive(Debug, Clone)]
pub(super) struct HostMetrics(Arc<Reader>);

/// Reads every metric family, for `/metrics` and for the OpenTelemetry instruments.
#[derive(Debug)]
struct Reader {
    #[cfg(not(target_os = "linux"))]
    portable: portable::Portable,
}

impl HostMetrics {
    pub(super) fn new() -> Self {
        HostMetrics(Arc::new(Reader {
            #[cfg(not(target_os = "linux"))]
            portable: portable::Portable::new(),
        }))
    }

    /// Appends the current values in the Prometheus text exposition format.
    pub(super) fn render(&self, text: &mut String) {
        self.0.read(&mut Exposition::Text(text));
    }
}

/// The resident memory of this process, in bytes. Linux only; elsewhere `None`.
pub(crate) fn resident_memory() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        process::resident_memory()
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

impl Reader {
    fn read(&self, out: &mut Exposition<'_>) {
        #[cfg(target_os = "linux")]
        {
            procfs::render(out);
            filesystems::render(out);
            process::render(out);
        }
        #[cfg(not(target_os = "linux"))]
        self.portable.render(out);
    }

    /// The current values as a list.
    fn families(&self) -> Vec<Described> {
        let mut families = Vec::new();
        self.read(&mut Exposition::List(&mut families));
        families
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
    fn linux_reports_processors_disks_networks_and_files() {
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
    fn every_series_occurs_once_and_under_its_type() {
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

    /// The names with their labels. Memory fields and devices depend on the machine, but do not change within a
    /// moment.
    fn series(text: &str) -> HashSet<(String, Vec<String>)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.rsplit_once(' ').unwrap().0);
        lines
            .map(
                |line| match line.strip_suffix('}').and_then(|it| it.split_once('{')) {
                    None => (line.to_owned(), Vec::new()),
                    Some((name, labels)) => {
                        let mut labels: Vec<_> = labels.split("\",").map(str::to_owned).collect();
                        labels
                            .iter_mut()
                            .for_each(|it| it.truncate(it.trim_end_matches('"').len()));
                        labels.sort_unstable();
                        (name.to_owned(), labels)
                    }
                },
            )
            .collect()
    }

    #[test]
    fn a_meter_observes_what_the_text_shows_under_the_same_names_labels_and_types() {
        use opentelemetry::metrics::MeterProvider as _;

        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .without_units()
            .scope_info_enabled(false)
            .build()
            .unwrap();
        let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder()
            .with_reader(reader)
            .build();
        let host = HostMetrics::new();
        host.observe(&provider.meter("host"));
        let mut observed = String::new();
        let encoder = prometheus::TextEncoder::new();
        encoder
            .encode_utf8(&registry.gather(), &mut observed)
            .unwrap();
        let shown = rendered();
        let (in_text, by_meter) = (series(&shown), series(&observed));
        let only_one: Vec<_> = in_text.symmetric_difference(&by_meter).collect();
        assert!(only_one.is_empty() && by_meter.len() > 5, "{only_one:#?}");
        let types = |text: &str| -> HashSet<String> {
            let lines = text.lines().filter(|line| line.starts_with("# TYPE "));
            lines.map(str::to_owned).collect()
        };
        // A family without a sample is described only in the text.
        let unknown: Vec<_> = types(&observed)
            .difference(&types(&shown))
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{unknown:#?}");
        let total = "node_memory_MemTotal_bytes";
        assert!((value(&observed, total) - value(&shown, total)).abs() < 1.0);
    }

    #[test]
    fn the_portable_reader_describes_the_host_too() {
        let mut text = String::new();
        portable::Portable::new().render(&mut Exposition::Text(&mut text));
        assert!(value(&text, "node_memory_MemTotal_bytes") > 0.0);
        assert!(value(&text, "process_resident_memory_bytes") > 0.0);
        assert!(
            text.contains("node_network_receive_bytes_total{device="),
            "{text}"
        );
    }
}
