//! Fuzz targets `logql` (queries to the HTTP API of the embedded Loki) and `logql-stages` (pipelines compared with a
//! simple model).

use std::sync::{Arc, LazyLock};

use axum::Router;
use serde_json::Value;

use crate::embedded::loki::{LokiConfig, LokiStore, routes};

use super::inputs::{encode, first_line, get, text};

/// The time of the first line, in nanoseconds since 1970. The lines are one second apart.
const START: i64 = 1_700_000_000_000_000_000;

/// The lines of the store, all in the stream `{app="a"}`.
const LINES: [&str; 12] = [
    r#"{"level":"info","status":200,"msg":"taken"}"#,
    r#"{"level":"warn","status":409,"msg":"seat is taken","took":"1.5s"}"#,
    r#"{"level":"error","status":500,"msg":"x","size":"2KB","user":{"id":7}}"#,
    r#"{"level":"error","status":503,"json":"x","or":"x"}"#,
    r#"{"level":"info","json":"y","msg":"json"}"#,
    r#"{"app":"b","level":"x","msg":"a\"b\\c"}"#,
    r#"{"level":null,"list":[1,2],"ok":true}"#,
    "plain text with x in it",
    "level=info msg=\"x y\"",
    "{\"broken\":",
    "",
    "tab\tand é",
];

static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    // The lines are from long ago, and retention must not drop them.
    let store = Arc::new(LokiStore::new(LokiConfig {
        retention: std::time::Duration::MAX,
        ..LokiConfig::default()
    }));
    for (nth, line) in (0..).zip(LINES) {
        store.push(&[("app", "a")], START + nth * 1_000_000_000, line);
    }
    routes(store)
});

/// The parameters of a query over all lines.
fn window() -> String {
    format!(
        "start={START}&end={}&limit=100&direction=forward",
        START + 60_000_000_000
    )
}

/// The input is a query. If its first line is `params`, the rest is a whole query string.
pub(super) fn query(data: &[u8]) {
    let text = text(data);
    if let ("params", rest) = first_line(text) {
        let kept = |c: char| c.is_ascii_alphanumeric() || "&=%+.-_[]".contains(c);
        let raw: String = rest.chars().filter(|c| kept(*c)).collect();
        for path in ["query_range", "query", "labels", "series"] {
            get(&ROUTER, &format!("/loki/api/v1/{path}?{raw}"));
        }
        return;
    }
    let query = encode(text);
    let window = window();
    let (status, body) = get(
        &ROUTER,
        &format!("/loki/api/v1/query_range?query={query}&{window}"),
    );
    if status.is_success() {
        crate::clients::loki::read_lines(&body).ok();
        let read: Result<Value, _> = serde_json::from_slice(&body);
        read.expect("an answer is JSON");
    }
    let at = START + 30_000_000_000;
    get(
        &ROUTER,
        &format!("/loki/api/v1/query?query={query}&time={at}"),
    );
    get(
        &ROUTER,
        &format!("/loki/api/v1/series?match[]={query}&{window}"),
    );
}

/// A stage of a pipeline in the model.
#[derive(Debug)]
enum Stage {
    /// `| json`.
    Json,
    /// `|= "x"` and its like: keep lines that contain the text, or those that do not.
    Line { keep: bool, text: &'static str },
    /// `| name = "x"` and its like on a label.
    Label {
        name: &'static str,
        equal: bool,
        value: &'static str,
    },
}

/// The texts of line filters, and the values of label filters.
const TEXTS: [&str; 6] = ["x", "info", "json", "taken", "", "|"];
/// The names of labels. `json` is not one, because after a `|` it is always the stage.
const NAMES: [&str; 9] = [
    "level", "msg", "took", "app", "or", "user_id", "missing", "and", "by",
];

impl Stage {
    /// The first byte chooses the kind of the stage, the second its text and its label.
    fn of(bytes: [u8; 2]) -> Stage {
        let [kind, choice] = bytes.map(usize::from);
        let text = TEXTS[choice % TEXTS.len()];
        match kind % 5 {
            0 => Stage::Json,
            1 | 2 => Stage::Line {
                keep: kind % 5 == 1,
                text,
            },
            equal => Stage::Label {
                name: NAMES[choice / TEXTS.len() % NAMES.len()],
                equal: equal == 3,
                value: text,
            },
        }
    }

    fn write(&self, space: &str) -> String {
        match self {
            Stage::Json => format!("|{space}json"),
            Stage::Line { keep, text } => {
                let sign = if *keep { "|=" } else { "!=" };
                format!("{sign}{space}{text:?}")
            }
            Stage::Label { name, equal, value } => {
                let sign = if *equal { "=" } else { "!=" };
                format!("|{space}{name}{space}{sign}{space}{value:?}")
            }
        }
    }

    /// Returns whether the line passes. If the line is an object, [`Stage::Json`] replaces all `labels` except the
    /// stream's.
    fn keeps(&self, line: &str, labels: &mut Vec<(String, String)>) -> bool {
        match self {
            Stage::Json => {
                if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
                    labels.retain(|(name, _)| name == "app");
                    flatten("", &fields, labels);
                }
                true
            }
            Stage::Line { keep, text } => line.contains(text) == *keep,
            Stage::Label { name, equal, value } => {
                let found = labels.iter().find(|(known, _)| known == name);
                let found = found.map_or("", |(_, value)| value);
                (found == *value) == *equal
            }
        }
    }
}

/// Adds the fields of an object as labels. Names of nested fields are joined by `_`. The field `app` gets the suffix
/// `_extracted`, because the stream has a label with this name.
fn flatten(
    prefix: &str,
    fields: &serde_json::Map<String, Value>,
    labels: &mut Vec<(String, String)>,
) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        let name = if name == "app" {
            "app_extracted".to_owned()
        } else {
            name
        };
        match value {
            Value::Null | Value::Array(_) => {}
            Value::Object(inner) => flatten(&format!("{name}_"), inner, labels),
            Value::String(text) => labels.push((name, text.clone())),
            other => labels.push((name, other.to_string())),
        }
    }
}

/// A pipeline that is built from the grammar must either be refused or return the lines that the model keeps. Two bytes
/// make a stage. The highest bit of a stage's first byte chooses whether the stage contains spaces.
pub(super) fn stages(data: &[u8]) {
    let (pairs, _) = data.as_chunks::<2>();
    let stages: Vec<Stage> = pairs.iter().take(6).map(|pair| Stage::of(*pair)).collect();
    let mut query = "{app=\"a\"}".to_owned();
    for (stage, pair) in stages.iter().zip(pairs) {
        query.push(' ');
        query.push_str(&stage.write(if pair[0] >= 128 { " " } else { "" }));
    }
    let path = format!(
        "/loki/api/v1/query_range?query={}&{}",
        encode(&query),
        window()
    );
    let (status, body) = get(&ROUTER, &path);
    if !status.is_success() {
        return;
    }
    let found = crate::clients::loki::read_lines(&body).expect("the client reads the answer");
    let found: Vec<&str> = found.iter().map(|line| line.line.as_str()).collect();
    let expected: Vec<&str> = LINES
        .into_iter()
        .filter(|line| kept(&stages, line))
        .collect();
    assert_eq!(found, expected, "{query}");
}

fn kept(stages: &[Stage], line: &str) -> bool {
    let mut labels = vec![("app".to_owned(), "a".to_owned())];
    stages.iter().all(|stage| stage.keeps(line, &mut labels))
}
