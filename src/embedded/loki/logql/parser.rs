//! Parses tokens into a query by recursive descent.

use super::lexer::{Kind, Position, Token, tokens};
use super::{Grouping, LabelRef, LineFilter, LogExpr, Logfmt, Query, Stage};
use crate::embedded::loki::QueryError;
use crate::embedded::matcher::{MatchOp, Matcher};
use crate::embedded::regex::{Dialect, compile};

/// The largest nesting of parentheses and aggregations, because the parser is recursive.
pub(super) const MAX_DEPTH: usize = 16;

/// Parses a query.
pub(in crate::embedded::loki) fn parse(query: &str) -> Result<Query, QueryError> {
    let mut parser = Parser::new(query)?;
    let mut inner = parser.tokens.iter().map(|token| &token.kind);
    let query = match inner.find(|kind| **kind != Kind::Symbol("(")) {
        Some(Kind::Symbol("{")) => Query::Log(parser.log_expr(0)?),
        Some(Kind::Word(_) | Kind::Number(_) | Kind::Symbol("-" | "+")) => {
            Query::Metric(parser.metric_expr(0)?)
        }
        _ => return Err(parser.unexpected("{ or a metric function")),
    };
    parser.expect_end()?;
    match &query {
        Query::Log(log) => require_restriction(&log.selector)?,
        Query::Metric(metric) => {
            let mut restricted = Ok(());
            metric.ranges(&mut |range| {
                if restricted.is_ok() {
                    restricted = require_restriction(&range.log.selector);
                }
            });
            restricted?;
        }
    }
    Ok(query)
}

/// Parses a single stream selector, which may be empty here.
pub(in crate::embedded::loki) fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    let mut parser = Parser::new(text)?;
    let selector = parser.selector()?;
    parser.expect_end()?;
    Ok(selector)
}

/// Like Loki, this refuses selectors that could select everything.
fn require_restriction(selector: &[Matcher]) -> Result<(), QueryError> {
    let restricts = |matcher: &Matcher| {
        matches!(matcher.op, MatchOp::Equal | MatchOp::Matches) && !matcher.matches("")
    };
    if selector.iter().any(restricts) {
        return Ok(());
    }
    Err(QueryError::refused(
        "parse error : queries require at least one regexp or equality matcher that does not have an \
         empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
         app=~\".+\" will",
    ))
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    /// The number of binary operators so far.
    pub(super) operators: usize,
}

impl Parser {
    fn new(query: &str) -> Result<Parser, QueryError> {
        Ok(Parser {
            tokens: tokens(query)?,
            next: 0,
            operators: 0,
        })
    }

    fn token(&self) -> &Token {
        // The last token is the end, and the parser never passes it.
        &self.tokens[self.next]
    }

    pub(super) fn peek(&self) -> &Kind {
        &self.token().kind
    }

    pub(super) fn at(&self) -> Position {
        self.token().at
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn unexpected(&self, expected: &str) -> QueryError {
        self.at().error(format!(
            "syntax error: unexpected {}, expecting {expected}",
            self.peek().describe()
        ))
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(s) if *s == symbol)
    }

    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), QueryError> {
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

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(w) if w.eq_ignore_ascii_case(word))
    }

    pub(super) fn word(&mut self, expected: &str) -> Result<String, QueryError> {
        match self.peek() {
            Kind::Word(word) => {
                let word = word.clone();
                self.advance();
                Ok(word)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, QueryError> {
        match self.peek() {
            Kind::Text(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected("STRING")),
        }
    }

    pub(super) fn grouping(&mut self) -> Result<Option<Grouping>, QueryError> {
        let by = self.is_word("by");
        if !by && !self.is_word("without") {
            return Ok(None);
        }
        self.advance();
        let labels = self.label_names()?;
        Ok(Some(if by {
            Grouping::By(labels)
        } else {
            Grouping::Without(labels)
        }))
    }

    /// `(a, b)`
    pub(super) fn label_names(&mut self) -> Result<Vec<String>, QueryError> {
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.is(")") {
            labels.push(self.label_name("a label")?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(labels)
    }

    fn log_expr(&mut self, depth: usize) -> Result<LogExpr, QueryError> {
        if self.is("(") {
            self.check_depth(depth)?;
            self.advance();
            let log = self.log_expr(depth + 1)?;
            self.expect(")")?;
            return Ok(log);
        }
        Ok(LogExpr {
            selector: self.selector()?,
            stages: self.stages()?,
        })
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<(), QueryError> {
        match depth < MAX_DEPTH {
            true => Ok(()),
            false => Err(self.at().error("too many nested parentheses")),
        }
    }

    pub(super) fn selector(&mut self) -> Result<Vec<Matcher>, QueryError> {
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

    pub(super) fn matcher(&mut self) -> Result<Matcher, QueryError> {
        let name = self.label_name("IDENTIFIER or }")?;
        let at = self.at();
        let op = match self.peek() {
            Kind::Symbol(symbol) => MatchOp::from_symbol(symbol),
            _ => None,
        };
        let op = op.ok_or_else(|| self.unexpected("=, !=, =~ or !~"))?;
        self.advance();
        let value = self.text()?;
        Matcher::new(name, op, value, Dialect::Prometheus3).map_err(|reason| at.error(reason))
    }

    pub(super) fn stages(&mut self) -> Result<Vec<Stage>, QueryError> {
        let mut stages = Vec::new();
        loop {
            let stage = match self.peek() {
                Kind::Symbol("|=") => self.line_filter(true, false)?,
                Kind::Symbol("!=") => self.line_filter(false, false)?,
                Kind::Symbol("|~") => self.line_filter(true, true)?,
                Kind::Symbol("!~") => self.line_filter(false, true)?,
                // `unwrap` ends the stages and gives the number of a line.
                Kind::Symbol("|") if self.is_word_after("unwrap") => return Ok(stages),
                Kind::Symbol("|") => {
                    self.advance();
                    self.stage()?
                }
                _ => return Ok(stages),
            };
            stages.push(stage);
        }
    }

    /// `|= "a" or "b"` keeps lines with either; `!= "a" or "b"` drops lines with either.
    fn line_filter(&mut self, keep_matching: bool, is_regex: bool) -> Result<Stage, QueryError> {
        if self.is_word_after("ip") && !is_regex {
            self.advance();
            let range = self.ip_range()?;
            return Ok(Stage::LineIp {
                keep_matching,
                range,
            });
        }
        let mut patterns = Vec::new();
        loop {
            self.advance();
            let at = self.at();
            let text = self.text()?;
            let pattern = if is_regex { text } else { regex::escape(&text) };
            // Each pattern is compiled alone first, because `a)(b` must not become valid beside another one.
            compile(&pattern).map_err(|reason| at.error(reason))?;
            patterns.push(pattern);
            if !self.is_word("or") {
                let pattern = match &patterns[..] {
                    [one] => one.clone(),
                    several => format!("(?:{})", several.join(")|(?:")),
                };
                let regex = compile(&pattern).map_err(|reason| at.error(reason))?;
                return Ok(Stage::Line(LineFilter {
                    keep_matching,
                    regex,
                }));
            }
        }
    }

    /// Parses the part after a `|`. The names of stages are always keywords: `| json != "x"` is the stage `json` and
    /// then a line filter.
    fn stage(&mut self) -> Result<Stage, QueryError> {
        let Some(keyword) = self.keyword() else {
            return self.label_filter(0).map(Stage::Label);
        };
        if !STAGES.contains(&keyword) {
            return Err(self.unexpected("a stage or a label filter"));
        }
        let at = self.at();
        self.advance();
        match keyword {
            "json" if self.at_stage_end() => Ok(Stage::Json),
            "json" => self.json_fields().map(Stage::JsonFields),
            "logfmt" => self.logfmt().map(Stage::Logfmt),
            "unpack" => Ok(Stage::Unpack),
            "decolorize" => Ok(Stage::Decolorize),
            "regexp" => self.regexp(),
            "pattern" => self.pattern(),
            "line_format" => self.template().map(Stage::LineFormat),
            "label_format" => self.new_labels().map(Stage::LabelFormat),
            "drop" => self.label_refs().map(Stage::Drop),
            "keep" => self.label_refs().map(Stage::Keep),
            _ => Err(at.error(format!(
                "the stage `{keyword}` is not supported; use json, logfmt, regexp, pattern, unpack, decolorize, \
                 line_format, label_format, drop, keep, label filters, line filters and, within a metric function, unwrap"
            ))),
        }
    }

    fn is_word_after(&self, word: &str) -> bool {
        let next = self.tokens.get(self.next + 1).map(|token| &token.kind);
        matches!(next, Some(Kind::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    /// `--strict --keep-empty label="key", other`
    fn logfmt(&mut self) -> Result<Logfmt, QueryError> {
        let mut logfmt = Logfmt::default();
        while self.accept("-") {
            self.expect("-")?;
            if self.is_word("strict") {
                logfmt.strict = true;
            } else if self.is_word("keep") {
                self.advance();
                self.expect("-")?;
                if !self.is_word("empty") {
                    return Err(self.unexpected("--keep-empty"));
                }
                logfmt.keep_empty = true;
            } else {
                return Err(self.unexpected("--strict or --keep-empty"));
            }
            self.advance();
        }
        while logfmt.fields.is_empty() && !self.at_stage_end() || self.accept(",") {
            let label = self.label_name("IDENTIFIER, $end, | or a line filter")?;
            let key = match self.accept("=") {
                true => self.text()?,
                false => label.clone(),
            };
            logfmt.fields.push((label, key));
        }
        Ok(logfmt)
    }

    fn at_stage_end(&self) -> bool {
        matches!(
            self.peek(),
            Kind::End | Kind::Symbol("|" | "|=" | "|~" | "!=" | "!~" | "[" | ")")
        )
    }

    /// Labels with or without a matcher, separated by commas.
    fn label_refs(&mut self) -> Result<Vec<LabelRef>, QueryError> {
        let mut labels = Vec::new();
        loop {
            let operator = self.tokens.get(self.next + 1).map(|token| &token.kind);
            let matches_text = matches!(operator, Some(Kind::Symbol("=" | "!=" | "=~" | "!~")));
            labels.push(if matches_text {
                LabelRef::Matching(self.matcher()?)
            } else {
                LabelRef::Name(self.label_name("IDENTIFIER")?)
            });
            if !self.accept(",") {
                return Ok(labels);
            }
        }
    }

    /// The current keyword in lower case. `None` for all other tokens.
    pub(super) fn keyword(&self) -> Option<&'static str> {
        let Kind::Word(word) = self.peek() else {
            return None;
        };
        let known = |keyword: &&str| keyword.eq_ignore_ascii_case(word);
        STAGES.iter().chain(KEYWORDS).find(|it| known(it)).copied()
    }

    /// The name of a label. A keyword cannot be one.
    pub(super) fn label_name(&mut self, expected: &str) -> Result<String, QueryError> {
        match self.keyword() {
            Some(_) => Err(self.unexpected(expected)),
            None => self.word(expected),
        }
    }
}

/// All stages of LogQL, including unsupported ones.
const STAGES: &[&str] = &[
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unpack",
    "decolorize",
    "line_format",
    "label_format",
    "drop",
    "keep",
    "unwrap",
];

/// Further words that cannot be names of labels.
const KEYWORDS: &[&str] = &[
    "or",
    "and",
    "unless",
    "by",
    "without",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
];
