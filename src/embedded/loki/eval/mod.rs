//! Evaluates a parsed query over a snapshot. It must run on a blocking thread.

mod aggregate;
mod binary;
mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::logql::{Grouping, LogExpr, Metric, MetricExpr, RangeOp};
use super::pipeline::{Categories, Pipeline, filter_labels};
use super::store::{Labels, StreamSnapshot};
use super::{QueryError, QueryLimits};
use crate::embedded::matcher::{MatchOp, Matcher};

use windows::Sample;

/// The largest number of points in a result, over all series.
const MAX_POINTS: usize = 1_000_000;
/// The number of lines between two checks of the time-out.
const LINES_PER_CHECK: usize = 512;

/// The order of the lines, which also decides which lines a limit drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Lines with the same labels.
#[derive(Debug)]
pub(super) struct ResultStream {
    pub(super) labels: Labels,
    pub(super) entries: Vec<ResultLine>,
}

/// A line of a result.
#[derive(Debug)]
pub(super) struct ResultLine {
    pub(super) timestamp_ns: i64,
    pub(super) line: String,
    /// The line's own labels, if the client wants them apart from those of the stream.
    pub(super) own: Option<Categories>,
}

/// The number and order of the lines of a log query, and the form of their labels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) limit: usize,
    pub(super) direction: Direction,
    /// Whether the labels of lines are separate from those of the stream.
    pub(super) categorize: bool,
}

/// Values with the same labels. Each has a time in nanoseconds and a value.
#[derive(Debug)]
pub(super) struct ResultSeries {
    pub(super) labels: Labels,
    pub(super) points: Vec<(i64, f64)>,
}

/// The cost of a query so far, and the time at which it must stop.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: usize,
    pub(super) lines: usize,
    max_bytes: usize,
    max_series: usize,
    started: Instant,
    timeout: Duration,
}

impl Budget {
    pub(super) fn new(limits: &QueryLimits, started: Instant) -> Budget {
        Budget {
            bytes: 0,
            lines: 0,
            max_bytes: limits.max_bytes_scanned,
            max_series: limits.max_series,
            started,
            timeout: limits.timeout,
        }
    }

    fn spend(&mut self, line: &str) -> Result<(), QueryError> {
        self.bytes += line.len();
        self.lines += 1;
        if self.bytes > self.max_bytes {
            return Err(QueryError::refused(format!(
                "the query would read too many bytes (limit: {} bytes); consider adding more \
                 specific stream selectors or reduce the time range of the query",
                self.max_bytes
            )));
        }
        if self.lines.is_multiple_of(LINES_PER_CHECK) && self.started.elapsed() > self.timeout {
            return Err(QueryError::timed_out(self.timeout));
        }
        Ok(())
    }

    fn check_series(&self, series: usize) -> Result<(), QueryError> {
        if series > self.max_series {
            return Err(QueryError::refused(format!(
                "maximum of series ({}) reached for a single query",
                self.max_series
            )));
        }
        Ok(())
    }
}

/// Lines from `start_ns` up to but not including `end_ns`, at most `limit`.
pub(super) fn log_query(
    snapshot: &[StreamSnapshot],
    expr: &LogExpr,
    (start_ns, end_ns): (i64, i64),
    window: Window,
    budget: &mut Budget,
) -> Result<Vec<ResultStream>, QueryError> {
    let winners = best_lines(
        snapshot,
        expr,
        (start_ns, end_ns),
        (window.limit, window.direction),
        budget,
    )?;
    let mut pipelines: HashMap<usize, Pipeline<'_>> = HashMap::new();
    let mut streams: BTreeMap<Labels, Vec<ResultLine>> = BTreeMap::new();
    for winner in winners {
        let stream = &snapshot[winner.stream];
        let chunk = &stream.chunks[winner.chunk];
        let (timestamp_ns, line) = chunk.line(winner.index);
        let pipeline = pipelines
            .entry(winner.stream)
            .or_insert_with(|| Pipeline::new(&expr.stages, &stream.labels, None));
        pipeline.run(line, chunk.metadata(winner.index));
        let (labels, own) = pipeline.result_labels(window.categorize);
        streams.entry(labels).or_default().push(ResultLine {
            timestamp_ns,
            line: pipeline.line(line).to_owned(),
            own,
        });
    }
    Ok(streams
        .into_iter()
        .map(|(labels, entries)| ResultStream { labels, entries })
        .collect())
}

/// A line and its rank. A higher rank comes earlier in the result. Chunk ids and indices keep lines with the same
/// timestamp in the order of arrival.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: (i64, u64, u64),
    stream: usize,
    chunk: usize,
    index: usize,
}

fn best_lines(
    snapshot: &[StreamSnapshot],
    expr: &LogExpr,
    (start_ns, end_ns): (i64, i64),
    (limit, direction): (usize, Direction),
    budget: &mut Budget,
) -> Result<Vec<Ranked>, QueryError> {
    let rank_time = |timestamp_ns: i64| match direction {
        Direction::Backward => timestamp_ns,
        Direction::Forward => timestamp_ns.saturating_neg(),
    };
    let rank_order = |order: u64| match direction {
        Direction::Backward => order,
        Direction::Forward => !order,
    };
    let mut chunks = Vec::new();
    for (stream, streams) in snapshot.iter().enumerate() {
        for (index, chunk) in streams.chunks.iter().enumerate() {
            if let Some((first, last)) = chunk.span() {
                chunks.push((rank_time(first).max(rank_time(last)), stream, index));
            }
        }
    }
    chunks.sort_unstable_by_key(|chunk| Reverse(*chunk));

    let mut pipelines: Vec<_> = snapshot
        .iter()
        .map(|stream| Pipeline::new(&expr.stages, &stream.labels, Some(&[])))
        .collect();
    let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::with_capacity(limit + 1);
    for (best_of_chunk, stream, chunk_index) in chunks {
        let loses = |best: &BinaryHeap<Reverse<Ranked>>, rank: i64| {
            best.len() >= limit && best.peek().is_none_or(|worst| rank < worst.0.rank.0)
        };
        if loses(&best, best_of_chunk) {
            break;
        }
        let chunk = &snapshot[stream].chunks[chunk_index];
        let (from, to) = (chunk.first_at(start_ns), chunk.first_at(end_ns));
        for step in 0..to.saturating_sub(from) {
            let index = match direction {
                Direction::Forward => from + step,
                Direction::Backward => to - 1 - step,
            };
            let (timestamp_ns, line) = chunk.line(index);
            let rank = rank_time(timestamp_ns);
            if loses(&best, rank) {
                break;
            }
            budget.spend(line)?;
            if pipelines[stream].run(line, chunk.metadata(index)) {
                best.push(Reverse(Ranked {
                    rank: (rank, rank_order(chunk.id), rank_order(index as u64)),
                    stream,
                    chunk: chunk_index,
                    index,
                }));
                if best.len() > limit {
                    best.pop();
                }
            }
        }
    }
    // The order is reversed, so ascending order has the best first.
    Ok(best.into_sorted_vec().into_iter().map(|r| r.0).collect())
}

/// The value of a metric query.
#[derive(Debug)]
pub(super) enum Value {
    Number(f64),
    Series(Vec<ResultSeries>),
}

/// Evaluates a metric query at each of `steps`. `of_range` evaluates a function over lines.
pub(super) fn metric_value(
    metric: &Metric,
    steps: &[i64],
    of_range: &mut dyn FnMut(&MetricExpr) -> Result<Vec<ResultSeries>, QueryError>,
) -> Result<Value, QueryError> {
    Ok(match metric {
        Metric::Number(number) => Value::Number(*number),
        Metric::Vector(number) => Value::Series(vec![ResultSeries::constant(*number, steps)]),
        Metric::Range(range) => Value::Series(of_range(range)?),
        Metric::Aggregated(of, aggregation) => match metric_value(of, steps, of_range)? {
            Value::Series(series) => Value::Series(aggregate::aggregate(series, aggregation)),
            Value::Number(_) => {
                return Err(QueryError::refused(
                    "parse error : an aggregation needs series, not a number",
                ));
            }
        },
        Metric::Binary(binary) => {
            let left = metric_value(&binary.left, steps, of_range)?;
            let right = metric_value(&binary.right, steps, of_range)?;
            binary::combine(binary, left, right)?
        }
    })
}

impl ResultSeries {
    /// A series without labels that has this value at all times.
    pub(super) fn constant(value: f64, steps: &[i64]) -> ResultSeries {
        ResultSeries {
            labels: Labels::new(),
            points: steps.iter().map(|at_ns| (*at_ns, value)).collect(),
        }
    }
}

/// The value at each of `steps` (ascending) for the window that ends there and excludes its beginning. A step without
/// a line in its window has no point.
pub(super) fn metric_query(
    snapshot: &[StreamSnapshot],
    expr: &MetricExpr,
    steps: &[i64],
    budget: &mut Budget,
) -> Result<Vec<ResultSeries>, QueryError> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Ok(Vec::new());
    };
    let end_ns = last.saturating_sub(expr.offset_ns);
    let after_ns = first
        .saturating_sub(expr.offset_ns)
        .saturating_sub(expr.range_ns);
    let groups = group_lines(snapshot, expr, (after_ns, end_ns), budget)?;
    if groups.len().saturating_mul(steps.len()) > MAX_POINTS {
        return Err(QueryError::refused(format!(
            "the result would have more than {MAX_POINTS} points; increase the step or sum by \
             fewer labels"
        )));
    }
    let groups = groups.into_iter();
    let series = groups.filter_map(|(labels, mut samples)| {
        samples.sort_by_key(|sample| sample.0);
        let points = windows::points(&samples, expr, steps);
        (!points.is_empty()).then_some(ResultSeries { labels, points })
    });
    Ok(match expr.op {
        RangeOp::Absent => absent(series.collect(), &expr.log.selector, steps),
        _ => series.collect(),
    })
}

/// A series with the labels that the selector demands and 1 at each step at which no series has a point.
fn absent(present: Vec<ResultSeries>, selector: &[Matcher], steps: &[i64]) -> Vec<ResultSeries> {
    let present = present.iter().flat_map(|one| &one.points);
    let present: BTreeSet<i64> = present.map(|point| point.0).collect();
    let missing = steps.iter().filter(|step| !present.contains(step));
    let points: Vec<_> = missing.map(|step| (*step, 1.0)).collect();
    let is_unique = |wanted: &&Matcher| {
        let of_name = selector.iter().filter(|it| it.name == wanted.name);
        wanted.op == MatchOp::Equal && of_name.count() == 1
    };
    let labels = selector.iter().filter(is_unique);
    let labels = labels.map(|it| (it.name.clone(), it.value.clone()));
    let labels = labels.collect();
    match points.is_empty() {
        true => Vec::new(),
        false => vec![ResultSeries { labels, points }],
    }
}

/// The time and the number of each line, by the labels of its result.
type Groups = BTreeMap<Labels, Vec<Sample>>;

fn group_lines(
    snapshot: &[StreamSnapshot],
    expr: &MetricExpr,
    (after_ns, end_ns): (i64, i64),
    budget: &mut Budget,
) -> Result<Groups, QueryError> {
    let mut wanted: Option<Vec<&str>> = match &expr.grouping {
        Grouping::By(names) => Some(names.iter().map(String::as_str).collect()),
        Grouping::All | Grouping::Without(_) => None,
    };
    if let (Some(wanted), Some(unwrap)) = (&mut wanted, &expr.unwrap) {
        wanted.push(&unwrap.label);
        for filter in &unwrap.filters {
            filter_labels(filter, wanted);
        }
    }
    let unwrapped = expr.unwrap.as_ref().map(|unwrap| unwrap.label.as_str());
    let mut grouper = Grouper::default();
    for stream in snapshot {
        let mut pipeline = Pipeline::new(&expr.log.stages, &stream.labels, wanted.as_deref());
        // Most queries group by labels of the stream, so one look-up serves all its lines.
        let labels_vary = pipeline.changes_labels() || expr.unwrap.is_some();
        let mut known_group = None;
        for chunk in &stream.chunks {
            for index in chunk.first_after(after_ns)..chunk.first_after(end_ns) {
                let (timestamp_ns, line) = chunk.line(index);
                budget.spend(line)?;
                if !pipeline.run(line, chunk.metadata(index)) {
                    continue;
                }
                let number = match &expr.unwrap {
                    None => Some(pipeline.line(line).len() as f64),
                    Some(unwrap) => pipeline.number(unwrap),
                };
                let Some(number) = number else { continue };
                let group = match known_group {
                    Some(group) if !labels_vary => group,
                    _ => grouper.group(&pipeline, (&expr.grouping, unwrapped), budget)?,
                };
                known_group = Some(group);
                grouper.samples[group].1.push((timestamp_ns, number));
            }
        }
    }
    Ok(grouper.samples.into_iter().collect())
}

/// Finds the group of a line by a key in a reused buffer.
#[derive(Default)]
struct Grouper {
    by_key: HashMap<String, usize>,
    samples: Vec<(Labels, Vec<Sample>)>,
    key: String,
}

impl Grouper {
    fn group(
        &mut self,
        pipeline: &Pipeline<'_>,
        (grouping, unwrapped): (&Grouping, Option<&str>),
        budget: &Budget,
    ) -> Result<usize, QueryError> {
        if let Some(error) = pipeline.error() {
            return Err(QueryError::refused(format!(
                "pipeline error: '{error}' for series: '{}'.\nUse a label filter to intentionally \
                 skip this error. (e.g | __error__!=\"{error}\").\nTo skip all potential errors you \
                 can match empty errors.(e.g __error__=\"\")\nThe label filter can also be \
                 specified after unwrap. (e.g | unwrap latency | __error__=\"\" )",
                show_labels(&pipeline.labels())
            )));
        }
        let labels = match grouping {
            Grouping::By(names) => {
                self.key.clear();
                for name in names {
                    // The length before each value keeps adjacent values apart.
                    let value = pipeline.label(name);
                    let _into_a_string_cannot_fail = write!(self.key, "{}:{value}", value.len());
                }
                if let Some(group) = self.by_key.get(&self.key) {
                    return Ok(*group);
                }
                let value = |name: &String| (name.clone(), pipeline.label(name).to_owned());
                names
                    .iter()
                    .map(value)
                    .filter(|(_, value)| !value.is_empty())
                    .collect()
            }
            Grouping::All => metric_labels(pipeline, &[], unwrapped),
            Grouping::Without(names) => metric_labels(pipeline, names, unwrapped),
        };
        if !matches!(grouping, Grouping::By(_)) {
            self.key = show_labels(&labels);
        }
        if let Some(group) = self.by_key.get(&self.key) {
            return Ok(*group);
        }
        let group = self.samples.len();
        budget.check_series(group + 1)?;
        self.samples.push((labels, Vec::new()));
        self.by_key.insert(self.key.clone(), group);
        Ok(group)
    }
}

/// The labels of a metric, without empty ones and without the unwrapped one.
fn metric_labels(pipeline: &Pipeline<'_>, without: &[String], unwrapped: Option<&str>) -> Labels {
    let mut labels = pipeline.labels();
    labels.retain(|name, value| {
        !value.is_empty() && !without.contains(name) && unwrapped != Some(name.as_str())
    });
    labels
}

/// `{a="1", b="2"}`
fn show_labels(labels: &Labels) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests;
