//! Parses metric queries: functions over the lines of a window, and aggregations over series.

use super::lexer::{Kind, Position};
use super::parser::Parser;
use super::{
    Aggregation, Conversion, Grouping, LogExpr, MetricExpr, RangeOp, Stage, Unwrap, VectorOp,
    parse_duration,
};
use crate::embedded::loki::QueryError;

/// The largest nesting of aggregations.
const MAX_DEPTH: usize = 16;

const KNOWN: &str = "use rate, count_over_time, bytes_rate, bytes_over_time or, with unwrap, sum, avg, min, max, first, \
                     last or quantile_over_time, alone or within sum, avg, min, max, count, topk or bottomk";

impl Parser {
    /// `rate(…)`, `sum by (…) (rate(…))`, `topk(3, sum(rate(…)) by (…))`.
    pub(super) fn metric_expr(&mut self, depth: usize) -> Result<MetricExpr, QueryError> {
        let at = self.at();
        if depth > MAX_DEPTH {
            return Err(at.error("too many nested aggregations"));
        }
        let name = self.word("a function")?;
        let Some(op) = VectorOp::named(&name) else {
            return self.range_aggregation(&name, at);
        };
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
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
        // A sum of counts is computed in one step with the counts.
        if op == VectorOp::Sum && metric.can_be_merged() {
            metric.grouping = grouping;
        } else {
            metric.aggregations.push(Aggregation { op, take, grouping });
        }
        Ok(metric)
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
        let selector = self.selector()?;
        // The range may come before or after the pipeline.
        let early = self.is("[").then(|| self.range_and_offset()).transpose()?;
        let stages = self.stages()?;
        let unwrap = self.unwrapped_label()?;
        let (range_ns, offset_ns) = match early {
            Some(range) => range,
            None => self.range_and_offset()?,
        };
        self.expect(")")?;
        if op.needs_unwrap() && unwrap.is_none() {
            return Err(at.error(format!("invalid aggregation {name} without unwrap")));
        }
        if unwrap.is_some() && !op.needs_unwrap() && op != RangeOp::Rate {
            return Err(at.error(format!("invalid aggregation {name} with unwrap")));
        }
        let grouping_at = self.at();
        let grouping = self.grouping()?;
        if grouping.is_some() && !op.takes_grouping() {
            return Err(grouping_at.error(format!("grouping not allowed for {name} aggregation")));
        }
        Ok(MetricExpr {
            op,
            log: LogExpr { selector, stages },
            unwrap,
            range_ns,
            offset_ns,
            grouping: grouping.unwrap_or(Grouping::All),
            aggregations: Vec::new(),
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
            conversion = match label.as_str() {
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
