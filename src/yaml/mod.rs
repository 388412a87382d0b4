//! Parses YAML files that people write, within bounds. Errors name file, line, column and field.
//!
//! `load` uses it for scenarios, `seeding` for profiles and `alerting` for rule files. `http` and `embedded` use its
//! wording for mistakes in a body. It uses no other module.

mod json;
mod locate;
pub mod suggestion;
mod wording;

use std::path::Path;

use serde::de::DeserializeOwned;
use wording::Wording;

pub use json::{JsonError, from_json};
pub use locate::{Position, Positions};
pub use wording::{in_words, of_json};

/// The bounds on a kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// The number of parser events: keys, values, beginnings and ends.
    pub events: usize,
    /// The number of `&name` and `*name`.
    pub aliases: usize,
}

/// Bounds for scenarios and profiles, which people write by hand.
pub const SMALL: Bounds = Bounds {
    bytes: 64 * 1024,
    events: 10_000,
    aliases: 0,
};

/// The reason why a file is refused. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, the shipped text, or the option that is wrong.
    pub origin: String,
    /// Line and column, counted from 1, if known.
    pub at: Option<Position>,
    /// The field, as a dotted path.
    pub field: Option<String>,
    /// The mistake, and how to correct it.
    pub problem: String,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {}", one_line(field))?;
        }
        write!(f, ": {}", one_line(&self.problem))
    }
}

/// Makes one line of a text that may quote the file. Keys may contain line ends or characters that control a
/// terminal, and may be as long as the file, so the middle of a long text is left out.
fn one_line(text: &str) -> String {
    const MOST: usize = 600;
    let plain = text.split(char::is_control).filter(|part| !part.is_empty());
    let plain = plain.collect::<Vec<_>>().join(" ");
    let count = plain.chars().count();
    if count <= MOST {
        return plain;
    }
    let head = plain.chars().take(MOST / 2);
    let tail = plain.chars().skip(count - MOST / 2);
    head.chain(" … ".chars()).chain(tail).collect()
}

impl std::error::Error for FileError {}

/// Returns whether `text` can be a title or a name: 1 to `most` characters on one line. A control character would break
/// the line and could change the terminal.
#[must_use]
pub fn is_label(text: &str, most: usize) -> bool {
    let text = text.trim();
    (1..=most).contains(&text.chars().count()) && !text.contains(char::is_control)
}

impl FileError {
    /// An error about `origin` as a whole.
    pub fn new(origin: impl Into<String>, problem: impl Into<String>) -> FileError {
        FileError {
            origin: origin.into(),
            at: None,
            field: None,
            problem: problem.into(),
        }
    }
}

/// The bounds for the parser. These files have little nesting.
#[must_use]
pub fn options(bounds: Bounds) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_events: bounds.events,
            max_aliases: bounds.aliases,
            max_anchors: bounds.aliases,
            enforce_alias_anchor_ratio: false,
            max_recorded_anchor_events: bounds.events,
            max_documents: 1,
        },
        with_snippet: false,
    }
}

/// Reads the file at `path`. It stops as soon as the file exceeds the bounds.
///
/// # Errors
/// The error of the file system, or the file is not UTF-8 text.
pub fn read_file(path: &Path, bounds: Bounds) -> std::io::Result<String> {
    read(std::fs::File::open(path)?, bounds)
}

/// The same for an open file.
///
/// # Errors
/// As [`read_file`].
pub fn read(file: impl std::io::Read, bounds: Bounds) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too long.
    file.take(bounds.bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bounds.bytes {
        // The file is refused for its length. The end of the text may have cut a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| {
        std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "it is not UTF-8 text: save it as UTF-8",
        )
    })
}

/// The position of the field `path` in a small file. `None` if the file cannot be read or does not have the field.
#[must_use]
pub fn position_in(file: &Path, path: &str) -> Option<Position> {
    let text = read_file(file, SMALL).ok()?;
    Positions::of(&text, SMALL).position(path)
}

/// Parses `text` as a `T`, and returns the positions of its fields. `origin` names the text in messages. `lacking`
/// gives the path of a missing field from its name and the path of a field near it.
///
/// # Errors
/// [`FileError`] when the text is too long or is not a valid `T`.
pub fn parse<T: DeserializeOwned>(
    origin: &str,
    text: &str,
    bounds: Bounds,
    lacking: impl FnOnce(&str, &str) -> String,
) -> Result<(T, Positions), FileError> {
    let most = bounds.bytes;
    if text.len() > most {
        let problem = format!("longer than {most} bytes, which is more than such a file needs");
        return Err(FileError::new(origin, problem));
    }
    let positions = Positions::of(text, bounds);
    match serde_saphyr::from_str_with_options::<T>(text, options(bounds)) {
        Ok(value) => Ok((value, positions)),
        Err(error) => {
            let in_tree = in_tree::<T>(text, bounds);
            let source = (origin, text);
            Err(of_parser(source, &positions, &error, in_tree, lacking))
        }
    }
}

/// The first mistake that serde finds in the text as a tree of values.
struct InTree {
    /// The field, or the map that lacks a field.
    path: String,
    problem: String,
    missing: Option<String>,
}

/// Parses the text as a tree of values, and the tree as a `T`. `None` if the first fails, or if both succeed.
///
/// The YAML parser expects a text wherever a value is neither a list nor a map. So its error about a list does not say
/// that a number is needed, and its error about a missing field does not give the path. The error of the tree does
/// both.
fn in_tree<T: DeserializeOwned>(text: &str, bounds: Bounds) -> Option<InTree> {
    let tree: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options(bounds)).ok()?;
    let error = serde_path_to_error::deserialize::<_, T>(tree).err()?;
    let steps = error.path().iter().filter_map(|step| match step {
        serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
        serde_path_to_error::Segment::Map { key } => Some(key.clone()),
        _ => None,
    });
    let path = steps.collect::<Vec<_>>().join(".");
    let (problem, missing) = wording::of_json_parts(error.inner());
    Some(InTree {
        path,
        problem,
        missing,
    })
}

/// The mistake of a value that is a list, a map or empty: `is a list: write a whole number such as 20`.
pub(crate) fn of_shape(problem: &str) -> String {
    let shapes = [
        ("`a list` is not ", "a list"),
        ("`a map` is not ", "a map"),
        ("`:` is not ", "empty"),
        ("is not ", "empty"),
    ];
    let mut found = shapes.iter().filter_map(|(start, shape)| {
        let wanted = problem.strip_prefix(start)?;
        Some(format!("is {shape}: write {wanted}"))
    });
    found.next().unwrap_or_else(|| problem.to_owned())
}

fn of_parser(
    (origin, text): (&str, &str),
    positions: &Positions,
    error: &serde_saphyr::Error,
    in_tree: Option<InTree>,
    lacking: impl FnOnce(&str, &str) -> String,
) -> FileError {
    let at: Option<Position> = error
        .location()
        .map(|at| (at.line(), at.column()))
        .filter(|at| at.0 > 0);
    let field = at.and_then(|at| positions.field(at)).map(str::to_owned);
    let given = at.and_then(|at| standing_at(text, at));
    let Wording { mistake, missing } = wording::of_yaml(error, given);
    // The value is empty if a list over several lines begins there, because its first dash precedes its first item.
    let near = field.as_deref().unwrap_or_default();
    let is_in = |path: &str| {
        let below = near.strip_prefix(path);
        below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
    };
    // No value begins with a colon. The parser's position for an empty value is that of the next text on the line.
    let is_empty = given.is_some_and(|given| given.starts_with(':'));
    let (field, mistake) = match (missing, in_tree) {
        (Some(missing), Some(tree)) if tree.missing.as_ref() == Some(&missing) => {
            let path = [tree.path.as_str(), missing.as_str()];
            let path = path.into_iter().filter(|step| !step.is_empty());
            (Some(path.collect::<Vec<_>>().join(".")), mistake)
        }
        // The parser's position is somewhere in the map that lacks the field.
        (Some(missing), _) => (Some(lacking(near, &missing)), mistake),
        (None, Some(tree))
            if (is_empty || wants_another_shape(error))
                && tree.missing.is_none()
                && (near.is_empty() || is_in(&tree.path)) =>
        {
            let path = Some(tree.path).filter(|path| !path.is_empty());
            (path, of_shape(&tree.problem))
        }
        (None, _) if is_empty => (field, of_shape(&mistake)),
        (None, _) => (field, mistake),
    };
    FileError {
        at,
        field,
        ..FileError::new(origin, mistake)
    }
}

/// Returns whether a list, a map or nothing stands where the parser wants something else.
fn wants_another_shape(error: &serde_saphyr::Error) -> bool {
    use serde_saphyr::Error;
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => {
            wants_another_shape(error)
        }
        Error::Unexpected { .. } | Error::NullIntoString { .. } => true,
        _ => false,
    }
}

/// Returns whether the text ends within a list or a map in brackets, where a comma separates values.
fn is_in_brackets(text: &str) -> bool {
    let mut open = 0_usize;
    for line in text.lines() {
        let code = match line.trim_start().starts_with('#') {
            true => "",
            false => line.split(" #").next().unwrap_or_default(),
        };
        // Brackets within quotes do not count.
        for code in code.split(['"', '\'']).step_by(2) {
            for sign in code.chars() {
                match sign {
                    '[' | '{' => open += 1,
                    ']' | '}' => open = open.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }
    open > 0
}

/// The plain value at a position. `None` if a list, a map or nothing begins there.
fn standing_at(text: &str, (line, column): Position) -> Option<&str> {
    let line_index = usize::try_from(line).ok()?.checked_sub(1)?;
    let line = text.lines().nth(line_index)?;
    let from = usize::try_from(column).ok()?.checked_sub(1)?;
    let (at, _) = line.char_indices().nth(from)?;
    let rest = &line[at..];
    let quote = rest
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''));
    let value = match quote {
        Some(quote) => rest[1..].split(quote).next()?,
        None => {
            let before: usize = text
                .split_inclusive('\n')
                .take(line_index)
                .map(str::len)
                .sum();
            let separators: &[char] = match is_in_brackets(&text[..before + at]) {
                true => &[',', ']', '}', '#'],
                false => &['#'],
            };
            rest.split(separators).next()?.trim()
        }
    };
    // If the value is a map, there is a key at this position.
    let plain = !value.is_empty()
        && !value.starts_with(['[', '{', '&', '*', '|', '>', '-'].as_slice())
        || value.starts_with('-') && value.len() > 1 && !value.starts_with("- ");
    (plain && !value.contains(": ") && value.chars().count() <= 60).then_some(value)
}
