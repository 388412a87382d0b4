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

/// Whether `text` can be a title or a name: 1 to `most` characters on one line. A control character would break the
/// line and could change the terminal.
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
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too long.
    std::fs::File::open(path)?
        .take(bounds.bytes as u64 + 1)
        .read_to_end(&mut bytes)?;
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
        Err(error) => Err(of_parser((origin, text), &positions, &error, lacking)),
    }
}

fn of_parser(
    (origin, text): (&str, &str),
    positions: &Positions,
    error: &serde_saphyr::Error,
    lacking: impl FnOnce(&str, &str) -> String,
) -> FileError {
    let at: Option<Position> = error
        .location()
        .map(|at| (at.line(), at.column()))
        .filter(|at| at.0 > 0);
    let field = at.and_then(|at| positions.field(at)).map(str::to_owned);
    let given = at.and_then(|at| standing_at(text, at));
    let Wording { mistake, missing } = wording::of_yaml(error, given);
    // The parser's position is somewhere in the map that lacks the field.
    let field = match missing {
        Some(missing) => Some(lacking(field.as_deref().unwrap_or_default(), &missing)),
        None => field,
    };
    FileError {
        at,
        field,
        ..FileError::new(origin, mistake)
    }
}

/// The plain value at a position. `None` if a list, a map or nothing begins there.
fn standing_at(text: &str, (line, column): Position) -> Option<&str> {
    let line = text
        .lines()
        .nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let from = usize::try_from(column).ok()?.checked_sub(1)?;
    let (at, _) = line.char_indices().nth(from)?;
    let rest = &line[at..];
    let quote = rest
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''));
    let value = match quote {
        Some(quote) => rest[1..].split(quote).next()?,
        None => rest.split([',', ']', '}', '#']).next()?.trim(),
    };
    // If the value is a map, there is a key at this position.
    let plain = !value.is_empty()
        && !value.starts_with(['[', '{', '&', '*', '|', '>', '-'].as_slice())
        || value.starts_with('-') && value.len() > 1 && !value.starts_with("- ");
    (plain && !value.contains(": ") && value.chars().count() <= 60).then_some(value)
}
