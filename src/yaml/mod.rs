//! YAML files that people write: read within bounds, refused with file, line, column and field.
//!
//! Used by `load` for scenarios, by `seeding` for profiles and by `alerting` for rule files; `http` and
//! `embedded` say in its words what is wrong with a body. Uses no other module.

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

/// How large a file of a kind may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// What the parser may come across: keys, values, beginnings and ends.
    pub events: usize,
    /// `&name` and `*name`.
    pub aliases: usize,
}

/// Scenarios and profiles, which people write by hand.
pub const SMALL: Bounds = Bounds {
    bytes: 64 * 1024,
    events: 10_000,
    aliases: 0,
};

/// Why a file cannot be used. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, the shipped text, or the option that is wrong.
    pub origin: String,
    /// Line and column, from 1, where there is one.
    pub at: Option<Position>,
    /// The field, as a dotted path.
    pub field: Option<String>,
    /// What is wrong and what to do.
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

/// Text that may repeat what the file says, whose keys may have line ends, or other characters that
/// steer a terminal, and be as long as the file: in one line, its middle left out when it is long.
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

impl FileError {
    /// A problem of `origin` as a whole.
    pub fn new(origin: impl Into<String>, problem: impl Into<String>) -> FileError {
        FileError {
            origin: origin.into(),
            at: None,
            field: None,
            problem: problem.into(),
        }
    }
}

/// Bounds for the parser: such a file is flat.
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

/// The text of the file at `path`, or of as much of it as shows that it is too long.
///
/// # Errors
/// What the file system says.
pub fn read_file(path: &Path, bounds: Bounds) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    // One byte more than allowed, so that a longer file is distinguished from one that just fits.
    std::fs::File::open(path)?
        .take(bounds.bytes as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Reads `text` as a `T`, and where its fields stand. `origin` names the text in messages; `lacking`
/// gives the path of a missing field from the path of a field near it and its name.
///
/// # Errors
/// [`FileError`] when the text is too long, or not a `T`.
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
    let Wording { problem, missing } = wording::of_yaml(error, given);
    // The parser stands somewhere in the map that lacks the field, not at the field.
    let field = match missing {
        Some(missing) => Some(lacking(field.as_deref().unwrap_or_default(), &missing)),
        None => field,
    };
    FileError {
        at,
        field,
        ..FileError::new(origin, problem)
    }
}

/// The plain value that stands at a position; `None` where a list, a map or nothing begins.
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
    // A key stands there where the value is a map.
    let plain = !value.is_empty()
        && !value.starts_with(['[', '{', '&', '*', '|', '>', '-'].as_slice())
        || value.starts_with('-') && value.len() > 1 && !value.starts_with("- ");
    (plain && !value.contains(": ") && value.chars().count() <= 60).then_some(value)
}
