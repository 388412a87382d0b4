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
            let (name, inner) = colour.split_once('(')?;
            let inner = inner.strip_suffix(')')?;
            let separators = |c: char| c == ',' || c == '/' || c.is_whitespace();
            let mut parts = inner.split(separators).filter(|part| !part.is_empty());
            let parts = [parts.next()?, parts.next()?, parts.next()?];
            match name.trim() {
                "rgb" | "rgba" => {
                    let [red, green, blue] = parts.map(|part| share(part, 255.0));
                    Some([red? * 255.0, green? * 255.0, blue? * 255.0])
                }
                "hsl" | "hsla" => {
                    let [hue, saturation, lightness] = parts;
                    let hue = number(hue.strip_suffix("deg").unwrap_or(hue))?;
                    Some(of_hsl(
                        hue,
                        share(saturation, 100.0)?,
                        share(lightness, 100.0)?,
                    ))
                }
                _ => None,
            }
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Converts a percentage, or a number from 0 to `whole`, to a share from 0 to 1.
fn share(text: &str, whole: f64) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percentage) => number(percentage)? / 100.0,
        None => number(text)? / whole,
    };
    Some(share.clamp(0.0, 1.0))
}

/// Red, green and blue of a hue in degrees, a saturation and a lightness (CSS Color 4, 7.1).
fn of_hsl(hue: f64, saturation: f64, lightness: f64) -> [f64; 3] {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|offset| {
        let twelfth = (offset + hue / 30.0).rem_euclid(12.0);
        let part = (twelfth - 3.0).min(9.0 - twelfth).clamp(-1.0, 1.0);
        (lightness - reach * part) * 255.0
    })
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
            ("rgb(100%, 0%, 0%)", Severity::Bad),
            ("hsl(0, 100%, 50%)", Severity::Bad),
            ("hsla(355deg 70% 50% / 0.5)", Severity::Bad),
            ("hsl(-4, 80%, 45%)", Severity::Bad),
            ("hsl(45, 90%, 50%)", Severity::Warn),
            ("hsla(120, 60%, 40%, 0.5)", Severity::Good),
            ("rgb(20%, 70%, 18%)", Severity::Good),
            ("hsl(220, 80%, 50%)", Severity::Plain),
            ("hsl(0, 0%, 50%)", Severity::Plain),
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
            "hsl(red,1%,1%)",
            "hsl(0,100%)",
            "hwb(0 0% 0%)",
        ];
        for colour in broken {
            assert_eq!(severity(colour), Severity::Plain, "{colour}");
        }
    }
}
