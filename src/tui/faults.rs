//! The faults that are active in the server, with their beginnings and ends for the marks on the charts.

use std::collections::VecDeque;

use crate::api::faults::{ActiveFault, FaultKind};
use crate::tui::format::{one_line, unix_ms};
use crate::tui::time_view::{Mark, MarkKind};

/// The most beginnings and ends that are kept.
const MOST: usize = 64;

/// The faults of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The active faults, at most one of each kind.
    pub(crate) active: Vec<ActiveFault>,
    /// The beginnings and ends, oldest first.
    pub(crate) marks: VecDeque<Mark>,
}

/// The name of the kind in words.
pub(crate) fn name(kind: FaultKind) -> String {
    kind.as_str().replace('_', " ")
}

/// The parameters of a fault in words: `delay 800 ms, share 0.5`.
pub(crate) fn settings(fault: &ActiveFault) -> String {
    let settings = fault.fault.settings();
    let texts = settings.iter().map(|(name, value)| {
        let value = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match name.strip_suffix("Ms") {
            Some(name) => format!("{name} {value} ms"),
            None => format!("{name} {value}"),
        }
    });
    one_line(&texts.collect::<Vec<_>>().join(", "))
}

/// The milliseconds until the fault ends by itself.
pub(crate) fn left(fault: &ActiveFault, now: i64) -> i64 {
    unix_ms(&fault.ends_at).map_or(0, |end| (end - now).max(0))
}

impl Faults {
    pub(crate) fn of(&self, kind: FaultKind) -> Option<&ActiveFault> {
        self.active.iter().find(|fault| fault.fault.kind() == kind)
    }

    /// Stores the faults that are active at `now`, and marks those that began or ended.
    pub(crate) fn take(&mut self, active: Vec<ActiveFault>, now: i64) {
        let is_in = |all: &[ActiveFault], one: &ActiveFault| {
            let same = |other: &ActiveFault| {
                other.fault.kind() == one.fault.kind() && other.started_at == one.started_at
            };
            all.iter().any(same)
        };
        let mut marks = Vec::new();
        for over in self.active.iter().filter(|old| !is_in(&active, old)) {
            let end = unix_ms(&over.ends_at).unwrap_or(now).min(now);
            marks.push((end, format!("{} is over", name(over.fault.kind()))));
        }
        for new in active.iter().filter(|new| !is_in(&self.active, new)) {
            let begin = unix_ms(&new.started_at).unwrap_or(now);
            let text = format!("{}: {}", name(new.fault.kind()), settings(new));
            marks.push((begin, text));
        }
        for (at, text) in marks {
            if self.marks.len() >= MOST {
                self.marks.pop_front();
            }
            let kind = MarkKind::Fault;
            self.marks.push_back(Mark { at, kind, text });
        }
        self.active = active;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::faults::Fault;

    /// 2026-06-01 12:00:00 UTC.
    const NOON: i64 = 1_780_315_200_000;

    pub(crate) fn latency(from: &str, to: &str) -> ActiveFault {
        ActiveFault {
            fault: Fault::Latency {
                delay: std::time::Duration::from_millis(800),
                share: 0.5,
                routes: None,
            },
            by: "mona".into(),
            started_at: from.into(),
            ends_at: to.into(),
        }
    }

    #[test]
    fn a_fault_is_marked_when_it_begins_and_when_it_is_over() {
        let mut faults = Faults::default();
        let one = latency("2026-06-01T12:00:00Z", "2026-06-01T12:00:30Z");
        faults.take(vec![one.clone()], NOON + 500);
        faults.take(vec![one.clone()], NOON + 1_500);
        assert_eq!(left(&one, NOON + 10_000), 20_000);
        faults.take(vec![], NOON + 31_000);
        let marks: Vec<_> = faults
            .marks
            .iter()
            .map(|mark| (mark.at - NOON, mark.text.as_str()))
            .collect();
        let begun = "latency: delay 800 ms, share 0.5";
        assert_eq!(marks, [(0, begun), (30_000, "latency is over")]);
    }

    #[test]
    fn a_fault_that_is_cleared_ends_now_and_one_that_replaces_it_begins() {
        let mut faults = Faults::default();
        let one = latency("2026-06-01T12:00:00Z", "2026-06-01T12:00:30Z");
        let other = latency("2026-06-01T12:00:10Z", "2026-06-01T12:00:40Z");
        faults.take(vec![one], NOON);
        faults.take(vec![other], NOON + 10_200);
        faults.take(vec![], NOON + 15_000);
        let at: Vec<i64> = faults.marks.iter().map(|mark| mark.at - NOON).collect();
        assert_eq!(at, [0, 10_200, 10_000, 15_000]);
    }

    #[test]
    fn marks_are_bounded() {
        let mut faults = Faults::default();
        for n in 0..200 {
            let begun = format!("2026-06-01T12:{:02}:{:02}Z", n / 60, n % 60);
            faults.take(vec![latency(&begun, "2026-06-01T13:00:00Z")], NOON);
        }
        assert_eq!(faults.marks.len(), MOST);
    }
}
