//! Grafana's files: sources that are linked to one another, dashboards whose panels do not lie on top
//! of each other and ask sources that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dashboards::{Dashboard, all};
use super::{list, service, texts, yaml};

/// The sources' types by their ids.
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
    assert_eq!(sources.len(), count, "an id twice");
    sources
}

/// Every value under a key of that name, however deep.
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
fn metrics_lead_to_traces_traces_to_logs_and_logs_back() {
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
fn dashboards_have_ids_of_their_own_and_lead_to_each_other() {
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

/// Left, right, top, bottom.
fn edges(panel: &Value) -> [u64; 4] {
    let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
    [at("x"), at("x") + at("w"), at("y"), at("y") + at("h")]
}

#[test]
fn panels_lie_side_by_side_each_with_an_id_a_title_and_a_word_of_what_it_means() {
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
                assert!(apart, "{place} lies on {}", other["title"]);
            }
        }
    }
}

#[test]
fn panels_are_of_known_kinds_and_ask_provisioned_sources_in_their_language() {
    let sources = sources();
    for dashboard in all() {
        for panel in dashboard.panels().filter(|it| it["type"] != "row") {
            let (place, kind) = (&panel["title"], panel["type"].as_str().unwrap());
            let plain = ["timeseries", "stat", "gauge", "bargauge", "table", "logs"];
            // The sale's is drawn by the console too, which has no more than these.
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
