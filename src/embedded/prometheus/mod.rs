//! Embedded prometheus.
