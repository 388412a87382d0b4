//! The environment of the run: the generator's health, machine, versions, dataset, settings.

use maud::{Markup, html};

use super::markup::{esc, facts, sentence};
use crate::load::plan::number;
use crate::load::report::format::{busiest, connections, instant, megabytes, millis};
use crate::load::summary::{Latency, Summary};

/// The section about the load generator: whether it was the limit, and its figures.
pub(super) fn generator(summary: &Summary) -> Markup {
    let generator = &summary.generator;
    let latency = |of: Option<Latency>, absent: &str| {
        of.map_or_else(
            || absent.to_owned(),
            |it| format!("p99 {}, max {}", millis(it.p99), millis(it.max)),
        )
    };
    let memory = generator.memory;
    let memory = memory.map(|it| megabytes(it as f64));
    let files = generator.file_limit.map(|it| number(it as f64));
    let opened = summary.connections;
    let handshakes = opened.handshake.map_or_else(
        || "none, the target speaks http".to_owned(),
        |it| {
            format!(
                "p50 {}, p95 {}; {} of {} connections resumed a session; latencies do not contain them",
                millis(it.p50),
                millis(it.p95),
                number(opened.resumed as f64),
                number(opened.opened as f64)
            )
        },
    );
    let facts = facts(&[
        (
            "Threads",
            format!("{} on {} cores", generator.workers, generator.cores),
        ),
        ("Busiest thread", busiest(generator)),
        ("Connections", connections(summary)),
        (
            "Requests started late by",
            latency(generator.lag, "none was timed"),
        ),
        (
            "Wait for a connection",
            latency(generator.connection_wait, "none, each user had one"),
        ),
        ("TLS handshakes", handshakes),
        (
            "Memory at most",
            memory.unwrap_or_else(|| "not known".to_owned()),
        ),
        (
            "Files it may open",
            files.unwrap_or_else(|| "no limit known".to_owned()),
        ),
    ]);
    html! {
        @for limit in &generator.limited { (sentence(&format!("✗ {limit}"))) }
        @if generator.limited.is_empty() { (sentence("✓ The generator was not the limit.")) }
        (facts)
    }
}

/// The target, the dataset, the versions, the settings.
pub(super) fn tested(summary: &Summary) -> Markup {
    let data = &summary.dataset;
    let of = |it: u64| number(it as f64);
    let dataset = format!(
        "{}: {} concerts, {} dates, {} seats, {} users; on sale: {} seats, {} of them popular",
        data.profile,
        of(data.concerts),
        of(data.dates),
        of(data.seats),
        of(data.users),
        of(data.on_sale_seats),
        of(data.popular_seats)
    );
    let facts = facts(&[
        ("Target", summary.target.clone()),
        ("Server", summary.server_version.clone()),
        ("Generator", format!("concertctl {}", summary.version)),
        (
            "Machine of the generator",
            summary.generator.machine.clone(),
        ),
        ("Dataset", dataset),
        ("Seeded at", instant(&data.seeded_at)),
        ("Seed of the draws", summary.settings.seed.to_string()),
    ]);
    html! {
        (facts)
        details {
            summary { "Scenario with all its settings" }
            pre { (esc(&settings(summary))) }
        }
    }
}

/// The scenario as a file that can be run again. It contains the defaults. It leaves out only fields without a value
/// (`null`).
fn settings(summary: &Summary) -> String {
    let text = serde_saphyr::to_string(&summary.settings)
        .or_else(|_| serde_json::to_string_pretty(&summary.settings))
        .unwrap_or_default();
    let lines = text.lines().filter(|line| !line.ends_with(": null"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::{Scenario, builtins};

    #[test]
    fn the_settings_shown_are_a_scenario_of_the_same_settings() {
        for shipped in builtins() {
            let scenario = Scenario::parse(shipped.name, shipped.text, &[]).unwrap();
            let mut summary = crate::load::report::html::sample();
            summary.settings = scenario.clone();
            let text = settings(&summary);
            assert!(!text.contains("null"), "{text}");
            assert_eq!(Scenario::parse(shipped.name, &text, &[]).unwrap(), scenario);
        }
    }
}
