//! Plays a recording: the schedule of its lines, and the recorded time. Pure apart from the wait for the next line.

use std::time::Duration;

use tokio::time::Instant;

use crate::clients::loki::LogLine;
use crate::tui::event::Event;
use crate::tui::model::Model;
use crate::tui::recording::format::{Entry, Recording};
use crate::tui::recording::view::{Playing, RecordingState};
use crate::tui::screens::logs::{Level, Logs, Record};

/// The state at the end of a recording.
pub(crate) fn at_end(recording: &Recording) -> Playing {
    Playing {
        speed: 1,
        ended: true,
        span: recording.span(),
    }
}

/// The state of a replay.
#[derive(Debug)]
pub(crate) struct Player {
    recording: Recording,
    next: usize,
    speed: u32,
    /// The recorded time at `since`.
    at: i64,
    since: Instant,
    /// The log filter by which the lines so far were filtered.
    filter: String,
    /// The trace that was opened last.
    trace: Option<String>,
}

impl Player {
    /// A player at the first line.
    pub(crate) fn new(recording: Recording) -> Player {
        Player {
            at: recording.span().0,
            recording,
            next: 0,
            speed: 1,
            since: Instant::now(),
            filter: String::new(),
            trace: None,
        }
    }

    /// The state for the screen.
    pub(crate) fn view(&self) -> RecordingState {
        RecordingState::Playing(Playing {
            speed: self.speed,
            ended: self.next >= self.recording.entries.len(),
            span: self.recording.span(),
        })
    }

    /// The recorded time. It stops at the end.
    pub(crate) fn now(&self) -> i64 {
        let passed = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let passed = passed.saturating_mul(i64::from(self.speed));
        self.at.saturating_add(passed).min(self.recording.span().1)
    }

    pub(crate) fn set_speed(&mut self, speed: u32) {
        self.at = self.now();
        self.since = Instant::now();
        self.speed = speed;
    }

    /// Resolves when the next line is due; never while the replay is paused or at its end.
    pub(crate) async fn due(player: Option<&Player>) {
        let due = player.and_then(|player| {
            let left = player.recording.entries.get(player.next)?.t - player.at;
            let pause = u64::try_from(left)
                .unwrap_or(0)
                .checked_div(player.speed.into())?;
            player.since.checked_add(Duration::from_millis(pause))
        });
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// The event of the next line, adapted to the model.
    pub(crate) fn next(&mut self, model: &Model) -> Option<Event> {
        let entry = self.recording.entries.get(self.next)?;
        self.next += 1;
        self.filter = model.logs.asked();
        Some(fitted_event(entry, model))
    }

    /// Answers the requests that a live source would get: the log up to now after a change of the filter, and an opened
    /// trace.
    pub(crate) fn again(&mut self, model: &Model) -> Vec<Event> {
        let wanted = model.plan().trace;
        if wanted != self.trace {
            self.trace.clone_from(&wanted);
            if let Some(id) = wanted {
                return vec![self.recorded_trace(id)];
            }
        }
        if self.filter == model.logs.asked() {
            return Vec::new();
        }
        self.filter = model.logs.asked();
        let shown = self.recording.entries.iter().take(self.next);
        let logs = shown.filter(|entry| matches!(entry.event, Event::Logs { .. }));
        logs.map(|entry| fitted_event(entry, model)).collect()
    }

    /// The newest recorded answer for a trace; "missing" if the trace was never opened during the recording.
    fn recorded_trace(&self, wanted: String) -> Event {
        let mut newest = self.recording.entries.iter().rev();
        let recorded =
            newest.find(|entry| matches!(&entry.event, Event::Trace { id, .. } if *id == wanted));
        recorded.map_or(
            Event::Trace {
                id: wanted,
                trace: Ok(None),
            },
            |entry| entry.event.clone(),
        )
    }
}

/// The event of a line, adapted to the request of the screen. The log was recorded with another filter and is filtered
/// again here. A list of traces fits every order.
pub(crate) fn fitted_event(entry: &Entry, model: &Model) -> Event {
    let mut event = entry.event.clone();
    match &mut event {
        Event::Logs { query, lines, .. } => {
            lines.retain(|line| passes(line, &model.logs));
            *query = model.logs.asked();
        }
        Event::Traces { asked, .. } => *asked = model.traces.asked(),
        _ => {}
    }
    event
}

/// Returns whether the filter of the log shows the line.
fn passes(line: &LogLine, logs: &Logs) -> bool {
    let at = line.at_ns / 1_000_000;
    let outside = |(from, to): (i64, i64)| !(from..=to).contains(&at);
    if logs.window.is_some_and(outside) || !line.line.contains(&logs.text) {
        return false;
    }
    if logs.level == Level::All && logs.trace.is_none() {
        return true;
    }
    let record = Record::new(line.clone());
    let of_trace = logs.trace.is_none() || record.trace_id == logs.trace;
    of_trace && logs.level.shows(&record.level)
}

#[cfg(test)]
mod tests;
