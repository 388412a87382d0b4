//! Builds the service, runs it, drains it.
