//! The rules and settings by which a drill is predicted and judged: those of the system on which it runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::error::DrillError;
use super::file::{Drill, Fault, Kind};
use super::prediction::{Rule, Settings, worst_case};
use super::rules::{self, RuleFile, place_of};
use super::system::Given;
use super::traffic;
use crate::clients::ClientError;
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::Prometheus;
use crate::embedded::prometheus::promql::parse_duration;
use crate::yaml::{self, FileError};

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

/// Refuses a drill whose alerts no rule raises, or whose budgets are below the worst case.
///
/// # Errors
/// The first problem, with its field.
fn check_budgets(drill: &Drill, basis: &Basis) -> Result<(), FileError> {
    let Basis {
        rules, settings, ..
    } = basis;
    for (index, inject) in drill.injects.iter().enumerate() {
        for (alert, budget) in &inject.expect.fires {
            let field = format!("injects.{index}.expect.fires.{alert}");
            let refused = |problem: String| drill.wrong(&field, problem);
            let Some(worst) = worst_case(alert, inject, rules, *settings) else {
                let known = rules.iter().filter(|rule| rule.is_alert);
                let known: Vec<&str> = known.map(|rule| rule.name.as_str()).collect();
                let near = yaml::suggestion::among(alert, &known);
                let files = basis.identity.iter().map(|it| it.file.as_str());
                let files: BTreeSet<&str> = files.collect();
                let files: Vec<&str> = files.into_iter().collect();
                let files = files.join(", ");
                return Err(refused(format!(
                    "no rule raises this alert in {files}{near}"
                )));
            };
            if budget.0 < worst.firing {
                return Err(refused(format!(
                    "the budget of {budget} is below the worst case of {:.1} s by the rule ({}) and the settings",
                    worst.firing.as_secs_f64(),
                    place_of(alert, rules).unwrap_or_default()
                )));
            }
        }
    }
    Ok(())
}
