//! Log records as the console keeps them: bounded, in order, each once. Pure.

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

/// Most records kept; the oldest fall off.
pub(crate) const MAX_RECORDS: usize = 2_000;

/// From which level on records are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    #[default]
    All,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The next stricter one, and round again.
    pub(crate) const fn next(self) -> Level {
        match self {
            Level::All => Level::Info,
            Level::Info => Level::Warn,
            Level::Warn => Level::Error,
            Level::Error => Level::All,
        }
    }

    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Level::All => "all levels",
            Level::Info => "INFO and above",
            Level::Warn => "WARN and above",
            Level::Error => "ERROR only",
        }
    }

    /// What Loki and those who log call these levels, in any case.
    const fn pattern(self) -> Option<&'static str> {
        match self {
            Level::All => None,
            Level::Info => Some("info.*|notice|warn.*|err.*|fatal|crit.*"),
            Level::Warn => Some("warn.*|err.*|fatal|crit.*"),
            Level::Error => Some("err.*|fatal|crit.*"),
        }
    }

    /// Whether records of that level, as [`Record`] has it, are shown.
    pub(crate) fn shows(self, level: &str) -> bool {
        match self {
            Level::All => true,
            Level::Info => matches!(level, "INFO" | "WARN" | "ERROR"),
            Level::Warn => matches!(level, "WARN" | "ERROR"),
            Level::Error => level == "ERROR",
        }
    }
}

/// The selection of a link into the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogAim {
    pub(crate) level: Level,
    /// Only of that trace.
    pub(crate) trace: Option<String>,
    /// Only of that time: from, to, in Unix milliseconds; absent: the tail.
    pub(crate) window: Option<(i64, i64)>,
}

/// The request as one text, by which answers to other requests are recognised.
pub(crate) fn asked(query: &str, window: Option<(i64, i64)>) -> String {
    match window {
        Some((from, to)) => format!("{query} from {from} to {to}"),
        None => query.to_owned(),
    }
}

/// The LogQL of a filter: everything of every service, lines that may show `text`, from `level` on.
pub(crate) fn query(text: &str, level: Level) -> String {
    query_of(text, level, None)
}

/// The query of each level, and those of links.
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
    // A field of the line, or a label beside it: which one depends on how the line came in.
    if let Some(trace) = trace {
        let digits = trace.chars().filter(char::is_ascii_hexdigit);
        query.push_str(" | trace_id=\"");
        query.extend(digits);
        query.push('"');
    }
    if let Some(pattern) = level.pattern() {
        // Records from lines have a `level`. For records from OTLP, Loki detects the level, unless this is disabled.
        // Then only the sender's own word exists.
        for begin in [" | detected_level", " or level", " or severity_text"] {
            query.push_str(begin);
            query.push_str("=~\"(?i)(");
            query.push_str(pattern);
            query.push_str(")\"");
        }
    }
    query
}

/// The log as the console sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    pub(crate) records: VecDeque<Record>,
    /// The filter in force.
    pub(crate) text: String,
    pub(crate) level: Level,
    /// Only of that trace.
    pub(crate) trace: Option<String>,
    /// Only of that time, in Unix milliseconds, both included; absent: the tail.
    pub(crate) window: Option<(i64, i64)>,
    /// The filter while it is being typed.
    pub(crate) editing: Option<Input>,
    /// Not followed: nothing new comes in, nothing moves.
    pub(crate) frozen: bool,
    /// Index of the chosen record.
    pub(crate) cursor: usize,
    /// Whether the filter in force was ever answered.
    pub(crate) answered: bool,
    /// Records may be missing before this index: more came at once than one answer holds.
    pub(crate) skipped: bool,
}

impl Logs {
    /// A log that shows what a link wants.
    pub(crate) fn aimed(aim: LogAim) -> Logs {
        Logs {
            level: aim.level,
            trace: aim.trace,
            window: aim.window,
            ..Logs::default()
        }
    }

    /// The query of the filter in force.
    pub(crate) fn query(&self) -> String {
        query_of(&self.text, self.level, self.trace.as_deref())
    }

    /// The same with the time it is for.
    pub(crate) fn asked(&self) -> String {
        asked(&self.query(), self.window)
    }

    /// It shows a time or a trace instead of the tail.
    pub(crate) const fn is_aimed(&self) -> bool {
        self.window.is_some() || self.trace.is_some()
    }

    /// Back to the tail of everything that the filter lets through.
    pub(crate) fn live(&mut self) {
        self.window = None;
        self.trace = None;
        self.reset();
    }

    /// Forgets the records: they belong to another filter.
    pub(crate) fn reset(&mut self) {
        self.records.clear();
        self.answered = false;
        self.skipped = false;
        self.frozen = false;
        self.cursor = 0;
    }

    /// Adds the lines of an answer that contain the filter's text and are not already there.
    pub(crate) fn merge(&mut self, lines: Vec<LogLine>, zone: &Zone) {
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

    /// Moves the choice; leaving the tail freezes it, reaching it again does not unfreeze.
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
