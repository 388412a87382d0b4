//! The state of the Traces screen: a list, and the trace that is opened as a waterfall. Pure.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod update;
pub(crate) mod view;
pub(crate) mod waterfall;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clients::tempo::{FoundTrace, Trace};
use crate::tui::input::line::Input;
use crate::tui::screens::traces::waterfall::Waterfall;

/// The time range of the search for traces, in seconds. It ends now.
pub(crate) const SPAN_S: i64 = 15 * 60;
/// The most traces of a list.
pub(crate) const LIMIT: usize = 200;
/// The latest arrival of spans after the end of their trace, in milliseconds. Until then the trace is fetched again.
const SETTLES_MS: i64 = 20_000;
/// The minimum durations to choose from, in milliseconds.
const LEAST: &[u64] = &[0, 10, 100, 500, 1_000];

/// The selection and the order of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// The longest durations first.
    #[default]
    Slowest,
    /// Traces with a failed span, newest first.
    Failed,
    /// Newest first.
    Newest,
}

impl Order {
    pub(crate) const fn next(self) -> Order {
        match self {
            Order::Slowest => Order::Failed,
            Order::Failed => Order::Newest,
            Order::Newest => Order::Slowest,
        }
    }

    /// Sorts traces in this order and drops those beyond [`LIMIT`].
    pub(crate) fn arrange(self, found: &mut Vec<FoundTrace>) {
        match self {
            Order::Slowest => {
                found.sort_by_key(|it| std::cmp::Reverse((it.duration_ms, it.start_ns)));
            }
            Order::Failed | Order::Newest => {
                found.sort_by_key(|it| std::cmp::Reverse(it.start_ns));
            }
        }
        found.truncate(LIMIT);
    }

    /// The name on the screen.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Order::Slowest => "slowest",
            Order::Failed => "failed",
            Order::Newest => "newest",
        }
    }
}

/// The request for the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) order: Order,
    /// The minimum duration of the whole trace, in milliseconds.
    pub(crate) min_ms: u64,
}

/// The selection of traces in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RecordedCoverage", into = "RecordedCoverage")]
pub(crate) enum Coverage {
    /// All traces.
    #[default]
    All,
    /// All traces of at least this duration in milliseconds, and some of the others.
    From(u64),
    /// Some traces: others may be newer or slower.
    Part,
}

/// [`Coverage`] as recordings store it.
#[derive(Serialize, Deserialize)]
struct RecordedCoverage {
    cut: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_ms: Option<u64>,
}

impl From<Coverage> for RecordedCoverage {
    fn from(coverage: Coverage) -> RecordedCoverage {
        RecordedCoverage {
            cut: coverage != Coverage::All,
            from_ms: match coverage {
                Coverage::From(ms) => Some(ms),
                Coverage::All | Coverage::Part => None,
            },
        }
    }
}

impl From<RecordedCoverage> for Coverage {
    fn from(recorded: RecordedCoverage) -> Coverage {
        match (recorded.cut, recorded.from_ms) {
            (false, _) => Coverage::All,
            (true, Some(ms)) => Coverage::From(ms),
            (true, None) => Coverage::Part,
        }
    }
}

/// The state of the opened trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// No answer yet.
    Asking,
    /// The source does not have the trace.
    Missing,
    /// The source refuses the id, or its answer cannot be read.
    Refused(String),
    Here(Arc<Waterfall>),
}

/// A trace that was opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    pub(crate) id: String,
    /// Whether a link led to the trace: Esc then goes back along the link and not to the list.
    pub(crate) linked: bool,
    pub(crate) state: State,
    /// The chosen row of the waterfall.
    pub(crate) row: usize,
}

impl Open {
    pub(crate) fn new(id: &str, linked: bool) -> Open {
        Open {
            id: id.to_owned(),
            linked,
            state: State::Asking,
            row: 0,
        }
    }

    pub(crate) fn waterfall(&self) -> Option<&Arc<Waterfall>> {
        match &self.state {
            State::Here(waterfall) => Some(waterfall),
            _ => None,
        }
    }

    /// Returns whether to fetch the trace: it has not arrived, or may get more spans.
    fn is_wanted(&self, now: i64) -> bool {
        match &self.state {
            State::Asking | State::Missing => true,
            State::Refused(_) => false,
            State::Here(waterfall) => now.saturating_sub(waterfall.end_ms()) < SETTLES_MS,
        }
    }
}

/// The Traces screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    /// The traces in the chosen order.
    pub(crate) list: Vec<FoundTrace>,
    /// Whether the current request has been answered.
    pub(crate) answered: bool,
    pub(crate) coverage: Coverage,
    pub(crate) order: Order,
    /// Index into [`LEAST`].
    least: usize,
    /// The filter: only traces with this text in their name, service or id.
    pub(crate) text: String,
    /// The filter while it is being typed.
    pub(crate) editing: Option<Input>,
    /// Index into [`Traces::shown`].
    pub(crate) chosen: usize,
    pub(crate) open: Option<Open>,
}

impl Traces {
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            order: self.order,
            min_ms: LEAST[self.least],
        }
    }

    /// The list and the trace to fetch.
    pub(crate) fn wanted(&self, now: i64) -> (Option<Asked>, Option<String>) {
        match &self.open {
            None => (Some(self.asked()), None),
            Some(open) => (None, open.is_wanted(now).then(|| open.id.clone())),
        }
    }

    pub(crate) fn next_order(&mut self) {
        self.order = self.order.next();
        self.reset();
    }

    pub(crate) fn next_least(&mut self) {
        self.least = (self.least + 1) % LEAST.len();
        self.reset();
    }

    fn reset(&mut self) {
        self.list.clear();
        self.answered = false;
        self.coverage = Coverage::All;
        self.chosen = 0;
    }

    /// The traces that pass the text filter.
    pub(crate) fn shown(&self) -> Vec<&FoundTrace> {
        let wanted = self.text.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let shown = self.list.iter();
        shown
            .filter(|it| has(&it.name) || has(&it.service) || it.id.starts_with(&wanted))
            .collect()
    }

    pub(crate) fn chosen(&self) -> Option<&FoundTrace> {
        self.shown().get(self.chosen).copied()
    }

    /// Stores a list. The choice stays on its trace; a choice at the top stays at the top.
    pub(crate) fn take(&mut self, mut found: Vec<FoundTrace>, coverage: Coverage) {
        let was = self.chosen().map(|trace| trace.id.clone());
        self.order.arrange(&mut found);
        self.list = found;
        self.answered = true;
        self.coverage = coverage;
        let shown = self.shown();
        let place = was.and_then(|id| shown.iter().position(|trace| trace.id == id));
        let last = shown.len().saturating_sub(1);
        if self.chosen > 0 {
            self.chosen = place.unwrap_or(self.chosen).min(last);
        }
    }

    /// Stores the source's answer for a trace.
    pub(crate) fn take_trace(&mut self, id: &str, answer: Result<Option<Trace>, String>) {
        let Some(open) = self.open.as_mut().filter(|open| open.id == id) else {
            return;
        };
        let waterfall = match answer {
            Ok(Some(trace)) => Arc::new(Waterfall::of(trace)),
            // A trace that was shown stays, because the source may have dropped it meanwhile.
            Ok(None) if open.waterfall().is_some() => return,
            Ok(None) => {
                open.state = State::Missing;
                return;
            }
            Err(reason) => {
                open.state = State::Refused(reason);
                return;
            }
        };
        let chosen = match open.waterfall() {
            Some(old) => old.span(open.row).map(|span| span.id.clone()),
            None => waterfall
                .waited
                .and_then(|row| waterfall.span(row))
                .map(|span| span.id.clone()),
        };
        let mut rows = 0..waterfall.rows.len();
        let is_chosen = |row: &usize| waterfall.span(*row).map(|span| &span.id) == chosen.as_ref();
        open.row = rows.find(is_chosen).unwrap_or(0);
        open.state = State::Here(waterfall);
    }

    /// Moves the choice of the span in an open trace, or else of the trace in the list.
    pub(crate) fn move_by(&mut self, by: isize) {
        let rows = match &self.open {
            Some(open) => open.waterfall().map_or(0, |it| it.rows.len()),
            None => self.shown().len(),
        };
        let at = match &mut self.open {
            Some(open) => &mut open.row,
            None => &mut self.chosen,
        };
        *at = at.saturating_add_signed(by).min(rows.saturating_sub(1));
    }

    /// The open or chosen trace, and its time in Unix milliseconds if it is known.
    pub(crate) fn looked_at(&self) -> Option<(String, Option<(i64, i64)>)> {
        let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
        match &self.open {
            Some(open) => {
                let time = open.waterfall();
                let time = time.map(|it| (ms(it.trace.start_ns), it.end_ms()));
                Some((open.id.clone(), time))
            }
            None => self.chosen().map(|it| {
                let start = ms(it.start_ns);
                let took = i64::try_from(it.duration_ms).unwrap_or(i64::MAX);
                (it.id.clone(), Some((start, start.saturating_add(took))))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: char, name: &str, start: u64, duration_ms: u64) -> FoundTrace {
        FoundTrace {
            id: id.to_string().repeat(32),
            service: "concertctl-api".into(),
            name: name.into(),
            start_ns: start,
            duration_ms,
            errors: None,
        }
    }

    fn ids(traces: &Traces) -> String {
        let shown = traces.shown();
        shown.iter().filter_map(|it| it.id.chars().next()).collect()
    }

    #[test]
    fn the_list_is_in_the_chosen_order() {
        let list = || {
            vec![
                found('a', "GET /x", 3, 5),
                found('b', "GET /x", 2, 90),
                found('c', "GET /x", 1, 40),
            ]
        };
        let mut traces = Traces::default();
        traces.take(list(), Coverage::All);
        assert_eq!(ids(&traces), "bca");
        traces.next_order();
        assert!(traces.list.is_empty(), "they belong to another question");
        traces.take(list(), Coverage::All);
        assert_eq!(ids(&traces), "abc");
    }

    #[test]
    fn the_choice_stays_on_its_trace_and_a_choice_at_the_top_stays_there() {
        let mut traces = Traces::default();
        traces.take(
            vec![found('a', "", 1, 10), found('b', "", 1, 5)],
            Coverage::All,
        );
        let more = || {
            vec![
                found('a', "", 1, 10),
                found('b', "", 1, 5),
                found('c', "", 1, 70),
            ]
        };
        let mut top = traces.clone();
        top.take(more(), Coverage::All);
        assert_eq!(top.chosen().map(|it| it.duration_ms), Some(70));
        traces.move_by(1);
        traces.take(more(), Coverage::All);
        assert_eq!(traces.chosen().map(|it| it.duration_ms), Some(5));
        traces.take(vec![found('c', "", 1, 70)], Coverage::All);
        assert_eq!(
            traces.chosen, 0,
            "the choice stays in range after a trace is removed"
        );
    }

    #[test]
    fn the_filter_searches_name_service_and_id_in_any_case() {
        let mut traces = Traces::default();
        traces.take(
            vec![
                found('a', "POST /reservations", 2, 2),
                found('b', "GET /seats", 1, 1),
            ],
            Coverage::All,
        );
        for (text, shown) in [("RESERV", "a"), ("api", "ab"), ("bbb", "b"), ("none", "")] {
            traces.text = text.into();
            assert_eq!(ids(&traces), shown, "{text}");
        }
    }

    #[test]
    fn a_trace_is_fetched_until_all_its_spans_have_arrived() {
        let mut traces = Traces::default();
        assert_eq!(traces.wanted(0), (Some(Asked::default()), None));
        traces.open = Some(Open::new("ab", false));
        assert_eq!(traces.wanted(0), (None, Some("ab".into())));
        traces.take_trace("ab", Ok(None));
        assert_eq!(traces.wanted(0).1.as_deref(), Some("ab"), "it may come yet");
        let trace = Trace {
            id: "ab".into(),
            start_ns: 0,
            duration_ns: 0,
            spans: vec![],
        };
        traces.take_trace("other", Err("not this one".into()));
        traces.take_trace("ab", Ok(Some(trace)));
        assert!(traces.wanted(SETTLES_MS - 1).1.is_some());
        assert_eq!(traces.wanted(SETTLES_MS), (None, None));
        traces.take_trace("ab", Ok(None));
        assert!(
            matches!(traces.open.unwrap().state, State::Here(_)),
            "what was seen is not taken away"
        );
    }
}
