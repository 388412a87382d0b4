//! Numbers as Go prints them, and Prometheus's `humanize` functions
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/template_reference/#numbers>).

use std::fmt::{Display, Write as _};

use super::expr::Kind;

/// Widths and numbers of digits above this are refused: a template must not make megabytes.
const MAX_DIGITS: usize = 64;

/// Something that a format is filled with.
pub(super) trait Formatted: Display {
    /// The number, if it is one.
    fn as_number(&self) -> Option<f64>;
}

/// A format of `printf`, read and found to fit its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Format(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Verb(Verb),
}

#[derive(Debug, Clone, PartialEq)]
struct Verb {
    letter: char,
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    width: usize,
    digits: Option<usize>,
}

impl Format {
    /// Reads a format that is to be filled with values of `kinds`.
    pub(super) fn parse(text: &str, kinds: &[Kind]) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut kinds_left = kinds.iter();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            push(&mut parts, &rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                push(&mut parts, "%");
                rest = after;
                continue;
            }
            let (verb, after) = Verb::parse(rest)?;
            rest = after;
            let fits = match (verb.letter, kinds_left.next()) {
                ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Some(Kind::Number)) => true,
                ('v', Some(Kind::Number)) => true,
                ('s' | 'v', Some(Kind::Text)) => verb.digits.is_none() && !verb.zero,
                (_, None) => return Err(format!("`printf {text:?}` has too few values")),
                _ => false,
            };
            if !fits {
                let letter = verb.letter;
                return Err(format!(
                    "`%{letter}` of `printf` does not fit its value here"
                ));
            }
            parts.push(Part::Verb(verb));
        }
        push(&mut parts, rest);
        match kinds_left.next() {
            None => Ok(Format(parts)),
            Some(_) => Err(format!("`printf {text:?}` has too many values")),
        }
    }

    pub(super) fn write(&self, values: &[impl Formatted]) -> String {
        let mut out = String::new();
        let mut values = values.iter();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Verb(verb) => {
                    let Some(value) = values.next() else { break };
                    match value.as_number() {
                        Some(v) => verb.write_number(v, &mut out),
                        None => verb.pad(&value.to_string(), false, &mut out),
                    }
                }
            }
        }
        out
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

impl Verb {
    /// What follows a `%`, and what follows that.
    fn parse(text: &str) -> Result<(Verb, &str), String> {
        let mut verb = Verb {
            letter: ' ',
            plus: false,
            minus: false,
            space: false,
            zero: false,
            width: 0,
            digits: None,
        };
        let mut rest = text;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '+' => verb.plus = true,
                '-' => verb.minus = true,
                ' ' => verb.space = true,
                '0' => verb.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        if let Some((width, after)) = digits(rest)? {
            verb.width = width;
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (count, after) = digits(after)?.unwrap_or((0, after));
            verb.digits = Some(count);
            rest = after;
        }
        match rest.chars().next() {
            Some(letter @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 's' | 'v')) => {
                verb.letter = letter;
                Ok((verb, &rest[1..]))
            }
            Some(letter) => Err(format!("`%{letter}` of `printf` is not supported here")),
            None => Err("`printf` ends in the middle of a `%`".to_owned()),
        }
    }

    fn write_number(&self, v: f64, out: &mut String) {
        let digits = self.digits;
        let size = v.abs();
        let text = match self.letter {
            _ if !v.is_finite() => go_g(size, None).trim_start_matches('+').to_owned(),
            'e' | 'E' => go_e(size, digits.unwrap_or(6)),
            'f' | 'F' => format!("{size:.*}", digits.unwrap_or(6)),
            _ => go_g(size, digits),
        };
        let text = if self.letter.is_ascii_uppercase() && v.is_finite() {
            text.to_uppercase()
        } else {
            text
        };
        // An infinity has a sign always, what is no number only when asked for.
        let positive = match (self.plus, self.space) {
            (true, _) => "+",
            (false, true) => " ",
            (false, false) if v.is_infinite() => "+",
            (false, false) => "",
        };
        let sign = if v.is_sign_negative() && !v.is_nan() {
            "-"
        } else {
            positive
        };
        let zeros = self.zero && !self.minus && v.is_finite();
        if zeros {
            let width = self.width.saturating_sub(sign.len());
            let _ = write!(out, "{sign}{text:0>width$}");
        } else {
            self.pad(&format!("{sign}{text}"), self.minus, out);
        }
    }

    fn pad(&self, text: &str, left: bool, out: &mut String) {
        let width = self.width;
        // Writing to a string cannot fail.
        let _ = match left || self.minus {
            true => write!(out, "{text:<width$}"),
            false => write!(out, "{text:>width$}"),
        };
    }
}

/// The number that `text` begins with, and what follows it.
fn digits(text: &str) -> Result<Option<(usize, &str)>, String> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return Ok(None);
    }
    match text[..length].parse() {
        Ok(n) if n <= MAX_DIGITS => Ok(Some((n, &text[length..]))),
        _ => Err(format!("`printf` with more than {MAX_DIGITS} digits")),
    }
}

/// Go's `%g`: the shortest text that reads back, or so many significant digits; with an exponent for
/// the very large and the very small.
pub(super) fn go_g(v: f64, precision: Option<usize>) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let precision = precision.map(|digits| digits.max(1));
    let text = match precision {
        None => format!("{v:e}"),
        Some(digits) => format!("{v:.*e}", digits - 1),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let significant = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let limit = i32::try_from(precision.unwrap_or(6)).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return with_exponent(mantissa, exponent);
    }
    let decimals = i32::try_from(significant).unwrap_or(0) - 1 - exponent;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    match precision {
        None => format!("{v}"),
        Some(_) if decimals > 0 => format!("{v:.decimals$}"),
        // Digits beyond the significant ones are zeros.
        Some(_) => whole(mantissa, exponent),
    }
}

/// A whole number from its significant digits.
fn whole(mantissa: &str, exponent: i32) -> String {
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits = digits.replace('.', "");
    let width = usize::try_from(exponent).unwrap_or(0) + 1;
    format!("{sign}{digits:0<width$}")
}

/// Go's `%e` with the digits that it takes to read the value back.
pub(in crate::alerting) fn go_e_shortest(v: f64) -> String {
    if !v.is_finite() {
        return go_g(v, None);
    }
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn go_e(v: f64, digits: usize) -> String {
    let text = format!("{v:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Four significant digits.
fn four(v: f64) -> String {
    go_g(v, Some(4))
}

/// With a metric prefix: `1.5k`, `20m`.
pub(super) fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        four(v)
    } else if v.abs() >= 1.0 {
        prefixed(v, 1000.0, &LARGE)
    } else {
        small(v)
    }
}

/// With a prefix of 1024s: `1.5ki`.
pub(super) fn humanize_1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return four(v);
    }
    let text = prefixed(v, 1024.0, &LARGE);
    let is_prefixed = text.ends_with(|c: char| c.is_ascii_alphabetic());
    if is_prefixed { text + "i" } else { text }
}

fn prefixed(mut v: f64, step: f64, prefixes: &[&str]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if v.abs() < step {
            break;
        }
        prefix = next;
        v /= step;
    }
    four(v) + prefix
}

fn small(mut v: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = next;
        v *= 1000.0;
    }
    four(v) + prefix
}

/// Seconds as `1d 2h 3m 4s`, `5.5s`, `20ms`.
pub(super) fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return four(v);
    }
    if v == 0.0 {
        return four(v) + "s";
    }
    if v.abs() < 1.0 {
        return small(v) + "s";
    }
    let sign = if v < 0.0 { "-" } else { "" };
    // What does not fit becomes the least number, as Prometheus has it on the machines it runs on.
    let fits = v.abs() < 2_f64.powi(63);
    let whole = if fits { v.abs() as i64 } else { i64::MIN };
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(v.abs()))
    }
}

/// A ratio as a percentage.
pub(super) fn humanize_percentage(v: f64) -> String {
    four(v * 100.0) + "%"
}
