//! The dashboards as data, for the checks of their layout and their queries.

use serde_json::Value;

use super::{file, list};

/// A dashboard file.
pub(super) struct Dashboard {
    pub(super) name: String,
    pub(super) json: Value,
}

/// All dashboard files.
pub(super) fn all() -> Vec<Dashboard> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/otel/grafana/dashboards");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["alerts.json", "on-sale.json", "resources.json"]);
    names
        .into_iter()
        .map(|name| Dashboard {
            json: serde_json::from_str(&file(&format!("otel/grafana/dashboards/{name}"))).unwrap(),
            name,
        })
        .collect()
}

/// A query, and its data source.
pub(super) struct Question {
    pub(super) place: String,
    pub(super) source: String,
    pub(super) query: String,
}

impl Dashboard {
    pub(super) fn panels(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["panels"])
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["templating"]["list"])
    }

    pub(super) fn annotations(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["annotations"]["list"])
    }

    /// A query with its variables replaced, as if "All" were chosen.
    pub(super) fn filled_in(&self, query: &str) -> String {
        let mut names: Vec<&str> = self
            .variables()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut query = query.to_owned();
        for name in names {
            query = query.replace(&format!("${name}"), ".*");
        }
        assert!(
            !query.contains('$'),
            "{}: an unknown variable: {query}",
            self.name
        );
        query
    }

    /// The queries of all panels and annotations.
    pub(super) fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut ask = |place: &Value, target: &Value| {
            let query = target.get("expr").or(target.get("query")).unwrap();
            questions.push(Question {
                place: format!("{}: {place}", self.name),
                source: target["datasource"]["uid"].as_str().unwrap().to_owned(),
                query: self.filled_in(query.as_str().unwrap()),
            });
        };
        for panel in self.panels() {
            list(&panel["targets"]).for_each(|target| ask(&panel["title"], target));
        }
        self.annotations().for_each(|note| ask(&note["name"], note));
        questions
    }
}
