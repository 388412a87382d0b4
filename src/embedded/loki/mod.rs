//! Embedded loki.
