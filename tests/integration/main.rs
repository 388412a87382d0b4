//! Integration tests: real servers, real sockets, real files. One binary, so that it links once.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(unreachable_pub, reason = "one binary: everything is reachable")]
#![allow(clippy::print_stdout, reason = "a test of a fault prints its figures")]
#![allow(missing_docs, reason = "a test says what it protects by its name")]
#![allow(
    clippy::duplicate_mod,
    reason = "backends/ compiles tests once a backend"
)]

mod admission_flags;
mod admission_follows;
mod advisories;
mod alert_rules;
mod alerting;
mod alertmanager;
mod api;
mod architecture;
mod backends;
mod backup;
mod blind;
mod clients;
mod clock;
mod command_line;
mod concurrency;
mod console;
mod console_boards;
mod console_causes;
mod console_dashboards;
mod console_drills;
mod console_embedded;
mod console_links;
mod console_rehearsal;
mod console_sources;
mod console_steering;
mod console_suspend;
mod console_text;
mod coordination_contract;
mod deployment;
mod drills;
mod durability;
mod fake_sources;
mod faults;
mod files;
mod hostile;
mod hostile_connections;
mod http_strictness;
mod injected;
mod load_cli;
mod load_faults;
mod load_job;
mod load_memory;
mod load_mimic;
mod load_otlp;
mod load_parts;
mod load_run;
mod load_steering;
mod load_traffic;
mod load_unacknowledged;
mod log_format;
mod log_rotation;
mod logql;
mod loki;
mod loki_queries;
mod loki_tail;
mod mysql;
mod openapi;
mod ops_access;
mod otlp_variables;
mod outcomes;
mod promql_differential;
mod protections;
mod rate_limit;
mod readiness;
mod reliability_page;
mod repeats;
mod repeats_shared;
mod report_browser;
mod seeding;
#[allow(dead_code, reason = "the long form is a program: benches/soak.rs")]
mod soak;
mod soak_invariants;
mod soak_short;
mod stack_files;
mod start_up;
mod start_up_shared;
mod stdout;
mod store_contract;
mod support;
mod support_tests;
mod telemetry_gone;
mod telemetry_otlp;
mod tempo;
mod terminal;
mod tls;
mod wal;

// Tests that are also compiled for other backends take it from their parent module.
use support::TestServer;
