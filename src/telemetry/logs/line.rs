//! A line that shares the text of the batch it was written in: readers get it without a copy each.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// One line of a batch. Keeps the batch's text alive.
#[derive(Clone)]
pub struct LogLine {
    text: Arc<str>,
    range: Range<usize>,
}

impl LogLine {
    /// The lines that end at `ends`, each with its newline, which is left out.
    pub(super) fn of_batch<I: IntoIterator<Item = usize>>(
        text: &str,
        ends: I,
    ) -> impl Iterator<Item = LogLine> + use<I> {
        let text: Arc<str> = text.into();
        let mut start = 0;
        ends.into_iter().map(move |end| {
            let line = text.get(start..end).unwrap_or_default();
            let length = line.strip_suffix('\n').unwrap_or(line).len();
            let range = start..start + length;
            start = end;
            LogLine {
                text: Arc::clone(&text),
                range,
            }
        })
    }
}

impl Deref for LogLine {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_what_was_written_without_its_newline() {
        let text = "first\nsécond\n\nlast";
        let ends = [6, 14, 15, 19];
        let lines: Vec<_> = LogLine::of_batch(text, ends).collect();
        let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        assert_eq!(lines, ["first", "sécond", "", "last"]);
    }

    #[test]
    fn an_end_that_is_none_gives_an_empty_line_and_no_panic() {
        let lines: Vec<_> = LogLine::of_batch("é\n", [1, 9]).collect();
        assert!(lines.iter().all(|line| line.is_empty()));
    }
}
