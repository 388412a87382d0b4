//! Maps names and values to the traces that contain them, so that a search reads few traces.
//!
//! Traces are numbered in the order of their arrival, and the oldest are dropped first. So a list of numbers grows at
//! its end and shrinks at its beginning. The index gives a superset of the matches, because its unit is the trace and
//! not the span. A search also checks the spans.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use super::trace::{ValueRef, kind, resource, status};
use crate::telemetry::TraceRecord;

/// The largest number of values per name that have their own list. Further values (for example ids) share one list.
const MAX_VALUES: usize = 20_000;
/// The memory of a trace's number in a list, including the spare capacity of a growing list.
const NUMBER_BYTES: usize = 12;
/// The memory of a value without its text: its list and its entry in the table.
const VALUE_BYTES: usize = 128;

/// The owner of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Span,
    Resource,
    /// `name`, `kind` and `status` of a span. They are not attributes.
    Intrinsic,
}

/// Names, values, traces.
#[derive(Debug, Default)]
pub(super) struct Index {
    span: HashMap<&'static str, Values>,
    resource: HashMap<&'static str, Values>,
    intrinsic: HashMap<&'static str, Values>,
    /// Memory in bytes.
    pub(super) bytes: usize,
}

/// Numbers of traces in rising order.
type Numbers = VecDeque<u64>;

/// The traces of each value of one name.
#[derive(Debug, Default)]
pub(super) struct Values {
    lists: hashbrown::HashMap<Key, Numbers>,
    /// Traces with a value that does not have its own list.
    beyond: Numbers,
}

/// The key for a look-up. [`Key`] owns its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum KeyRef<'a> {
    Text(&'a str),
    Int(i64),
    /// The bits of a float.
    Float(u64),
    Bool(bool),
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Text(Box<str>),
    /// Never a text.
    Other(KeyRef<'static>),
}

impl Key {
    fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Key::Text(text) => KeyRef::Text(text),
            Key::Other(other) => *other,
        }
    }
}

/// Equal to the hash of the [`KeyRef`] that searches the table.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl hashbrown::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.as_ref()
    }
}

impl<'a> From<ValueRef<'a>> for KeyRef<'a> {
    fn from(value: ValueRef<'a>) -> KeyRef<'a> {
        match value {
            ValueRef::Text(text) => KeyRef::Text(text),
            ValueRef::Int(number) => KeyRef::Int(number),
            ValueRef::Float(number) => KeyRef::Float(number.to_bits()),
            ValueRef::Bool(yes) => KeyRef::Bool(yes),
        }
    }
}

impl<'a> KeyRef<'a> {
    fn value(self) -> ValueRef<'a> {
        match self {
            KeyRef::Text(text) => ValueRef::Text(text),
            KeyRef::Int(number) => ValueRef::Int(number),
            KeyRef::Float(bits) => ValueRef::Float(f64::from_bits(bits)),
            KeyRef::Bool(yes) => ValueRef::Bool(yes),
        }
    }

    fn to_key(self) -> Key {
        match self {
            KeyRef::Text(text) => Key::Text(text.into()),
            KeyRef::Int(number) => Key::Other(KeyRef::Int(number)),
            KeyRef::Float(bits) => Key::Other(KeyRef::Float(bits)),
            KeyRef::Bool(yes) => Key::Other(KeyRef::Bool(yes)),
        }
    }

    /// The memory of the value and its list, without the numbers in the list.
    fn bytes(self) -> usize {
        match self {
            KeyRef::Text(text) => VALUE_BYTES + text.len(),
            _ => VALUE_BYTES,
        }
    }
}

impl Index {
    /// Adds the values of `record`, which belongs to trace `seq`.
    pub(super) fn add(&mut self, seq: u64, record: &TraceRecord) {
        each_value(record, |scope, name, value| {
            let values = self.table_mut(scope).entry(name).or_default();
            let grown = values.add(seq, value);
            self.bytes += grown;
        });
    }

    /// Removes the values of `record`, which belonged to trace `seq`. Call it for every record of the trace: it removes
    /// the trace's number from a list although another record may have the same value.
    pub(super) fn remove(&mut self, seq: u64, record: &TraceRecord) {
        each_value(record, |scope, name, value| {
            if let Some(values) = self.table_mut(scope).get_mut(name) {
                let shrunk = values.remove(seq, value);
                self.bytes = self.bytes.saturating_sub(shrunk);
            }
        });
    }

    fn table_mut(&mut self, scope: Scope) -> &mut HashMap<&'static str, Values> {
        match scope {
            Scope::Span => &mut self.span,
            Scope::Resource => &mut self.resource,
            Scope::Intrinsic => &mut self.intrinsic,
        }
    }

    fn table(&self, scope: Scope) -> &HashMap<&'static str, Values> {
        match scope {
            Scope::Span => &self.span,
            Scope::Resource => &self.resource,
            Scope::Intrinsic => &self.intrinsic,
        }
    }

    /// The names that have a value, in order.
    pub(super) fn names(&self, scope: Scope) -> Vec<&'static str> {
        let table = self.table(scope).iter();
        let mut names: Vec<_> = table
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, _)| *name)
            .collect();
        names.sort_unstable();
        names
    }

    pub(super) fn values(&self, scope: Scope, name: &str) -> Option<&Values> {
        self.table(scope).get(name)
    }
}

impl Values {
    fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.beyond.is_empty()
    }

    /// All values that have their own list.
    pub(super) fn iter(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.lists.keys().map(|key| key.as_ref().value())
    }

    /// Traces with exactly this text, and traces that may have it.
    pub(super) fn with_text(&self, text: &str) -> Vec<u64> {
        let list = self.lists.get(&KeyRef::Text(text));
        union(list.into_iter().chain([&self.beyond]))
    }

    /// Traces with a value that passes, and traces that may have one.
    pub(super) fn passing(&self, passes: impl Fn(ValueRef<'_>) -> bool) -> Vec<u64> {
        let lists = self.lists.iter();
        let lists = lists.filter(|(key, _)| passes(key.as_ref().value()));
        union(lists.map(|(_, list)| list).chain([&self.beyond]))
    }

    /// Adds a value. Returns the number of bytes that it took.
    fn add(&mut self, seq: u64, value: ValueRef<'_>) -> usize {
        let key = KeyRef::from(value);
        if let Some(list) = self.lists.get_mut(&key) {
            return insert(list, seq);
        }
        if self.lists.len() >= MAX_VALUES {
            return insert(&mut self.beyond, seq);
        }
        let list = self.lists.entry(key.to_key()).or_default();
        insert(list, seq) + key.bytes()
    }

    /// Removes a value. Returns the number of bytes that it freed.
    fn remove(&mut self, seq: u64, value: ValueRef<'_>) -> usize {
        let key = KeyRef::from(value);
        let mut freed = 0;
        if let Some(list) = self.lists.get_mut(&key) {
            freed = take(list, seq);
            if list.is_empty() {
                self.lists.remove(&key);
                freed += key.bytes();
            }
        }
        // The value may have been in the shared list at first and have its own list now.
        freed + take(&mut self.beyond, seq)
    }
}

/// Calls `visit` with each indexed value of the record.
fn each_value<'a>(
    record: &'a TraceRecord,
    mut visit: impl FnMut(Scope, &'static str, ValueRef<'a>),
) {
    for (name, value) in resource(record) {
        visit(Scope::Resource, name, ValueRef::Text(value));
    }
    for span in &record.spans {
        visit(Scope::Intrinsic, "name", ValueRef::Text(&span.name));
        visit(Scope::Intrinsic, "kind", ValueRef::Text(kind(span)));
        visit(Scope::Intrinsic, "status", ValueRef::Text(status(span)));
        for (name, value) in &span.attributes {
            visit(Scope::Span, name, ValueRef::from(value));
        }
    }
}

/// Adds a trace to a list, at most once per list. A trace that is older than the last one goes to its place in the
/// order. Returns the number of bytes that it took.
fn insert(numbers: &mut Numbers, seq: u64) -> usize {
    match numbers.back() {
        Some(last) if *last == seq => return 0,
        Some(last) if *last > seq => match numbers.binary_search(&seq) {
            Ok(_) => return 0,
            Err(at) => numbers.insert(at, seq),
        },
        _ => numbers.push_back(seq),
    }
    NUMBER_BYTES
}

/// Removes a trace from a list, if it is there. Returns the number of bytes that it freed.
fn take(numbers: &mut Numbers, seq: u64) -> usize {
    if numbers.front() == Some(&seq) {
        numbers.pop_front();
        if numbers.capacity() > 64 && numbers.len() < numbers.capacity() / 4 {
            numbers.shrink_to(numbers.len() * 2);
        }
        return NUMBER_BYTES;
    }
    match numbers.binary_search(&seq) {
        Ok(at) => {
            numbers.remove(at);
            NUMBER_BYTES
        }
        Err(_) => 0,
    }
}

/// The numbers of all lists in rising order without duplicates.
fn union<'a>(lists: impl Iterator<Item = &'a Numbers>) -> Vec<u64> {
    let mut lists = lists.filter(|list| !list.is_empty());
    let mut all: Vec<u64> = lists.next().into_iter().flatten().copied().collect();
    let mut one_list = true;
    for list in lists {
        all.extend(list);
        one_list = false;
    }
    if !one_list {
        // The sort merges lists that are already sorted.
        all.sort();
        all.dedup();
    }
    all
}

/// The numbers that are in both lists. Both must be sorted.
pub(super) fn intersect(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut rest = many;
    few.iter()
        .copied()
        .filter(|seq| {
            let at = rest.partition_point(|other| other < seq);
            rest = &rest[at..];
            rest.first() == Some(seq)
        })
        .collect()
}

/// The numbers that are in either list. Both must be sorted.
pub(super) fn merge(mut a: Vec<u64>, b: &[u64]) -> Vec<u64> {
    a.extend_from_slice(b);
    a.sort();
    a.dedup();
    a
}
