//! Go's `fmt.Sprintf` over the values of templates, including its texts for mistakes: `%!d(float64=0.5)`. Source:
//! <https://pkg.go.dev/fmt>.

use std::fmt::Write as _;

use super::value::Value;
use crate::embedded::go_numbers::{go_e, go_g};

/// Larger widths and numbers of digits are cut, because a template must not make megabytes.
const MAX_DIGITS: usize = 64;

#[derive(Default)]
struct Verb {
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    digits: Option<usize>,
}

/// Fills the verbs of `format` from `values`.
pub(super) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut left = values.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (verb, after) = Verb::parse(&rest[at + 1..], &mut left);
        let Some(letter) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            rest = "";
            break;
        };
        rest = &after[letter.len_utf8()..];
        match (letter, left.clone().next()) {
            ('%', _) => out.push('%'),
            (_, None) => {
                let _ = write!(out, "%!{letter}(MISSING)");
            }
            (_, Some(value)) => {
                left.next();
                verb.write(letter, value, &mut out);
            }
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = left.map(typed).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

fn typed(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        value => format!("{}={value}", value.type_name()),
    }
}

impl Verb {
    /// The flags, the width and the precision after a `%`, and the rest of the text. `*` takes its number from
    /// `values`.
    fn parse<'a>(text: &'a str, values: &mut std::slice::Iter<'_, Value>) -> (Verb, &'a str) {
        let mut verb = Verb::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '+' => verb.plus = true,
                '-' => verb.minus = true,
                ' ' => verb.space = true,
                '0' => verb.zero = true,
                '#' => verb.sharp = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        if let Some((width, after)) = number(rest, values) {
            verb.width = width;
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (digits, after) = number(after, values).unwrap_or((0, after));
            verb.digits = Some(digits);
            rest = after;
        }
        (verb, rest)
    }

    fn write(&self, letter: char, value: &Value, out: &mut String) {
        match (letter, value) {
            ('T', value) => self.pad(value.type_name(), out),
            ('v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(n)) => {
                self.float(letter, *n, out)
            }
            ('v' | 'd' | 'x' | 'X' | 'o' | 'b', Value::Int(n)) => self.int(letter, *n, out),
            ('c', Value::Int(n)) => {
                let c = u32::try_from(*n).ok().and_then(char::from_u32);
                self.pad(&c.unwrap_or(char::REPLACEMENT_CHARACTER).to_string(), out);
            }
            ('v' | 't', Value::Bool(b)) => self.pad(&b.to_string(), out),
            ('s' | 'v', Value::Text(text)) => self.text(text, out),
            ('q', Value::Text(text)) => self.pad(&quoted(text), out),
            ('x' | 'X', Value::Text(text)) => {
                let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                    let _ = match letter {
                        'x' => write!(hex, "{byte:02x}"),
                        _ => write!(hex, "{byte:02X}"),
                    };
                    hex
                });
                self.pad(&hex, out);
            }
            ('s' | 'v', Value::Map(_) | Value::List(_) | Value::Record(_)) => {
                self.pad(&value.to_string(), out);
            }
            ('v', Value::Nil) => self.pad("<nil>", out),
            _ => {
                let _ = write!(out, "%!{letter}({})", typed(value));
            }
        }
    }

    fn text(&self, text: &str, out: &mut String) {
        let end = self.digits.and_then(|most| text.char_indices().nth(most));
        self.pad(end.map_or(text, |(end, _)| &text[..end]), out);
    }

    fn int(&self, letter: char, n: i64, out: &mut String) {
        let size = n.unsigned_abs();
        let text = match letter {
            'x' => format!("{size:x}"),
            'X' => format!("{size:X}"),
            'o' => format!("{size:o}"),
            'b' => format!("{size:b}"),
            _ => size.to_string(),
        };
        let prefix = match letter {
            'x' | 'X' if self.sharp => "0x",
            _ => "",
        };
        self.number(self.sign(n < 0), &format!("{prefix}{text}"), true, out);
    }

    fn float(&self, letter: char, v: f64, out: &mut String) {
        let size = v.abs();
        let text = match letter {
            _ if !v.is_finite() => go_g(size, None).trim_start_matches('+').to_owned(),
            'e' | 'E' => go_e(size, self.digits.unwrap_or(6)),
            'f' | 'F' => format!("{size:.*}", self.digits.unwrap_or(6)),
            _ => go_g(size, self.digits),
        };
        let text = match letter.is_ascii_uppercase() && v.is_finite() {
            true => text.to_uppercase(),
            false => text,
        };
        let negative = v.is_sign_negative() && !v.is_nan();
        // An infinity always has a sign.
        let sign = match self.sign(negative) {
            "" if v.is_infinite() => "+",
            sign => sign,
        };
        self.number(sign, &text, v.is_finite(), out);
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (.., true) => " ",
            _ => "",
        }
    }

    fn number(&self, sign: &str, digits: &str, zeros: bool, out: &mut String) {
        if zeros && self.zero && !self.minus {
            let width = self.width.saturating_sub(sign.len());
            // Writing to a string cannot fail, here and below.
            let _ = write!(out, "{sign}{digits:0>width$}");
        } else {
            self.pad(&format!("{sign}{digits}"), out);
        }
    }

    fn pad(&self, text: &str, out: &mut String) {
        let width = self.width;
        let _ = match self.minus {
            true => write!(out, "{text:<width$}"),
            false => write!(out, "{text:>width$}"),
        };
    }
}

/// The number at the beginning of `text`, or the next value for `*`, and the rest of the text.
fn number<'a>(text: &'a str, values: &mut std::slice::Iter<'_, Value>) -> Option<(usize, &'a str)> {
    if let Some(after) = text.strip_prefix('*') {
        let width = match values.next() {
            Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(0),
            _ => 0,
        };
        return Some((width.min(MAX_DIGITS), after));
    }
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let digits = text.get(..length).filter(|digits| !digits.is_empty())?;
    let n = digits.parse().unwrap_or(MAX_DIGITS);
    Some((n.min(MAX_DIGITS), &text[length..]))
}

/// Go's `%q`: in quotes, with escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
