//! The destination of the host metrics: the Prometheus text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) or a list.

use std::fmt::{self, Display, Write as _};

/// Accepts families of samples.
pub(super) enum Exposition<'a> {
    /// Appends to a text.
    Text(&'a mut String),
    /// Appends to a list.
    List(&'a mut Vec<Described>),
}

/// A family in the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: Kind,
    pub(super) samples: Vec<(Labels, Number)>,
}

/// Names and values.
pub(super) type Labels = Vec<(String, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A value as it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Number {
        Number::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Number {
        Number::Real(number)
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> f64 {
        match number {
            // Exact up to 2^53, which is nine million gigabytes.
            Number::Whole(number) => number as f64,
            Number::Real(number) => number,
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(number) => write!(f, "{number}"),
            Number::Real(number) => write!(f, "{number}"),
        }
    }
}

impl Exposition<'_> {
    /// Begins a family of a counter.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, Kind::Counter)
    }

    /// Begins a family of a gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, Kind::Gauge)
    }

    fn family(&mut self, name: &str, help: &str, kind: Kind) -> Family<'_> {
        match self {
            Exposition::Text(out) => {
                let word = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                };
                // Writing to a string cannot fail.
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {word}");
                Family::Text {
                    out,
                    name: name.to_owned(),
                }
            }
            Exposition::List(families) => {
                let family = families.push_mut(Described {
                    name: name.to_owned(),
                    help: help.to_owned(),
                    kind,
                    samples: Vec::new(),
                });
                Family::List(&mut family.samples)
            }
        }
    }
}

/// The samples with one name.
pub(super) enum Family<'a> {
    Text { out: &'a mut String, name: String },
    List(&'a mut Vec<(Labels, Number)>),
}

impl Family<'_> {
    /// A sample without labels.
    pub(super) fn value(&mut self, value: impl Into<Number>) {
        let value = value.into();
        match self {
            Family::Text { out, name } => {
                let _ = writeln!(out, "{name} {value}");
            }
            Family::List(samples) => samples.push((Vec::new(), value)),
        }
    }

    /// A sample with labels.
    pub(super) fn sample(
        &mut self,
        labels: &[(&str, &str)],
        value: impl Into<Number>,
    ) -> &mut Self {
        let value = value.into();
        match self {
            Family::Text { out, name } => {
                out.push_str(name);
                for (index, (name, value)) in labels.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    out.push_str(name);
                    out.push_str("=\"");
                    escape(value, out);
                    out.push('"');
                }
                let _ = writeln!(out, "}} {value}");
            }
            Family::List(samples) => {
                let labels = labels.iter();
                let owned = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                samples.push((owned.collect(), value));
            }
        }
        self
    }
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(out: &mut Exposition<'_>) {
        out.gauge("a", "Help.")
            .sample(&[("x", "q\"b\\n\n"), ("y", "é")], 1.5);
        out.counter("b", "More.").value(2u64);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        write(&mut Exposition::Text(&mut text));
        assert_eq!(
            text,
            "# HELP a Help.\n# TYPE a gauge\na{x=\"q\\\"b\\\\n\\n\",y=\"é\"} 1.5\n\
             # HELP b More.\n# TYPE b counter\nb 2\n"
        );
    }

    #[test]
    fn a_list_keeps_the_values_unchanged() {
        let mut list = Vec::new();
        write(&mut Exposition::List(&mut list));
        assert_eq!((list[0].name.as_str(), list[0].kind), ("a", Kind::Gauge));
        let (labels, value) = &list[0].samples[0];
        assert_eq!(
            (labels[0].1.as_str(), *value),
            ("q\"b\\n\n", Number::Real(1.5))
        );
        assert_eq!(list[1].samples, [(Vec::new(), Number::Whole(2))]);
    }
}
