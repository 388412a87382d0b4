//! Colours and signs. Colour alone never has a meaning: every severity has a sign, every part of a bar its own fill,
//! and every selection is reversed. The colours are the Okabe-Ito set (M. Okabe and K. Ito, "Color Universal Design",
//! 2008), which people with any kind of colour vision can distinguish, in the nearest of the 256 terminal colours.
//!
//! Three passes ([`monochrome`], [`light`], [`ascii`]) change the finished frame for terminals without colour, with a
//! light background, or without Unicode, so that screens need not handle them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

/// The severity of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The number has no thresholds.
    Plain,
    /// Within bounds.
    Good,
    /// At or beyond the warning threshold.
    Warn,
    /// At or beyond the upper threshold.
    Bad,
}

impl Severity {
    /// The sign that expresses the severity on terminals without colour.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Severity::Plain => "",
            Severity::Good => "●",
            Severity::Warn => "▲",
            Severity::Bad => "✖",
        }
    }

    pub(crate) fn style(self) -> Style {
        match self {
            Severity::Plain => text(),
            Severity::Good => good(),
            Severity::Warn => warn(),
            Severity::Bad => bad(),
        }
    }
}

const SKY: Color = Color::Indexed(75);
const GREEN: Color = Color::Indexed(36);
const ORANGE: Color = Color::Indexed(214);
const VERMILION: Color = Color::Indexed(202);
const PURPLE: Color = Color::Indexed(175);
const GREY: Color = Color::Indexed(244);
const DARK: Color = Color::Indexed(240);

pub(crate) fn text() -> Style {
    Style::new()
}

pub(crate) fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(crate) fn quiet() -> Style {
    Style::new().fg(GREY)
}

pub(crate) fn border() -> Style {
    Style::new().fg(DARK)
}

pub(crate) fn accent() -> Style {
    Style::new().fg(SKY)
}

pub(crate) fn key() -> Style {
    accent().add_modifier(Modifier::BOLD)
}

pub(crate) fn good() -> Style {
    Style::new().fg(GREEN)
}

pub(crate) fn warn() -> Style {
    Style::new().fg(ORANGE).add_modifier(Modifier::BOLD)
}

pub(crate) fn bad() -> Style {
    Style::new().fg(VERMILION).add_modifier(Modifier::BOLD)
}

/// The second of two series, and spans of another service.
pub(crate) fn second_colour() -> Style {
    Style::new().fg(PURPLE)
}

pub(crate) fn selected() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// Dims the content of `area`, because its data are old.
pub(crate) fn dim(buffer: &mut Buffer, area: Rect) {
    buffer.set_style(
        area,
        Style::new()
            .fg(GREY)
            .remove_modifier(Modifier::BOLD)
            .add_modifier(Modifier::DIM),
    );
}

/// Removes all colours from the finished frame.
pub(crate) fn monochrome(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.fg = Color::Reset;
        cell.bg = Color::Reset;
    }
}

/// Replaces the colours by darker ones of the same hues, which are readable on a light background.
pub(crate) fn light(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.fg = match cell.fg {
            SKY => Color::Indexed(25),
            GREEN => Color::Indexed(29),
            ORANGE => Color::Indexed(130),
            VERMILION => Color::Indexed(160),
            PURPLE => Color::Indexed(90),
            GREY => Color::Indexed(241),
            DARK => Color::Indexed(248),
            other => other,
        };
    }
}

/// Replaces all characters of the finished frame that are not ASCII by similar ones.
pub(crate) fn ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = plain_char(cell.symbol().chars().next().unwrap_or(' '));
            cell.set_char(plain);
        }
    }
}

fn plain_char(c: char) -> char {
    match c {
        '─' | '━' | '╌' | '┄' | '–' | '—' | '╺' | '╸' => '-',
        '│' | '┃' | '┆' | '┊' | '╹' | '╻' | '▌' | '▐' => '|',
        '┌' | '┐' | '└' | '┘' | '╭' | '╮' | '╰' | '╯' | '├' | '┤' | '┬' | '┴' | '┼' | '┏' | '┓'
        | '┗' | '┛' | '┣' | '┫' | '┻' => '+',
        '●' | '◆' | '•' => '*',
        '○' | '◌' => 'o',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        '✖' | '✗' => 'X',
        '✔' | '✓' => 'v',
        '▶' | '→' | '›' | '»' | '≥' => '>',
        '←' | '‹' | '«' | '◀' | '≤' => '<',
        '█' | '▇' | '▆' | '▅' | '■' => '#',
        '▓' | '▒' | '▄' => '=',
        '░' | '·' | '▁' | '▂' | '▃' => '.',
        '▪' => '.',
        '…' | '∞' => '~',
        '×' => 'x',
        '±' => '+',
        '−' => '-',
        // `42 °C` becomes `42  C`: an `o` could be read as a zero.
        '°' => ' ',
        'µ' | 'μ' => 'u',
        '€' => 'E',
        '£' => 'L',
        '¥' => 'Y',
        '“' | '”' => '"',
        '’' | '‘' => '\'',
        '\u{2800}' => ' ',
        '\u{2801}'..='\u{28ff}' => match (u32::from(c) - 0x2800).count_ones() {
            1 | 2 => '.',
            3 | 4 => ':',
            _ => '#',
        },
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ascii_pass_leaves_only_ascii() {
        let mut buffer = Buffer::with_lines(["╭─● 12 ▲ 5 … ⣿⠁ 좌석 ╯"]);
        ascii(&mut buffer);
        assert!(buffer.content.iter().all(|cell| cell.symbol().is_ascii()));
        let line: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(line.starts_with("+-* 12 ^ 5 ~ #. ?"), "{line}");
    }

    #[test]
    fn signs_of_values_and_units_stay_readable_in_ascii() {
        let mut buffer = Buffer::with_lines(["■ ∞ -∞ 42 °C €5 £6 ¥7 µs ✓"]);
        ascii(&mut buffer);
        let line: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(line, "# ~ -~ 42  C E5 L6 Y7 us v");
    }

    #[test]
    fn the_monochrome_pass_keeps_bold_and_reversed_text() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 1));
        buffer.set_string(0, 0, "ab", bad().add_modifier(Modifier::REVERSED));
        monochrome(&mut buffer);
        assert_eq!(buffer[(0, 0)].fg, Color::Reset);
        assert!(
            buffer[(0, 0)]
                .modifier
                .contains(Modifier::BOLD | Modifier::REVERSED)
        );
    }

    #[test]
    fn on_a_light_background_every_colour_is_darker() {
        let dark = [
            good(),
            warn(),
            bad(),
            accent(),
            second_colour(),
            quiet(),
            border(),
        ];
        let mut buffer = Buffer::empty(Rect::new(0, 0, 7, 1));
        for (x, style) in (0..).zip(dark) {
            buffer.set_string(x, 0, "a", style);
        }
        light(&mut buffer);
        let mut seen = Vec::new();
        for (cell, style) in buffer.content.iter().zip(dark) {
            assert_ne!(Some(cell.fg), style.fg, "no colour stays");
            assert!(!seen.contains(&cell.fg), "each has its own");
            seen.push(cell.fg);
        }
    }

    #[test]
    fn each_severity_has_its_own_sign() {
        let signs = [Severity::Good, Severity::Warn, Severity::Bad].map(Severity::sign);
        assert!(signs[0] != signs[1] && signs[1] != signs[2] && signs[0] != signs[2]);
    }
}
