//! Label filters: conditions joined by `and`, `or`, commas and parentheses.

use super::lexer::Kind;
use super::parser::Parser;
use super::{LabelFilter, Quantity, parse_bytes, parse_duration};
use crate::embedded::compare::CompareOp;
use crate::embedded::loki::QueryError;

/// The largest nesting of parentheses, because the parser is recursive.
const MAX_DEPTH: usize = 32;

impl Parser {
    /// `and` binds tighter than `or`. A comma means `and`, but its rank against `or` in Loki is an accident of its
    /// grammar, so the two together need parentheses.
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
            .error("`,` and `or` together need parentheses around one of them")
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
            } else if self.accept(",") {
                *comma_seen = true;
            } else {
                return Ok(left);
            }
            let right = self.label_condition(depth)?;
            left = LabelFilter::And(Box::new(left), Box::new(right));
        }
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
        let value = self.quantity()?;
        Ok(LabelFilter::Compare { name, op, value })
    }

    fn quantity(&mut self) -> Result<Quantity, QueryError> {
        let negative = self.accept("-");
        let at = self.at();
        let Kind::Number(text) = self.peek().clone() else {
            return Err(self.unexpected("a number, duration or size"));
        };
        self.advance();
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        match number {
            Some(number) => Ok(Quantity::Number(if negative { -number } else { number })),
            None if negative => Err(at.error("only plain numbers may be negative")),
            None => parse_duration(&text)
                .map(Quantity::Duration)
                .or_else(|| parse_bytes(&text).map(Quantity::Bytes))
                .ok_or_else(|| at.error(format!("`{text}` is not a number, a duration or a size"))),
        }
    }
}
