//! Fetches the evidence for the chosen alert.

use std::time::Duration;

use tokio::sync::watch;

use crate::clients::ClientError;
use crate::clients::loki::Loki;
use crate::clients::prometheus::{Prometheus, Series};
use crate::clients::rules::Rule;
use crate::tui::event::Event;
use crate::tui::screens::logs;
use crate::tui::screens::logs::{Level, Record};
use crate::tui::sources::clients::{Clients, now_ms};
use crate::tui::sources::evidence::rule;
use crate::tui::sources::evidence::rule::{Judged, Limit};
use crate::tui::sources::evidence::{Evidence, LimitLine, RECORDS, RECORDS_BEFORE, Wanted};
use crate::tui::sources::follow::{Answer, Poll};
use crate::tui::sources::plan::Plan;
use crate::tui::sources::series::Track;

const EVERY: Duration = Duration::from_secs(2);
/// The most series that are drawn for an alert.
const MOST_SERIES: usize = 8;

/// The poll for the evidence of the chosen alert.
pub(crate) struct EvidenceOfAlert {
    prometheus: Prometheus,
    loki: Loki,
    plan: watch::Receiver<Plan>,
}

impl EvidenceOfAlert {
    pub(crate) fn new(clients: &Clients, plan: &watch::Receiver<Plan>) -> EvidenceOfAlert {
        EvidenceOfAlert {
            prometheus: clients.prometheus.clone(),
            loki: clients.loki.clone(),
            plan: plan.clone(),
        }
    }
}

impl Poll for EvidenceOfAlert {
    type Wanted = Wanted;

    fn wanted(&self, plan: &Plan) -> Option<Wanted> {
        plan.evidence.clone()
    }

    async fn ask(&mut self, wanted: &Wanted) -> Answer {
        let is_other = |plan: &Plan| plan.evidence.as_ref() != Some(wanted);
        tokio::select! {
            found = find(&self.prometheus, &self.loki, wanted) => {
                Ok((vec![Event::Evidence(Box::new(found))], EVERY))
            }
            // The user chose another alert: drop this evidence.
            _ = self.plan.wait_for(is_other) => Ok((Vec::new(), EVERY)),
        }
    }
}

async fn find(prometheus: &Prometheus, loki: &Loki, wanted: &Wanted) -> Evidence {
    let (from, to) = wanted.window(now_ms());
    let (figure, records) = tokio::join!(
        figure(prometheus, wanted, from, to),
        records(loki, wanted, to)
    );
    let mut evidence = Evidence {
        of: wanted.clone(),
        from,
        to,
        rule: None,
        figure: Vec::new(),
        limit: None,
        side: None,
        no_figure: None,
        records: Vec::new(),
        no_records: None,
    };
    match figure {
        Ok((rule, figure, limit)) => {
            evidence.side = rule.as_ref().and_then(|rule| rule::side(&rule.query));
            evidence.rule = rule;
            evidence.figure = figure;
            evidence.limit = limit;
        }
        Err(reason) => evidence.no_figure = Some(reason),
    }
    match records {
        Ok(records) => evidence.records = records,
        Err(error) => evidence.no_records = Some(error.to_string()),
    }
    evidence
}

type Figure = (Option<Rule>, Vec<Track>, Option<LimitLine>);

async fn figure(
    source: &Prometheus,
    wanted: &Wanted,
    from: i64,
    to: i64,
) -> Result<Figure, String> {
    let message = |error: ClientError| error.to_string();
    let name = wanted.alert.get("alertname").map_or("", String::as_str);
    let rules = source.alert_rules().await.map_err(message)?;
    let Some(rule) = best(rules, wanted, name) else {
        return Ok((None, Vec::new(), None));
    };
    let Some(Judged { query, limit }) = rule::judged(&rule.query) else {
        return Err(format!("the rule of {name} cannot be read: {}", rule.query));
    };
    let step = Wanted::step(from, to);
    // Whole steps, so that the points of all requests have the same times.
    let (from, to) = (
        from - from.rem_euclid(step),
        to - to.rem_euclid(step) + step,
    );
    let series = source
        .range(&query, from, to, step)
        .await
        .map_err(message)?;
    let limit = match limit {
        None => None,
        Some(Limit::Number(number)) => Some(LimitLine::Number(number)),
        Some(Limit::Query(query)) => {
            let series = source
                .range(&query, from, to, step)
                .await
                .map_err(message)?;
            tracks(series, wanted)
                .into_iter()
                .next()
                .map(LimitLine::Track)
        }
    };
    Ok((Some(rule), tracks(series, wanted), limit))
}

/// The rule with the labels of the alert, among rules with the same name.
fn best(rules: Vec<Rule>, wanted: &Wanted, name: &str) -> Option<Rule> {
    let of_name = rules.into_iter().filter(|rule| rule.name == name);
    let alike = |rule: &Rule| {
        let mut labels = rule.labels.iter();
        labels.all(|(name, value)| wanted.alert.get(name) == Some(value))
    };
    of_name.max_by_key(alike)
}

fn tracks(series: Vec<Series>, wanted: &Wanted) -> Vec<Track> {
    let about = series
        .into_iter()
        .filter(|one| wanted.is_about(&one.labels));
    let finite = |one: Series| -> Track {
        one.points
            .into_iter()
            .filter(|(_, value)| value.is_finite())
            .collect()
    };
    about.take(MOST_SERIES).map(finite).collect()
}

async fn records(source: &Loki, wanted: &Wanted, to: i64) -> Result<Vec<Record>, ClientError> {
    let query = logs::query("", Level::Error);
    let nanoseconds = |ms: i64| ms.saturating_mul(1_000_000);
    let from = nanoseconds(wanted.began.saturating_sub(RECORDS_BEFORE));
    let lines = source
        .newest(&query, from, nanoseconds(to.saturating_add(1)), RECORDS)
        .await?;
    Ok(lines.into_iter().map(Record::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::Labels;

    #[test]
    fn among_rules_with_the_same_name_the_labels_of_the_alert_decide() {
        let labels = |severity: &str| Labels::from([("severity".to_owned(), severity.to_owned())]);
        let rule = |severity: &str| Rule {
            name: "Slow".into(),
            labels: labels(severity),
            ..Rule::default()
        };
        let rules = || vec![rule("critical"), rule("warning"), rule("critical")];
        let wanted = |severity| Wanted {
            alert: labels(severity),
            began: 0,
        };
        let found = |severity| best(rules(), &wanted(severity), "Slow").unwrap().labels;
        assert_eq!(found("warning"), labels("warning"));
        assert_eq!(found("critical"), labels("critical"));
        assert_eq!(best(rules(), &wanted("critical"), "Other"), None);
    }

    #[test]
    fn the_number_of_drawn_series_is_bounded() {
        let wanted = Wanted {
            alert: Labels::new(),
            began: 0,
        };
        let one = |n: i32| Series {
            labels: Labels::from([("n".to_owned(), n.to_string())]),
            points: vec![(1, 1.0)],
        };
        assert_eq!(
            tracks((0..20).map(one).collect(), &wanted).len(),
            MOST_SERIES
        );
    }
}
