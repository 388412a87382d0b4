//! From words to a query, by recursive descent.

use super::lexer::{Kind, Position, Token, tokens};
use super::{
    CompareOp, Grouping, LabelFilter, LineFilter, LogExpr, MetricExpr, Quantity, Query, RangeOp,
    Stage, parse_bytes, parse_duration,
};
use crate::embedded::loki::QueryError;
use crate::embedded::loki::matcher::{MatchOp, Matcher, compile};

/// Parentheses within each other; the parser's stack is as deep.
const MAX_DEPTH: usize = 32;

/// Parses a query.
pub(in crate::embedded::loki) fn parse(query: &str) -> Result<Query, QueryError> {
    let mut parser = Parser::new(query)?;
    let query = match parser.peek() {
        Kind::Symbol("{") => Query::Log(parser.log_expr()?),
        Kind::Word(_) => Query::Metric(parser.metric_expr()?),
        _ => return Err(parser.unexpected("{ or a metric function")),
    };
    parser.expect_end()?;
    let log = match &query {
        Query::Log(log) => log,
        Query::Metric(metric) => &metric.log,
    };
    require_restriction(&log.selector)?;
    Ok(query)
}

/// Parses a stream selector alone, which for this purpose may be empty.
pub(in crate::embedded::loki) fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    let mut parser = Parser::new(text)?;
    let selector = parser.selector()?;
    parser.expect_end()?;
    Ok(selector)
}

/// Loki refuses selectors that could select everything, and so the two must agree.
fn require_restriction(selector: &[Matcher]) -> Result<(), QueryError> {
    let restricts = |matcher: &Matcher| {
        matches!(matcher.op, MatchOp::Equal | MatchOp::Matches) && !matcher.matches("")
    };
    if selector.iter().any(restricts) {
        return Ok(());
    }
    Err(QueryError::Meaning(
        "queries require at least one regexp or equality matcher that does not have an \
         empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
         app=~\".+\" will"
            .into(),
    ))
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn new(query: &str) -> Result<Parser, QueryError> {
        Ok(Parser {
            tokens: tokens(query)?,
            next: 0,
        })
    }

    fn token(&self) -> &Token {
        // The last token is the end and is never passed.
        &self.tokens[self.next]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn at(&self) -> Position {
        self.token().at
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn unexpected(&self, expected: &str) -> QueryError {
        self.at().error(format!(
            "syntax error: unexpected {}, expecting {expected}",
            self.peek().describe()
        ))
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(s) if *s == symbol)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), QueryError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(symbol))
        }
    }

    fn expect_end(&self) -> Result<(), QueryError> {
        match self.peek() {
            Kind::End => Ok(()),
            _ => Err(self.unexpected("$end")),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(w) if w == word)
    }

    fn word(&mut self, expected: &str) -> Result<String, QueryError> {
        match self.peek() {
            Kind::Word(word) => {
                let word = word.clone();
                self.advance();
                Ok(word)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn text(&mut self) -> Result<String, QueryError> {
        match self.peek() {
            Kind::Text(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected("STRING")),
        }
    }

    /// `rate(…)`, `sum by (…) (rate(…))`, `sum(rate(…)) by (…)`.
    fn metric_expr(&mut self) -> Result<MetricExpr, QueryError> {
        let at = self.at();
        let name = self.word("a function")?;
        if name != "sum" {
            return self.range_aggregation(&name, at);
        }
        let before = self.grouping()?;
        self.expect("(")?;
        let inner_at = self.at();
        let inner = self.word("rate, count_over_time, bytes_rate or bytes_over_time")?;
        let mut metric = self.range_aggregation(&inner, inner_at)?;
        self.expect(")")?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        metric.grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
        Ok(metric)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, QueryError> {
        let by = self.is_word("by");
        if !by && !self.is_word("without") {
            return Ok(None);
        }
        self.advance();
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.is(")") {
            labels.push(self.word("a label")?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(Some(if by {
            Grouping::By(labels)
        } else {
            Grouping::Without(labels)
        }))
    }

    fn range_aggregation(&mut self, name: &str, at: Position) -> Result<MetricExpr, QueryError> {
        let op = match name {
            "rate" => RangeOp::Rate,
            "count_over_time" => RangeOp::CountOverTime,
            "bytes_rate" => RangeOp::BytesRate,
            "bytes_over_time" => RangeOp::BytesOverTime,
            _ => {
                return Err(at.error(format!(
                    "`{name}` is not supported here; use rate, count_over_time, bytes_rate or \
                     bytes_over_time, alone or within sum"
                )));
            }
        };
        self.expect("(")?;
        let selector = self.selector()?;
        // The range may stand before or after the pipeline.
        let early = self.is("[").then(|| self.range()).transpose()?;
        let stages = self.stages()?;
        let range_ns = match early {
            Some(range_ns) => range_ns,
            None => self.range()?,
        };
        self.expect(")")?;
        Ok(MetricExpr {
            op,
            log: LogExpr { selector, stages },
            range_ns,
            grouping: Grouping::All,
        })
    }

    fn range(&mut self) -> Result<i64, QueryError> {
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
        Ok(range_ns)
    }

    fn log_expr(&mut self) -> Result<LogExpr, QueryError> {
        Ok(LogExpr {
            selector: self.selector()?,
            stages: self.stages()?,
        })
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, QueryError> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        while !self.is("}") {
            matchers.push(self.matcher()?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, QueryError> {
        let name = self.word("IDENTIFIER or }")?;
        let at = self.at();
        let op = match self.peek() {
            Kind::Symbol("=") => MatchOp::Equal,
            Kind::Symbol("!=") => MatchOp::NotEqual,
            Kind::Symbol("=~") => MatchOp::Matches,
            Kind::Symbol("!~") => MatchOp::NotMatches,
            _ => return Err(self.unexpected("=, !=, =~ or !~")),
        };
        self.advance();
        let value = self.text()?;
        Matcher::new(name, op, value).map_err(|reason| at.error(reason))
    }

    fn stages(&mut self) -> Result<Vec<Stage>, QueryError> {
        let mut stages = Vec::new();
        loop {
            let stage = match self.peek() {
                Kind::Symbol("|=") => self.line_filter(true, false)?,
                Kind::Symbol("!=") => self.line_filter(false, false)?,
                Kind::Symbol("|~") => self.line_filter(true, true)?,
                Kind::Symbol("!~") => self.line_filter(false, true)?,
                Kind::Symbol("|") => {
                    self.advance();
                    self.stage()?
                }
                _ => return Ok(stages),
            };
            stages.push(stage);
        }
    }

    fn line_filter(&mut self, keep_matching: bool, is_regex: bool) -> Result<Stage, QueryError> {
        self.advance();
        let at = self.at();
        let text = self.text()?;
        if self.is_word("or") {
            return Err(self
                .at()
                .error("`or` between line filters is not supported; use |~ \"a|b\" instead"));
        }
        let pattern = if is_regex { text } else { regex::escape(&text) };
        let regex = compile(&pattern).map_err(|reason| at.error(reason))?;
        Ok(Stage::Line(LineFilter {
            keep_matching,
            regex,
        }))
    }

    /// What follows a `|`.
    fn stage(&mut self) -> Result<Stage, QueryError> {
        if self.is_word("json") && !self.comparison_follows() {
            self.advance();
            if !matches!(
                self.peek(),
                Kind::End | Kind::Symbol("|" | "|=" | "|~" | "!=" | "!~" | "[" | ")")
            ) {
                return Err(self.at().error("json with arguments is not supported"));
            }
            return Ok(Stage::Json);
        }
        if let Kind::Word(word) = self.peek()
            && !self.comparison_follows()
        {
            return Err(self.at().error(format!(
                "the stage `{word}` is not supported; there are json and label filters"
            )));
        }
        self.label_filter(0).map(Stage::Label)
    }

    fn comparison_follows(&self) -> bool {
        self.tokens.get(self.next + 1).is_some_and(|token| {
            matches!(
                token.kind,
                Kind::Symbol("=" | "==" | "!=" | "=~" | "!~" | ">" | ">=" | "<" | "<=")
            )
        })
    }

    /// `and` binds tighter than `or`. A comma means `and`, but how Loki ranks it against `or` is an
    /// accident of its grammar, so the two together need parentheses.
    fn label_filter(&mut self, depth: usize) -> Result<LabelFilter, QueryError> {
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
                return Err(self.at().error("too many parentheses within each other"));
            }
            self.advance();
            let filter = self.label_filter(depth + 1)?;
            self.expect(")")?;
            return Ok(filter);
        }
        // A string on the right makes it a matcher, anything else a comparison.
        if matches!(
            self.tokens.get(self.next + 2).map(|token| &token.kind),
            Some(Kind::Text(_))
        ) {
            return self.matcher().map(LabelFilter::String);
        }
        let name = self.word("a label or (")?;
        let op = match self.peek() {
            Kind::Symbol("=" | "==") => CompareOp::Equal,
            Kind::Symbol("!=") => CompareOp::NotEqual,
            Kind::Symbol(">") => CompareOp::Greater,
            Kind::Symbol(">=") => CompareOp::GreaterOrEqual,
            Kind::Symbol("<") => CompareOp::Less,
            Kind::Symbol("<=") => CompareOp::LessOrEqual,
            _ => return Err(self.unexpected("a comparison")),
        };
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
