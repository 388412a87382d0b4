//! References to variables in a text: `$name`, `${name.field:format}` and `[[name:format]]`.

use crate::tui::dashboard::vars::is_name;

/// A variable that a text names.
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    /// `text` in `${name.text}`.
    pub(crate) field: &'a str,
    /// `csv` in `${name:csv}`.
    pub(crate) format: &'a str,
    /// The length of the reference, in bytes.
    pub(crate) length: usize,
}

impl Reference<'_> {
    /// All references of `text`.
    pub(super) fn all(text: &str) -> impl Iterator<Item = Reference<'_>> {
        let places = text.match_indices(['$', '[']);
        places.filter_map(|(at, _)| Reference::at(&text[at..]))
    }

    /// The reference at the beginning of `text`.
    pub(crate) fn at(text: &str) -> Option<Reference<'_>> {
        let braced = |open: &str, close: &str| {
            let inner = text.strip_prefix(open)?;
            let end = inner.find(close)?;
            let (name, format) = inner[..end].split_once(':').unwrap_or((&inner[..end], ""));
            let (name, field) = name.split_once('.').unwrap_or((name, ""));
            let is_one = !name.is_empty() && name.bytes().all(is_name);
            is_one.then_some(Reference {
                name,
                field,
                format,
                length: open.len() + end + close.len(),
            })
        };
        braced("${", "}")
            .or_else(|| braced("[[", "]]"))
            .or_else(|| {
                let inner = text.strip_prefix('$')?;
                let end = inner.bytes().take_while(|byte| is_name(*byte)).count();
                (end > 0).then(|| Reference {
                    name: &inner[..end],
                    field: "",
                    format: "",
                    length: 1 + end,
                })
            })
    }
}
