//! Names and values of one line, in memory that the next line reuses.

use super::store::Labels;

/// A short list of labels. Its strings are reused from line to line.
#[derive(Default)]
pub(super) struct Fields {
    labels: Vec<(String, String)>,
    used: usize,
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let used = &self.labels[..self.used];
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

    /// Empties the value of a label and returns it for writing.
    pub(super) fn set(&mut self, name: &str) -> &mut String {
        let known = self.position(name);
        let index = known.unwrap_or(self.used);
        if known.is_none() {
            if index == self.labels.len() {
                self.labels.push(Default::default());
            }
            self.labels[index].0.clear();
            self.labels[index].0.push_str(name);
            self.used += 1;
        }
        let value = &mut self.labels[index].1;
        value.clear();
        value
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(index) = self.position(name) {
            self.used -= 1;
            self.labels.swap(index, self.used);
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|(known, _)| known == name)
    }
}
