//! The labels of one log line, in buffers that are reused for the next line.

use super::store::Labels;

/// A list of labels, searched linearly. [`clear`](Self::clear) keeps the allocations, not the contents.
#[derive(Default)]
pub(super) struct Fields {
    labels: Vec<(String, String)>,
    len: usize,
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let used = &self.labels[..self.len];
        used.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn labels(&self) -> Labels {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Adds the label if it is new, and gives its emptied value to write to.
    pub(super) fn set(&mut self, name: &str) -> &mut String {
        let known = self.position(name);
        let index = known.unwrap_or(self.len);
        if known.is_none() {
            if index == self.labels.len() {
                self.labels.push(Default::default());
            }
            self.labels[index].0.clear();
            self.labels[index].0.push_str(name);
            self.len += 1;
        }
        let value = &mut self.labels[index].1;
        value.clear();
        value
    }

    /// Removes a label; the order of the others may change.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(index) = self.position(name) {
            self.len -= 1;
            self.labels.swap(index, self.len);
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|(known, _)| known == name)
    }
}
