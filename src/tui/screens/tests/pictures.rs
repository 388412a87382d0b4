//! The pictures of README.md and docs: screens as SVG, made from the same buffer that a terminal gets.
//! `PICTURES=write cargo test the_pictures` writes them again.

use std::fmt::Write as _;
use std::path::Path;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::fixtures::SIZES;
use super::{buffer, ok, traces};
use crate::tui::model::Screen;

/// The size of a cell, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);

/// The foreground and the background of the terminal.
type Ground = (&'static str, &'static str);
const DARK: Ground = ("#d0d0d0", "#16181d");
const LIGHT: Ground = ("#24292f", "#ffffff");

/// The colour in the xterm palette of 256 colours.
fn hex(color: Color, default: &str) -> String {
    const BASIC: [&str; 16] = [
        "#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5",
        "#666666", "#f14c4c", "#23d18b", "#f5f543", "#3b8eea", "#d670d6", "#29b8db", "#ffffff",
    ];
    let Color::Indexed(index) = color else {
        return default.to_owned();
    };
    match index {
        0..=15 => BASIC[usize::from(index)].to_owned(),
        16..=231 => {
            let level = |at: u8| if at == 0 { 0 } else { 55 + 40 * u32::from(at) };
            let cube = index - 16;
            let (red, green, blue) = (level(cube / 36), level(cube / 6 % 6), level(cube % 6));
            format!("#{red:02x}{green:02x}{blue:02x}")
        }
        grey => {
            let level = 8 + 10 * u32::from(grey - 232);
            format!("#{level:02x}{level:02x}{level:02x}")
        }
    }
}

/// The fill, the background, and whether the cell is bold.
fn look(cell: &Cell, ground: Ground) -> (String, Option<String>, bool) {
    let modifier = cell.modifier;
    let (front, back) = (hex(cell.fg, ground.0), hex(cell.bg, ground.1));
    let bold = modifier.contains(Modifier::BOLD);
    match modifier.contains(Modifier::REVERSED) {
        true => (back, Some(front), bold),
        false => (front, (back != ground.1).then_some(back), bold),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn svg(buffer: &Buffer, ground: Ground) -> String {
    let (width, height) = (
        f64::from(buffer.area.width) * CELL.0 + 16.0,
        f64::from(buffer.area.height) * CELL.1 + 16.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{}\"/>\n",
        ground.1
    );
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let (from, style) = (x, look(&buffer[(x, y)], ground));
            let mut text = String::new();
            while x < buffer.area.width && look(&buffer[(x, y)], ground) == style {
                text.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            run(&mut svg, (from, x, y), &text, &style);
        }
    }
    svg + "</svg>\n"
}

/// A run of cells with the same style. Its length is given, so that any font fills the cells.
fn run(
    svg: &mut String,
    (from, to, y): (u16, u16, u16),
    text: &str,
    (fill, back, bold): &(String, Option<String>, bool),
) {
    let left = 8.0 + f64::from(from) * CELL.0;
    let (top, length) = (8.0 + f64::from(y) * CELL.1, f64::from(to - from) * CELL.0);
    // Writing to a String cannot fail.
    if let Some(back) = back {
        let height = CELL.1;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{back}\"/>"
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let (base, weight) = (top + 14.0, if *bold { " font-weight=\"bold\"" } else { "" });
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{length:.1}\" xml:space=\"preserve\" fill=\"{fill}\"{weight}>{text}</text>"
    );
}

#[test]
fn the_pictures_match_the_console() {
    let pictures = [
        ("overview", ok(Screen::Overview)),
        ("alerts", ok(Screen::Alerts)),
        ("trace", traces::pictured()),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    for (name, mut model) in pictures {
        for (ground, colours) in [("dark", DARK), ("light", LIGHT)] {
            model.settings.light = ground == "light";
            let drawn = svg(&buffer(&model, SIZES[1]), colours);
            let file = folder.join(format!("{name}-{ground}.svg"));
            if std::env::var_os("PICTURES").is_some() {
                std::fs::write(&file, &drawn).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == drawn,
                "{} is not what the console draws: PICTURES=write cargo test the_pictures",
                file.display()
            );
        }
    }
}
