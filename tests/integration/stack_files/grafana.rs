//! Grafana's files: data sources that link to each other, and dashboards whose panels do not overlap and use existing
//! data sources.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dashboards::{Dashboard, all};
use super::{list, service, texts, yaml};

/// The types of the data sources by their id.
fn sources() -> BTreeMap<String, String> {
    let file = yaml("otel/grafana/provisioning/datasources/datasources.yml");
    let sources: Vec<_> = list(&file["datasources"])
        .map(|it| {
            (
                it["uid"].as_str().unwrap().to_owned(),
                it["type"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let count = sources.len();
    let sources = BTreeMap::from_iter(sources);
    assert_eq!(sources.len(), count, "an id occurs twice");
    sources
}

/// All values of keys with this name, at any depth.
fn under<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == name => found.push(text),
                    _ => under(name, value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|it| under(name, it, found)),
        _ => {}
    }
}

#[test]
fn metrics_link_to_traces_traces_to_logs_and_logs_to_traces() {
    let sources = sources();
    let file = yaml("otel/grafana/provisioning/datasources/datasources.yml");
    let mut links = Vec::new();
    under("datasourceUid", &file, &mut links);
    under("alertmanagerUid", &file, &mut links);
    for link in links {
        assert!(sources.contains_key(link), "{link} is no source");
    }
    let of = |kind: &str| {
        let mut found = list(&file["datasources"]).filter(|it| it["type"] == kind);
        found.next().unwrap()["jsonData"].clone()
    };
    let to = |link: &Value, kind: &str| {
        assert_eq!(
            sources[link["datasourceUid"].as_str().unwrap()],
            kind,
            "{link}"
        );
    };
    let exemplar = &of("prometheus")["exemplarTraceIdDestinations"][0];
    assert_eq!(exemplar["name"], "trace_id");
    to(exemplar, "tempo");
    to(&of("tempo")["tracesToLogsV2"], "loki");
    to(&of("tempo")["tracesToMetrics"], "prometheus");
    list(&of("loki")["derivedFields"]).for_each(|field| to(field, "tempo"));
    for source in list(&file["datasources"]) {
        let url = source["url"].as_str().unwrap();
        let (host, _) = url.trim_start_matches("http://").split_once(':').unwrap();
        service(host);
    }
}

#[test]
fn dashboards_have_unique_ids_and_link_to_each_other() {
    let dashboards = all();
    let uids: BTreeSet<&str> = dashboards
        .iter()
        .map(|it| it.json["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids.len(), dashboards.len());
    for Dashboard { name, json } in &dashboards {
        assert!(json["schemaVersion"].as_u64().unwrap() >= 39, "{name}");
        let links: BTreeSet<&str> = list(&json["links"])
            .filter_map(|it| it["url"].as_str().unwrap().strip_prefix("/d/"))
            .collect();
        let own = json["uid"].as_str().unwrap();
        let others: BTreeSet<&str> = uids.iter().copied().filter(|uid| *uid != own).collect();
        assert_eq!(links, others, "{name}");
    }
    let volumes = service("grafana")["volumes"].clone();
    let provider = yaml("otel/grafana/provisioning/dashboards/dashboards.yml");
    let path = provider["providers"][0]["options"]["path"]
        .as_str()
        .unwrap();
    let mounted = format!("./otel/grafana/dashboards:{path}:ro");
    assert!(texts(&volumes).contains(&mounted.as_str()), "{volumes}");
}

/// The edges of a panel: left, right, top, bottom.
fn edges(panel: &Value) -> [u64; 4] {
    let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
    [at("x"), at("x") + at("w"), at("y"), at("y") + at("h")]
}

#[test]
fn panels_do_not_overlap_and_have_an_id_a_title_and_a_description() {
    for dashboard in all() {
        let panels: Vec<&Value> = dashboard.panels().collect();
        let ids: BTreeSet<u64> = panels.iter().map(|it| it["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{}: an id twice", dashboard.name);
        for (at, panel) in panels.iter().enumerate() {
            let place = format!("{}: {}", dashboard.name, panel["title"]);
            assert_ne!(panel["title"], "", "{place}");
            if panel["type"] != "row" {
                assert!(
                    panel["description"].as_str().is_some_and(|it| it.len() > 8),
                    "{place}"
                );
            }
            let [left, right, top, bottom] = edges(panel);
            assert!(left < right && right <= 24 && top < bottom, "{place}");
            for other in &panels[..at] {
                let [l, r, t, b] = edges(other);
                let apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(apart, "{place} overlaps {}", other["title"]);
            }
        }
    }
}

#[test]
fn panels_are_of_known_kinds_and_query_provisioned_sources_in_their_language() {
    let sources = sources();
    for dashboard in all() {
        for panel in dashboard.panels().filter(|it| it["type"] != "row") {
            let (place, kind) = (&panel["title"], panel["type"].as_str().unwrap());
            let plain = ["timeseries", "stat", "gauge", "bargauge", "table", "logs"];
            // The console draws the dashboard of the sale too, and supports only these kinds.
            let richer = dashboard.name == "alerts.json" && kind == "state-timeline";
            assert!(plain.contains(&kind) || richer, "{place}: {kind}");
            assert!(list(&panel["targets"]).count() > 0, "{place} asks nothing");
            let mut names = BTreeSet::new();
            for target in list(&panel["targets"]) {
                let source = &target["datasource"];
                let uid = source["uid"].as_str().unwrap();
                assert_eq!(
                    sources.get(uid).map(String::as_str),
                    source["type"].as_str(),
                    "{place}"
                );
                assert_eq!(kind == "logs", source["type"] == "loki", "{place}");
                assert!(
                    names.insert(target["refId"].as_str()),
                    "{place}: a target's name twice"
                );
            }
            if ["timeseries", "gauge", "bargauge"].contains(&kind) {
                let unit = &panel["fieldConfig"]["defaults"]["unit"];
                assert!(unit.is_string(), "{place} has no unit");
            }
        }
        let asked = dashboard.variables().chain(dashboard.annotations());
        for source in asked.map(|it| &it["datasource"]) {
            assert_eq!(
                sources[source["uid"].as_str().unwrap()],
                source["type"],
                "{source}"
            );
        }
    }
}
