//! Reads a panel's queries, and notes those whose data source the console does not ask.

use serde_json::Value;

use crate::tui::dashboard::data_source::{DataSource, DataSources};
use crate::tui::dashboard::json::DashboardError;
use crate::tui::dashboard::json::kind_of;
use crate::tui::dashboard::json::{error, list, object, text, tidy};
use crate::tui::dashboard::panel::{Kind, MAX_TARGETS, Panel, Target};

/// The longest query that is kept, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// The queries that are not asked, and the reasons.
#[derive(Default)]
struct Left {
    /// The data sources that the console does not ask.
    others: Vec<String>,
    hidden: usize,
    beyond: usize,
    /// The number of expressions that Grafana itself computes from the answers to other queries.
    computed: usize,
    /// The number of visible queries without PromQL or LogQL. The file does not determine their data source.
    foreign: usize,
    /// The name of their data source; empty if the file has none.
    name: String,
}

/// Reads the queries of a panel into it. A panel without a query that can be asked is not drawn.
pub(crate) fn read(
    json: &Value,
    path: &str,
    sources: &DataSources,
    panel: &mut Panel,
) -> Result<(), DashboardError> {
    let of_panel = sources.of(json);
    let mut left = Left::default();
    for (index, target) in list(json, "targets", path)?.iter().enumerate() {
        let path = format!("{path}.targets[{index}]");
        object(target, &path)?;
        if target.get("hide") == Some(&Value::Bool(true)) {
            left.hidden += 1;
            continue;
        }
        let source = match sources.of(target) {
            DataSource::Unknown => of_panel.clone(),
            known => known,
        };
        if source == DataSource::Computed {
            left.computed += 1;
            continue;
        }
        let expr = expr(target, &path)?;
        let source = with_language(source, expr);
        let counts_lines = panel.kind != Kind::Logs && source == DataSource::Logs;
        let is_unknown = source == DataSource::Unknown;
        if let Some(other) = not_asked(panel.kind, source) {
            left.others.push(other);
        } else if expr.is_empty() && is_unknown {
            left.foreign += 1;
            let names = [DataSources::name_of(target), DataSources::name_of(json)];
            left.name = names
                .into_iter()
                .find(|name| !name.is_empty())
                .unwrap_or_default();
        } else if expr.is_empty() {
            continue;
        } else if panel.targets.len() >= MAX_TARGETS {
            left.beyond += 1;
        } else {
            panel.targets.push(Target {
                expr: expr.to_owned(),
                counts_lines,
                legend: match text(target, "legendFormat") {
                    "__auto" => String::new(),
                    legend => tidy(legend),
                },
                interval: interval(target, json),
            });
        }
    }
    left.others.sort();
    left.others.dedup();
    conclude(panel, &left);
    Ok(())
}

fn expr<'a>(target: &'a Value, path: &str) -> Result<&'a str, DashboardError> {
    match target.get("expr") {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(expr)) if expr.len() <= MAX_QUERY => Ok(expr.trim()),
        Some(Value::String(_)) => Err(error(path, "a query of more than 16 KiB")),
        Some(other) => {
            let what = format!("expected a text, found {}", kind_of(other));
            Err(error(&format!("{path}.expr"), what))
        }
    }
}

/// The least interval between two points: of the query, or else of the panel.
fn interval(target: &Value, panel: &Value) -> String {
    let own = text(target, "interval");
    let least = if own.is_empty() {
        text(panel, "interval")
    } else {
        own
    };
    tidy(least.trim_start_matches('>'))
}

/// `source`, or, if the file does not determine it, Loki for an `expr` that looks like LogQL.
fn with_language(source: DataSource, expr: &str) -> DataSource {
    let is_log_query = ["|=", "|~", "| json", "| logfmt", "|json", "|logfmt"]
        .iter()
        .any(|mark| expr.contains(mark));
    match source {
        DataSource::Unknown if is_log_query => DataSource::Logs,
        known => known,
    }
}

/// The data source of the query, if the console does not ask it for a panel of that kind.
fn not_asked(kind: Kind, source: DataSource) -> Option<String> {
    match (kind, source) {
        (_, DataSource::Other(name)) => Some(name),
        (Kind::Logs, DataSource::Metrics) => Some("prometheus".into()),
        _ => None,
    }
}

fn conclude(panel: &mut Panel, left: &Left) {
    let others = left.others.join(", ");
    if panel.targets.is_empty() {
        panel.why_not = if !left.others.is_empty() {
            format!("it queries {others}, which boards do not support")
        } else if left.computed > 0 {
            "Grafana computes it from other queries, which the console does not".into()
        } else if left.foreign > 0 && left.name.is_empty() {
            "it has no query in PromQL or LogQL".into()
        } else if left.foreign > 0 {
            let name = &left.name;
            format!("it has no query in PromQL or LogQL: its data source is {name}")
        } else if left.hidden > 0 {
            "its queries are hidden".into()
        } else {
            "it has no query".into()
        };
        panel.kind = Kind::NotDrawn;
        return;
    }
    let mut notes = Vec::new();
    if left.beyond > 0 {
        notes.push(format!("{} more queries are not sent", left.beyond));
    }
    if !left.others.is_empty() {
        notes.push(format!("what it asks {others} is left out"));
    }
    if left.computed > 0 {
        notes.push("what Grafana computes is left out".to_owned());
    }
    panel.why_not = notes.join("; ");
}
