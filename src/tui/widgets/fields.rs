//! Names and values beneath each other, long values over several lines.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::theme;

/// Columns that names take at most.
const MAX_NAME: usize = 32;

/// The fields in lines of `width`; a value is styled by its name and itself. A long value goes on
/// beneath itself; its own line breaks are kept.
pub(in crate::tui) fn fields(
    fields: &[(String, String)],
    width: usize,
    style: impl Fn(&str, &str) -> Style,
) -> Vec<Line<'static>> {
    let names = fields.iter().map(|(name, _)| name.chars().count()).max();
    let names = names.unwrap_or_default().min(MAX_NAME);
    let width = width.saturating_sub(names + 2).max(1);
    let mut lines = Vec::new();
    for (name, value) in fields {
        let style = style(name, value);
        let mut name = format::fit(&one_line(name), names);
        for text in chunks(value, width) {
            lines.push(Line::from(vec![
                Span::styled(format!("{name:<names$}  "), theme::quiet()),
                Span::styled(text, style),
            ]));
            name.clear();
        }
    }
    lines
}

/// At least one, of at most `width` characters each.
fn chunks(value: &str, width: usize) -> Vec<String> {
    let mut chunks = Vec::new();
    for line in value.lines() {
        let line: Vec<char> = one_line(line).chars().collect();
        let mut parts = line.chunks(width).peekable();
        if parts.peek().is_none() {
            chunks.push(String::new());
        }
        chunks.extend(parts.map(|part| part.iter().collect::<String>()));
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
    fn long_values_go_on_beneath_themselves_and_breaks_are_kept() {
        assert_eq!(chunks("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(chunks("a\n\nb\x1b", 4), ["a", "", "b "]);
        assert_eq!(chunks("", 4), [""]);
        let given = [("name".to_owned(), "abcdef".to_owned())];
        let lines = fields(&given, 10, |_, _| Style::new());
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["name  abcd", "      ef"]);
    }
}
