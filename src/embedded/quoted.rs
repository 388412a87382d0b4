//! String literals of Go: their end and their escapes (<https://go.dev/ref/spec#String_literals>).

/// The length in bytes of the literal at the beginning of `text`, including both quotes. `None` when it does not end.
/// Literals in backticks have no escapes, and only they may span lines.
pub(crate) fn literal_length(text: &str) -> Option<usize> {
    let (&quote, inner) = text.as_bytes().split_first()?;
    let raw = quote == b'`';
    let mut escaped = false;
    let end = inner.iter().position(|byte| {
        let ends = !escaped && (*byte == quote || (*byte == b'\n' && !raw));
        escaped = *byte == b'\\' && !raw && !escaped;
        ends
    })?;
    (inner[end] == quote).then_some(end + 2)
}

/// The text of a literal, which includes its quotes. The error is the byte at which an escape begins that Go does not
/// know. Escapes of bytes above 127 are refused, because they need not form valid text.
pub(crate) fn unquote(literal: &str) -> Result<String, usize> {
    let inner = literal.get(1..literal.len() - 1).unwrap_or_default();
    if literal.starts_with('`') {
        return Ok(inner.replace('\r', ""));
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (c, length) = escaped(escape).ok_or(literal.len() - 2 - escape.len())?;
        text.push(c);
        rest = &escape[length..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The character of an escape, and the length of the escape without its backslash.
fn escaped(escape: &str) -> Option<(char, usize)> {
    let code = |from: usize, digits: usize, radix: u32| {
        let text = escape.get(from..from + digits)?;
        let all_digits = text.chars().all(|c| c.is_digit(radix));
        let code = u32::from_str_radix(text, radix)
            .ok()
            .filter(|_| all_digits)?;
        Some((char::from_u32(code)?, from + digits))
    };
    let of_byte = |(c, _): &(char, usize)| c.is_ascii();
    match escape.chars().next()? {
        '0'..='7' => code(0, 3, 8).filter(of_byte),
        'x' => code(1, 2, 16).filter(of_byte),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        c => Some((simple_escape(c)?, 1)),
    }
}

fn simple_escape(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '"' => c,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_ends_at_its_quote() {
        for (text, length) in [
            (r#""a" b"#, Some(3)),
            (r#""a\"b" c"#, Some(6)),
            (r#""a\\" "b""#, Some(5)),
            (r"`a\` b", Some(4)),
            (r"'é'", Some(4)),
            (r#""a\""#, None),
            ("\"a\nb\"", None),
            ("`a\nb`", Some(5)),
            ("\"", None),
            ("", None),
        ] {
            assert_eq!(literal_length(text), length, "{text}");
        }
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(
            unquote(r#""\a\n\\\"\x41\101\u00e9\U0001f600é""#).unwrap(),
            "\u{7}\n\\\"AAé😀é"
        );
        assert_eq!(unquote("`\\d`").unwrap(), "\\d");
        for (bad, at) in [
            (r#""ab\q""#, 3),
            (r#""\xff""#, 1),
            (r#""\x4""#, 1),
            (r#""\u+123""#, 1),
            (r#""\ud800""#, 1),
            (r#""\400""#, 1),
        ] {
            assert_eq!(unquote(bad), Err(at), "{bad}");
        }
    }
}
