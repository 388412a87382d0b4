//! Templates with labels (`line_format`, `label_format`) and patterns with captures (`pattern`).

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::embedded::loki) enum TextPart {
    Text(String),
    /// `{{.name}}`
    Label(String),
    /// `{{__line__}}`
    Line,
}

/// A template that is filled with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::embedded::loki) struct Template(pub(in crate::embedded::loki) Vec<TextPart>);

impl Template {
    /// Parses a template. The error is the unsupported part.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) = after.split_once("}}").ok_or(rest)?;
            if !before.is_empty() {
                parts.push(TextPart::Text(before.to_owned()));
            }
            let action = action.trim();
            parts.push(match action.strip_prefix('.') {
                Some(name) if is_name(name) => TextPart::Label(name.to_owned()),
                None if action == "__line__" => TextPart::Line,
                _ => return Err(format!("{{{{{action}}}}}")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(TextPart::Text(rest.to_owned()));
        }
        Ok(Template(parts))
    }

    /// The labels that the template uses.
    pub(in crate::embedded::loki) fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            TextPart::Label(name) => Some(name.as_str()),
            TextPart::Text(_) | TextPart::Line => None,
        })
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(allowed)
}

/// Literals with captures between them: `<ip> - - <_> "<method> `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::embedded::loki) struct Pattern {
    /// The literal at the beginning of the line.
    first: String,
    /// The captures (`None` for `<_>`), each with the literal that ends it. An empty literal is the end of the line.
    captures: Vec<(Option<String>, String)>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, &'static str> {
        let mut pattern = Pattern {
            first: String::new(),
            captures: Vec::new(),
        };
        let mut rest = text;
        while !rest.is_empty() {
            let capture = rest.strip_prefix('<').and_then(|it| it.split_once('>'));
            if let Some((name, after)) = capture.filter(|(name, _)| is_name(name)) {
                if pattern
                    .captures
                    .last()
                    .is_some_and(|(_, end)| end.is_empty())
                {
                    return Err("found consecutive capture: literals are needed in between");
                }
                let name = (name != "_").then(|| name.to_owned());
                if name.is_some() && pattern.captures.iter().any(|(known, _)| *known == name) {
                    return Err("duplicate capture name");
                }
                pattern.captures.push((name, String::new()));
                rest = after;
                continue;
            }
            let mut chars = rest.chars();
            let text = match pattern.captures.last_mut() {
                Some((_, end)) => end,
                None => &mut pattern.first,
            };
            text.extend(chars.next());
            rest = chars.as_str();
        }
        if pattern.captures.iter().all(|(name, _)| name.is_none()) {
            return Err("at least one capture is required");
        }
        Ok(pattern)
    }

    /// Calls `found(name, value)` for each capture that the line has.
    pub(in crate::embedded::loki) fn captures<'l>(
        &self,
        line: &'l str,
        mut found: impl FnMut(&str, &'l str),
    ) {
        let Some(mut rest) = line.strip_prefix(self.first.as_str()) else {
            return;
        };
        for (name, end) in &self.captures {
            // If the literal that ends a capture is missing, the capture extends to the end of the line.
            let ended = (!end.is_empty()).then(|| rest.split_once(end.as_str()));
            let (value, after) = ended
                .flatten()
                .map_or((rest, None), |(value, after)| (value, Some(after)));
            if let Some(name) = name {
                found(name, value);
            }
            let Some(after) = after else { return };
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_texts_and_labels() {
        let text = |text: &str| TextPart::Text(text.to_owned());
        let label = |name: &str| TextPart::Label(name.to_owned());
        let read = Template::parse("{{.a}} b {{ .c_1 }}{{__line__}}!").unwrap();
        let parts = [
            label("a"),
            text(" b "),
            label("c_1"),
            TextPart::Line,
            text("!"),
        ];
        assert_eq!(read.0, parts);
        for bad in ["{{.a | upper}}", "{{if .a}}x{{end}}", "{{.a", "{{.1}}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_capture_the_text_between_their_literals() {
        let captures = |pattern: &str, line: &'static str| {
            let mut all = Vec::new();
            let pattern = Pattern::parse(pattern).unwrap();
            pattern.captures(line, |name, value| all.push((name.to_owned(), value)));
            all
        };
        let own = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            captures(
                r#"<ip> - <_> "<method> <path>""#,
                r#"10.0.0.1 - x "GET /a""#
            ),
            [
                own("ip", "10.0.0.1"),
                own("method", "GET"),
                own("path", "/a")
            ]
        );
        assert_eq!(captures("a=<x> b", "a=1 c"), [own("x", "1 c")]);
        assert_eq!(captures("a=<x>", "b=1"), []);
        assert_eq!(
            captures("<x> < <y>", "1 < 2"),
            [own("x", "1"), own("y", "2")]
        );
        assert_eq!(captures("<_> <_> <x>", "1 2 3"), [own("x", "3")]);
        for bad in ["", "no capture", "<_>", "<a><b>", "<a> <a>"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
