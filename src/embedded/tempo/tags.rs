//! A search by tags in logfmt: `service.name=concertctl-api http.route="/queue" error=true`.
//!
//! As in Tempo, different spans of a trace may have the tags. A text matches if it contains the value in any case.
//! Numbers and booleans must be equal.

use super::TempoError;
use super::traceql::{Expr, Field, Test};
use crate::embedded::compare::CompareOp;
use crate::embedded::quoted::{literal_length, unquote};

/// Parses logfmt: names and values. Values with blanks are quoted.
pub(super) fn parse(text: &str) -> Result<Vec<Expr>, TempoError> {
    let mut tags: Vec<Expr> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() || name.contains('"') {
            return Err(invalid(&format!("a name is expected before {after:?}")));
        }
        let (value, after) = match after.strip_prefix('=') {
            None => (String::new(), after),
            Some(after) => value(after)?,
        };
        if names.iter().any(|known| known == name) {
            return Err(invalid(&format!("tag {name} has been set twice")));
        }
        names.push(name.to_owned());
        tags.push(tag(name, &value)?);
        rest = after.trim_start();
    }
    Ok(tags)
}

fn invalid(why: &str) -> TempoError {
    TempoError::refused(format!("invalid tags: {why}"))
}

/// The value at the beginning of `text`, and the rest of the text.
fn value(text: &str) -> Result<(String, &str), TempoError> {
    if !text.starts_with('"') {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        if value.contains(['"', '=']) {
            return Err(invalid(&format!("{value:?} needs quotes around it")));
        }
        return Ok((value.to_owned(), after));
    }
    let length = literal_length(text);
    let length = length.ok_or_else(|| invalid("a value without its closing quote"))?;
    let value = unquote(&text[..length]).map_err(|_| invalid("unknown escape in a value"))?;
    Ok((value, &text[length..]))
}

/// The condition for a span to have the tag.
fn tag(name: &str, value: &str) -> Result<Expr, TempoError> {
    let contains = |field| Expr::Test(field, Test::Contains(value.to_lowercase()));
    let status = |status: &str| {
        Expr::Test(
            Field::Status,
            Test::Text(CompareOp::Equal, status.to_owned()),
        )
    };
    Ok(match name {
        "name" => contains(Field::Name),
        // OpenTracing's name for a failed span.
        "error" if value.eq_ignore_ascii_case("true") => status("error"),
        "status" | "status.code" if ["unset", "ok", "error"].contains(&value) => status(value),
        "status" | "status.code" => {
            return Err(invalid(&format!("{name} is unset, ok or error")));
        }
        "root.name" => contains(Field::RootName),
        "root.service.name" => contains(Field::RootService),
        // An attribute of the span or of its resource.
        other => Expr::Or(
            Box::new(contains(Field::Span(other.to_owned()))),
            Box::new(contains(Field::Resource(other.to_owned()))),
        ),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        fn pair(tag: Expr) -> (String, String) {
            match tag {
                Expr::Test(Field::Span(name), Test::Contains(wanted)) => (name, wanted),
                Expr::Test(field, Test::Contains(wanted) | Test::Text(_, wanted)) => {
                    (format!("{field:?}"), wanted)
                }
                Expr::Or(of_span, _) => pair(*of_span),
                other => panic!("{other:?}"),
            }
        }
        parse(text).unwrap().into_iter().map(pair).collect()
    }

    #[test]
    fn tags_are_names_and_values_with_and_without_quotes() {
        let given = r#" service.name=api http.route="/queue x"  note="say \"Hi\"" name=GET flag error=true status.code=unset "#;
        let expected = [
            ("service.name", "api"),
            ("http.route", "/queue x"),
            ("note", "say \"hi\""),
            ("Name", "get"),
            ("flag", ""),
            ("Status", "error"),
        ];
        let found = read(given.replace("status.code=unset", "").as_str());
        assert_eq!(
            found,
            expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
        );
        assert_eq!(
            read("status.code=unset"),
            [("Status".to_owned(), "unset".to_owned())]
        );
        assert_eq!(read(""), []);
    }

    #[test]
    fn invalid_logfmt_is_refused_with_the_reason() {
        for (wrong, why) in [
            ("a=1 a=2", "set twice"),
            ("=1", "name is expected"),
            ("a=\"b", "closing quote"),
            ("a=b=c", "quotes around"),
            ("\"a\"=b", "name is expected"),
            ("a=\"\\x\"", "escape"),
            ("status=broken", "unset, ok or error"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("invalid tags: ") && error.contains(why),
                "{wrong}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_tags_make_it_panic(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
