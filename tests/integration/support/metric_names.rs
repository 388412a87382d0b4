//! The exported metrics with their labels, and the check of a query against them. A panel or a rule with a metric that
//! is not exported stays empty for ever, and looks as if all were well.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::Labels;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
    parse,
};

use super::{Backend, Server, User};

type Names = BTreeSet<String>;

/// The labels that Prometheus adds to each scraped series.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

/// Metrics, each with the labels that its series may have.
#[derive(Clone, Debug, Default)]
pub struct Catalogue(BTreeMap<String, Names>);

impl Catalogue {
    /// The metrics of a text in the exposition format, as they are stored after a scrape.
    pub fn of_exposition(text: &str) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for line in samples.filter(|line| !line.trim().is_empty()) {
            // The value of a label may contain anything, so the series ends with the last brace.
            let end = line
                .rfind('}')
                .map_or_else(|| line.find(' '), |at| Some(at + 1));
            let series = &line[..end.unwrap_or_else(|| panic!("no sample: {line}"))];
            let Ok(Expr::VectorSelector(series)) = parse(series) else {
                panic!("no series: {line}");
            };
            let labels = series.matchers.matchers.iter().map(|it| it.name.as_str());
            catalogue.add(series.name.as_deref().expect("a series has a name"), labels);
        }
        catalogue
    }

    /// The metrics of a server with a dataset and some buyers.
    pub async fn of_server<B: Backend>(server: &Server<B>) -> Catalogue {
        Catalogue::of_exposition(&exposition_after_traffic(server).await)
    }

    /// Adds a metric that another program exports.
    pub fn add<'a>(&mut self, metric: &str, labels: impl IntoIterator<Item = &'a str>) {
        let known = self.0.entry(metric.to_owned()).or_default();
        known.extend(labels.into_iter().chain(OF_THE_TARGET).map(str::to_owned));
    }

    /// Adds the metrics of another catalogue.
    pub fn merge(&mut self, other: Catalogue) {
        for (metric, labels) in other.0 {
            self.0.entry(metric).or_default().extend(labels);
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The mistakes in a query: a syntax error, or each metric and label that is not exported.
    pub fn check(&self, query: &str) -> Vec<String> {
        match parse(query) {
            Ok(expr) => {
                let mut check = Check {
                    known: &self.0,
                    wrong: Vec::new(),
                };
                check.labels_of(&expr);
                check.wrong
            }
            Err(error) => vec![format!("no PromQL: {error}")],
        }
    }
}

/// Walks an expression from its selectors outwards, with the labels that are left at each step.
struct Check<'a> {
    known: &'a BTreeMap<String, Names>,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn labels_of(&mut self, expr: &Expr) -> Names {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(range) => self.selector(&range.vs),
            Expr::Paren(inner) => self.labels_of(&inner.expr),
            Expr::Unary(inner) => self.labels_of(&inner.expr),
            Expr::Subquery(inner) => self.labels_of(&inner.expr),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call(call) => self.call(call),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Names::new(),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Names {
        let matchers = &selector.matchers;
        let mut asked: Vec<_> = matchers
            .matchers
            .iter()
            .chain(matchers.or_matchers.iter().flatten())
            .collect();
        let by_matcher = asked.iter().position(|it| it.name == "__name__");
        let by_matcher = by_matcher.map(|at| asked.remove(at).value.clone());
        let Some(name) = selector.name.clone().or(by_matcher) else {
            self.wrong.push(format!("{selector} names no metric"));
            return Names::new();
        };
        let Some(labels) = self.known.get(&name) else {
            self.wrong.push(format!("no server exports {name}"));
            return asked.iter().map(|it| it.name.clone()).collect();
        };
        for label in asked
            .iter()
            .map(|it| &it.name)
            .filter(|it| !labels.contains(*it))
        {
            self.wrong.push(format!("{name} has no label {label}"));
        }
        labels.clone()
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Names {
        let inner = self.labels_of(&aggregate.expr);
        if let Some(param) = &aggregate.param {
            self.labels_of(param);
        }
        let left = match &aggregate.modifier {
            None => Names::new(),
            Some(modifier) => {
                let named = self.present(modifier.labels(), &inner, &aggregate.expr);
                match modifier {
                    LabelModifier::Include(_) => named,
                    LabelModifier::Exclude(_) => &inner - &named,
                }
            }
        };
        // These aggregations select series and keep their labels.
        match aggregate.op.to_string().as_str() {
            "topk" | "bottomk" | "limitk" | "limit_ratio" => inner,
            "count_values" => left
                .into_iter()
                .chain(text(aggregate.param.as_deref()))
                .collect(),
            _ => left,
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Names {
        let (left, right) = (self.labels_of(&binary.lhs), self.labels_of(&binary.rhs));
        let scalar = |side: &Expr| side.value_type() == ValueType::Scalar;
        if scalar(&binary.lhs) || scalar(&binary.rhs) {
            return &left | &right;
        }
        let modifier = binary.modifier.as_ref();
        if let Some(matching) = modifier.and_then(|it| it.matching.as_ref()) {
            // Matching on or ignoring a label that neither side has is a mistake.
            let both = match matching {
                LabelModifier::Include(_) => &left & &right,
                LabelModifier::Exclude(_) => &left | &right,
            };
            self.present(matching.labels(), &both, &Expr::Binary(binary.clone()));
        }
        match modifier.map(|it| &it.card) {
            Some(VectorMatchCardinality::ManyToOne(more)) => {
                &left | &self.present(more, &right, &binary.rhs)
            }
            Some(VectorMatchCardinality::OneToMany(more)) => {
                &right | &self.present(more, &left, &binary.lhs)
            }
            _ if binary.op.to_string() == "or" => &left | &right,
            _ => left,
        }
    }

    fn call(&mut self, call: &Call) -> Names {
        let args = &call.args.args;
        let mut labels = Names::new();
        for arg in args {
            labels.extend(self.labels_of(arg));
        }
        let at = |index: usize| text(args.get(index).map(Box::as_ref));
        match call.func.name {
            "histogram_quantile" => {
                if !labels.remove("le") {
                    self.wrong.push(format!("{} has no label le left", args[1]));
                }
                labels
            }
            "label_replace" => {
                for source in at(3).filter(|it| !labels.contains(it)) {
                    self.wrong
                        .push(format!("{} has no label {source}", args[0]));
                }
                labels.into_iter().chain(at(1)).collect()
            }
            "label_join" => labels.into_iter().chain(at(1)).collect(),
            "scalar" | "time" | "vector" => Names::new(),
            _ => labels,
        }
    }

    /// The labels of `asked` that exist; notes the others as mistakes.
    fn present(&mut self, asked: &Labels, there: &Names, on: &Expr) -> Names {
        let (good, bad): (Names, Names) = asked
            .labels
            .iter()
            .cloned()
            .partition(|label| there.contains(label));
        let mistakes = bad.iter().map(|label| format!("{on} has no label {label}"));
        self.wrong.extend(mistakes);
        good
    }
}

/// An argument that is a string.
fn text(arg: Option<&Expr>) -> impl Iterator<Item = String> + use<> {
    let text = match arg {
        Some(Expr::StringLiteral(text)) => Some(text.val.clone()),
        _ => None,
    };
    text.into_iter()
}

/// `/metrics` of a server after a purchase, a cancelled hold, a refusal and requests to unknown routes.
pub async fn exposition_after_traffic<B: Backend>(server: &Server<B>) -> String {
    super::seed(&server.ops, &super::profile(2, 20, 10)).await;
    server.admit_everybody().await;
    let (buyer, other) = (server.admitted(1).await, server.admitted(2).await);
    let (bought, held) = (buyer.reserved(1).await, other.reserved(2).await);
    buyer.charge(serde_json::json!(100_000)).await;
    assert_eq!(buyer.pay(bought).await.status, 200);
    other.reserve(1).await;
    other.cancel(held).await;
    other.get("/nowhere").await;
    // Gauges are set once a second; these come last.
    let mut last = vec!["\nconcert_seats{"];
    if B::REDIS {
        last.push("\nconcert_coordination_up{");
    }
    let operator = User::new(&server.ops_url, 0);
    super::eventually("every gauge is set", || async {
        let text = operator.metrics(&server.ops_url).await;
        last.iter().all(|it| text.contains(it)).then_some(text)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::Catalogue;

    fn catalogue() -> Catalogue {
        Catalogue::of_exposition(
            "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"a } b\"} 3\na{z=\"\\\"\"} 4\n\nb 5\n\
             h_bucket{le=\"+Inf\",x=\"1\"} 7\n",
        )
    }

    #[test]
    fn queries_for_exported_metrics_have_no_mistakes() {
        for query in [
            "a",
            "sum by (x, y) (rate(a{z=~\".+\",job=\"app\"}[5m]))",
            "histogram_quantile(0.9, sum by (le, x) (rate(h_bucket[1m])))",
            "a * on (instance) group_left b",
            "h_bucket * on (x) group_left (y) a",
            "sum by (new) (label_replace(a, \"new\", \"$1\", \"x\", \"(.*)\"))",
            "topk by (x) (3, a) > 4 or vector(0)",
            "sum by (x) (topk(3, a)) / ignoring (x) group_left sum(b)",
            "max_over_time(sum by (x) (a)[5m:10s]) unless on (x) a",
            "absent(b) or b > time() - scalar(b)",
        ] {
            assert_eq!(catalogue().check(query), [""; 0], "{query}");
        }
    }

    #[test]
    fn a_missing_metric_or_label_is_reported_anywhere_in_a_query() {
        for (query, mistake) in [
            ("c", "no server exports c"),
            (
                "sum(rate(a[5m])) / sum(rate(c_total[5m]))",
                "no server exports c_total",
            ),
            ("{__name__=\"c\"}", "no server exports c"),
            ("b{x=\"1\"}", "b has no label x"),
            ("{job=\"app\"}", "names no metric"),
            ("sum by (w) (a)", "no label w"),
            ("sum by (x) (sum by (y) (a))", "no label x"),
            ("sum by (x) (sum without (x) (a))", "no label x"),
            ("sum by (x) (sum(a))", "no label x"),
            (
                "histogram_quantile(0.9, sum by (x) (h_bucket))",
                "no label le left",
            ),
            ("a * on (x) b", "no label x"),
            ("a * on (instance) group_left (w) h_bucket", "no label w"),
            (
                "label_replace(b, \"n\", \"$1\", \"x\", \"(.*)\")",
                "no label x",
            ),
            ("topk(scalar(c), a)", "no server exports c"),
            ("sum(", "no PromQL"),
        ] {
            let wrong = catalogue().check(query);
            assert!(
                wrong.len() == 1 && wrong[0].contains(mistake),
                "{query}: {wrong:?}"
            );
        }
    }
}
