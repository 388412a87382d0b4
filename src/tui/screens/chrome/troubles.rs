//! What is wrong with the sources, in a line: a panel has not the room for all of it.

use crate::tui::connection::{Link, Source};
use crate::tui::format::one_line;
use crate::tui::model::Model;

/// Why the first source that is silent is so: a panel has not the room for all of it.
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

/// What a source calls wrong with its own answers: numbers that are shown may lack something.
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
