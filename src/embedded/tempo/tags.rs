//! A search by tags: `service.name=concertctl-api http.route="/queue" error=true`, in logfmt.
//!
//! As in Tempo, each tag may be found at another span of the trace. Texts are found by a part of
//! them, whatever the case; numbers and truths as a whole.

use super::TempoError;
use super::index::{Index, Scope, intersect, merge};
use super::trace::{SpanRef, Trace, ValueRef};
use crate::embedded::quoted::{literal_length, unquote};

/// What must be found somewhere in the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    field: TagField,
    /// In lower case.
    wanted: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TagField {
    Name,
    Status,
    RootName,
    RootService,
    /// An attribute of a span or of its resource.
    Attribute(String),
}

/// Reads logfmt: names and values, the latter in quotes where they hold blanks.
pub(super) fn parse(text: &str) -> Result<Vec<Tag>, TempoError> {
    let mut tags: Vec<Tag> = Vec::new();
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

/// A value at the beginning of `text`, and what follows it.
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

fn tag(name: &str, value: &str) -> Result<Tag, TempoError> {
    let field = match name {
        "name" => TagField::Name,
        // What OpenTracing called it.
        "error" if value.eq_ignore_ascii_case("true") => {
            return Ok(Tag {
                field: TagField::Status,
                wanted: "error".to_owned(),
            });
        }
        "status" | "status.code" => {
            if !["unset", "ok", "error"].contains(&value) {
                return Err(invalid(&format!("{name} is unset, ok or error")));
            }
            TagField::Status
        }
        "root.name" => TagField::RootName,
        "root.service.name" => TagField::RootService,
        other => TagField::Attribute(other.to_owned()),
    };
    Ok(Tag {
        field,
        wanted: value.to_lowercase(),
    })
}

impl Tag {
    /// Whether the trace has it.
    pub(super) fn is_in(&self, trace: &Trace) -> bool {
        let root = trace.root();
        match &self.field {
            TagField::RootName => self.is(ValueRef::Text(&root.span.name)),
            TagField::RootService => self.is(ValueRef::Text(root.record.service_name)),
            TagField::Name => trace
                .spans()
                .any(|it| self.is(ValueRef::Text(&it.span.name))),
            TagField::Status => trace.spans().any(|it| it.status() == self.wanted),
            TagField::Attribute(name) => trace.spans().any(|it| self.is_at(name, it)),
        }
    }

    fn is_at(&self, name: &str, span: SpanRef<'_>) -> bool {
        let is = |value: Option<ValueRef<'_>>| value.is_some_and(|value| self.is(value));
        is(span.attribute(name)) || is(span.resource(name))
    }

    fn is(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Text(text) => contains(text, &self.wanted),
            ValueRef::Int(number) => self.wanted.parse() == Ok(number),
            ValueRef::Float(number) => self.wanted.parse() == Ok(number),
            ValueRef::Bool(yes) => self.wanted.parse() == Ok(yes),
        }
    }

    /// Numbers of the traces that may have it; `None`: any may.
    fn candidates(&self, index: &Index) -> Option<Vec<u64>> {
        let passing = |scope, name: &str| {
            let values = index.values(scope, name);
            values.map_or_else(Vec::new, |it| it.passing(|value| self.is(value)))
        };
        match &self.field {
            TagField::RootName | TagField::RootService => None,
            TagField::Name => Some(passing(Scope::Intrinsic, "name")),
            TagField::Status => Some(
                index
                    .values(Scope::Intrinsic, "status")
                    .map_or_else(Vec::new, |it| it.with_text(&self.wanted)),
            ),
            TagField::Attribute(name) => Some(merge(
                passing(Scope::Span, name),
                &passing(Scope::Resource, name),
            )),
        }
    }
}

/// Numbers of the traces that may have all of them; `None`: any may.
pub(super) fn candidates(tags: &[Tag], index: &Index) -> Option<Vec<u64>> {
    let lists = tags.iter().filter_map(|tag| tag.candidates(index));
    lists.reduce(|a, b| intersect(&a, &b))
}

/// Whether `text` contains `part`, which is in lower case.
fn contains(text: &str, part: &str) -> bool {
    if part.is_empty() {
        return true;
    }
    if text.is_ascii() && part.is_ascii() {
        let mut windows = text.as_bytes().windows(part.len());
        return windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
    }
    text.to_lowercase().contains(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let tags = parse(text).unwrap();
        let name = |field: TagField| match field {
            TagField::Attribute(name) => name,
            other => format!("{other:?}"),
        };
        tags.into_iter()
            .map(|tag| (name(tag.field), tag.wanted))
            .collect()
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
    fn what_is_no_logfmt_is_refused_with_the_reason() {
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

    #[test]
    fn parts_are_found_whatever_the_case() {
        for (text, part, found) in [
            ("POST /Queue", "/queue", true),
            ("ÄPFEL", "äpf", true),
            ("a", "ab", false),
            ("abc", "", true),
            ("", "a", false),
        ] {
            assert_eq!(contains(text, part), found, "{text} {part}");
        }
    }

    proptest! {
        #[test]
        fn no_tags_make_it_panic(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
