//! The state of the Logs screen: a bounded list of records in order, each once. Pure.

pub(crate) mod draw;
pub(crate) mod filter;
pub(crate) mod keys;
pub(crate) mod record;
pub(crate) mod view;

use std::collections::VecDeque;

pub(crate) use crate::tui::screens::logs::record::Record;

use crate::clients::loki::LogLine;
use crate::tui::input::line::Input;
use crate::tui::zone::Zone;

/// The most records that are kept; the oldest are dropped.
pub(crate) const MAX_RECORDS: usize = 2_000;

/// The lowest level of the records that are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    #[default]
    All,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The next stricter level; after the strictest, the least strict.
    pub(crate) const fn next(self) -> Level {
        match self {
            Level::All => Level::Info,
            Level::Info => Level::Warn,
            Level::Warn => Level::Error,
            Level::Error => Level::All,
        }
    }

    /// The name on the screen.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Level::All => "all levels",
            Level::Info => "INFO and above",
            Level::Warn => "WARN and above",
            Level::Error => "ERROR only",
        }
    }

    /// A pattern for the names that Loki and services give these levels, in any case.
    const fn pattern(self) -> Option<&'static str> {
        match self {
            Level::All => None,
            Level::Info => Some("info.*|notice|warn.*|err.*|fatal|crit.*"),
            Level::Warn => Some("warn.*|err.*|fatal|crit.*"),
            Level::Error => Some("err.*|fatal|crit.*"),
        }
    }

    /// Returns whether a record with this level, as in [`Record`], is shown.
    pub(crate) fn shows(self, level: &str) -> bool {
        match self {
            Level::All => true,
            Level::Info => matches!(level, "INFO" | "WARN" | "ERROR"),
            Level::Warn => matches!(level, "WARN" | "ERROR"),
            Level::Error => level == "ERROR",
        }
    }
}

/// The records that a link to the log selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogAim {
    pub(crate) level: Level,
    /// Only records of this trace.
    pub(crate) trace: Option<String>,
    /// Only records of this time, from and to in Unix milliseconds; `None` for the tail.
    pub(crate) window: Option<(i64, i64)>,
}

/// The request as one text, by which answers to other requests are recognized.
pub(crate) fn asked(query: &str, window: Option<(i64, i64)>) -> String {
    match window {
        Some((from, to)) => format!("{query} from {from} to {to}"),
        None => query.to_owned(),
    }
}

/// The LogQL of a filter: lines of every service that may show `text`, from `level` on.
pub(crate) fn query(text: &str, level: Level) -> String {
    query_of(text, level, None)
}

/// The query of each level, and the queries of links.
pub(crate) fn all_queries(trace: &str) -> impl Iterator<Item = (&'static str, String)> {
    let levels = [Level::All, Level::Info, Level::Warn, Level::Error];
    let levels = levels.map(|level| (level.text(), query("", level)));
    let links = [
        ("records of a trace", query_of("", Level::All, Some(trace))),
        ("errors with a text", query("failed with 500", Level::Error)),
    ];
    levels.into_iter().chain(links)
}

fn query_of(text: &str, level: Level, trace: Option<&str>) -> String {
    let mut query = String::from(r#"{service_name=~".+"}"#);
    query.push_str(&filter::line_filters(text));
    if trace.is_some() || level != Level::All {
        query.push_str(" | json");
    }
    // The trace id is a field of the line or a label: this depends on how the line was ingested.
    if let Some(trace) = trace {
        let digits = trace.chars().filter(char::is_ascii_hexdigit);
        query.push_str(" | trace_id=\"");
        query.extend(digits);
        query.push('"');
    }
    if let Some(pattern) = level.pattern() {
        // Records from log lines have a `level`. For records from OTLP, Loki detects the level, or, if that is
        // disabled, only the sender's own word exists.
        for begin in [" | detected_level", " or level", " or severity_text"] {
            query.push_str(begin);
            query.push_str("=~\"(?i)(");
            query.push_str(pattern);
            query.push_str(")\"");
        }
    }
    query
}

/// The Logs screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    pub(crate) records: VecDeque<Record>,
    /// The active filter.
    pub(crate) text: String,
    pub(crate) level: Level,
    /// Only records of this trace.
    pub(crate) trace: Option<String>,
    /// Only records of this time, in Unix milliseconds, both ends included; `None` for the tail.
    pub(crate) window: Option<(i64, i64)>,
    /// The filter while it is being typed.
    pub(crate) editing: Option<Input>,
    /// Whether the log is frozen: no new records are added.
    pub(crate) frozen: bool,
    /// The index of the chosen record.
    pub(crate) cursor: usize,
    /// Whether the active filter was ever answered.
    pub(crate) answered: bool,
    /// The reason why the source refused the active filter.
    pub(crate) refused: Option<String>,
    /// Whether records may be missing, because more came at once than one answer holds.
    pub(crate) skipped: bool,
}

impl Logs {
    /// The state after a link: the log shows what the link selects.
    pub(crate) fn aimed(aim: LogAim) -> Logs {
        Logs {
            level: aim.level,
            trace: aim.trace,
            window: aim.window,
            ..Logs::default()
        }
    }

    /// The query of the active filter.
    pub(crate) fn query(&self) -> String {
        query_of(&self.text, self.level, self.trace.as_deref())
    }

    /// The query with its time range.
    pub(crate) fn asked(&self) -> String {
        asked(&self.query(), self.window)
    }

    /// Returns whether the log shows a time or a trace instead of the tail.
    pub(crate) const fn is_aimed(&self) -> bool {
        self.window.is_some() || self.trace.is_some()
    }

    /// Goes back to the tail; the text filter stays.
    pub(crate) fn live(&mut self) {
        self.window = None;
        self.trace = None;
        self.reset();
    }

    /// Drops the records, because they belong to another filter.
    pub(crate) fn reset(&mut self) {
        self.records.clear();
        self.answered = false;
        self.refused = None;
        self.skipped = false;
        self.frozen = false;
        self.cursor = 0;
    }

    /// Adds the lines of an answer that contain the filter's text and are new.
    pub(crate) fn merge(&mut self, lines: Vec<LogLine>, zone: &Zone) {
        self.answered = true;
        self.refused = None;
        let wanted = filter::Wanted::new(&self.text);
        for line in lines {
            let after = self
                .records
                .partition_point(|record| record.at_ns <= line.at_ns);
            let mut same = (0..after)
                .rev()
                .map(|at| &self.records[at])
                .take_while(|record| record.at_ns == line.at_ns);
            if same.any(|record| record.line == line.line && record.labels == line.labels) {
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

    /// Moves the choice. Leaving the tail freezes the log; reaching the tail again does not unfreeze it.
    pub(crate) fn move_by(&mut self, by: isize) {
        let last = self.records.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        if by < 0 {
            self.frozen = true;
        }
    }

    /// The chosen record.
    pub(crate) fn chosen(&self) -> Option<&Record> {
        self.records.get(self.cursor)
    }
}

#[cfg(test)]
mod tests;
