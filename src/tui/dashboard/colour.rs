//! The meaning of colours in a dashboard file: red is bad, yellow and orange are warnings, green is good. Other
//! colours have no meaning.

use crate::tui::theme::Severity;

/// The severity of a colour in any of Grafana's notations.
pub(crate) fn severity(colour: &str) -> Severity {
    let colour = colour.trim().to_ascii_lowercase();
    // Grafana's colour names may have the prefixes `dark-`, `semi-dark-`, `light-` and `super-light-`.
    match colour.rsplit('-').next().unwrap_or_default() {
        "green" | "darkgreen" | "lime" | "limegreen" | "seagreen" | "forestgreen" => Severity::Good,
        "yellow" | "orange" | "gold" | "amber" | "darkorange" => Severity::Warn,
        "red" | "darkred" | "crimson" | "firebrick" | "tomato" | "orangered" => Severity::Bad,
        _ => parts(&colour).map_or(Severity::Plain, by_hue),
    }
}

/// Red, green and blue from 0 to 255.
fn parts(colour: &str) -> Option<[f64; 3]> {
    match colour.strip_prefix('#') {
        Some(digits) => hex(digits),
        None => {
            let inner = colour.strip_prefix("rgba").or(colour.strip_prefix("rgb"))?;
            let inner = inner.trim().strip_prefix('(')?.strip_suffix(')')?;
            let separators = |c: char| c == ',' || c == '/' || c.is_whitespace();
            let mut numbers = inner
                .split(separators)
                .filter(|part| !part.is_empty())
                .map(|part| part.parse::<f64>().ok().filter(|part| part.is_finite()));
            Some([numbers.next()??, numbers.next()??, numbers.next()??])
        }
    }
}

/// `F00` or `FF0000`, optionally followed by an opacity.
fn hex(digits: &str) -> Option<[f64; 3]> {
    let width = match digits.len() {
        3 | 4 => 1,
        6 | 8 => 2,
        _ => return None,
    };
    let part = |index: usize| {
        let digits = digits.get(index * width..(index + 1) * width)?;
        let value = u8::from_str_radix(digits, 16).ok()?;
        Some(f64::from(if width == 1 { value * 17 } else { value }))
    };
    Some([part(0)?, part(1)?, part(2)?])
}

fn by_hue([red, green, blue]: [f64; 3]) -> Severity {
    let strongest = red.max(green).max(blue);
    let spread = strongest - red.min(green).min(blue);
    // Black, white and greys have no hue.
    if strongest < 40.0 || spread < strongest * 0.2 {
        return Severity::Plain;
    }
    let sixth = if strongest <= red {
        (green - blue) / spread
    } else if strongest <= green {
        (blue - red) / spread + 2.0
    } else {
        (red - green) / spread + 4.0
    };
    match (sixth * 60.0).rem_euclid(360.0) {
        ..20.0 | 335.0.. => Severity::Bad,
        20.0..72.0 => Severity::Warn,
        72.0..175.0 => Severity::Good,
        _ => Severity::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_means_the_same_in_every_notation() {
        let cases = [
            ("red", Severity::Bad),
            ("semi-dark-red", Severity::Bad),
            ("#d44a3a", Severity::Bad),
            ("#F00", Severity::Bad),
            ("#E02F44AA", Severity::Bad),
            ("rgba(245, 54, 54, 0.9)", Severity::Bad),
            ("rgb(245,54,54)", Severity::Bad),
            ("dark-orange", Severity::Warn),
            ("#EAB839", Severity::Warn),
            ("rgba(237, 129, 40, 0.89)", Severity::Warn),
            ("super-light-green", Severity::Good),
            ("rgba(50, 172, 45, 0.97)", Severity::Good),
            ("#299c46", Severity::Good),
            ("#0F0", Severity::Good),
            ("blue", Severity::Plain),
            ("#1F60C4", Severity::Plain),
            ("#808080", Severity::Plain),
            ("rgba(0, 0, 0, 0)", Severity::Plain),
            ("text", Severity::Plain),
            ("transparent", Severity::Plain),
        ];
        for (colour, wanted) in cases {
            assert_eq!(severity(colour), wanted, "{colour}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_colour_has_no_meaning() {
        let broken = [
            "",
            "#",
            "#1",
            "#ééé",
            "#12345",
            "rgb(",
            "rgb()",
            "rgb(1,2)",
            "rgba(a,b,c)",
            "rgb(1e999,0,0)",
            "rgb(NaN,0,0)",
        ];
        for colour in broken {
            assert_eq!(severity(colour), Severity::Plain, "{colour}");
        }
    }
}
