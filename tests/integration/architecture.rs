//! The walls of the house: which room may use which, read from the sources themselves
//! (docs/architecture.md, table of modules).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each room may use, beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("api", &["domain"]),
    ("cells", &[]),
    ("duration", &[]),
    ("files", &[]),
    ("http_client", &[]),
    ("telemetry", &["files", "http_client"]),
    ("yaml", &[]),
    ("faults", &["domain", "telemetry"]),
    ("store", &["domain", "faults", "files", "telemetry"]),
    ("clock", &["domain"]),
    ("coordination", &["clock", "domain", "faults", "telemetry"]),
    (
        "booking",
        &[
            "clock",
            "domain",
            "faults",
            "store",
            "coordination",
            "telemetry",
        ],
    ),
    (
        "http",
        &["api", "booking", "faults", "telemetry", "embedded"],
    ),
    ("seeding", &["domain", "store", "yaml"]),
    ("clients", &["api", "http_client"]),
    (
        "load",
        &["api", "cells", "clients", "duration", "files", "yaml"],
    ),
    ("embedded", &["clients", "http_client", "telemetry"]),
    (
        "alerting",
        &["embedded", "http_client", "telemetry", "yaml"],
    ),
    (
        "tui",
        &["cells", "clients", "duration", "files", "load", "api"],
    ),
    // Settings are made of the settings of the rooms that are set.
    ("settings", SERVER_SIDE),
    ("serve", SERVER_SIDE),
    ("cli", EVERYTHING),
    ("fuzzing", EVERYTHING),
    ("lib", EVERYTHING),
    ("main", EVERYTHING),
];

const SERVER_SIDE: &[&str] = &[
    "clock",
    "domain",
    "api",
    "telemetry",
    "faults",
    "files",
    "store",
    "coordination",
    "booking",
    "http",
    "seeding",
    "embedded",
    "alerting",
    "settings",
    "yaml",
];

const EVERYTHING: &[&str] = &["*"];

/// Files longer than this are to be split; files of nothing but tests may be longer.
const LONGEST: usize = 450;

/// `text` with comments, strings and characters blanked, line breaks kept.
fn code_of(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < source.len() {
        let end = token_end(&source, at);
        if end > at {
            code.extend(
                source[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            code.push(source[at]);
            at += 1;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn token_end(source: &[char], at: usize) -> usize {
    let rest = &source[at..];
    let begins = |with: &str| rest.iter().take(with.len()).copied().eq(with.chars());
    let until = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        let found = rest[from..]
            .windows(end.len())
            .position(|window| window == end);
        at + found.map_or(rest.len(), |found| from + found + end.len())
    };
    let inside_word = at > 0 && (source[at - 1].is_alphanumeric() || source[at - 1] == '_');
    let raw_from = match rest {
        ['r', ..] if !inside_word => 1,
        ['b', 'r', ..] if !inside_word => 2,
        _ => 0,
    };
    if raw_from > 0 {
        let hashes = rest[raw_from..].iter().take_while(|c| **c == '#').count();
        if rest.get(raw_from + hashes) == Some(&'"') {
            return until(raw_from + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if begins("//") {
        return at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
    }
    if begins("/*") {
        return until(2, "*/");
    }
    match rest {
        ['"', ..] => {
            let mut length = 1;
            while length < rest.len() && rest[length] != '"' {
                length += if rest[length] == '\\' { 2 } else { 1 };
            }
            at + (length + 1).min(rest.len())
        }
        ['\'', '\\', ..] => until(3, "'"),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

/// Names that follow `crate::` in code, one by one or in braces, and names reached by climbing above
/// the room with `super::`. `depth` is how many modules deep the file stands.
fn names_used(code: &str, depth: usize) -> BTreeSet<String> {
    let compact: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let compact = compact.replace(" ::", "::").replace(":: ", "::");
    let mut names = BTreeSet::new();
    let climb = "super::".repeat(depth);
    for start in ["crate::", climb.as_str()] {
        for (at, _) in compact.match_indices(start) {
            let before = compact[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            names.extend(heads(&compact[at + start.len()..]));
        }
    }
    names
}

/// `a::b` → a; `{a::{x, y}, b}` → a, b.
fn heads(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut depth, mut found, mut fresh) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            _ if c.is_whitespace() => {}
            _ if fresh => {
                found.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

/// The rooms that a file of `room` uses against the table.
fn forbidden(room: &str, depth: usize, code: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
        return vec![format!("(no line in the table for {room})")];
    };
    names_used(code, depth)
        .into_iter()
        .filter(|used| {
            let is_room = MAY_USE.iter().any(|(name, _)| name == used);
            is_room && used != room && !allowed.contains(&"*") && !allowed.contains(&used.as_str())
        })
        .collect()
}

/// `code` without what stands under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut depth = 0;
        let end = rest.char_indices().find_map(|(at, c)| match c {
            '{' => {
                depth += 1;
                None
            }
            '}' => {
                depth -= 1;
                (depth == 0).then_some(at + 1)
            }
            ';' if depth == 0 => Some(at + 1),
            _ => None,
        });
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    kept.push_str(rest);
    kept
}

struct Source {
    /// Below `src/`.
    path: PathBuf,
    room: String,
    depth: usize,
    text: String,
}

impl Source {
    fn only_tests(&self) -> bool {
        self.path.file_stem().is_some_and(|stem| stem == "tests")
            || self.path.iter().any(|part| part == "tests")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_owned();
                let first = Path::new(path.iter().next().unwrap());
                let room = first.file_stem().unwrap().to_str().unwrap().to_owned();
                let own_name = usize::from(!path.ends_with("mod.rs"));
                let depth = path.iter().count() - 1 + own_name;
                found.push(Source {
                    path,
                    room,
                    depth,
                    text,
                });
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

#[test]
fn no_room_uses_another_against_the_table() {
    let mut wrong = BTreeMap::new();
    for source in sources() {
        let used = forbidden(&source.room, source.depth, &code_of(&source.text));
        if !used.is_empty() {
            wrong.insert(source.path, used);
        }
    }
    assert!(wrong.is_empty(), "arrows against the table: {wrong:#?}");
}

#[test]
fn no_source_file_outgrows_a_reader() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.only_tests())
        .map(|source| (source.path, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .collect();
    assert!(long.is_empty(), "over {LONGEST} lines: {long:#?}");
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let unwrapping: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.only_tests())
        .filter(|source| without_tests(&code_of(&source.text)).contains(".unwrap()"))
        .map(|source| source.path)
        .collect();
    assert!(unwrapping.is_empty(), "unwrap() in {unwrapping:#?}");
}

#[test]
fn the_checker_sees_every_form_of_a_forbidden_arrow() {
    let planted = [
        ("domain", 2, "use crate::store::StoreError;"),
        ("domain", 1, "fn f() { crate::booking::now(); }"),
        (
            "store",
            3,
            "use crate::{domain::Money, http::{self, ApiError}};",
        ),
        (
            "store",
            2,
            "use crate::{\n    domain::Money,\n    seeding,\n};",
        ),
        ("load", 2, "pub(crate) use crate :: serve as sly;"),
        ("telemetry", 2, "use super::super::domain::Money;"),
        ("http", 3, "use super::super::super::serve;"),
        ("tui", 1, "use super::serve;"),
        ("load", 1, "let a = '\"'; use crate::serve; let b = '\"';"),
        ("nowhere", 1, ""),
    ];
    for (room, depth, code) in planted {
        assert_eq!(forbidden(room, depth, &code_of(code)).len(), 1, "{code}");
    }
}

#[test]
fn the_checker_leaves_alone_what_is_allowed_or_is_no_code() {
    let fine = [
        ("domain", 1, "// use crate::store::StoreError;"),
        (
            "domain",
            1,
            "/// See [x](crate::booking::Refusal).\nstruct A;",
        ),
        (
            "domain",
            1,
            "const A: &str = \"crate::store\"; /* crate::http */",
        ),
        ("domain", 1, "const A: &str = r#\"\" crate::store\"#;"),
        (
            "store",
            2,
            "use crate::{domain::Money, telemetry::{self, Metrics}};",
        ),
        ("store", 2, "use crate::store::http::x; use super::serve;"),
        ("http", 2, "fn f<'a>(x: &'a str) -> &'a str { x }"),
        (
            "cli",
            2,
            "use crate::tui; use crate::load; use crate::serve;",
        ),
    ];
    for (room, depth, code) in fine {
        assert!(forbidden(room, depth, &code_of(code)).is_empty(), "{code}");
    }
}

#[test]
fn the_checker_tells_tests_from_the_rest() {
    let code = code_of("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { x.unwrap(); } }\nfn c() {}");
    let kept = without_tests(&code);
    assert!(kept.contains("fn a") && kept.contains("fn c") && !kept.contains("unwrap"));
    let code = code_of("#[cfg(test)]\nmod tests;\nfn a() { x.unwrap() }");
    assert!(without_tests(&code).contains(".unwrap()"));
}
