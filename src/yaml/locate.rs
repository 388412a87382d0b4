//! Finds the position of a field in the text, so that a message can give line and column of a well-formed but invalid
//! value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line and column, both from 1.
pub type Position = (u64, u64);

/// The positions of a document's fields, in document order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Positions(Vec<(String, Position)>);

impl Positions {
    /// The positions in `text`. There are none when it is not YAML.
    pub(super) fn of(text: &str, bounds: super::Bounds) -> Positions {
        let mut positions = Positions::default();
        let mut options = super::options(bounds);
        // `.nan` and `.inf` have a position too: the check of their field refuses them.
        options.non_finite_float_policy = serde_saphyr::NonFiniteFloatPolicy::PassThrough;
        if let Ok(tree) = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
            positions.add(String::new(), &tree);
        }
        positions
    }

    fn add(&mut self, path: String, tree: &Spanned<Node>) {
        let below = |name: &dyn fmt::Display| {
            if path.is_empty() {
                name.to_string()
            } else {
                format!("{path}.{name}")
            }
        };
        match &tree.value {
            Node::Leaf => {}
            Node::Map(entries) => {
                for (key, value) in entries {
                    let path = below(&key.value);
                    self.0.push((path.clone(), position(&key.referenced)));
                    self.add(path, value);
                }
            }
            Node::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let path = below(&at);
                    self.0.push((path.clone(), position(&item.referenced)));
                    self.add(path, item);
                }
            }
        }
    }

    /// The position of the field `path`, or of the nearest field around it.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some((_, position)) = self.0.iter().find(|(known, _)| known == path) {
                return Some(*position);
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// The field at `position`: the last one on that line that begins at or before it.
    #[must_use]
    pub fn field(&self, position: Position) -> Option<&str> {
        let before = |(_, at): &&(String, Position)| at.0 == position.0 && *at <= position;
        self.0
            .iter()
            .rev()
            .find(before)
            .map(|(path, _)| path.as_str())
    }
}

fn position(location: &serde_saphyr::Location) -> Position {
    (location.line(), location.column())
}

enum Node {
    Leaf,
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}
