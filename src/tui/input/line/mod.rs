//! The line editor: text with a cursor, word keys and pasting. Pure.
//!
//! No crate, because the cursor moves by grapheme clusters: tui-input and ratatui-textarea count `char`s and stop
//! inside a joined emoji or a decomposed Hangul syllable.

pub(crate) mod draw;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::cells;

/// The longest text, in characters.
pub(crate) const MAX_INPUT: usize = 200;

/// A text and the position of its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    text: String,
    /// Byte index into `text`, between two clusters.
    cursor: usize,
}

/// The visible part of an input: before, under and after the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View<'a> {
    pub(crate) before: &'a str,
    /// Empty if the cursor is at the end.
    pub(crate) under: &'a str,
    pub(crate) after: &'a str,
}

impl From<&str> for Input {
    /// An input with this text and the cursor at its end.
    fn from(text: &str) -> Input {
        let mut input = Input::default();
        input.paste(text);
        input
    }
}

impl Input {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Handles a key; returns whether the editor uses it.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let word = ctrl || alt;
        match key.code {
            KeyCode::Left if word => self.cursor = self.word_before(),
            KeyCode::Right if word => self.cursor = self.word_after(),
            KeyCode::Char('b') if alt => self.cursor = self.word_before(),
            KeyCode::Char('f') if alt => self.cursor = self.word_after(),
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Char('a') if ctrl => self.cursor = 0,
            KeyCode::Char('e') if ctrl => self.cursor = self.text.len(),
            KeyCode::Backspace if alt => self.delete_to(self.word_before()),
            KeyCode::Backspace => self.delete_to(self.before()),
            KeyCode::Char('w') if ctrl => self.delete_to(self.word_before()),
            KeyCode::Char('u') if ctrl => self.delete_to(0),
            KeyCode::Char('k') if ctrl => self.delete_to(self.text.len()),
            KeyCode::Delete if word => self.delete_to(self.word_after()),
            KeyCode::Delete => self.delete_to(self.after()),
            KeyCode::Char('d') if alt => self.delete_to(self.word_after()),
            KeyCode::Char('d') if ctrl => self.delete_to(self.after()),
            KeyCode::Char(c) if !word => self.insert(c),
            _ => return false,
        }
        true
    }

    /// Inserts text in one line: line breaks and tabs become blanks, other control characters are dropped.
    pub(crate) fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", " ");
        for c in text.chars().take(MAX_INPUT) {
            match c {
                '\n' | '\r' | '\t' => self.insert(' '),
                c if c.is_control() => {}
                c => self.insert(c),
            }
        }
    }

    fn insert(&mut self, c: char) {
        if self.text.chars().count() < MAX_INPUT {
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
            self.settle();
        }
    }

    /// Moves the cursor to the end of its cluster: an inserted combining mark may have joined the cluster before it.
    fn settle(&mut self) {
        let at = self.cursor;
        let mut ends = self
            .text
            .grapheme_indices(true)
            .map(|(from, one)| from + one.len());
        self.cursor = if at == 0 {
            0
        } else {
            ends.find(|end| *end >= at).unwrap_or(at)
        };
    }

    fn before(&self) -> usize {
        let last = self.text[..self.cursor].grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    /// The beginning of the word before the cursor.
    fn word_before(&self) -> usize {
        let mut words = self.text[..self.cursor].unicode_word_indices();
        words.next_back().map_or(0, |(at, _)| at)
    }

    /// The end of the word after the cursor.
    fn word_after(&self) -> usize {
        let next = self.text[self.cursor..].unicode_word_indices().next();
        next.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }

    fn delete_to(&mut self, to: usize) {
        let (from, to) = (self.cursor.min(to), self.cursor.max(to));
        self.text.replace_range(from..to, "");
        self.cursor = from;
        self.settle();
    }

    /// The part of the text around the cursor that fits into `room` cells, with the cursor.
    pub(crate) fn view(&self, room: usize) -> View<'_> {
        let (before, rest) = self.text.split_at(self.cursor);
        let under = rest.graphemes(true).next().unwrap_or_default();
        let of_cursor = cells::width(under).max(1);
        let before = cells::tail(before, room.saturating_sub(of_cursor));
        let left = room.saturating_sub(cells::width(before) + of_cursor);
        View {
            before,
            under,
            after: cells::head(&rest[under.len()..], left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: KeyModifiers = KeyModifiers::NONE;
    const CTRL: KeyModifiers = KeyModifiers::CONTROL;

    fn after(text: &str, keys: &[(KeyCode, KeyModifiers)]) -> Input {
        let mut input = Input::from(text);
        for (code, modifiers) in keys {
            input.key(KeyEvent::new(*code, *modifiers));
        }
        input
    }

    /// The text with a bar at the cursor.
    fn shown(text: &str, keys: &[(KeyCode, KeyModifiers)]) -> String {
        let input = after(text, keys);
        let (before, rest) = input.text.split_at(input.cursor);
        format!("{before}|{rest}")
    }

    #[test]
    fn keys_move_the_cursor() {
        use KeyCode::{Backspace, Char, Delete, End, Home, Left, Right};
        for (keys, wanted) in [
            (&[(Left, NONE), (Left, NONE)][..], "summer sa|le"),
            (&[(Home, NONE), (Right, NONE)], "s|ummer sale"),
            (&[(Home, NONE), (End, NONE)], "summer sale|"),
            (&[(Left, CTRL)], "summer |sale"),
            (&[(Left, CTRL), (Left, CTRL)], "|summer sale"),
            (&[(Home, NONE), (Right, CTRL)], "summer| sale"),
            (&[(Home, NONE), (Char('X'), NONE)], "X|summer sale"),
            (&[(Char('w'), CTRL)], "summer |"),
            (&[(Left, CTRL), (Char('k'), CTRL)], "summer |"),
            (&[(Left, CTRL), (Char('u'), CTRL)], "|sale"),
            (&[(Home, NONE), (Delete, NONE)], "|ummer sale"),
            (&[(Home, NONE), (Backspace, NONE)], "|summer sale"),
            (&[(Left, NONE), (Backspace, NONE)], "summer sa|e"),
        ] {
            assert_eq!(shown("summer sale", keys), wanted, "{keys:?}");
        }
        assert_eq!(
            shown("", &[(Left, NONE), (Delete, NONE), (Right, CTRL)]),
            "|"
        );
    }

    #[test]
    fn the_cursor_never_stops_inside_a_character() {
        use KeyCode::{Backspace, Char, Left};
        let family = "a👨‍👩‍👧";
        assert_eq!(shown(family, &[(Left, NONE)]), "a|👨‍👩‍👧");
        assert_eq!(shown(family, &[(Backspace, NONE)]), "a|");
        assert_eq!(shown("아이유", &[(Left, NONE), (Backspace, NONE)]), "아|유");
        let typed = [(Left, NONE), (Char('\u{301}'), NONE)];
        assert_eq!(
            shown("es", &typed),
            "e\u{301}|s",
            "a mark joins what is before it"
        );
    }

    #[test]
    fn pasted_line_breaks_become_blanks_and_control_characters_are_dropped() {
        let mut input = Input::default();
        input.paste("one\r\ntwo\nthree\rfour\tfive\u{1b}[31m");
        assert_eq!(input.text(), "one two three four five[31m");
        input.paste(&"x".repeat(10_000));
        assert_eq!(input.text().chars().count(), MAX_INPUT);
    }

    #[test]
    fn the_visible_part_fits_and_always_contains_the_cursor() {
        let input = after("서울 올림픽공원", &[]);
        let view = input.view(6);
        assert_eq!((view.before, view.under, view.after), ("공원", "", ""));
        let input = after("서울 올림픽공원", &[(KeyCode::Home, NONE)]);
        let view = input.view(6);
        assert_eq!((view.before, view.under, view.after), ("", "서", "울 "));
        for room in 0..20 {
            let View {
                before,
                under,
                after,
            } = input.view(room);
            let used = cells::width(before) + cells::width(under) + cells::width(after);
            assert!(used <= room.max(2), "{room}");
        }
    }
}
