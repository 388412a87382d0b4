//! Label sets: the identity of a series, sorted by label name and without empty values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A label: its name and its value. The strings are shared, because most of them occur in many series.
pub type Label = (Arc<str>, Arc<str>);

/// A sorted set of labels without empty values. An empty value means that the label is missing.
///
/// Sets sort like in Prometheus: label by label, name before value, shorter first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Builds a set from pairs in any order. If a name occurs several times, its last value counts.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let map: BTreeMap<Arc<str>, Arc<str>> = pairs
            .into_iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        Self(map.into_iter().filter(|(_, v)| !v.is_empty()).collect())
    }

    /// The value of a label. It is empty when the label is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n.as_ref() == name)
            .map_or("", |(_, v)| v.as_ref())
    }

    /// The metric's name. It is empty when there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// All labels in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    /// The shared strings of the set.
    pub(super) fn pairs(&self) -> &[Label] {
        &self.0
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set with only the labels whose name `keep` accepts.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        if self.0.iter().all(|(n, _)| keep(n)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|(n, _)| keep(n)).cloned().collect())
    }

    /// The set with this label. An empty value removes the label.
    pub fn with(&self, name: &str, value: &str) -> Self {
        if self.get(name) == value {
            return self.clone();
        }
        let mut labels: Vec<Label> = self.0.iter().filter(|l| *l.0 != *name).cloned().collect();
        if !value.is_empty() {
            let place = labels.partition_point(|l| *l.0 < *name);
            labels.insert(place, (Arc::from(name), Arc::from(value)));
        }
        Self(labels.into())
    }

    /// The set without the metric's name.
    pub fn without_name(&self) -> Self {
        self.filter(|n| n != METRIC_NAME)
    }
}

impl fmt::Display for Labels {
    /// Writes Prometheus's notation: `name{a="b"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_name())?;
        let mut rest = self.iter().filter(|(n, _)| *n != METRIC_NAME).peekable();
        if rest.peek().is_none() && !self.metric_name().is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (i, (name, value)) in rest.enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_drops_empty_values() {
        let l = Labels::from_pairs([("z", "1"), ("a", "2"), ("gone", "")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [("a", "2"), ("z", "1")]);
        assert_eq!(l.get("gone"), "");
    }

    #[test]
    fn a_label_is_set_replaced_and_taken_away_in_place() {
        let l = Labels::from_pairs([("b", "1"), ("d", "2")]);
        let with = |n, v| l.with(n, v).to_string();
        assert_eq!(with("c", "x"), r#"{b="1", c="x", d="2"}"#);
        assert_eq!(with("d", "x"), r#"{b="1", d="x"}"#);
        assert_eq!(with("b", ""), r#"{d="2"}"#);
        assert_eq!(l.with("c", ""), l);
        assert_eq!(
            l.with("a", "0"),
            Labels::from_pairs([("a", "0"), ("b", "1"), ("d", "2")])
        );
    }

    #[test]
    fn shows_itself_in_prometheus_notation() {
        let l = Labels::from_pairs([("job", "a"), (METRIC_NAME, "up")]);
        assert_eq!(l.to_string(), r#"up{job="a"}"#);
        assert_eq!(l.without_name().to_string(), r#"{job="a"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
