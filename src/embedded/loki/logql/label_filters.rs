//! Label filters: conditions joined by `and`, `or`, commas and parentheses.

use super::lexer::Kind;
use super::parser::Parser;
use super::{IpRange, LabelFilter, Quantity, parse_bytes, parse_duration};
use crate::embedded::compare::CompareOp;
use crate::embedded::loki::QueryError;

/// The largest nesting of parentheses, because the parser is recursive.
const MAX_DEPTH: usize = 32;

impl Parser {
    /// `and` binds tighter than `or`. A comma or nothing between two filters means `and`, but the rank of both against
    /// `or` in Loki is an accident of its grammar, so together they need parentheses.
    pub(super) fn label_filter(&mut self, depth: usize) -> Result<LabelFilter, QueryError> {
        let mut comma_seen = false;
        let mut left = self.conjunction(depth, &mut comma_seen)?;
        while self.is_word("or") {
            if comma_seen {
                return Err(self.comma_with_or());
            }
            self.advance();
            let right = self.conjunction(depth, &mut comma_seen)?;
            if comma_seen {
                return Err(self.comma_with_or());
            }
            left = LabelFilter::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn comma_with_or(&self) -> QueryError {
        self.at()
            .error("`or` beside filters without `and` between them needs parentheses around one of the two")
    }

    fn conjunction(
        &mut self,
        depth: usize,
        comma_seen: &mut bool,
    ) -> Result<LabelFilter, QueryError> {
        let mut left = self.label_condition(depth)?;
        loop {
            if self.is_word("and") {
                self.advance();
            } else if self.accept(",") || self.begins_label_condition() {
                *comma_seen = true;
            } else {
                return Ok(left);
            }
            let right = self.label_condition(depth)?;
            left = LabelFilter::And(Box::new(left), Box::new(right));
        }
    }

    fn begins_label_condition(&self) -> bool {
        self.is("(") || matches!(self.peek(), Kind::Word(_)) && self.keyword().is_none()
    }

    fn label_condition(&mut self, depth: usize) -> Result<LabelFilter, QueryError> {
        if self.is("(") {
            if depth >= MAX_DEPTH {
                return Err(self.at().error("too many nested parentheses"));
            }
            self.advance();
            let filter = self.label_filter(depth + 1)?;
            self.expect(")")?;
            return Ok(filter);
        }
        // A string on the right side makes it a matcher, all other values make it a comparison.
        if matches!(
            self.tokens.get(self.next + 2).map(|token| &token.kind),
            Some(Kind::Text(_))
        ) {
            return self.matcher().map(LabelFilter::String);
        }
        let name = self.label_name("a label or (")?;
        let op = match self.peek() {
            Kind::Symbol(symbol) => CompareOp::from_symbol(symbol),
            _ => None,
        };
        let op = op.ok_or_else(|| self.unexpected("a comparison"))?;
        self.advance();
        if self.is_word("ip") {
            let is_equal = match op {
                CompareOp::Equal => true,
                CompareOp::NotEqual => false,
                _ => return Err(self.at().error("ip() is compared with = or !=")),
            };
            let range = self.ip_range()?;
            return Ok(LabelFilter::Ip {
                name,
                is_equal,
                range,
            });
        }
        let value = self.quantity()?;
        Ok(LabelFilter::Compare { name, op, value })
    }

    /// `ip("10.0.0.0/8")`
    pub(super) fn ip_range(&mut self) -> Result<IpRange, QueryError> {
        self.advance();
        self.expect("(")?;
        let at = self.at();
        let text = self.text()?;
        let range = IpRange::parse(&text);
        let range = range.ok_or_else(|| {
            at.error(format!(
                "ip: invalid pattern {text:?}: write an address, a range or a network"
            ))
        })?;
        self.expect(")")?;
        Ok(range)
    }

    fn quantity(&mut self) -> Result<Quantity, QueryError> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let at = self.at();
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("a number, duration or size"));
        };
        self.advance();
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        match number {
            Some(number) => Ok(Quantity::Number(if negative { -number } else { number })),
            None => parse_duration(&text)
                .map(|ns| Quantity::Duration(if negative { -ns } else { ns }))
                .or_else(|| {
                    parse_bytes(&text)
                        .filter(|_| !negative)
                        .map(Quantity::Bytes)
                })
                .ok_or_else(|| at.error(format!("`{text}` is not a number, a duration or a size"))),
        }
    }
}
