//! Go's `fmt.Sprintf` over the values of templates, including its texts for mistakes: `%!d(float64=0.5)`. Source:
//! <https://pkg.go.dev/fmt>.

use std::fmt::Write as _;

use super::value::Value;
use crate::embedded::go_numbers::{go_e, go_g};

/// Larger widths and numbers of digits are cut, because a template must not make megabytes.
const MAX_DIGITS: usize = 64;

#[derive(Clone, Default)]
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
    let mut arguments = Arguments {
        values,
        next: 0,
        reordered: false,
        is_bad: false,
    };
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        arguments.is_bad = false;
        let (verb, after) = Verb::parse(&rest[at + 1..], &mut arguments);
        let Some(letter) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            rest = "";
            break;
        };
        rest = &after[letter.len_utf8()..];
        // Writing to a string cannot fail, here and below.
        let _ = match (letter, values.get(arguments.next)) {
            ('%', _) => write!(out, "%"),
            _ if arguments.is_bad => write!(out, "%!{letter}(BADINDEX)"),
            (_, None) => write!(out, "%!{letter}(MISSING)"),
            (_, Some(value)) => {
                arguments.next += 1;
                verb.of(letter).write(letter, value, &mut out);
                Ok(())
            }
        };
    }
    out.push_str(rest);
    let extra = values.get(arguments.next..).unwrap_or_default();
    if !extra.is_empty() && !arguments.reordered {
        let extra: Vec<String> = extra.iter().map(typed).collect();
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// The values that verbs take, one after the other or by index.
struct Arguments<'v> {
    values: &'v [Value],
    next: usize,
    /// Whether an index occurred.
    reordered: bool,
    /// Whether the current verb has an invalid index.
    is_bad: bool,
}

impl Arguments<'_> {
    /// Reads `[2]` at the beginning of `text`. Returns whether a valid index is there, and the rest of the text.
    fn index<'a>(&mut self, text: &'a str) -> (bool, &'a str) {
        let Some(inner) = text.strip_prefix('[') else {
            return (false, text);
        };
        self.reordered = true;
        let Some((index, after)) = inner.split_once(']') else {
            self.is_bad = true;
            return (false, inner);
        };
        let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        let index = index.parse::<usize>().ok().filter(|_| is_number);
        match index.filter(|index| (1..=self.values.len()).contains(index)) {
            Some(index) => self.next = index - 1,
            None => self.is_bad = true,
        }
        (index.is_some(), after)
    }

    /// The next value as a number for `*`.
    fn number(&mut self) -> Option<i64> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        match value {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }
}

fn typed(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        value => format!("{}={value}", value.type_name()),
    }
}

impl Verb {
    /// The flags, the width and the precision after a `%`, and the rest of the text. Each number may be `*`, and an
    /// index may precede each `*` and the verb.
    fn parse<'a>(text: &'a str, arguments: &mut Arguments<'_>) -> (Verb, &'a str) {
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
        let mut is_indexed;
        (is_indexed, rest) = arguments.index(rest);
        if let Some(after) = rest.strip_prefix('*') {
            let width = arguments.number().unwrap_or(0);
            verb.minus |= width < 0;
            verb.width = clipped(width.unsigned_abs());
            (is_indexed, rest) = (false, after);
        } else if let Some((width, after)) = number(rest) {
            // Go refuses an index before a width, as in `%[3]2d`.
            arguments.is_bad |= is_indexed;
            (verb.width, rest) = (width, after);
        }
        if let Some(after) = rest.strip_prefix('.') {
            arguments.is_bad |= is_indexed;
            (is_indexed, rest) = arguments.index(after);
            if let Some(after) = rest.strip_prefix('*') {
                let digits = arguments.number().and_then(|n| u64::try_from(n).ok());
                verb.digits = digits.map(clipped);
                (is_indexed, rest) = (false, after);
            } else {
                let (digits, after) = number(rest).unwrap_or((0, rest));
                (verb.digits, rest) = (Some(digits), after);
            }
        }
        if !is_indexed {
            (_, rest) = arguments.index(rest);
        }
        (verb, rest)
    }

    /// The flags for this letter: `%+v` means the names of fields and not a sign.
    fn of(self, letter: char) -> Verb {
        let plus = self.plus && letter != 'v';
        Verb { plus, ..self }
    }

    fn write(&self, letter: char, value: &Value, out: &mut String) {
        match (letter, value) {
            ('T' | 'v', Value::Nil) => self.pad("<nil>", out),
            ('T', value) => self.pad(value.type_name(), out),
            ('v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'x' | 'X' | 'b', Value::Float(n)) => {
                self.float(letter, *n, out)
            }
            ('v' | 'd' | 'x' | 'X' | 'o' | 'O' | 'b', Value::Int(n)) => self.int(letter, *n, out),
            ('c', Value::Int(n)) => self.pad(&character(*n).to_string(), out),
            ('q', Value::Int(n)) => self.pad(&quoted(character(*n), '\'', self.plus), out),
            ('U', Value::Int(n)) => {
                let width = self.digits.unwrap_or(4).max(4);
                let mut text = format!("U+{n:0width$X}");
                if self.sharp {
                    let _ = write!(text, " '{}'", character(*n));
                }
                self.pad(&text, out);
            }
            ('v' | 't', Value::Bool(b)) => self.pad(&b.to_string(), out),
            ('v', Value::Text(text)) if self.sharp => self.pad(&quoted(text, '"', false), out),
            ('s' | 'v', Value::Text(text)) => self.text(text, out),
            ('q', Value::Text(text)) => self.pad(&quoted(text, '"', self.plus), out),
            ('x' | 'X', Value::Text(text)) => self.pad(&self.hexadecimal(letter, text), out),
            (_, Value::Map(map)) => {
                let (begin, between, end) = match self.sharp && letter == 'v' {
                    true => (format!("{}{{", value.type_name()), ", ", '}'),
                    false => ("map[".to_owned(), " ", ']'),
                };
                out.push_str(&begin);
                for (at, (name, entry)) in map.iter().enumerate() {
                    out.push_str(if at > 0 { between } else { "" });
                    self.write(letter, &Value::Text(name.clone()), out);
                    out.push(':');
                    self.write(letter, entry, out);
                }
                out.push(end);
            }
            (_, Value::List(list)) => {
                out.push('[');
                for (at, item) in list.iter().enumerate() {
                    out.push_str(if at > 0 { " " } else { "" });
                    self.write(letter, item, out);
                }
                out.push(']');
            }
            (_, Value::Record(fields)) => {
                out.push('{');
                for (at, (_, field)) in fields.iter().enumerate() {
                    out.push_str(if at > 0 { " " } else { "" });
                    self.write(letter, field, out);
                }
                out.push('}');
            }
            ('v' | 's', Value::Time(_)) | ('v', Value::Imaginary(_)) => {
                self.pad(&value.to_string(), out);
            }
            _ => {
                let _ = write!(out, "%!{letter}({})", typed(value));
            }
        }
    }

    /// The bytes of a text, with a blank between them and `0x` before them if the flags want it.
    fn hexadecimal(&self, letter: char, text: &str) -> String {
        let prefix = match (self.sharp, letter) {
            (true, 'x') => "0x",
            (true, _) => "0X",
            _ => "",
        };
        let bytes = text.bytes().take(self.digits.unwrap_or(usize::MAX));
        let digits = bytes.map(|byte| match letter {
            'x' => format!("{byte:02x}"),
            _ => format!("{byte:02X}"),
        });
        let digits: Vec<String> = digits.collect();
        match (self.space, digits.is_empty()) {
            (_, true) => String::new(),
            (true, _) => format!("{prefix}{}", digits.join(&format!(" {prefix}"))),
            (false, _) => format!("{prefix}{}", digits.concat()),
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
            'o' | 'O' => format!("{size:o}"),
            'b' => format!("{size:b}"),
            _ => size.to_string(),
        };
        let prefix = match letter {
            'x' if self.sharp => "0x",
            'X' if self.sharp => "0X",
            'b' if self.sharp => "0b",
            'o' if self.sharp => "0",
            'O' => "0o",
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
            'x' | 'X' => hexadecimal_float(size, self.digits),
            'b' => {
                let (mantissa, exponent) = binary_parts(size);
                format!("{mantissa}p{:+}", exponent - 52)
            }
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

/// The number at the beginning of `text`, and the rest of the text.
fn number(text: &str) -> Option<(usize, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let digits = text.get(..length).filter(|digits| !digits.is_empty())?;
    Some((clipped(digits.parse().unwrap_or(u64::MAX)), &text[length..]))
}

fn clipped(number: u64) -> usize {
    usize::try_from(number).map_or(MAX_DIGITS, |number| number.min(MAX_DIGITS))
}

fn character(n: i64) -> char {
    let c = u32::try_from(n).ok().and_then(char::from_u32);
    c.unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The 53 bits of a number and the exponent of their first bit. The number is not negative.
fn binary_parts(size: f64) -> (u64, i32) {
    let bits = size.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match i32::try_from(bits >> 52).unwrap_or(0) {
        // A subnormal number, or zero.
        0 => (fraction, -1022),
        exponent => (fraction | 1 << 52, exponent - 1023),
    }
}

/// Go's `%x` of a float: `0x1.8p+01`.
fn hexadecimal_float(size: f64, digits: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = binary_parts(size);
    if mantissa == 0 {
        exponent = 0;
    }
    while mantissa != 0 && mantissa >> 52 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(dropped) = digits.map(|digits| 4 * 13_usize.saturating_sub(digits))
        && dropped > 0
    {
        let half = 1 << (dropped - 1);
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        mantissa += u64::from(rest > half || rest == half && mantissa & 1 == 1);
        mantissa <<= dropped;
        if mantissa >> 53 == 1 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match digits {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(digits) => format!("{fraction:0<digits$}")[..digits].to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "0x{}{point}{fraction}p{sign}{:02}",
        mantissa >> 52,
        exponent.unsigned_abs()
    )
}

/// Go's `%q`: in quotes, with escapes. `is_ascii` also escapes every other character.
fn quoted(text: impl ToString, quote: char, is_ascii: bool) -> String {
    let mut out = String::from(quote);
    for c in text.to_string().chars() {
        let code = u32::from(c);
        let _ = match c {
            '\\' => write!(out, "\\\\"),
            c if c == quote => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            '\r' => write!(out, "\\r"),
            '\u{7}' => write!(out, "\\a"),
            '\u{8}' => write!(out, "\\b"),
            '\u{b}' => write!(out, "\\v"),
            '\u{c}' => write!(out, "\\f"),
            c if c.is_ascii_control() => write!(out, "\\x{code:02x}"),
            c if (is_ascii || c.is_control()) && !c.is_ascii() => match code {
                0..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            },
            c => write!(out, "{c}"),
        };
    }
    out.push(quote);
    out
}
