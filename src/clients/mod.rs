//! Clients of the HTTP APIs that the console and the load generator read.
