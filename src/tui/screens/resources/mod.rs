//! The state of the Resources screen: the table of instances, and the charts of the chosen one. Host figures have the
//! node exporter's names. Pure.

pub(crate) mod draw;
pub(crate) mod figures;
pub(crate) mod keys;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use figures::{CHARTS, COLUMNS, Column};

use crate::tui::dashboard::Scope;
use crate::tui::dashboard::panel::Query;
use crate::tui::sources::answers::Answers;

/// The most instances of the table.
const MAX_INSTANCES: usize = 100;
/// The label that distinguishes instances.
const INSTANCE: &str = "instance";

/// The Resources screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    /// The instance that the user chose; `None` before the first choice.
    instance: Option<String>,
    /// Index into [`CHARTS`].
    pub(crate) chart: usize,
    /// Whether the chosen chart fills the screen.
    pub(crate) enlarged: bool,
}

impl Resources {
    /// All instances, sorted by name.
    pub(crate) fn instances(answers: &Answers) -> Vec<String> {
        let columns = COLUMNS
            .iter()
            .filter_map(|column| answers.get(&column.query));
        let series = columns.flat_map(|answer| &answer.series);
        let named = series.filter_map(|one| one.labels.get(INSTANCE).cloned());
        let names: BTreeSet<String> = named.collect();
        names.into_iter().take(MAX_INSTANCES).collect()
    }

    /// The chosen instance if it still exists, or else the first.
    pub(crate) fn chosen(&self, instances: &[String]) -> Option<String> {
        let still = self
            .instance
            .as_ref()
            .filter(|name| instances.contains(*name));
        still.or(instances.first()).cloned()
    }

    /// Moves the choice by this number of instances.
    pub(crate) fn move_by(&mut self, answers: &Answers, by: isize) {
        let instances = Resources::instances(answers);
        let now = self.chosen(&instances);
        let at = instances.iter().position(|name| Some(name) == now.as_ref());
        let last = instances.len().saturating_sub(1);
        let to = at.unwrap_or(0).saturating_add_signed(by).min(last);
        self.instance = instances.get(to).cloned();
    }

    /// Moves the choice by this number of charts.
    pub(crate) fn move_chart(&mut self, by: isize) {
        self.chart = self.chart.saturating_add_signed(by).min(CHARTS.len() - 1);
    }

    /// The variables of the charts' queries.
    pub(crate) fn scope(&self, answers: &Answers) -> Scope {
        let chosen = self.chosen(&Resources::instances(answers));
        Scope::of_one(INSTANCE, chosen.as_deref().unwrap_or(""))
    }

    /// The PromQL of the table and of the charts.
    pub(crate) fn queries(&self, answers: &Answers) -> BTreeSet<Query> {
        let columns = COLUMNS.iter().map(|column| Query::clone(&column.query));
        let mut queries: BTreeSet<Query> = columns.collect();
        if Resources::instances(answers).is_empty() {
            return queries; // No instance is known yet.
        }
        let scope = self.scope(answers);
        let targets = CHARTS.iter().flat_map(|panel| &panel.targets);
        queries.extend(targets.map(|target| Query::from(scope.fill(&target.expr))));
        queries
    }
}

/// The current figure of each instance, by its name.
pub(crate) fn figures(answers: &Answers, column: &Column) -> BTreeMap<String, f64> {
    let series = answers
        .get(&column.query)
        .map(|answer| answer.series.as_slice());
    let named = series.unwrap_or_default().iter();
    let named = named.filter_map(|one| Some((one.labels.get(INSTANCE)?.clone(), one.now?)));
    named.collect()
}

/// Every PromQL query of the screen, for comparison with the exported metrics.
pub(crate) fn all_queries() -> impl Iterator<Item = String> {
    let columns = COLUMNS.iter().map(|column| column.query.to_string());
    let targets = CHARTS.iter().flat_map(|panel| &panel.targets);
    columns.chain(targets.map(|target| target.expr.replace("$instance", "a")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::{Labels, Series};

    #[test]
    fn without_redis_no_instance_shows_it_as_up() {
        let asked: Vec<String> = all_queries()
            .filter(|query| query.contains("min") && query.contains("coordination_up"))
            .filter(|query| !query.contains("lock_wait"))
            .collect();
        assert_eq!(asked.len(), 2);
        for query in asked {
            assert!(query.contains("backend=\"redis\""), "{query}");
        }
    }

    #[test]
    fn every_query_is_promql() {
        for query in all_queries() {
            assert!(promql_parser::parser::parse(&query).is_ok(), "{query}");
        }
    }

    #[test]
    fn the_choice_stays_on_its_instance_when_other_instances_change() {
        let mut answers = Answers::default();
        let query = Query::clone(&COLUMNS[0].query);
        let wanted = BTreeSet::from([Query::clone(&query)]);
        let apply = |answers: &mut Answers, at: i64, names: &[&str]| {
            let series = names.iter().map(|name| Series {
                labels: Labels::from([(INSTANCE.to_owned(), (*name).to_owned())]),
                points: vec![(at, 1.0)],
            });
            let answer = BTreeMap::from([(Query::clone(&query), Ok(series.collect()))]);
            answers.apply_now(&wanted, &answer, at, (1_000, at - 10_000));
        };
        let mut screen = Resources::default();
        assert_eq!(screen.queries(&answers).len(), COLUMNS.len());
        apply(&mut answers, 1_000, &["b", "c"]);
        screen.move_by(&answers, 1);
        let chosen = |screen: &Resources, answers: &Answers| {
            screen.chosen(&Resources::instances(answers)).unwrap()
        };
        assert_eq!(chosen(&screen, &answers), "c");
        apply(&mut answers, 2_000, &["a", "b", "c"]);
        assert_eq!(chosen(&screen, &answers), "c");
        assert!(
            screen
                .queries(&answers)
                .iter()
                .any(|query| query.contains("instance=\"c\""))
        );
        apply(&mut answers, 60_000, &["a"]);
        assert_eq!(chosen(&screen, &answers), "a");
    }

    #[test]
    fn the_number_of_listed_instances_is_bounded() {
        let mut answers = Answers::default();
        let wanted: BTreeSet<_> = all_queries().map(Query::from).collect();
        for column in COLUMNS.iter() {
            let named = |n: i32| Series {
                labels: Labels::from([(INSTANCE.to_owned(), format!("{}{n}", column.query.len()))]),
                points: vec![(1, 1.0)],
            };
            let many = Ok((0..50).map(named).collect());
            let answer = BTreeMap::from([(Query::clone(&column.query), many)]);
            answers.apply_now(&wanted, &answer, 1_000, (1_000, 0));
        }
        assert_eq!(Resources::instances(&answers).len(), MAX_INSTANCES);
    }
}
