//! Random queries of the supported language, some of them damaged so that they are invalid.

use super::history::Noise;

/// An endless sequence of queries; the same seed gives the same sequence.
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
/// Functions that distinguish equal from nearly equal values. They get only samples, which are exact.
const EXACT_RANGE_FUNCTIONS: &[&str] = &["changes", "resets", "idelta", "deriv"];
const AGGREGATIONS: &[&str] = &[
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
const CELL_FUNCTIONS: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "round",
    "sqrt",
    "exp",
    "ln",
    "log2",
    "log10",
    "sgn",
    "deg",
    "rad",
    "atan",
    "tanh",
    "sort",
    "sort_desc",
    "timestamp",
    "hour",
    "minute",
    "day_of_week",
    "month",
    "year",
    "day_of_year",
    "days_in_month",
    "day_of_month",
    "histogram_sum",
];
const STEP_SCALARS: &[&str] = &[
    "time()",
    "pi()",
    "scalar(up{instance=\"web-1\"})",
    "scalar(sparse)",
    "scalar(sum(left))",
    "scalar(temperature)",
];
/// Selectors of series that never have the same value.
const DISTINCT: &[&str] = &[
    "temperature",
    "humidity",
    "node_cpu_seconds_total",
    "http_requests_total{method=\"GET\",code=\"200\"}",
];
const RELABELLING: &[&str] = &[
    "label_replace($, \"a\", \"$1\", \"instance\", \"(.*)-.*\")",
    "label_replace($, \"code\", \"${1}xx\", \"code\", \"(.)..\")",
    "label_replace($, \"k\", \"x\", \"k\", \".*\")",
    "label_replace($, \"__name__\", \"x\", \"job\", \"web\")",
    "label_replace($, \"instance\", \"\", \"instance\", \"web-1\")",
    "label_replace($, \"1\", \"\", \"instance\", \"web-1\")",
    "label_join($, \"a\", \"-\", \"instance\", \"sensor\", \"k\")",
    "label_join($, \"instance\", \"\")",
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
const STEPS: &[&str] = &["", "7s", "30s", "1m", "3m"];
const TIMES: &[&str] = &[
    "1700001200",
    "1700002000.5",
    "1e9",
    "-5",
    "start()",
    "end()",
];
const NUMBERS: &[&str] = &[
    "0", "1", "2.5", "-3", "1e3", "0x10", "Inf", "NaN", ".5", "5m",
];
const DAMAGE: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    "+",
    "-",
    "!",
    "=",
    "=~",
    "\"",
    "`",
    "by",
    "on",
    "bool",
    "offset",
    "5m",
    "60",
    "#",
    " ",
    "0",
    "x",
    ":",
    "@",
    ".",
    "é",
    "\\",
    "'a'",
    "sum",
    "rate",
    "and",
    "or",
    "group_left",
    "[5m:1m]",
    "topk",
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

    fn offset(&mut self) -> String {
        let offset = match self.below(8) {
            0 => " offset 3m",
            1 => " offset -70s",
            _ => "",
        };
        if !self.one_in(10) {
            return offset.to_owned();
        }
        let at = self.pick(TIMES);
        match self.one_in(2) {
            true => format!("{offset} @ {at}"),
            false => format!(" @ {at}{offset}"),
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 || self.one_in(2) {
            return match self.one_in(6) {
                true => self.pick(STEP_SCALARS).to_owned(),
                false => self.pick(NUMBERS).to_owned(),
            };
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
        match self.below(11) {
            8 => self.of_cells(depth),
            9 => self.ranked(depth),
            10 => {
                let relabelling = self.pick(RELABELLING);
                relabelling.replacen('$', &self.vector(depth - 1), 1)
            }
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
        let exact = format!("{selector}{range}{offset}");
        let ranged = match self.one_in(3) {
            true => self.subquery(),
            false => exact.clone(),
        };
        match self.below(12) {
            0 => {
                let q = self.scalar(1);
                format!("quantile_over_time({q}, {ranged})")
            }
            1 => {
                let seconds = self.scalar(1);
                format!("predict_linear({exact}, {seconds})")
            }
            2 => format!("holt_winters({exact}, 0.3, 0.{})", self.below(10)),
            3 | 4 => format!("{}({exact})", self.pick(EXACT_RANGE_FUNCTIONS)),
            _ => format!("{}({ranged})", self.pick(RANGE_FUNCTIONS)),
        }
    }

    /// A subquery whose inner expression has no rounding, because differences of rounded values would be noise.
    fn subquery(&mut self) -> String {
        let selector = self.pick(SELECTORS);
        let inner = match self.below(7) {
            0 => format!("rate({selector}{})", self.pick(RANGES)),
            1 => format!("(max by ({}) ({selector}))", self.pick(LABELS)),
            2 => format!("(count by ({}) ({selector}))", self.pick(LABELS)),
            3 => format!("({selector} > {})", self.pick(NUMBERS)),
            4 => format!("max_over_time({selector}[3m:{}])", self.pick(STEPS)),
            _ => format!("{selector}{}", self.offset()),
        };
        let range = self.pick(RANGES).trim_end_matches(']');
        format!("{inner}{range}:{}]{}", self.pick(STEPS), self.offset())
    }

    fn of_cells(&mut self, depth: usize) -> String {
        let v = self.vector(depth - 1);
        match self.below(8) {
            0 => format!("clamp({v}, {}, {})", self.scalar(1), self.scalar(1)),
            1 => format!("clamp_min({v}, {})", self.scalar(1)),
            2 => format!("clamp_max({v}, {})", self.scalar(1)),
            3 => format!("vector({})", self.scalar(2)),
            4 => format!("scalar({v}) * {}", self.pick(SELECTORS)),
            _ => format!("{}({v})", self.pick(CELL_FUNCTIONS)),
        }
    }

    /// Aggregates a ranking, because the order of equal values is undefined but their sum is not.
    fn ranked(&mut self, depth: usize) -> String {
        let (k, by) = (self.below(4), self.pick(LABELS));
        let op = if self.one_in(2) { "topk" } else { "bottomk" };
        match self.below(5) {
            0 => format!("{op} by ({by}) ({k}, {})", self.pick(DISTINCT)),
            1 => format!("sum({op}({k}, {}))", self.vector(depth - 1)),
            2 => format!("count_values by ({by}) (\"v\", {})", self.pick(SELECTORS)),
            3 => format!(
                "count({op}({}, {}))",
                self.scalar(1),
                self.vector(depth - 1)
            ),
            _ => {
                let (q, v) = (self.scalar(1), self.vector(depth - 1));
                format!("quantile without ({by}) ({q}, {v})")
            }
        }
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
        if self.one_in(4) {
            let op = self.pick(&["and", "or", "unless"]);
            let matching = self.pick(&["", "on", "ignoring"]);
            let labels = if matching.is_empty() {
                String::new()
            } else {
                format!("({labels}) ")
            };
            return format!("({a}) {op} {matching}{labels}({b})");
        }
        let matching = match self.below(4) {
            0 => String::new(),
            1 => format!("on ({labels}) "),
            2 => format!("ignoring ({labels}) "),
            _ => {
                let matching = self.pick(&["on", "ignoring"]);
                let side = self.pick(&["group_left", "group_right"]);
                format!("{matching} ({labels}) {side} ({}) ", self.pick(LABELS))
            }
        };
        format!("({a}) {op} {bool}{matching}({b})")
    }

    /// Removes, inserts or doubles a part of the query.
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
