//! Use cases: the only place that orders lock, store and metric.
