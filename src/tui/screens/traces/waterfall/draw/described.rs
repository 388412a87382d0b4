//! A span in full: its status, times, exceptions, attributes and events.

use ratatui::text::Line;

use crate::clients::tempo::{Span, SpanEvent, Status};
use crate::tui::format;
use crate::tui::screens::traces::waterfall::draw::{seconds, took};
use crate::tui::screens::traces::waterfall::{Waterfall, is_failed, kind};
use crate::tui::theme;
use crate::tui::widgets::fields;

/// The description of a row's span.
pub(crate) fn described(waterfall: &Waterfall, row: usize, width: usize) -> Vec<Line<'static>> {
    let (Some(at), Some(span)) = (waterfall.rows.get(row), waterfall.span(row)) else {
        return Vec::new();
    };
    let status = match &span.status {
        Status::Unset => "unset".to_owned(),
        Status::Ok => "ok".to_owned(),
        Status::Error(reason) if reason.is_empty() => "✖ failed".to_owned(),
        Status::Error(reason) => format!("✖ failed: {reason}"),
    };
    let share = if span.duration_ns == 0 {
        String::new()
    } else {
        let share = 100.0 * seconds(at.own_ns) / seconds(span.duration_ns);
        format!(" ({} % of it)", format::percent(share))
    };
    let waited = if waterfall.waited == Some(row) {
        ", here the trace waited most"
    } else {
        ""
    };
    let parent = match &span.parent {
        None => "none".to_owned(),
        Some(id) if waterfall.holds(id) => {
            let mut spans = waterfall.trace.spans.iter();
            let name = spans.find(|it| it.id == *id).map_or("", |it| &it.name);
            format!("{name}  {id}")
        }
        Some(id) => format!("{id}, which is not here: the caller's"),
    };
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut all = vec![
        field("status", status),
        field(
            "time",
            format!("+{}, took {}", took(span.offset_ns), took(span.duration_ns)),
        ),
        field("own time", format!("{}{share}{waited}", took(at.own_ns))),
    ];
    all.extend(exceptions(span));
    all.push(field("service", span.service.clone()));
    all.push(field("kind", kind(span.kind).to_owned()));
    // The attributes of the span are more useful than those of its resource, so they come first.
    all.extend(span.attributes.clone());
    all.extend(others(span));
    all.push(field("span", span.id.clone()));
    all.push(field("parent", parent));
    all.extend(stacktraces(span));
    let failed = is_failed(span);
    let waits = waterfall.waited == Some(row);
    fields(&all, width, move |name, _| match name {
        "status" if failed => theme::bad(),
        "exception" if failed => theme::bad(),
        "exception" => theme::warn(),
        "own time" if waits => theme::warn(),
        _ => theme::text(),
    })
}

const TYPE: &str = "exception.type";
const MESSAGE: &str = "exception.message";
const STACKTRACE: &str = "exception.stacktrace";

fn attribute<'a>(event: &'a SpanEvent, name: &str) -> &'a str {
    event.attributes.get(name).map_or("", String::as_str)
}

/// Each exception in a line: its type and its message.
fn exceptions(span: &Span) -> impl Iterator<Item = (String, String)> {
    let exceptions = span.events.iter().filter(|event| event.is_exception());
    exceptions.map(|event| {
        let texts = [TYPE, MESSAGE].map(|name| attribute(event, name));
        let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let what = match texts.is_empty() {
            true => "without type and message".to_owned(),
            false => texts.join(": "),
        };
        let at = took(event.offset_ns);
        ("exception".to_owned(), format!("{what}  (at +{at})"))
    })
}

/// The other events, and how many are missing.
fn others(span: &Span) -> impl Iterator<Item = (String, String)> {
    let others = span.events.iter().filter(|event| !event.is_exception());
    let others = others.map(|event| {
        let attributes = event.attributes.iter();
        let attributes = attributes.map(|(name, value)| format!(" {name}={value}"));
        let attributes: String = attributes.collect();
        let at = took(event.offset_ns);
        (
            "event".to_owned(),
            format!("+{at} {}{attributes}", event.name),
        )
    });
    let more = (span.more_events > 0).then(|| {
        let count = format::count(span.more_events);
        ("events".to_owned(), format!("{count} more, not read"))
    });
    others.chain(more)
}

/// Stack traces, at the end because they are long.
fn stacktraces(span: &Span) -> impl Iterator<Item = (String, String)> {
    let traces = span.events.iter().map(|event| attribute(event, STACKTRACE));
    let traces = traces.filter(|trace| !trace.is_empty());
    traces.map(|trace| ("stacktrace".to_owned(), trace.to_owned()))
}
