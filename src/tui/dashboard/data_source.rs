//! The data source of a panel, a query or a variable in a Grafana dashboard. The file gives its type, or a variable or
//! an input that stands for it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tui::dashboard::json::{text, tidy};

/// Grafana's type and identifier of the data source of its expressions.
const EXPRESSIONS: &str = "__expr__";

/// The kind of a data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataSource {
    /// Prometheus, or a data source with its API.
    Metrics,
    Logs,
    /// Grafana itself, which computes expressions from the answers to other queries.
    Computed,
    /// Any other, by its plugin id or the name in the file.
    Other(String),
    /// Not determined: no type and no known name, or a mixed panel, whose queries each name their own data source.
    Unknown,
}

/// The types that the variables and inputs of the file stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataSources {
    /// The type by the name of the variable or input.
    types: BTreeMap<String, String>,
}

impl DataSources {
    /// Reads the variables of type `datasource` and the inputs (`__inputs`) of an exported file.
    pub(crate) fn read(root: &Value) -> DataSources {
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
        DataSources { types }
    }

    /// The kind of the `datasource` of `json`, if it has one.
    pub(crate) fn of(&self, json: &Value) -> DataSource {
        match json.get("datasource") {
            Some(Value::String(name)) => self.named(name),
            Some(Value::Object(of)) => {
                let part = |name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default();
                match (part("type"), part("uid")) {
                    (_, EXPRESSIONS) => DataSource::Computed,
                    ("", uid) => self.named(uid),
                    ("datasource", "-- Mixed --") => DataSource::Unknown,
                    ("datasource", "-- Dashboard --") => self.named("-- Dashboard --"),
                    ("datasource", _) => self.named("grafana"),
                    (kind, _) => by_type(kind),
                }
            }
            _ => DataSource::Unknown,
        }
    }

    /// The name that a user gave the `datasource` of `json`; empty if it has none.
    pub(crate) fn name_of(json: &Value) -> String {
        let name = json.get("datasource").and_then(Value::as_str);
        let name = name.filter(|name| !name.starts_with(['$', '[']) && !name.starts_with("-- "));
        tidy(name.unwrap_or_default())
    }

    /// The kind by a name or an identifier. A variable stands for a type, and Grafana's own names are known. Any other
    /// name was chosen by a user and does not determine the kind.
    fn named(&self, name: &str) -> DataSource {
        let bare = name
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .or_else(|| name.strip_prefix("[[")?.strip_suffix("]]"))
            .or_else(|| name.strip_prefix('$'));
        let Some(variable) = bare else {
            return match name.to_ascii_lowercase().as_str() {
                "-- mixed --" | "mixed" => DataSource::Unknown,
                "-- grafana --" | "grafana" => DataSource::Other("Grafana".into()),
                EXPRESSIONS => DataSource::Computed,
                "-- dashboard --" => DataSource::Other("another panel of Grafana".into()),
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
fn by_type(kind: &str) -> DataSource {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "mixed" => DataSource::Unknown,
        EXPRESSIONS => DataSource::Computed,
        "victoriametrics-metrics-datasource" => DataSource::Metrics,
        "loki" => DataSource::Logs,
        prometheus if prometheus.ends_with("prometheus") => DataSource::Metrics,
        // Amazon's and Azure's plugins, such as grafana-amazonprometheus-datasource.
        managed if managed.contains("prometheus") => DataSource::Metrics,
        other => DataSource::Other(tidy(other)),
    }
}

/// The kind by a name that equals the name of a program. A matching part of a name is not enough: `tempo-metrics` may
/// be a Prometheus.
fn by_word(word: &str) -> DataSource {
    match word {
        "prometheus" | "thanos" | "mimir" | "victoriametrics" | "metrics" => DataSource::Metrics,
        "loki" | "logs" => DataSource::Logs,
        "tempo" | "jaeger" | "zipkin" | "influxdb" | "elasticsearch" | "graphite" | "mysql"
        | "postgres" | "postgresql" | "clickhouse" | "cloudwatch" | "testdata" | "alertmanager" => {
            DataSource::Other(word.to_owned())
        }
        _ => DataSource::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_data_source_is_known_by_its_type_its_variable_or_its_input() {
        let sources = DataSources::read(&json!({
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
        let other = |name: &str| DataSource::Other(name.to_owned());
        let cases = [
            (json!("$datasource"), DataSource::Metrics),
            (json!("${datasource}"), DataSource::Metrics),
            (json!("[[datasource]]"), DataSource::Metrics),
            (json!({ "uid": "$datasource" }), DataSource::Metrics),
            (json!({ "uid": "${DS_THEIRS}" }), DataSource::Metrics),
            (json!("${log_source}"), DataSource::Logs),
            (json!("${job}"), DataSource::Unknown),
            (json!("${DS_PROMETHEUS}"), DataSource::Metrics),
            (
                json!({ "type": "prometheus", "uid": "$log_source" }),
                DataSource::Metrics,
            ),
            (
                json!({ "type": "victoriametrics-metrics-datasource" }),
                DataSource::Metrics,
            ),
            (
                json!({ "type": "grafana-amazonprometheus-datasource" }),
                DataSource::Metrics,
            ),
            (
                json!({ "type": "datasource", "uid": "-- Mixed --" }),
                DataSource::Unknown,
            ),
            (
                json!({ "type": "datasource", "uid": "grafana" }),
                other("Grafana"),
            ),
            (json!({ "type": "tempo", "uid": "t" }), other("tempo")),
            (json!("tempo-metrics-prom-less"), DataSource::Unknown),
            (json!("-- Mixed --"), DataSource::Unknown),
            (json!("Loki"), DataSource::Logs),
            (
                json!({ "type": "__expr__", "uid": "${DS_EXPRESSION}" }),
                DataSource::Computed,
            ),
            (
                json!({ "type": "x", "uid": "__expr__" }),
                DataSource::Computed,
            ),
            (json!("__expr__"), DataSource::Computed),
            (json!(null), DataSource::Unknown),
            (json!(7), DataSource::Unknown),
        ];
        for (datasource, wanted) in cases {
            let json = json!({ "datasource": datasource });
            assert_eq!(sources.of(&json), wanted, "{json}");
        }
        assert_eq!(sources.of(&json!({})), DataSource::Unknown);
    }
}
