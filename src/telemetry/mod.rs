//! Logs, metrics and host figures: what the system says of itself.
