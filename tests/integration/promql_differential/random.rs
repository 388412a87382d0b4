//! Random queries of the evaluated language, a part of them damaged so that they are none.

use super::history::Noise;

/// An endless sequence, the same for the same seed.
pub(super) struct Queries(Noise);

const SELECTORS: &[&str] = &[
    "up",
    "temperature",
    "humidity",
    "node_load1",
    "left",
    "right",
    "gappy",
    "vanishing",
    "http_requests_total",
    "http_requests_total{code=\"200\"}",
    "http_requests_total{code=~\"2..|5..\",method!=\"POST\"}",
    "request_seconds_bucket",
    "node_cpu_seconds_total{instance!~\"web-2\"}",
    "{__name__=~\"twin_.|shift\"}",
    "nothing",
];
const RANGE_FUNCTIONS: &[&str] = &[
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "absent_over_time",
];
const AGGREGATIONS: &[&str] = &[
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
const LABELS: &[&str] = &[
    "",
    "code",
    "instance",
    "job",
    "k",
    "le",
    "method,code",
    "instance,sensor",
    "__name__",
    "room,",
];
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "atan2",
];
const RANGES: &[&str] = &["[5s]", "[30s]", "[1m]", "[5m]", "[12m30s]", "[1h]"];
const NUMBERS: &[&str] = &[
    "0", "1", "2.5", "-3", "1e3", "0x10", "Inf", "NaN", ".5", "5m",
];
const DAMAGE: &[&str] = &[
    "(", ")", "{", "}", "[", "]", ",", "+", "-", "!", "=", "=~", "\"", "`", "by", "on", "bool",
    "offset", "5m", "60", "#", " ", "0", "x", ":", "@", ".", "é", "\\", "'a'", "sum", "rate",
];

impl Queries {
    pub(super) fn new(seed: u64) -> Self {
        Self(Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.0.next() * n as f64) as usize).min(n - 1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn offset(&mut self) -> &'static str {
        match self.below(8) {
            0 => " offset 3m",
            1 => " offset -70s",
            _ => "",
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 || self.one_in(2) {
            return self.pick(NUMBERS).to_owned();
        }
        let (a, op, b) = (
            self.scalar(depth - 1),
            self.pick(OPERATORS),
            self.scalar(depth - 1),
        );
        let bool = if self.one_in(3) { " bool" } else { "" };
        format!("({a} {op}{bool} {b})")
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return format!("{}{}", self.pick(SELECTORS), self.offset());
        }
        match self.below(8) {
            0 => format!("{}{}", self.pick(SELECTORS), self.offset()),
            1 | 2 => self.over_range(),
            3 | 4 => self.aggregation(depth),
            5 => self.binary(depth),
            6 => {
                let (q, v) = (self.scalar(1), self.vector(depth - 1));
                match self.below(3) {
                    0 => format!("-{v}"),
                    1 => format!("absent({v})"),
                    _ => format!("histogram_quantile({q}, {v})"),
                }
            }
            _ => {
                let (v, op, s) = (self.vector(depth - 1), self.pick(OPERATORS), self.scalar(1));
                let bool = if self.one_in(4) { " bool" } else { "" };
                match self.one_in(2) {
                    true => format!("{v} {op}{bool} {s}"),
                    false => format!("{s} {op}{bool} {v}"),
                }
            }
        }
    }

    fn over_range(&mut self) -> String {
        let selector = self.pick(SELECTORS);
        let (range, offset) = (self.pick(RANGES), self.offset());
        if self.one_in(8) {
            let q = self.scalar(1);
            return format!("quantile_over_time({q}, {selector}{range}{offset})");
        }
        let function = self.pick(RANGE_FUNCTIONS);
        format!("{function}({selector}{range}{offset})")
    }

    fn aggregation(&mut self, depth: usize) -> String {
        let (op, labels, v) = (
            self.pick(AGGREGATIONS),
            self.pick(LABELS),
            self.vector(depth - 1),
        );
        match self.below(4) {
            0 => format!("{op}({v})"),
            1 => format!("{op} without ({labels}) ({v})"),
            2 => format!("{op} ({v}) by ({labels})"),
            _ => format!("{op} by ({labels}) ({v})"),
        }
    }

    fn binary(&mut self, depth: usize) -> String {
        let (a, op, b) = (
            self.vector(depth - 1),
            self.pick(OPERATORS),
            self.vector(depth - 1),
        );
        let bool = if self.one_in(4) { "bool " } else { "" };
        let labels = self.pick(LABELS);
        let matching = match self.below(3) {
            0 => String::new(),
            1 => format!("on ({labels}) "),
            _ => format!("ignoring ({labels}) "),
        };
        format!("({a}) {op} {bool}{matching}({b})")
    }

    /// Takes out, puts in or doubles a piece somewhere.
    fn damage(&mut self, query: &str) -> String {
        let mut chars: Vec<char> = query.chars().collect();
        let at = self.below(chars.len());
        match self.below(3) {
            0 => {
                chars.remove(at);
            }
            1 => {
                let length = self.below(6).min(chars.len() - at);
                let piece: Vec<char> = chars[at..at + length].to_vec();
                let to = self.below(chars.len());
                chars.splice(to..to, piece);
            }
            _ => {
                let piece = self.pick(DAMAGE);
                chars.splice(at..at, piece.chars());
            }
        }
        chars.into_iter().collect()
    }
}

impl Iterator for Queries {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let depth = self.below(4);
        let query = self.vector(depth);
        Some(match self.one_in(2) {
            true => self.damage(&query),
            false => query,
        })
    }
}
