//! The rules and settings by which a drill is predicted and judged: those of the system on which it runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::error::DrillError;
use super::file::{Drill, Fault, Inject, Kind};
use super::prediction::{Prediction, Rule, Settings, reads, worst_case};
use super::rules::{self, RuleFile, place_of};
use super::system::Given;
use super::traffic;
use crate::clients::ClientError;
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::Prometheus;
use crate::embedded::prometheus::promql::parse_duration;
use crate::load::scenario::Time;
use crate::yaml::{self, FileError};

/// The metric that says that a fault is injected.
const INJECTED: &str = "concert_fault_active";
/// The statement that only the embedded database has: the commit of a batch of writes.
const COMMIT: &str = "commit";

/// A running system. `database` and `coordination` are values of the label `backend` of its metrics, such as `postgres`
/// and `redis`. `None` means unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The number of servers that get the traffic.
    pub(super) servers: usize,
    pub(super) database: Option<String>,
    pub(super) coordination: Option<String>,
}

/// The rules and settings by which a drill is predicted.
#[derive(Debug)]
pub struct Basis {
    pub(super) rules: Vec<Rule>,
    pub(super) settings: Settings,
    /// The sources of the rules, with their hashes.
    pub(super) identity: Vec<RuleFile>,
    /// The running system. `None` for the drill's own server with its embedded stores.
    pub(super) running: Option<Running>,
}

impl Basis {
    /// The basis of a drill on `given`, or else on the drill's own server with `rule_files`.
    ///
    /// # Errors
    /// A rule file is wrong, or a source of the running system does not answer.
    pub async fn of(given: Option<&Given>, rule_files: &[PathBuf]) -> Result<Basis, DrillError> {
        let Some(given) = given else {
            return Ok(Basis::embedded(rule_files)?);
        };
        let read = Basis::read_from(given).await;
        read.map_err(|problem| DrillError::Server(format!("cannot read {problem}")))
    }

    /// The basis of a drill on a server with embedded alerting and `rule_files`. Without files these are the shipped
    /// rules.
    ///
    /// # Errors
    /// A rule file is wrong.
    pub fn embedded(rule_files: &[PathBuf]) -> Result<Basis, FileError> {
        Ok(Basis {
            rules: rules::read(rule_files)?,
            settings: Settings::EMBEDDED,
            identity: rules::hashes(rule_files)?,
            running: None,
        })
    }

    /// Reads the rules and settings from the system's Prometheus and Alertmanager. If a server answers in their place,
    /// its settings are those of embedded alerting.
    async fn read_from(given: &Given) -> Result<Basis, String> {
        let embedded = Settings::EMBEDDED;
        let prometheus = Prometheus::new(given.prometheus.clone());
        let groups = prometheus.rule_groups().await;
        let groups = groups.map_err(|error| format!("Prometheus's rules: {error}"))?;
        let intervals = match prometheus.scrape_intervals().await {
            Err(ClientError::Refused { status: 404, .. }) => Vec::new(),
            answer => answer.map_err(|error| format!("Prometheus's targets: {error}"))?,
        };
        let scrape = intervals.iter().filter_map(|it| parse_duration(it)).max();
        let alertmanager = Alertmanager::new(given.alertmanager.clone(), None);
        let config = alertmanager.config().await;
        let config = config.map_err(|error| format!("Alertmanager's settings: {error}"))?;
        let grouping = rules::grouping(&config);
        let listed_at = format!("/api/v1/rules of {}", given.prometheus.authority());
        Ok(Basis {
            identity: vec![rules::hash_of_groups(&listed_at, &groups)],
            rules: rules::of_groups(groups),
            running: Some(Running {
                servers: given.target.api_urls.len(),
                database: backend(&prometheus, "concert_database_up").await,
                coordination: backend(&prometheus, "concert_coordination_up").await,
            }),
            settings: Settings {
                scrape: scrape.unwrap_or(embedded.scrape),
                group_wait: grouping.map_or(embedded.group_wait, |it| it.wait.max(it.interval)),
            },
        })
    }

    /// Refuses a drill that has a fault which the system cannot have, or that these rules cannot judge.
    ///
    /// # Errors
    /// The first problem, with its field.
    pub fn check(&self, drill: &Drill) -> Result<(), FileError> {
        for (index, inject) in drill.injects.iter().enumerate() {
            if let Some(reason) = self.unsupported(&inject.fault) {
                return Err(drill.wrong(&format!("injects.{index}.fault.kind"), reason));
            }
        }
        traffic::of(drill, self.running.is_none())?;
        check_budgets(drill, self)
    }

    /// Returns why the system cannot have this fault, and what to do; `None` if it can.
    pub(super) fn unsupported(&self, fault: &Fault) -> Option<String> {
        let name = fault.kind.as_str();
        let Some(running) = &self.running else {
            return match fault.kind {
                Kind::RedisCut => Some(format!(
                    "{name} is a fault that the store does not support: a drill's own server keeps the queue in its process; drill a running system with Redis (--target)"
                )),
                Kind::LoseOneOfN => Some(format!(
                    "{name} needs several servers, and a drill's own server is alone on its SQLite database: drill a running system with PostgreSQL and Redis (--target URL,URL)"
                )),
                _ => None,
            };
        };
        let is_commit = fault.statement.as_deref() == Some(COMMIT);
        match (fault.kind, &running.database, &running.coordination) {
            (Kind::KillServer | Kind::FreezeServer, ..) => Some(format!(
                "{name} needs a server of the drill's own: write a drill with `kind: command`"
            )),
            (Kind::LoseOneOfN, ..) if running.servers < 2 => Some(format!(
                "{name} needs several servers: name all servers of the system (--target URL,URL)"
            )),
            (Kind::SlowStatement, Some(database), _) if is_commit && database != "sqlite" => Some(
                format!("{database} has no statement `commit`: only the embedded database has"),
            ),
            (Kind::RedisCut, _, Some(coordination)) if coordination != "redis" => {
                Some("the system has no Redis".to_owned())
            }
            _ => None,
        }
    }
}

/// The value of the label `backend` of a metric, if Prometheus has the metric.
async fn backend(prometheus: &Prometheus, metric: &str) -> Option<String> {
    let found = prometheus.instant(metric, super::now()).await.ok()?;
    found.first()?.labels.get("backend").cloned()
}

/// Refuses a drill whose alerts no rule raises, whose alerts detect nothing, or whose budgets are below the worst case.
///
/// # Errors
/// The first problem, with its field.
fn check_budgets(drill: &Drill, basis: &Basis) -> Result<(), FileError> {
    let known = Known::of(basis)?;
    for (index, inject) in drill.injects.iter().enumerate() {
        let path = format!("injects.{index}.expect");
        for (alert, budget) in &inject.expect.fires {
            let field = format!("{path}.fires.{alert}");
            let found = basis.worst_case(alert, *budget, inject);
            let worst = found.map_err(|problem| drill.wrong(&field, problem))?;
            let budget = inject.expect.notified;
            if let Some(budget) = budget.filter(|budget| budget.0 < worst.notified) {
                let problem = below(budget, worst.notified, "the settings of the notification");
                return Err(drill.wrong(&format!("{path}.notified"), problem));
            }
        }
        known.check(drill, &format!("{path}.may_fire"), &inject.expect.may_fire)?;
    }
    known.check(drill, "may_fire", &drill.may_fire)
}

/// The message about a budget below the worst case.
fn below(budget: Time, worst: Duration, by: &str) -> String {
    format!(
        "the budget of {budget} is below the worst case of {:.1} s by {by}",
        worst.as_secs_f64()
    )
}

impl Basis {
    /// The message about an alert that no rule raises. `known` are the alerts that can be written.
    fn unknown(&self, alert: &str, known: &[&str]) -> String {
        let near = yaml::suggestion::among(alert, known);
        let files: BTreeSet<&str> = self.identity.iter().map(|it| it.file.as_str()).collect();
        let files: Vec<&str> = files.into_iter().collect();
        format!("no rule raises this alert in {}{near}", files.join(", "))
    }

    /// The worst case of an alert that must fire within `budget`.
    ///
    /// # Errors
    /// No rule raises it, its rule detects nothing, or the worst case exceeds the budget. The message says what to do.
    fn worst_case(&self, alert: &str, budget: Time, inject: &Inject) -> Result<Prediction, String> {
        let rules = &self.rules;
        let Some(worst) = worst_case(alert, inject, rules, self.settings) else {
            return Err(self.unknown(alert, &names(rules)));
        };
        let place = place_of(alert, rules).unwrap_or_default();
        if reads(alert, rules, INJECTED) {
            return Err(format!(
                "its rule ({place}) reads {INJECTED}, which only says that a fault was injected: it detects nothing. Remove it here, or let its rule read another metric"
            ));
        }
        match budget.0 < worst.firing {
            true => Err(below(
                budget,
                worst.firing,
                &format!("the rule ({place}) and the settings"),
            )),
            false => Ok(worst),
        }
    }
}

fn names(rules: &[Rule]) -> Vec<&str> {
    let alerts = rules.iter().filter(|rule| rule.is_alert);
    alerts.map(|rule| rule.name.as_str()).collect()
}

/// The alerts that may be named as consequences: those of the system's rules, and the shipped ones, which a shipped
/// drill names on a system without some of them too.
struct Known<'k> {
    basis: &'k Basis,
    shipped: Vec<Rule>,
}

impl Known<'_> {
    fn of(basis: &Basis) -> Result<Known<'_>, FileError> {
        let shipped = rules::read(&[])?;
        Ok(Known { basis, shipped })
    }

    fn check(&self, drill: &Drill, list: &str, alerts: &[String]) -> Result<(), FileError> {
        let known: BTreeSet<&str> = [names(&self.basis.rules), names(&self.shipped)]
            .concat()
            .into_iter()
            .collect();
        let unknown_one = |(_, alert): &(usize, &String)| !known.contains(alert.as_str());
        match alerts.iter().enumerate().find(unknown_one) {
            None => Ok(()),
            Some((index, alert)) => {
                let known: Vec<&str> = known.into_iter().collect();
                let problem = format!("{alert}: {}", self.basis.unknown(alert, &known));
                Err(drill.wrong(&format!("{list}.{index}"), problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRILL: &str = "title: Slow\nload: onsale-short\ninjects:\n  - at: 6s\n    fault: { kind: latency, delay: 1s, for: 20s }\n    cause: { component: server, mechanism: latency }\n    expect:\n      fires: { SlowBuying: 18s }\n      may_fire: [HighErrorRate]\n      notified: 3s\nmay_fire: [HostCpuBusy]\n";

    fn checked(text: &str, more_rules: &[(&str, bool, &str)]) -> Result<(), String> {
        let drill = Drill::parse("drill.yaml", text).unwrap();
        let mut basis = Basis::embedded(&[]).unwrap();
        let more = more_rules.iter().map(|(name, is_alert, expr)| Rule {
            name: (*name).to_owned(),
            is_alert: *is_alert,
            expr: (*expr).to_owned(),
            ..basis.rules[0].clone()
        });
        let more: Vec<Rule> = more.collect();
        basis.rules.extend(more);
        basis.check(&drill).map_err(|error| error.to_string())
    }

    fn refusal(text: &str, more_rules: &[(&str, bool, &str)]) -> String {
        checked(text, more_rules).unwrap_err()
    }

    #[test]
    fn a_budget_of_the_notification_below_its_worst_case_is_refused() {
        assert_eq!(checked(DRILL, &[]), Ok(()));
        let exactly = DRILL.replace("notified: 3s", "notified: 2s");
        assert_eq!(checked(&exactly, &[]), Ok(()));
        for budget in ["0s", "1.999s"] {
            let text = DRILL.replace("notified: 3s", &format!("notified: {budget}"));
            let told = refusal(&text, &[]);
            let expected = format!(
                "drill.yaml:10:7: injects.0.expect.notified: the budget of {budget} is below the worst case of 2.0 s"
            );
            assert!(told.starts_with(&expected), "{told}");
        }
    }

    #[test]
    fn an_alert_whose_rule_reads_that_a_fault_was_injected_is_refused() {
        let text = DRILL.replace("SlowBuying: 18s", "Mine: 10m");
        let recorded = ("broken", false, "max(concert_fault_active)");
        let mine = |expr| refusal(&text, &[recorded, ("Mine", true, expr)]);
        for expr in ["concert_fault_active == 1", "max_over_time(broken[5s]) > 0"] {
            let told = mine(expr);
            assert!(
                told.contains(":8:") && told.contains("injects.0.expect.fires.Mine"),
                "{told}"
            );
            assert!(told.contains("reads concert_fault_active"), "{told}");
        }
        assert_eq!(
            checked(&text, &[recorded, ("Mine", true, "up == 0")]),
            Ok(())
        );
    }

    #[test]
    fn an_unknown_alert_that_may_fire_is_refused_with_its_line() {
        for (from, to, place) in [
            (
                "HighErrorRate",
                "HighErorRate",
                "drill.yaml:9:18: injects.0.expect.may_fire.0: HighErorRate",
            ),
            (
                "HostCpuBusy",
                "HostCpuBsy",
                "drill.yaml:11:12: may_fire.0: HostCpuBsy",
            ),
        ] {
            let told = refusal(&DRILL.replace(from, to), &[]);
            assert!(told.starts_with(place), "{told}");
            assert!(told.contains(&format!("did you mean `{from}`")), "{told}");
        }
        // A shipped alert may be named although the system has other rules.
        let mut other = Basis::embedded(&[]).unwrap();
        other.rules.retain(|rule| rule.name == "SlowBuying");
        let drill = Drill::parse("drill.yaml", DRILL).unwrap();
        assert!(other.check(&drill).is_ok());
    }

    #[test]
    fn every_shipped_drill_that_the_system_can_have_passes_the_check() {
        let basis = Basis::embedded(&[]).unwrap();
        for (name, text) in super::super::file::shipped() {
            let drill = Drill::parse(name, text).unwrap();
            assert_eq!(basis.check(&drill), Ok(()), "{name}");
        }
    }
}
