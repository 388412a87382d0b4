//! The problems of the sources in one line, because panels have no space for them.

use crate::tui::connection::{Link, Source};
use crate::tui::format::one_line;
use crate::tui::model::Model;

/// The reason why the first silent source does not answer.
pub(crate) fn silent(model: &Model) -> Option<String> {
    let all = Source::ALL.iter();
    let mut reasons = all.filter_map(|source| match &model.source(*source).link {
        Link::Down { reason, .. } => Some((source, one_line(reason))),
        _ => None,
    });
    let (source, reason) = reasons.next()?;
    let more = match reasons.count() {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    Some(format!(" ✖ {}: {reason}{more}", source.name()))
}

/// A source's own warning about its answers: the numbers on the screen may be incomplete.
pub(crate) fn warned(model: &Model) -> Option<String> {
    let mut all = Source::ALL.iter();
    let warned = all.find_map(|source| {
        let state = model.source(*source);
        let warning = state.warning.as_ref().filter(|_| state.link == Link::Up)?;
        Some((source, warning))
    });
    let (source, warning) = warned?;
    Some(format!(" ▲ {}: {}", source.name(), one_line(warning)))
}
