//! Integration tests: real servers, real sockets, real files. One binary, so that it links once.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod alertmanager;
mod api;
mod loki;
mod promql_differential;
mod support;
