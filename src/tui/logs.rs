//! Log records as the console keeps them: bounded, in order, each once. Pure.

mod filter;

use std::collections::VecDeque;

use serde_json::Value;

use super::format;
use super::input::Input;
use super::zone::Zone;
use crate::clients::loki::LogLine;

/// Most records kept; the oldest fall off.
pub(super) const MAX_RECORDS: usize = 2_000;

/// From which level on records are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    #[default]
    All,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The next stricter one, and round again.
    pub(super) const fn next(self) -> Level {
        match self {
            Level::All => Level::Info,
            Level::Info => Level::Warn,
            Level::Warn => Level::Error,
            Level::Error => Level::All,
        }
    }

    /// For people.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Level::All => "all levels",
            Level::Info => "INFO and above",
            Level::Warn => "WARN and above",
            Level::Error => "ERROR only",
        }
    }

    const fn pattern(self) -> Option<&'static str> {
        match self {
            Level::All => None,
            Level::Info => Some("info|warn|error"),
            Level::Warn => Some("warn|error"),
            Level::Error => Some("error"),
        }
    }
}

/// What a link into the log wants to see there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogAim {
    pub(super) level: Level,
    /// Only of that trace.
    pub(super) trace: Option<String>,
    /// Only of that time: from, to, in Unix milliseconds; absent: the tail.
    pub(super) window: Option<(i64, i64)>,
}

/// What is asked, in one text: answers to something else are told by it.
pub(super) fn asked(query: &str, window: Option<(i64, i64)>) -> String {
    match window {
        Some((from, to)) => format!("{query} from {from} to {to}"),
        None => query.to_owned(),
    }
}

/// The LogQL of a filter: everything of every service, lines that may show `text`, from `level` on.
pub(super) fn query(text: &str, level: Level) -> String {
    query_of(text, level, None)
}

fn query_of(text: &str, level: Level, trace: Option<&str>) -> String {
    let mut query = String::from(r#"{service_name=~".+"}"#);
    query.push_str(&filter::line_filters(text));
    if trace.is_some() || level != Level::All {
        query.push_str(" | json");
    }
    // A field of the line, or a label beside it: which one depends on how the line came in.
    if let Some(trace) = trace {
        let digits = trace.chars().filter(char::is_ascii_hexdigit);
        query.push_str(" | trace_id=\"");
        query.extend(digits);
        query.push('"');
    }
    if let Some(pattern) = level.pattern() {
        // Records that came by OTLP have no `level`, records that came as lines have one.
        for begin in [" | detected_level", " or level"] {
            query.push_str(begin);
            query.push_str("=~\"(?i)(");
            query.push_str(pattern);
            query.push_str(")\"");
        }
    }
    query
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) at_ns: i64,
    pub(super) level: String,
    pub(super) service: String,
    /// 32 hexadecimal digits; absent where no request was being answered.
    pub(super) trace_id: Option<String>,
    pub(super) message: String,
    /// The rest in short: `2.1 ms user=17`.
    pub(super) details: String,
    /// The line as it was logged.
    pub(super) line: String,
}

impl Record {
    /// Its service in short.
    pub(super) fn short_service(&self) -> &str {
        let short = self.service.strip_prefix("concertctl-");
        short.unwrap_or(&self.service)
    }

    pub(super) fn new(line: LogLine) -> Record {
        let json: Option<Value> = serde_json::from_str(&line.line).ok();
        let field = |name: &str| {
            let told = json
                .as_ref()
                .and_then(|json| json.get(name)?.as_str().map(str::to_owned));
            told.or_else(|| line.labels.get(name).cloned())
                .unwrap_or_default()
        };
        let (level, service) = (field("level"), field("service_name"));
        let trace_id = Some(field("trace_id")).filter(|id| is_trace_id(id));
        let message = match field("message") {
            empty if empty.is_empty() => line.line.clone(),
            message => message,
        };
        let details = json.as_ref().map(details).unwrap_or_default();
        Record {
            at_ns: line.at_ns,
            details,
            level: level.to_uppercase(),
            service,
            trace_id,
            message: one_line(&message),
            line: line.line,
        }
    }

    /// All its fields, one a line, nested ones with dots: what the record in full shows.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        match serde_json::from_str::<Value>(&self.line) {
            Ok(Value::Object(object)) => object
                .iter()
                .for_each(|(name, value)| flatten(name, value, &mut fields)),
            _ => fields.push(("line".into(), self.line.clone())),
        }
        fields
    }
}

fn is_trace_id(text: &str) -> bool {
    text.len() == 32
        && text.chars().all(|c| c.is_ascii_hexdigit())
        && text.chars().any(|c| c != '0')
}

/// What the message of an access record says already, and where in the code a record was made.
const TOLD: &[&str] = &["target", "span", "method", "route", "status"];

/// The scalars of `additional_data` in short: `2.1 ms user=17`. Of an access record, which has a
/// route, only what its message does not say.
fn details(json: &Value) -> String {
    let Some(Value::Object(data)) = json.get("additional_data") else {
        return String::new();
    };
    let told = if data.contains_key("route") && data.contains_key("status") {
        TOLD
    } else {
        &TOLD[..2]
    };
    let took = data.get("duration_ms").and_then(Value::as_f64);
    let took = took.map(|ms| {
        let (number, unit) = format::latency(ms / 1000.0);
        format!("{number} {unit}")
    });
    let rest = data
        .iter()
        .filter(|(name, _)| !told.contains(&name.as_str()) && *name != "duration_ms");
    let rest = rest.filter_map(|(name, value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    one_line(&took.into_iter().chain(rest).collect::<Vec<_>>().join(" "))
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (inner, value) in object {
                flatten(&format!("{name}.{inner}"), value, fields);
            }
        }
        Value::String(text) => fields.push((name.to_owned(), text.clone())),
        other => fields.push((name.to_owned(), other.to_string())),
    }
}

/// Foreign text in one line without control characters, which would reach the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The log as the console sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    pub(super) records: VecDeque<Record>,
    /// The filter in force.
    pub(super) text: String,
    pub(super) level: Level,
    /// Only of that trace.
    pub(super) trace: Option<String>,
    /// Only of that time, in Unix milliseconds, both included; absent: the tail.
    pub(super) window: Option<(i64, i64)>,
    /// The filter while it is being typed.
    pub(super) editing: Option<Input>,
    /// Not followed: nothing new comes in, nothing moves.
    pub(super) frozen: bool,
    /// Index of the chosen record.
    pub(super) cursor: usize,
    /// Whether the filter in force was ever answered.
    pub(super) answered: bool,
    /// Records may be missing before this index: more came at once than one answer holds.
    pub(super) skipped: bool,
}

impl Logs {
    /// A log that shows what a link wants.
    pub(super) fn aimed(aim: LogAim) -> Logs {
        Logs {
            level: aim.level,
            trace: aim.trace,
            window: aim.window,
            ..Logs::default()
        }
    }

    /// The query of the filter in force.
    pub(super) fn query(&self) -> String {
        query_of(&self.text, self.level, self.trace.as_deref())
    }

    /// The same with the time it is for.
    pub(super) fn asked(&self) -> String {
        asked(&self.query(), self.window)
    }

    /// It shows a time or a trace instead of the tail.
    pub(super) const fn is_aimed(&self) -> bool {
        self.window.is_some() || self.trace.is_some()
    }

    /// Back to the tail of everything that the filter lets through.
    pub(super) fn live(&mut self) {
        self.window = None;
        self.trace = None;
        self.reset();
    }

    /// Forgets the records: they belong to another filter.
    pub(super) fn reset(&mut self) {
        self.records.clear();
        self.answered = false;
        self.skipped = false;
        self.frozen = false;
        self.cursor = 0;
    }

    /// Takes in what the source answered, as far as it shows the filter's text; what is there already
    /// is left out.
    pub(super) fn merge(&mut self, lines: Vec<LogLine>, zone: &Zone) {
        self.answered = true;
        let wanted = filter::Wanted::new(&self.text);
        for line in lines {
            let after = self
                .records
                .partition_point(|record| record.at_ns <= line.at_ns);
            let mut same = (0..after)
                .rev()
                .map(|at| &self.records[at])
                .take_while(|record| record.at_ns == line.at_ns);
            if same.any(|record| record.line == line.line) {
                continue;
            }
            let record = Record::new(line);
            if wanted.is_shown_by(&record, zone) {
                self.records.insert(after, record);
            }
            if self.records.len() > MAX_RECORDS {
                self.records.pop_front();
            }
        }
        if !self.frozen {
            self.cursor = self.records.len().saturating_sub(1);
        }
    }

    /// Moves the choice; leaving the tail freezes it, reaching it again does not unfreeze.
    pub(super) fn move_by(&mut self, by: isize) {
        let last = self.records.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        if by < 0 {
            self.frozen = true;
        }
    }

    /// The chosen record.
    pub(super) fn chosen(&self) -> Option<&Record> {
        self.records.get(self.cursor)
    }
}

#[cfg(test)]
mod tests;
