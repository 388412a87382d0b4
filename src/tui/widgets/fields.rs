//! A list of names and values; long values take several lines.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::format::one_line;
use crate::tui::theme;

/// The most columns for names.
const MAX_NAME: usize = 32;

/// The fields in lines of `width`. The style of a value depends on its name and its text. A long value continues below
/// itself; its own line breaks are kept.
pub(crate) fn fields(
    fields: &[(String, String)],
    width: usize,
    style: impl Fn(&str, &str) -> Style,
) -> Vec<Line<'static>> {
    let names = fields.iter().map(|(name, _)| cells::width(name)).max();
    let names = names.unwrap_or_default().min(MAX_NAME);
    let width = width.saturating_sub(names + 2).max(1);
    let mut lines = Vec::new();
    for (name, value) in fields {
        let style = style(name, value);
        let mut name = cells::cut(&one_line(name), names);
        for text in chunks(value, width) {
            lines.push(Line::from(vec![
                Span::styled(cells::left(&name, names + 2), theme::quiet()),
                Span::styled(text, style),
            ]));
            name.clear();
        }
    }
    lines
}

/// Splits a value into lines of at most `width` cells, at least one. Blanks within a line are kept, because values may
/// be code; those at its end are dropped.
fn chunks(value: &str, width: usize) -> Vec<String> {
    let mut chunks = Vec::new();
    for line in value.lines() {
        let line = one_line(line);
        let mut rest = line.as_str();
        loop {
            let at = cells::break_at(rest, width);
            let (part, after) = rest.split_at(at);
            chunks.push(part.trim_end().to_owned());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if chunks.is_empty() {
        chunks.push(String::new());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_continue_below_themselves_and_line_breaks_are_kept() {
        assert_eq!(chunks("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(chunks("a\n\nb\x1b", 4), ["a", "", "b"]);
        assert_eq!(chunks("", 4), [""]);
        let given = [("name".to_owned(), "abcdef".to_owned())];
        let lines = fields(&given, 10, |_, _| Style::new());
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["name  abcd", "      ef"]);
    }
}
