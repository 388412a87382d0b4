//! Writes a log line as JSON text of bounded length into a byte buffer.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest line in bytes, including its newline.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;
/// The largest message in bytes before escaping. The fields always have space after it.
const MAX_MESSAGE_BYTES: usize = 6 * 1024;
/// Strings end here. The rest is reserved for closing the open parts.
const SOFT_LIMIT: usize = MAX_LINE_BYTES - 512;
/// Marks the position at which text was cut.
pub(super) const TRUNCATION_MARK: &str = "…(truncated)";

/// Writes a JSON string. It escapes the text and stops at its limit at a character boundary.
pub(super) struct JsonString<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
    cut: bool,
}

impl<'a> JsonString<'a> {
    /// Opens a string that may use the line up to its soft limit.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        Self::with_limit(out, SOFT_LIMIT)
    }

    /// Opens the string of a message.
    pub(super) fn message(out: &'a mut Vec<u8>) -> Self {
        let limit = out.len() + MAX_MESSAGE_BYTES;
        Self::with_limit(out, limit)
    }

    fn with_limit(out: &'a mut Vec<u8>, limit: usize) -> Self {
        out.push(b'"');
        JsonString {
            out,
            limit,
            cut: false,
        }
    }

    /// Appends text.
    pub(super) fn push(&mut self, text: &str) {
        if self.cut {
            return;
        }
        // The common case is a short text without characters to escape.
        let short = self.out.len() + text.len() < self.limit;
        // All bytes are checked without an early end, so that the compiler can vectorise the loop.
        let plain = !text
            .bytes()
            .fold(false, |any, byte| any | needs_escape(byte));
        if short && plain {
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        for c in text.chars() {
            // The longest escape has six bytes, the longest character four.
            if self.out.len() + 6 > self.limit {
                self.cut = true;
                return;
            }
            push_escaped(self.out, c);
        }
    }

    /// Closes the string.
    pub(super) fn close(self) {
        if self.cut {
            self.out.extend_from_slice(TRUNCATION_MARK.as_bytes());
        }
        self.out.push(b'"');
    }
}

impl fmt::Write for JsonString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        // The error ends a long `Debug` early, because its further output would be thrown away.
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Returns whether the line has no space for another field with a name of `name_bytes` bytes.
pub(super) fn is_full(out: &[u8], name_bytes: usize) -> bool {
    out.len() + name_bytes + 64 > SOFT_LIMIT
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn push_escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if (c as u32) < 0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = c as usize;
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[code >> 4], HEX[code & 15]]);
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Writes a whole string as JSON.
pub(super) fn push_str(out: &mut Vec<u8>, text: &str) {
    let mut string = JsonString::open(out);
    string.push(text);
    string.close();
}

/// The two hex digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Writes an id as a JSON string of `digits` hex digits, or `null`.
pub(super) fn push_id(out: &mut Vec<u8>, id: Option<u128>, digits: usize) {
    let Some(id) = id else {
        return out.extend_from_slice(b"null");
    };
    let mut text = [b'"'; 34];
    for (pair, byte) in text[1..33].chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    out.push(b'"');
    out.extend_from_slice(&text[33_usize.saturating_sub(digits)..]);
}

/// Writes a finite number as JSON, and other numbers as `null`.
pub(super) fn push_f64(out: &mut Vec<u8>, value: f64) {
    use std::io::Write as _;
    if value.is_finite() {
        let _into_a_vec_cannot_fail = write!(out, "{value}");
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes an integer.
pub(super) fn push_int(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes `value` thousandths: 731 as `0.731`, 2,500 as `2.5`, 3,000 as `3`.
pub(super) fn push_thousandths(out: &mut Vec<u8>, value: u128) {
    push_int(out, value / 1_000);
    let rest = (value % 1_000) as u16;
    if rest != 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
        let length = 3 - digits.iter().rev().take_while(|it| **it == b'0').count();
        out.push(b'.');
        out.extend_from_slice(&digits[..length]);
    }
}

/// Microseconds since the epoch.
pub(super) fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// Writes `2026-11-23T05:49:40.123456Z`.
pub(super) fn push_timestamp(out: &mut Vec<u8>, timestamp_us: i64) {
    thread_local! {
        // Most consecutive lines of a thread differ only in the microseconds.
        static SECOND: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
    }
    let second = timestamp_us.div_euclid(1_000_000);
    let text = SECOND
        .try_with(|cache| {
            let (cached, text) = cache.get();
            if cached == second {
                return text;
            }
            let text = civil(second);
            cache.set((second, text));
            text
        })
        .unwrap_or_else(|_| civil(second));
    out.extend_from_slice(&text);
    out.push(b'.');
    let mut rest = timestamp_us.rem_euclid(1_000_000);
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
    out.push(b'Z');
}

/// `YYYY-MM-DDTHH:MM:SS` of a second since the epoch. Without such a date it is the epoch.
fn civil(second: i64) -> [u8; 19] {
    let timestamp = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let mut bytes = *b"1970-01-01T00:00:00";
    if text.len() == bytes.len() {
        bytes.copy_from_slice(text.as_bytes());
    }
    bytes
}
