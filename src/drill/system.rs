//! What a drill is held on: a server of its own, or a running system that somebody names.

use std::net::SocketAddr;

use super::Moment;
use super::embedded::{Embedded, end_by_operations, inject_by_operations};
use super::file::{Drill, Fault, Kind};
use super::fit::Backends;
use super::guard::Order;
use super::orders::{Orders, order_for};
use super::prediction::{Rule, Settings};
use super::rules::{self, RuleFile};
use super::run::{DrillError, Options};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::Prometheus;
use crate::clients::{ClientError, HttpSource, Secret};
use crate::embedded::prometheus::promql::parse_duration;
use crate::load::{Reseed, Target};
use crate::yaml::FileError;

/// A running system.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its servers.
    pub target: Target,
    /// Its Prometheus; a server answers as one too.
    pub prometheus: HttpSource,
    /// Its Alertmanager; a server answers as one too.
    pub alertmanager: HttpSource,
    /// Where the drill takes notifications, as its Alertmanager is set up to post them.
    pub notified_at: SocketAddr,
    /// Whether its dataset may be replaced.
    pub reseed: Reseed,
}

/// The rules and what lies around them, by which a drill is predicted.
#[derive(Debug)]
pub struct Basis {
    pub(super) rules: Vec<Rule>,
    pub(super) settings: Settings,
    /// Where the rules come from, with their hashes.
    pub(super) identity: Vec<RuleFile>,
    /// Of a running system; `None`: the drill's own server.
    pub(super) running: Option<Backends>,
}

impl Basis {
    /// Of the system that the drill is held on.
    ///
    /// # Errors
    /// A rule file is wrong, or the system does not tell.
    pub async fn of(options: &Options) -> Result<Basis, DrillError> {
        let Some(given) = &options.given else {
            return Ok(Basis::embedded(&options.rules)?);
        };
        let told = Basis::told(given).await;
        told.map_err(|problem| DrillError::Server(format!("what it is predicted by: {problem}")))
    }

    /// Of a server with embedded alerting, with these rule files; none: the shipped ones.
    ///
    /// # Errors
    /// A rule file is wrong.
    pub fn embedded(rule_files: &[std::path::PathBuf]) -> Result<Basis, FileError> {
        Ok(Basis {
            rules: rules::read(rule_files)?,
            settings: Settings::EMBEDDED,
            identity: rules::hashes(rule_files)?,
            running: None,
        })
    }

    /// As Prometheus and Alertmanager tell. A server that answers as one of them has the settings of an
    /// embedded one.
    async fn told(given: &Given) -> Result<Basis, String> {
        let embedded = Settings::EMBEDDED;
        let prometheus = Prometheus::new(given.prometheus.clone());
        let groups = prometheus.rule_groups().await;
        let groups = groups.map_err(|error| format!("Prometheus's rules: {error}"))?;
        let intervals = match prometheus.scrape_intervals().await {
            Err(ClientError::Refused { status: 404, .. }) => Vec::new(),
            told => told.map_err(|error| format!("Prometheus's targets: {error}"))?,
        };
        let scrape = intervals.iter().filter_map(|it| parse_duration(it)).max();
        let alertmanager = Alertmanager::new(given.alertmanager.clone(), None);
        let config = alertmanager.config().await;
        let config = config.map_err(|error| format!("Alertmanager's settings: {error}"))?;
        let listed_at = format!("/api/v1/rules of {}", given.prometheus.authority());
        Ok(Basis {
            identity: vec![rules::hash_of_groups(&listed_at, &groups)],
            rules: rules::of_groups(groups),
            running: Some(Backends {
                database: backend(&prometheus, "concert_database_up").await,
                coordination: backend(&prometheus, "concert_coordination_up").await,
            }),
            settings: Settings {
                scrape: scrape.unwrap_or(embedded.scrape),
                group_wait: rules::group_wait(&config).unwrap_or(embedded.group_wait),
            },
        })
    }

    /// Refuses a drill that cannot be judged by these rules.
    ///
    /// # Errors
    /// The first problem, with its field.
    pub fn check(&self, drill: &Drill) -> Result<(), FileError> {
        rules::check_budgets(drill, self)
    }
}

/// The label `backend` of a metric, if Prometheus has it.
async fn backend(prometheus: &Prometheus, metric: &str) -> Option<String> {
    let found = prometheus.instant(metric, super::now()).await.ok()?;
    found.first()?.labels.get("backend").cloned()
}

/// The system while a drill runs.
#[derive(Debug)]
pub(super) enum System {
    Own(Box<Embedded>),
    Given(Box<Given>, Orders),
}

impl System {
    /// Takes the system that `options` name, or starts one that posts its notifications to `webhook`.
    pub(super) async fn start(options: &Options, webhook: &str) -> Result<System, DrillError> {
        let Some(given) = &options.given else {
            let embedded = Embedded::start(options, webhook).await?;
            return Ok(System::Own(Box::new(embedded)));
        };
        let guard = Orders::start(&options.program);
        let guard = guard.map_err(|error| DrillError::Server(error.to_string()))?;
        Ok(System::Given(Box::new(given.clone()), guard))
    }

    pub(super) fn target(&self) -> Target {
        match self {
            System::Own(embedded) => embedded.target(),
            System::Given(given, _) => given.target.clone(),
        }
    }

    /// When the dataset is replaced before the traffic.
    pub(super) fn reseed(&self) -> Reseed {
        match self {
            System::Own(_) => Reseed::WhenUnfit,
            System::Given(given, _) => given.reseed,
        }
    }

    /// What answers as Prometheus and as Alertmanager.
    pub(super) fn alert_sources(&self) -> Result<(Prometheus, Alertmanager), DrillError> {
        match self {
            System::Own(embedded) => embedded.alert_sources(),
            System::Given(given, _) => {
                let token = given.target.ops_token.as_deref().map(Secret::new);
                let alertmanager = Alertmanager::new(given.alertmanager.clone(), token);
                Ok((Prometheus::new(given.prometheus.clone()), alertmanager))
            }
        }
    }

    /// Injects a fault; its beginning, by whoever carried it out. It ends by itself.
    pub(super) async fn inject(&self, fault: &Fault, drill: &str) -> Result<Moment, String> {
        let (given, guard) = match self {
            System::Own(embedded) => return embedded.inject(fault, drill).await,
            System::Given(given, guard) => (given, guard),
        };
        match (fault.kind, order_for(fault)) {
            (_, Some(order)) => guard.begin(&order).await,
            (Kind::KillServer | Kind::FreezeServer, None) => Err(
                "the server is not this drill's own: use `kind: command` with what kills or stops it where it runs".to_owned(),
            ),
            (_, None) => inject_by_operations(&given.target, fault, drill).await,
        }
    }

    /// Restarts the server, if it is the drill's own.
    pub(super) async fn restart(&self) -> Result<(), String> {
        match self {
            System::Own(embedded) => embedded.restart().await,
            System::Given(..) => {
                Err("the server is not this drill's own: restart it where it runs".to_owned())
            }
        }
    }

    /// The file with the token of the operations API; `None`: whoever named the system knows it.
    pub(super) fn token_file(&self) -> Option<String> {
        match self {
            System::Own(embedded) => Some(embedded.token_file().display().to_string()),
            System::Given(..) => None,
        }
    }

    /// Ends what was injected, before its time: the drill is over, or was stopped.
    pub(super) async fn release(&self, drill: &Drill) {
        match self {
            System::Own(embedded) => embedded.release(drill).await,
            System::Given(given, guard) => {
                drop(guard.give(&Order::Release).await);
                end_by_operations(&given.target, drill).await;
            }
        }
    }

    /// Ends what the drill started.
    pub(super) async fn end(self) {
        match self {
            System::Own(embedded) => embedded.end().await,
            System::Given(_, guard) => guard.end().await,
        }
    }
}
