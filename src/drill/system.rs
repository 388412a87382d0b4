//! The system of a drill: a server of its own, or a running system that the user names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Moment;
use super::embedded::{Embedded, end_by_operations, inject_by_operations};
use super::error::DrillError;
use super::file::{Drill, Fault, Kind};
use super::guard::Order;
use super::orders::{Guard, order_for};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::Prometheus;
use crate::clients::{HttpSource, Secret};
use crate::load::{Reseed, Target};

/// The longest time from the command until the server is lost.
const LOSS: Duration = Duration::from_secs(5);
/// The time-out of a server's health check.
const ANSWER: Duration = Duration::from_secs(1);

/// A running system.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its servers.
    pub target: Target,
    /// Its Prometheus. A server can answer as one.
    pub prometheus: HttpSource,
    /// Its Alertmanager. A server can answer as one.
    pub alertmanager: HttpSource,
    /// The address at which the drill receives notifications. The system's Alertmanager is set up to post them there.
    pub notified_at: SocketAddr,
    /// Whether the drill may replace the system's dataset.
    pub reseed: Reseed,
}

/// Waits until exactly one of these servers does not answer.
///
/// # Errors
/// After `LOSS` all servers still answer, or more than one does not.
async fn one_is_lost(api_urls: &[String]) -> Result<(), String> {
    let latest = Instant::now() + LOSS;
    let all = api_urls.len();
    loop {
        let mut answering = 0;
        for url in api_urls {
            answering += usize::from(answers(url).await);
        }
        if answering + 1 == all {
            return Ok(());
        }
        if Instant::now() > latest {
            return Err(format!(
                "{answering} of {all} servers answer after `run`: it must end exactly one of those in --target"
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns whether the server answers. A server that is stopped (SIGSTOP) accepts connections and does not answer.
async fn answers(url: &str) -> bool {
    match HttpSource::new(url) {
        Ok(source) => source.with_timeout(ANSWER).answers("health/live").await,
        Err(_) => false,
    }
}

/// The system while a drill runs.
#[derive(Debug)]
pub(super) enum System {
    Own(Box<Embedded>),
    Given(Box<Given>, Guard),
}

impl System {
    /// Uses the given system, or starts a server with these rules that posts its notifications to `webhook`.
    pub(super) async fn start(
        given: Option<&Given>,
        program: &Path,
        rules: &[PathBuf],
        webhook: &str,
    ) -> Result<System, DrillError> {
        let Some(given) = given else {
            let embedded = Embedded::start(program, rules, webhook).await?;
            return Ok(System::Own(Box::new(embedded)));
        };
        let guard = Guard::start(program);
        let guard = guard.map_err(|error| DrillError::Server(error.to_string()))?;
        Ok(System::Given(Box::new(given.clone()), guard))
    }

    pub(super) fn target(&self) -> Target {
        match self {
            System::Own(embedded) => embedded.target(),
            System::Given(given, _) => given.target.clone(),
        }
    }

    /// Whether and when the load run may replace the dataset before the traffic.
    pub(super) fn reseed(&self) -> Reseed {
        match self {
            System::Own(_) => Reseed::WhenUnfit,
            System::Given(given, _) => given.reseed,
        }
    }

    /// The clients of the servers that answer as Prometheus and as Alertmanager.
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

    /// Injects a fault, which ends by itself. Returns its beginning as recorded by the process that injected it.
    pub(super) async fn inject(&self, fault: &Fault, drill: &str) -> Result<Moment, String> {
        let (given, guard) = match self {
            System::Own(embedded) => return embedded.inject(fault, drill).await,
            System::Given(given, guard) => (given, guard),
        };
        match (fault.kind, order_for(fault)) {
            (Kind::LoseOneOfN, Some(order)) => {
                let began = guard.begin_fault(&order).await?;
                one_is_lost(&given.target.api_urls).await?;
                Ok(began)
            }
            (_, Some(order)) => guard.begin_fault(&order).await,
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

    /// The file with the token of the operations API; `None` on a running system, whose token the user already has.
    pub(super) fn token_file(&self) -> Option<String> {
        match self {
            System::Own(embedded) => Some(embedded.token_file().display().to_string()),
            System::Given(..) => None,
        }
    }

    /// Ends the injected faults before their time, because the drill is over or was stopped.
    pub(super) async fn release(&self, drill: &Drill) {
        match self {
            System::Own(embedded) => embedded.release(drill).await,
            System::Given(given, guard) => {
                drop(guard.carry_out(&Order::Release).await);
                end_by_operations(&given.target, drill).await;
            }
        }
    }

    /// Ends the processes that the drill started.
    pub(super) async fn end(self) {
        match self {
            System::Own(embedded) => embedded.end().await,
            System::Given(_, guard) => guard.end().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a server that answers, and returns its URL.
    async fn server() -> String {
        let live = axum::routing::get(|| async { "{}" });
        let router = axum::Router::new().route("/health/live", live);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Starts a server that accepts connections and never answers.
    async fn frozen() -> (String, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        (
            format!("http://{}", listener.local_addr().unwrap()),
            listener,
        )
    }

    #[tokio::test]
    async fn exactly_one_of_several_servers_is_lost() {
        let gone = "http://127.0.0.1:1".to_owned();
        let (frozen, _listener) = frozen().await;
        let (first, second) = (server().await, server().await);
        for lost in [&gone, &frozen] {
            let urls = [first.clone(), lost.clone(), second.clone()];
            assert_eq!(one_is_lost(&urls).await, Ok(()));
        }
        for (urls, answering) in [
            ([first.clone(), second], "2 of 2"),
            ([frozen, gone], "0 of 2"),
        ] {
            let problem = one_is_lost(&urls).await.unwrap_err();
            assert!(problem.starts_with(answering), "{problem}");
        }
    }
}
