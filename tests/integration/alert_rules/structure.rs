//! The parts that every alert and every runbook must have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{TESTS, alerts, items, names_in, text, yaml};

const RUNBOOKS: &str = "docs/runbooks";
const HEADINGS: [&str; 5] = [
    "Meaning",
    "First look",
    "Likely causes",
    "Actions",
    "Over when",
];
/// The functions that may follow a `|` in a template, because both evaluators have them.
const FUNCTIONS: [&str; 4] = [
    "humanizePercentage",
    "humanizeDuration",
    "humanize",
    "printf \"%.1f\"",
];

fn field<'a>(rule: &'a Value, kind: &str, name: &str) -> &'a str {
    let value = rule[kind][name].as_str().unwrap_or_default();
    assert!(!value.is_empty(), "no {name}: {rule}");
    value
}

#[test]
fn every_alert_has_a_severity_a_summary_and_a_runbook() {
    let mut seen = BTreeSet::new();
    for (name, rule) in alerts() {
        assert!(seen.insert(name.clone()), "{name} twice");
        let severity = field(&rule, "labels", "severity");
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
        for (kind, of) in [("labels", "area"), ("annotations", "summary")] {
            field(&rule, kind, of);
        }
        let runbook = field(&rule, "annotations", "runbook_url");
        let home = "https://github.com/concertctl/concertctl/blob/main/docs/runbooks";
        assert_eq!(runbook, format!("{home}/{name}.md"));
    }
    assert!(seen.len() > 25, "{seen:?}");
}

#[test]
fn templates_use_only_functions_that_both_evaluators_have() {
    for (name, rule) in alerts() {
        for part in ["summary", "description"] {
            let template = field(&rule, "annotations", part);
            for rest in template.split("{{").skip(1) {
                let (action, _) = rest.split_once("}}").expect(&name);
                let mut steps = action.split('|').map(str::trim);
                let from = steps.next().unwrap();
                let known = from == "$value" || from.starts_with("$labels.");
                assert!(known, "{name}: {from}");
                for step in steps {
                    assert!(FUNCTIONS.contains(&step), "{name}: {step}");
                }
            }
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut runbooks = names_in(RUNBOOKS, ".md");
    assert!(runbooks.remove("README"));
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(runbooks, names);
    let table = text("docs/telemetry.md");
    for name in names {
        let book = text(&format!("{RUNBOOKS}/{name}.md"));
        assert!(book.starts_with(&format!("# {name}\n")), "{name}");
        let found: Vec<&str> = book.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(found, HEADINGS, "{name}");
        for part in book.split("\n## ").skip(1) {
            let text = part.split_once('\n').map_or("", |(_, text)| text.trim());
            assert!(!text.is_empty(), "{name}: nothing under {part:?}");
        }
        let link = format!("runbooks/{name}.md");
        assert!(table.contains(&link), "{name} is not in docs/telemetry.md");
    }
}

#[test]
fn every_alert_has_tests_in_which_it_fires_stays_quiet_and_ends() {
    // For each alert and each timeline: the checks in order of time; true where the alert fires.
    let mut checks: BTreeMap<String, Vec<Vec<bool>>> = BTreeMap::new();
    for file in names_in(TESTS, ".yml") {
        let file = yaml(&format!("{TESTS}/{file}.yml"));
        for test in items(&file["tests"]) {
            let mut timeline: BTreeMap<String, Vec<bool>> = BTreeMap::new();
            for check in items(&test["alert_rule_test"]) {
                let name = check["alertname"].as_str().unwrap().to_owned();
                let fires = items(&check["exp_alerts"]).next().is_some();
                timeline.entry(name).or_default().push(fires);
            }
            for (name, fires) in timeline {
                checks.entry(name).or_default().push(fires);
            }
        }
    }
    let known: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    let tested: BTreeSet<String> = checks.keys().cloned().collect();
    assert_eq!(tested, known);
    for (name, timelines) in checks {
        let whole = |fires: &Vec<bool>| {
            let last = fires.iter().rposition(|fires| *fires);
            let first = fires.iter().position(|fires| *fires);
            // The alert is quiet before, fires, and is quiet after.
            first.is_some_and(|at| at > 0) && last.is_some_and(|at| at + 1 < fires.len())
        };
        assert!(
            timelines.iter().any(whole),
            "no timeline tests that {name} begins and ends"
        );
        let never = |fires: &Vec<bool>| fires.iter().all(|fires| !fires);
        assert!(timelines.iter().any(never), "{name} always fires");
    }
}

/// Parses a duration of the rule file into seconds.
fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        other => panic!("{other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

/// The longest time in seconds from the beginning of a condition to the alert: a scrape, an evaluation, and `for`,
/// which ends at an evaluation.
fn worst_case(held: u64, every: u64) -> u64 {
    every + every + held.div_ceil(every) * every
}

#[test]
fn the_index_lists_severity_and_worst_case_of_every_alert() {
    let alertmanager = yaml("otel/alertmanager/alertmanager.yml");
    let group_wait = seconds(alertmanager["route"]["group_wait"].as_str().unwrap());
    let index = text(&format!("{RUNBOOKS}/README.md"));
    for (name, rule) in alerts() {
        let held = rule["for"].as_str().map_or(0, seconds);
        let row = format!(
            "| [{name}]({name}.md) | {} | {} | {} s | {} s |",
            field(&rule, "labels", "severity"),
            rule["for"].as_str().unwrap_or("–"),
            worst_case(held, 1),
            worst_case(held, 5) + group_wait,
        );
        let listed = index.lines().any(|line| line.starts_with(&row));
        assert!(listed, "docs/runbooks/README.md lacks: {row}");
    }
}

#[test]
fn alertmanager_sends_resolved_alerts_and_inhibits_known_ones() {
    let file = yaml("otel/alertmanager/alertmanager.yml");
    let hooks: Vec<&Value> = items(&file["receivers"])
        .flat_map(|receiver| items(&receiver["webhook_configs"]))
        .collect();
    assert!(!hooks.is_empty());
    for hook in hooks {
        assert_eq!(hook["send_resolved"], true, "{hook}");
    }
    let known: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    for rule in items(&file["inhibit_rules"]) {
        for matcher in items(&rule["source_matchers"]) {
            let matcher = matcher.as_str().unwrap();
            let name = matcher.strip_prefix("alertname=\"");
            let name = name.and_then(|name| name.strip_suffix('"'));
            assert!(
                name.is_none_or(|name| known.contains(name)),
                "{matcher} names no alert"
            );
        }
    }
}
