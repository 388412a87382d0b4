//! A deterministic mutator: the same seed makes the same inputs.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Longest input that is made, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// Tokens that parsers treat specially.
const WORDS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "|",
    "!=",
    "=~",
    ":",
    ",",
    "\n",
    "\0",
    "é",
    "-1",
    "0",
    "1e999",
    "9223372036854775808",
    "NaN",
    "null",
    "{{",
    "%",
];

/// Makes inputs out of others.
pub(super) struct Mutator(SmallRng);

impl Mutator {
    pub(super) fn new(seed: u64) -> Mutator {
        Mutator(SmallRng::seed_from_u64(seed))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end.max(1))
    }

    /// One of `corpus`, changed in one to four places.
    pub(super) fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let chosen = self.below(corpus.len());
        let mut input = corpus.get(chosen).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut input, corpus);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(16)).min(input.len());
        match self.below(6) {
            0 => drop(input.drain(at..end)),
            1 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..at, word.bytes());
            }
            2 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..end, word.bytes());
            }
            3 => {
                let copied = input[at..end].repeat(1 + self.below(8));
                input.splice(at..at, copied);
            }
            4 => {
                // Joins the beginning of one input with the end of another.
                let chosen = self.below(corpus.len());
                let other = corpus.get(chosen).map_or(&[][..], Vec::as_slice);
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.0.random();
                }
            }
        }
    }
}
