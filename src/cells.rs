//! Measures, cuts, pads and wraps text for the cells of a terminal.
//!
//! Korean and Japanese characters and most emoji take two cells, a combining mark takes none. So text in columns is
//! measured here, never by its characters or bytes. Text is cut between grapheme clusters. The widths are those with
//! which ratatui draws each cluster.

use ratatui::buffer::CellWidth as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Marks where text was cut. It takes one cell, which [`cut`] and [`cut_middle`] subtract. A terminal with ASCII only
/// gets another sign for it: `tui::theme` replaces it.
const ELLIPSIS: &str = "…";
/// A word longer than a line is broken after one of these if it has one: paths and addresses contain them.
const JOINTS: &[char] = &['/', '-', '_', '.', ',', '=', '&', '?', ':', ';'];

/// The cells that `text` takes. Control characters take none: they are never drawn.
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cluster_width).sum()
}

/// The cells of one grapheme cluster.
fn cluster_width(cluster: &str) -> usize {
    if cluster.chars().any(char::is_control) {
        return 0;
    }
    usize::from(cluster.cell_width())
}

/// The longest beginning of `text` that fits into `room` cells.
#[must_use]
pub fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used += cluster_width(cluster);
        if used > room {
            return &text[..at];
        }
    }
    text
}

/// The longest end of `text` that fits into `room` cells.
#[must_use]
pub fn tail(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true).rev() {
        used += cluster_width(cluster);
        if used > room {
            return &text[at + cluster.len()..];
        }
    }
    text
}

/// `text` in at most `room` cells, with an ellipsis where it was cut.
#[must_use]
pub fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    match room {
        0 => String::new(),
        _ => format!("{}{ELLIPSIS}", head(text, room - 1)),
    }
}

/// Like [`cut`], but cuts in the middle, for texts whose end is as important as the beginning.
#[must_use]
pub fn cut_middle(text: &str, room: usize) -> String {
    if width(text) <= room || room < 3 {
        return cut(text, room);
    }
    let before = head(text, (room - 1).div_ceil(2));
    // If a wide character did not fit before the ellipsis, the end gets its cell.
    let after = tail(text, room - 1 - width(before));
    format!("{before}{ELLIPSIS}{after}")
}

/// Pads `text` with blanks on the right to `room` cells. Does not cut longer text.
#[must_use]
pub fn left(text: &str, room: usize) -> String {
    let blanks = room.saturating_sub(width(text));
    format!("{text}{:blanks$}", "")
}

/// Pads `text` with blanks on the left to `room` cells. Does not cut longer text.
#[must_use]
pub fn right(text: &str, room: usize) -> String {
    let blanks = room.saturating_sub(width(text));
    format!("{:blanks$}{text}", "")
}

/// `text` in exactly `room` cells: cut where it is longer, with blanks behind it where it is shorter.
#[must_use]
pub fn column(text: &str, room: usize) -> String {
    left(&cut(text, room), room)
}

/// Wraps text at blanks into lines of at most `room` cells. A word that is longer than a line continues on the next,
/// after a joint such as `/` if it has one. There is at least one line.
#[must_use]
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    let blank = |c: char| c.is_whitespace() || c.is_control();
    for word in text.split(blank).filter(|word| !word.is_empty()) {
        let mut word = word;
        if used > 0 && used + 1 + width(word) <= room {
            push(&mut lines, " ");
            push(&mut lines, word);
            used += 1 + width(word);
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        while width(word) > room {
            let (line, rest) = word.split_at(break_word(word, room));
            push(&mut lines, line);
            if !rest.is_empty() {
                lines.push(String::new());
            }
            word = rest;
        }
        push(&mut lines, word);
        used = width(word);
    }
    lines
}

/// The position at which to break a line longer than `room` cells: after the last blank that fits, otherwise after a
/// joint, if either fills at least half of the line; otherwise anywhere. It is the whole length if the line fits, and 0
/// only if it is empty. Unlike [`wrap`] it drops no blank, for values that may be code.
#[must_use]
pub fn break_at(line: &str, room: usize) -> usize {
    if width(line) <= room {
        return line.len();
    }
    let fits = head(line, room);
    let blank = fits.rfind(' ').filter(|at| *at > 0).map(|at| at + 1);
    // A blank in the first half would leave too much of the line empty.
    let blank = blank.filter(|at| width(&fits[..*at]) * 2 >= room);
    blank.unwrap_or_else(|| break_word(line, room))
}

fn push(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

/// The position at which a word that is longer than a line is broken. It is never 0.
fn break_word(word: &str, room: usize) -> usize {
    let fits = head(word, room);
    // A joint in the first half would leave too much of the line empty.
    let joint = fits.rfind(JOINTS).map(|at| at + 1);
    let joint = joint.filter(|at| width(&fits[..*at]) * 2 >= room);
    let first = || word.graphemes(true).next().map_or(word.len(), str::len);
    joint.unwrap_or(fits.len()).max(first())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str = "👨‍👩‍👧";

    #[test]
    fn width_is_that_of_cells_and_not_of_characters() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("아이유"), 6);
        assert_eq!(width("ザ・ビートルズ"), 14);
        assert_eq!(width("cafe\u{301}"), 4, "a combining mark takes no cell");
        assert_eq!(width(FAMILY), 2, "a joined emoji is one character");
        assert_eq!(width("a\u{1b}b\n"), 2, "control characters are not drawn");
    }

    #[test]
    fn cutting_keeps_characters_whole_and_never_takes_more_than_its_room() {
        assert_eq!(
            [cut("abc", 3), cut("abcd", 3), cut("abcd", 0)],
            ["abc", "ab…", ""]
        );
        assert_eq!(cut("아이유 콘서트", 13), "아이유 콘서트");
        assert_eq!(cut("아이유 콘서트", 12), "아이유 콘서…");
        assert_eq!(
            cut("아이유 콘서트", 11),
            "아이유 콘…",
            "half a character is none"
        );
        assert_eq!(cut("cafe\u{301}s", 4), "caf…");
        assert_eq!(head("cafe\u{301}s", 4), "cafe\u{301}");
        assert_eq!(cut(&format!("{FAMILY}{FAMILY}"), 3), format!("{FAMILY}…"));
        assert_eq!(tail("서울 올림픽공원", 5), "공원");
        assert_eq!(
            [
                cut_middle("GET /a/b 200", 9),
                cut_middle("abc", 3),
                cut_middle("abcd", 2),
                cut_middle("서울 올림픽공원", 9)
            ],
            ["GET … 200", "abc", "a…", "서울…공원"]
        );
    }

    #[test]
    fn padding_fills_cells() {
        assert_eq!(left("아이유", 8), "아이유  ");
        assert_eq!(right("아이유", 8), "  아이유");
        assert_eq!(column("아이유", 5), "아이…");
        assert_eq!(column("아이유", 4), "아… ");
        assert_eq!(left("longer", 3), "longer");
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_a_long_word_behind_a_joint() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("at /a/very/long/path", 8),
            ["at", "/a/very/", "long/", "path"]
        );
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
        assert_eq!(wrap("a\u{1b}b\nc", 8), ["a b c"]);
        assert_eq!(wrap("서울 올림픽 공원", 9), ["서울", "올림픽", "공원"]);
        assert_eq!(wrap("올림픽공원", 5), ["올림", "픽공", "원"]);
        assert_eq!(wrap("올림", 1), ["올", "림"], "never stands still");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_wider_than_its_room(text in "[ -~가-힣ぁ-ん\u{300}-\u{310}👨👩\u{200d}]{0,60}", room in 2_usize..30) {
            proptest::prop_assert!(width(&cut(&text, room)) <= room);
            proptest::prop_assert!(width(&cut_middle(&text, room)) <= room);
            proptest::prop_assert_eq!(width(&column(&text, room)), room);
            for line in wrap(&text, room) {
                proptest::prop_assert!(width(&line) <= room, "{:?}", line);
            }
        }
    }
}
