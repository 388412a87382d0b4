//! Parses metric queries: functions over the lines of a window, aggregations over series, and binary operators.

use super::lexer::{Kind, Position};
use super::parser::Parser;
use super::{
    Aggregation, Binary, BinaryOp, Conversion, Grouping, LogExpr, Matching, Metric, MetricExpr,
    RangeOp, Stage, Unwrap, VectorOp, parse_duration,
};
use crate::embedded::compare::CompareOp;
use crate::embedded::loki::QueryError;

/// Lines, and the length of the window over them with its offset.
struct LogRange {
    log: LogExpr,
    unwrap: Option<Unwrap>,
    window: Option<(i64, i64)>,
}

/// The largest number of binary operators in a query, because evaluation is recursive.
const MAX_OPERATORS: usize = 100;

const KNOWN: &str = "use rate, count_over_time, bytes_rate, bytes_over_time, absent_over_time or, with unwrap, sum, avg, \
                     min, max, first, last, stddev, stdvar or quantile_over_time, alone or within sum, avg, min, max, \
                     count, stddev, stdvar, topk, bottomk, sort or sort_desc";

impl Parser {
    /// `rate(…)`, `sum by (…) (rate(…))`, `topk(3, sum(rate(…)) by (…))`, and binary operators between them.
    pub(super) fn metric_expr(&mut self, depth: usize) -> Result<Metric, QueryError> {
        self.binary(depth, 0)
    }

    /// Parses operators that bind at least as tightly as `lowest`.
    fn binary(&mut self, depth: usize, lowest: usize) -> Result<Metric, QueryError> {
        let mut left = self.metric_operand(depth)?;
        while let Some((op, rank)) = self.binary_op().filter(|(_, rank)| *rank >= lowest) {
            let at = self.at();
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(at.error(format!("more than {MAX_OPERATORS} operators")));
            }
            self.advance();
            let (op, matching) = self.modifiers(op)?;
            // Only the power groups from the right, so its own rank may follow there.
            let next = if op == BinaryOp::Power {
                rank
            } else {
                rank + 1
            };
            let right = self.binary(depth + 1, next)?;
            let is_number = |metric: &Metric| matches!(metric, Metric::Number(_));
            let is_set = matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless);
            if is_set && (is_number(&left) || is_number(&right)) {
                return Err(at.error("unexpected literal for a leg of a set operation"));
            }
            left = Metric::Binary(Box::new(Binary {
                op,
                left,
                right,
                matching,
            }));
        }
        Ok(left)
    }

    /// The operator here and its rank. A higher rank binds tighter.
    fn binary_op(&self) -> Option<(BinaryOp, usize)> {
        Some(match self.peek() {
            Kind::Symbol("+") => (BinaryOp::Add, 3),
            Kind::Symbol("-") => (BinaryOp::Subtract, 3),
            Kind::Symbol("*") => (BinaryOp::Multiply, 4),
            Kind::Symbol("/") => (BinaryOp::Divide, 4),
            Kind::Symbol("%") => (BinaryOp::Modulo, 4),
            Kind::Symbol("^") => (BinaryOp::Power, 5),
            Kind::Symbol(symbol) if *symbol != "=" => {
                let op = CompareOp::from_symbol(symbol)?;
                let gives_bool = false;
                (BinaryOp::Compare { op, gives_bool }, 2)
            }
            Kind::Word(_) => match self.keyword()? {
                "and" => (BinaryOp::And, 1),
                "unless" => (BinaryOp::Unless, 1),
                "or" => (BinaryOp::Or, 0),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// `bool`, `on (…)`, `ignoring (…)`
    fn modifiers(&mut self, mut op: BinaryOp) -> Result<(BinaryOp, Matching), QueryError> {
        if let BinaryOp::Compare { gives_bool, .. } = &mut op
            && self.is_word("bool")
        {
            self.advance();
            *gives_bool = true;
        }
        let is_on = self.is_word("on");
        if !is_on && !self.is_word("ignoring") {
            return Ok((op, Matching::Ignoring(Vec::new())));
        }
        self.advance();
        let labels = self.label_names()?;
        if self.is_word("group_left") || self.is_word("group_right") {
            let error = "group_left and group_right are not supported; aggregate both sides";
            return Err(self.at().error(error));
        }
        let matching = match is_on {
            true => Matching::On(labels),
            false => Matching::Ignoring(labels),
        };
        Ok((op, matching))
    }

    /// A number, a function, an aggregation, or an expression in parentheses.
    fn metric_operand(&mut self, depth: usize) -> Result<Metric, QueryError> {
        self.check_depth(depth)?;
        if self.accept("(") {
            let metric = self.metric_expr(depth + 1)?;
            self.expect(")")?;
            return Ok(metric);
        }
        if matches!(self.peek(), Kind::Symbol("-" | "+") | Kind::Number(_)) {
            return self.literal().map(Metric::Number);
        }
        let at = self.at();
        let name = self.word("a function")?.to_ascii_lowercase();
        if name == "vector" {
            self.expect("(")?;
            let number = self.literal()?;
            self.expect(")")?;
            return Ok(Metric::Vector(number));
        }
        let Some(op) = VectorOp::named(&name) else {
            let range = self.range_aggregation(&name, at)?;
            return Ok(Metric::Range(Box::new(range)));
        };
        self.aggregation(op, depth)
    }

    fn aggregation(&mut self, op: VectorOp, depth: usize) -> Result<Metric, QueryError> {
        let before = self.grouping()?;
        self.expect("(")?;
        let take = match op {
            VectorOp::Topk | VectorOp::Bottomk => {
                let take = self.count()?;
                self.expect(",")?;
                Some(take)
            }
            _ => None,
        };
        let mut metric = self.metric_expr(depth + 1)?;
        self.expect(")")?;
        let at = self.at();
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let is_sort = matches!(op, VectorOp::Sort | VectorOp::SortDesc);
        if is_sort && grouping.is_some() {
            return Err(at.error("sort and sort_desc do not allow grouping"));
        }
        let grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
        // A sum of counts is computed in one step with the counts.
        if let Metric::Range(range) = &mut metric
            && op == VectorOp::Sum
            && range.can_be_merged()
        {
            range.grouping = grouping;
            return Ok(metric);
        }
        let aggregation = Aggregation { op, take, grouping };
        Ok(Metric::Aggregated(Box::new(metric), aggregation))
    }

    /// `5`, `-0.5`, `+1e3`
    fn literal(&mut self) -> Result<f64, QueryError> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let Kind::Number(text) = self.peek() else {
            return Err(self.unexpected("NUMBER"));
        };
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        let number = number.ok_or_else(|| self.unexpected("NUMBER"))?;
        self.advance();
        Ok(if negative { -number } else { number })
    }

    fn count(&mut self) -> Result<usize, QueryError> {
        let at = self.at();
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("NUMBER"));
        };
        self.advance();
        let count = text.parse().ok().filter(|count| *count > 0);
        count.ok_or_else(|| at.error(format!("invalid parameter {text}: must be above 0")))
    }

    fn range_aggregation(&mut self, name: &str, at: Position) -> Result<MetricExpr, QueryError> {
        let Some(mut op) = RangeOp::named(name) else {
            return Err(at.error(format!("`{name}` is not supported here; {KNOWN}")));
        };
        self.expect("(")?;
        if let RangeOp::Quantile(quantile) = &mut op {
            *quantile = self.quantile()?;
            self.expect(",")?;
        }
        let LogRange {
            log,
            unwrap,
            window,
        } = self.log_range(0)?;
        let Some((range_ns, offset_ns)) = window else {
            return Err(self.unexpected("["));
        };
        self.expect(")")?;
        if op.needs_unwrap() && unwrap.is_none() {
            return Err(at.error(format!("invalid aggregation {name} without unwrap")));
        }
        if unwrap.is_some() && !op.takes_unwrap() {
            return Err(at.error(format!("invalid aggregation {name} with unwrap")));
        }
        let grouping_at = self.at();
        let grouping = self.grouping()?;
        if grouping.is_some() && !op.takes_grouping() {
            return Err(grouping_at.error(format!("grouping not allowed for {name} aggregation")));
        }
        let default = match op {
            // All lines together decide whether there is one.
            RangeOp::Absent => Grouping::By(Vec::new()),
            _ => Grouping::All,
        };
        Ok(MetricExpr {
            op,
            log,
            unwrap,
            range_ns,
            offset_ns,
            grouping: grouping.unwrap_or(default),
        })
    }

    /// Lines with their window, which may come before or after the pipeline: `S | json [5m]`, `S [5m] | json`,
    /// `(S | json)[5m]`, `(S | json [5m])`.
    fn log_range(&mut self, depth: usize) -> Result<LogRange, QueryError> {
        if self.is("(") {
            self.check_depth(depth)?;
            self.advance();
            let mut inner = self.log_range(depth + 1)?;
            self.expect(")")?;
            if inner.window.is_none() && self.is("[") {
                inner.window = Some(self.range_and_offset()?);
                if inner.log.stages.is_empty() && inner.unwrap.is_none() {
                    inner.log.stages = self.stages()?;
                    inner.unwrap = self.unwrapped_label()?;
                }
            }
            return Ok(inner);
        }
        let selector = self.selector()?;
        let mut window = self.is("[").then(|| self.range_and_offset()).transpose()?;
        let stages = self.stages()?;
        let unwrap = self.unwrapped_label()?;
        if window.is_none() && self.is("[") {
            window = Some(self.range_and_offset()?);
        }
        Ok(LogRange {
            log: LogExpr { selector, stages },
            unwrap,
            window,
        })
    }

    fn quantile(&mut self) -> Result<f64, QueryError> {
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("NUMBER"));
        };
        let number = text.parse::<f64>().ok();
        let number = number.ok_or_else(|| self.unexpected("NUMBER"))?;
        self.advance();
        Ok(number)
    }

    /// `| unwrap x`, `| unwrap duration(x)`, and label filters after it.
    fn unwrapped_label(&mut self) -> Result<Option<Unwrap>, QueryError> {
        if !self.is("|") {
            return Ok(None);
        }
        self.advance();
        if !self.is_word("unwrap") {
            return Err(self.unexpected("unwrap"));
        }
        self.advance();
        let at = self.at();
        let mut label = self.label_name("a label")?;
        let mut conversion = Conversion::Number;
        if self.accept("(") {
            conversion = match label.to_ascii_lowercase().as_str() {
                "duration" | "duration_seconds" => Conversion::Seconds,
                "bytes" => Conversion::Bytes,
                _ => return Err(at.error("unwrap converts by duration, duration_seconds or bytes")),
            };
            label = self.label_name("a label")?;
            self.expect(")")?;
        }
        let filters_at = self.at();
        let mut filters = Vec::new();
        for stage in self.stages()? {
            match stage {
                Stage::Label(filter) => filters.push(filter),
                _ => return Err(filters_at.error("only label filters may follow unwrap")),
            }
        }
        Ok(Some(Unwrap {
            label,
            conversion,
            filters,
        }))
    }

    /// `[5m]`, `[5m] offset 1h`
    fn range_and_offset(&mut self) -> Result<(i64, i64), QueryError> {
        self.expect("[")?;
        let at = self.at();
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("DURATION"));
        };
        self.advance();
        let range_ns = parse_duration(&text)
            .filter(|ns| *ns > 0)
            .ok_or_else(|| at.error(format!("not a valid duration string: \"{text}\"")))?;
        self.expect("]")?;
        if !self.is_word("offset") {
            return Ok((range_ns, 0));
        }
        self.advance();
        let sign = if self.accept("-") { -1 } else { 1 };
        let at = self.at();
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("DURATION"));
        };
        self.advance();
        let offset_ns = parse_duration(&text)
            .ok_or_else(|| at.error(format!("not a valid duration string: \"{text}\"")))?;
        Ok((range_ns, sign * offset_ns))
    }
}
