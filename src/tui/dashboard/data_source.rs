//! The data source of a panel, a query or a variable. The file gives its type, or a variable or an input that stands
//! for it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tui::dashboard::json::{text, tidy};

/// The kind of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Prometheus, or a source with its API.
    Metrics,
    Logs,
    /// Any other, by its common name.
    Other(String),
    /// The file gives only a name, or nothing.
    Unknown,
}

/// The types of the data sources that the file names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The type by the name of the variable or input.
    types: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the variables of type `datasource` and the inputs (`__inputs`) of an exported file.
    pub(crate) fn read(root: &Value) -> Sources {
        let mut types = BTreeMap::new();
        let listed = |value: Option<&Value>| value.and_then(Value::as_array).cloned();
        for input in listed(root.get("__inputs")).unwrap_or_default() {
            if text(&input, "type") == "datasource" {
                let kind = text(&input, "pluginId").to_owned();
                types.insert(text(&input, "name").to_owned(), kind);
            }
        }
        for variable in listed(root.pointer("/templating/list")).unwrap_or_default() {
            if text(&variable, "type") == "datasource" {
                let kind = text(&variable, "query").to_owned();
                types.insert(text(&variable, "name").to_owned(), kind);
            }
        }
        Sources { types }
    }

    /// The kind of the `datasource` of `json`, if it has one.
    pub(crate) fn of(&self, json: &Value) -> Source {
        match json.get("datasource") {
            Some(Value::String(name)) => self.named(name),
            Some(Value::Object(of)) => {
                let part = |name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default();
                match (part("type"), part("uid")) {
                    ("", uid) => self.named(uid),
                    ("datasource", "-- Mixed --") => Source::Unknown,
                    ("datasource", "-- Dashboard --") => self.named("-- Dashboard --"),
                    ("datasource", _) => self.named("grafana"),
                    (kind, _) => by_type(kind),
                }
            }
            _ => Source::Unknown,
        }
    }

    /// The kind by a name or an identifier. A variable stands for a type, and Grafana's own names are known. Any other
    /// name was chosen by a user and does not determine the kind.
    fn named(&self, name: &str) -> Source {
        let bare = name
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .or_else(|| name.strip_prefix("[[")?.strip_suffix("]]"))
            .or_else(|| name.strip_prefix('$'));
        let Some(variable) = bare else {
            return match name.to_ascii_lowercase().as_str() {
                "-- mixed --" | "mixed" => Source::Unknown,
                "-- grafana --" | "grafana" => Source::Other("Grafana".into()),
                "-- dashboard --" => Source::Other("another panel of Grafana".into()),
                plain => by_word(plain),
            };
        };
        let variable = variable.split(':').next().unwrap_or_default();
        match self.types.get(variable) {
            Some(kind) if !kind.is_empty() => by_type(kind),
            _ => by_word(&variable.trim_start_matches("DS_").to_ascii_lowercase()),
        }
    }
}

/// The kind by the type of a data source, which is the identifier of its plugin.
fn by_type(kind: &str) -> Source {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "mixed" => Source::Unknown,
        "victoriametrics-metrics-datasource" => Source::Metrics,
        "loki" => Source::Logs,
        prometheus if prometheus.ends_with("prometheus") => Source::Metrics,
        // Amazon's and Azure's plugins, such as grafana-amazonprometheus-datasource.
        managed if managed.contains("prometheus") => Source::Metrics,
        other => Source::Other(tidy(other)),
    }
}

/// The kind by a name that equals the name of a program. A part is not enough: `tempo-metrics` may be a Prometheus.
fn by_word(word: &str) -> Source {
    match word {
        "prometheus" | "thanos" | "mimir" | "victoriametrics" | "metrics" => Source::Metrics,
        "loki" | "logs" => Source::Logs,
        "tempo" | "jaeger" | "zipkin" | "influxdb" | "elasticsearch" | "graphite" | "mysql"
        | "postgres" | "postgresql" | "clickhouse" | "cloudwatch" | "testdata" | "alertmanager" => {
            Source::Other(word.to_owned())
        }
        _ => Source::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_known_by_its_type_its_variable_or_its_input() {
        let sources = Sources::read(&json!({
            "__inputs": [
                { "name": "DS_THEIRS", "type": "datasource", "pluginId": "prometheus" },
                { "name": "VAR_X", "type": "constant", "value": "loki" },
            ],
            "templating": { "list": [
                { "name": "datasource", "type": "datasource", "query": "prometheus" },
                { "name": "log_source", "type": "datasource", "query": "loki" },
                { "name": "job", "type": "query", "query": "loki" },
            ] },
        }));
        let other = |name: &str| Source::Other(name.to_owned());
        let cases = [
            (json!("$datasource"), Source::Metrics),
            (json!("${datasource}"), Source::Metrics),
            (json!("[[datasource]]"), Source::Metrics),
            (json!({ "uid": "$datasource" }), Source::Metrics),
            (json!({ "uid": "${DS_THEIRS}" }), Source::Metrics),
            (json!("${log_source}"), Source::Logs),
            (json!("${job}"), Source::Unknown),
            (json!("${DS_PROMETHEUS}"), Source::Metrics),
            (
                json!({ "type": "prometheus", "uid": "$log_source" }),
                Source::Metrics,
            ),
            (
                json!({ "type": "victoriametrics-metrics-datasource" }),
                Source::Metrics,
            ),
            (
                json!({ "type": "grafana-amazonprometheus-datasource" }),
                Source::Metrics,
            ),
            (
                json!({ "type": "datasource", "uid": "-- Mixed --" }),
                Source::Unknown,
            ),
            (
                json!({ "type": "datasource", "uid": "grafana" }),
                other("Grafana"),
            ),
            (json!({ "type": "tempo", "uid": "t" }), other("tempo")),
            (json!("tempo-metrics-prom-less"), Source::Unknown),
            (json!("-- Mixed --"), Source::Unknown),
            (json!("Loki"), Source::Logs),
            (json!(null), Source::Unknown),
            (json!(7), Source::Unknown),
        ];
        for (datasource, wanted) in cases {
            let json = json!({ "datasource": datasource });
            assert_eq!(sources.of(&json), wanted, "{json}");
        }
        assert_eq!(sources.of(&json!({})), Source::Unknown);
    }
}
