//! Which traces hold which value under which name, so that a search looks at few of them.
//!
//! Traces are numbered in the order of their arrival, and the oldest go first: a list of numbers
//! grows at its end and shrinks at its beginning. What the index names is a superset of what is
//! sought, since its unit is the trace and not the span; whoever searches looks at the spans too.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::trace::{ValueRef, kind, resource, status};
use crate::telemetry::TraceRecord;

/// Values told apart under one name. What comes beyond them (an id of something) shares one list.
const MAX_VALUES: usize = 20_000;
/// Memory of a trace's number in a list, with the room that a growing list keeps.
const NUMBER_BYTES: usize = 12;
/// Memory of a value beside its text: its list and its place in the table.
const VALUE_BYTES: usize = 128;

/// Whose a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Span,
    Resource,
    /// `name`, `kind` and `status` of a span, which are no attributes.
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

/// Numbers of traces, rising.
type Numbers = VecDeque<u64>;

/// The values of one name.
#[derive(Debug, Default)]
pub(super) struct Values {
    texts: HashMap<Box<str>, Numbers>,
    others: HashMap<Other, Numbers>,
    /// Traces with a value that has no list of its own.
    beyond: Numbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Other {
    Int(i64),
    /// A float by its bits.
    Float(u64),
    Bool(bool),
}

impl From<&Other> for Other {
    fn from(other: &Other) -> Other {
        *other
    }
}

impl Other {
    fn value(self) -> ValueRef<'static> {
        match self {
            Other::Int(number) => ValueRef::Int(number),
            Other::Float(bits) => ValueRef::Float(f64::from_bits(bits)),
            Other::Bool(yes) => ValueRef::Bool(yes),
        }
    }
}

impl Index {
    /// Notes what `record` says of trace `seq`.
    pub(super) fn add(&mut self, seq: u64, record: &TraceRecord) {
        each_value(record, |scope, name, value| {
            let values = self.table_mut(scope).entry(name).or_default();
            let grown = values.add(seq, value);
            self.bytes += grown;
        });
    }

    /// Forgets what `record` said of trace `seq`.
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

    /// Names that have a value, in order.
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
        self.texts.is_empty() && self.others.is_empty() && self.beyond.is_empty()
    }

    /// Every value that has a list of its own.
    pub(super) fn iter(&self) -> impl Iterator<Item = ValueRef<'_>> {
        let texts = self.texts.keys().map(|text| ValueRef::Text(text));
        texts.chain(self.others.keys().map(|other| other.value()))
    }

    /// Traces with exactly this text, and those that may have it.
    pub(super) fn with_text(&self, text: &str) -> Vec<u64> {
        union(self.texts.get(text).into_iter().chain([&self.beyond]))
    }

    /// Traces with a value that passes, and those that may have one.
    pub(super) fn passing(&self, passes: impl Fn(ValueRef<'_>) -> bool) -> Vec<u64> {
        let texts = self.texts.iter();
        let texts = texts.filter(|(text, _)| passes(ValueRef::Text(text)));
        let others = self.others.iter();
        let others = others.filter(|(other, _)| passes(other.value()));
        let lists = texts.map(|it| it.1).chain(others.map(|it| it.1));
        union(lists.chain([&self.beyond]))
    }

    fn full(&self) -> bool {
        self.texts.len() + self.others.len() >= MAX_VALUES
    }

    /// Returns how many bytes it took.
    fn add(&mut self, seq: u64, value: ValueRef<'_>) -> usize {
        let full = self.full();
        let added = match other(value) {
            Err(text) => add_to(&mut self.texts, text, full, seq).map(|(bytes, new)| {
                let value = if new { VALUE_BYTES + text.len() } else { 0 };
                bytes + value
            }),
            Ok(other) => add_to(&mut self.others, &other, full, seq)
                .map(|(bytes, new)| bytes + if new { VALUE_BYTES } else { 0 }),
        };
        added.unwrap_or_else(|| insert(&mut self.beyond, seq))
    }

    /// Returns how many bytes came free.
    fn remove(&mut self, seq: u64, value: ValueRef<'_>) -> usize {
        let freed = match other(value) {
            Err(text) => {
                let (bytes, gone) = take_from(&mut self.texts, text, seq);
                bytes + if gone { VALUE_BYTES + text.len() } else { 0 }
            }
            Ok(other) => {
                let (bytes, gone) = take_from(&mut self.others, &other, seq);
                bytes + if gone { VALUE_BYTES } else { 0 }
            }
        };
        // A value may have been among the many when it came and have a list of its own by now.
        freed + take(&mut self.beyond, seq)
    }
}

/// Adds to the list of `key`, which is new (and told so) unless there are lists enough: then `None`.
fn add_to<K, Q>(
    lists: &mut HashMap<K, Numbers>,
    key: &Q,
    full: bool,
    seq: u64,
) -> Option<(usize, bool)>
where
    K: Borrow<Q> + Hash + Eq + for<'a> From<&'a Q>,
    Q: Hash + Eq + ?Sized,
{
    if let Some(numbers) = lists.get_mut(key) {
        return Some((insert(numbers, seq), false));
    }
    if full {
        return None;
    }
    let numbers = lists.entry(K::from(key)).or_default();
    Some((insert(numbers, seq), true))
}

/// Takes from the list of `key`, and says whether it was the last.
fn take_from<K, Q>(lists: &mut HashMap<K, Numbers>, key: &Q, seq: u64) -> (usize, bool)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    let Some(numbers) = lists.get_mut(key) else {
        return (0, false);
    };
    let bytes = take(numbers, seq);
    let gone = numbers.is_empty();
    if gone {
        lists.remove(key);
    }
    (bytes, gone)
}

/// The value as a key, or its text.
fn other(value: ValueRef<'_>) -> Result<Other, &str> {
    match value {
        ValueRef::Text(text) => Err(text),
        ValueRef::Int(number) => Ok(Other::Int(number)),
        ValueRef::Float(number) => Ok(Other::Float(number.to_bits())),
        ValueRef::Bool(yes) => Ok(Other::Bool(yes)),
    }
}

/// Calls `tell` with everything in the record that is searched by value.
fn each_value<'a>(
    record: &'a TraceRecord,
    mut tell: impl FnMut(Scope, &'static str, ValueRef<'a>),
) {
    for (name, value) in resource(record) {
        tell(Scope::Resource, name, ValueRef::Text(value));
    }
    for span in &record.spans {
        tell(Scope::Intrinsic, "name", ValueRef::Text(&span.name));
        tell(Scope::Intrinsic, "kind", ValueRef::Text(kind(span)));
        tell(Scope::Intrinsic, "status", ValueRef::Text(status(span)));
        for (name, value) in &span.attributes {
            tell(Scope::Span, name, ValueRef::from(value));
        }
    }
}

/// A trace is told of once a value; one that was told of before younger ones finds its place.
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

/// The numbers of all lists, rising, each once.
fn union<'a>(lists: impl Iterator<Item = &'a Numbers>) -> Vec<u64> {
    let mut lists = lists.filter(|list| !list.is_empty());
    let mut all: Vec<u64> = lists.next().into_iter().flatten().copied().collect();
    let mut one_list = true;
    for list in lists {
        all.extend(list);
        one_list = false;
    }
    if !one_list {
        // Lists that rise are merged rather than sorted by this kind of sort.
        all.sort();
        all.dedup();
    }
    all
}

/// Numbers in both; both rise.
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

/// Numbers in either; both rise.
pub(super) fn merge(mut a: Vec<u64>, b: &[u64]) -> Vec<u64> {
    a.extend_from_slice(b);
    a.sort();
    a.dedup();
    a
}
