//! The modules use each other only as the table in docs/architecture.md allows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The modules that each module may use; `None` for all.
type Table = BTreeMap<String, Option<BTreeSet<String>>>;

/// Parses the table under `| module | may use |`. Remarks in parentheses are ignored.
fn table(page: &str) -> Table {
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| module | may use |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let mut table = Table::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [modules, used] = cells[..] else {
            panic!("not two cells: {row}")
        };
        let used = match used.trim() {
            "everything" => None,
            "nothing" => Some(BTreeSet::new()),
            names => Some(listed(names)),
        };
        for module in listed(modules) {
            table.insert(module, used.clone());
        }
    }
    table
}

fn listed(cell: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let plain = cell.chars().filter(|c| {
        depth += i32::from(*c == '(');
        let keep = depth == 0;
        depth -= i32::from(*c == ')');
        keep
    });
    let plain: String = plain.collect();
    plain
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

/// The modules of the crate that a file uses, by `crate::name` or, `depth` modules below the root, by `super::`.
struct Used {
    depth: usize,
    names: BTreeSet<String>,
}

impl Used {
    fn path(&mut self, segments: &[String]) {
        let name = match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1),
            Some("super") => {
                let climbs = segments.iter().take_while(|it| *it == "super").count();
                segments.get(climbs).filter(|_| climbs == self.depth)
            }
            _ => None,
        };
        self.names.extend(name.cloned());
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.path(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|it| self.tree(before, it)),
        }
    }
}

impl<'ast> Visit<'ast> for Used {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|it| it.ident.to_string());
        self.path(&segments.collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    /// The expansion of a macro is unknown, but paths among its tokens count.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string();
        let words: Vec<&str> = text.split_whitespace().collect();
        for at in 0..words.len() {
            let path = words[at..].chunks(2).map_while(|pair| match pair {
                [name, "::"] => Some((*name).to_owned()),
                _ => None,
            });
            let mut path: Vec<String> = path.collect();
            path.extend(
                words
                    .get(at + 2 * path.len())
                    .map(|last| (*last).to_owned()),
            );
            self.path(&path);
        }
    }
}

fn used(code: &str, depth: usize) -> BTreeSet<String> {
    let mut used = Used {
        depth,
        names: BTreeSet::new(),
    };
    used.visit_file(&syn::parse_file(code).unwrap());
    used.names
}

/// The modules that a file of `module` uses although the table does not allow it.
fn forbidden(table: &Table, module: &str, depth: usize, code: &str) -> Vec<String> {
    let Some(allowed) = table.get(module) else {
        return vec![format!("(the table has no line for {module})")];
    };
    let Some(allowed) = allowed else {
        return Vec::new();
    };
    let used = used(code, depth).into_iter();
    let wrong =
        used.filter(|name| table.contains_key(name) && name != module && !allowed.contains(name));
    wrong.collect()
}

fn shipped() -> Table {
    let table = table(include_str!("../../docs/architecture.md"));
    assert!(table.len() > 15, "the table was not found");
    table
}

/// Each source file: its path below `src/`, its module, the depth of the module, its text.
fn sources() -> Vec<(PathBuf, String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_owned();
                let first = Path::new(path.iter().next().unwrap());
                let module = first.file_stem().unwrap().to_str().unwrap().to_owned();
                let depth = path.iter().count() - usize::from(path.ends_with("mod.rs"));
                found.push((path, module, depth, text));
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

#[test]
fn modules_use_only_what_the_table_in_the_docs_allows() {
    let table = shipped();
    let mut wrong = BTreeMap::new();
    for (path, module, depth, text) in sources() {
        let used = forbidden(&table, &module, depth, &text);
        if !used.is_empty() {
            wrong.insert(path, used);
        }
    }
    assert!(wrong.is_empty(), "against docs/architecture.md: {wrong:#?}");
}

#[test]
fn every_form_of_a_forbidden_use_is_found() {
    let planted = [
        ("domain", 2, "use crate::store::StoreError;"),
        ("domain", 1, "fn f() { crate::booking::now(); }"),
        (
            "domain",
            1,
            "fn f() { println!(\"{}\", crate::booking::now()); }",
        ),
        (
            "store",
            3,
            "use crate::{domain::Money, http::{self, ApiError}};",
        ),
        ("load", 2, "pub(crate) use crate :: serve as sly;"),
        ("telemetry", 2, "use super::super::domain::Money;"),
        ("http", 3, "use super::super::super::serve;"),
        ("tui", 1, "use super::serve;"),
        ("nowhere", 1, ""),
    ];
    for (module, depth, code) in planted {
        assert_eq!(
            forbidden(&shipped(), module, depth, code).len(),
            1,
            "{code}"
        );
    }
}

#[test]
fn allowed_uses_comments_and_texts_are_not_reported() {
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
        (
            "store",
            2,
            "use crate::{domain::Money, telemetry::{self, Metrics}};",
        ),
        ("store", 2, "use crate::store::http::x; use super::serve;"),
        (
            "cli",
            2,
            "use crate::tui; use crate::load; use crate::serve;",
        ),
    ];
    for (module, depth, code) in fine {
        assert!(
            forbidden(&shipped(), module, depth, code).is_empty(),
            "{code}"
        );
    }
}
