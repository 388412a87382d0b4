//! Figures of the host and of this process, under the names the node exporter and the Prometheus
//! client libraries use, so that one panel serves both.

/// Reads and renders host and process figures.
#[derive(Debug)]
pub(super) struct HostMetrics {}

impl HostMetrics {
    pub(super) fn new() -> Self {
        HostMetrics {}
    }

    /// Appends the current figures in the Prometheus text exposition format.
    pub(super) fn render(&self, _text: &mut String) {}
}
