//! Prepares a run: checks that the target listens and that its dataset fits, and closes admission.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ops::{Ops, OpsError};
use super::progress::{Progress, Step};
use super::scenario::Scenario;
use super::{LoadError, OwnProfile, Reseed, RunOptions};
use crate::api::ops::{
    AdmissionChange, AdmissionState, Dataset, Opening, SeedPhase, SeedProgress, SeedRequest, Status,
};
use crate::clients::{self, HttpSource};
use crate::tls;
use crate::tls::client::Connector;

/// A seeding that writes no row for this long has stalled.
const SEED_STALL: Duration = Duration::from_secs(120);
const SEED_LOOK: Duration = Duration::from_millis(100);
/// The longest time for which the parts of a run wait for each other.
const LEADER_WITHIN: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server looks for a new dataset every second.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// A parsed `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub authority: String,
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

/// A server under load.
#[derive(Debug)]
pub(super) struct Place {
    pub addr: SocketAddr,
    /// `Some` for https.
    pub tls: Option<Connector>,
}

impl Endpoint {
    /// # Errors
    /// The text is not the URL of an HTTP server.
    pub(super) fn parse(url: &str) -> Result<Endpoint, LoadError> {
        let wrong = |reason: &str| {
            LoadError::Target(format!(
                "`{url}` {reason}: write http://host:port or https://host:port"
            ))
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("is not a URL")),
        };
        if !matches!(uri.path(), "" | "/") {
            return Err(wrong("has a path; the API's paths are fixed"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("carries a user name"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Endpoint {
            authority: authority.to_string(),
            host,
            port,
            is_tls,
        })
    }

    /// The address, for people.
    fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    pub(super) async fn resolve(&self) -> Result<SocketAddr, LoadError> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let unreachable = |reason: String| LoadError::Unreachable {
            target: self.authority.clone(),
            reason,
        };
        let mut found = found.map_err(|error| unreachable(error.to_string()))?;
        found
            .next()
            .ok_or_else(|| unreachable("the name has no address".to_owned()))
    }

    /// Checks that a server listens at this address, and with https that its certificate is trusted.
    async fn probe(&self, place: &Place) -> Result<(), LoadError> {
        let unreachable = |reason: String| LoadError::Unreachable {
            target: self.authority.clone(),
            reason,
        };
        let probing = async {
            let stream = TcpStream::connect(place.addr).await;
            let stream = stream.map_err(|error| unreachable(error.to_string()))?;
            let Some(tls) = &place.tls else {
                return Ok(());
            };
            let secured = tls.handshake(stream).await;
            secured.map(drop).map_err(|error| LoadError::Tls {
                target: self.authority.clone(),
                reason: tls::explain(&error).unwrap_or_else(|| error.to_string()),
            })
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, probing).await {
            Ok(probed) => probed,
            Err(_) => Err(unreachable(format!(
                "no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// The servers under load. Each of them has answered.
pub(super) struct Servers {
    /// The name of the first server, used as the `Host` of every request.
    pub authority: String,
    /// The servers.
    pub places: Box<[Place]>,
    /// Their URLs as the user gave them.
    pub urls: Vec<String>,
}

impl Servers {
    /// # Errors
    /// One of the servers does not listen. The others would get its share of the load.
    pub(super) async fn reach(endpoints: &[Endpoint]) -> Result<Servers, LoadError> {
        let first = endpoints
            .first()
            .ok_or_else(|| LoadError::Target("no target was given".to_owned()))?;
        let mut places = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let tls = endpoint.is_tls.then(|| Connector::new(&endpoint.host));
            let tls = tls.transpose().map_err(|reason| LoadError::Tls {
                target: endpoint.authority.clone(),
                reason,
            })?;
            let addr = endpoint.resolve().await?;
            let place = Place { addr, tls };
            endpoint.probe(&place).await?;
            places.push(place);
        }
        Ok(Servers {
            authority: first.authority.clone(),
            places: places.into(),
            urls: endpoints.iter().map(Endpoint::url).collect(),
        })
    }

    /// Waits until each of several servers is ready. The operations listener speaks for one of them; another may serve
    /// a new dataset of their database only a moment later, and would refuse users until then.
    ///
    /// # Errors
    /// A server is not ready after [`READY_WITHIN`].
    pub(super) async fn await_ready(&self, stop: &CancellationToken) -> Result<(), LoadError> {
        if self.urls.len() == 1 {
            return Ok(());
        }
        let deadline = Instant::now() + READY_WITHIN;
        for url in &self.urls {
            while let Some(reason) = why_not_ready(url).await {
                if Instant::now() > deadline {
                    let target = url.clone();
                    return Err(LoadError::NotReady { target, reason });
                }
                tokio::select! {
                    () = stop.cancelled() => return Err(LoadError::Stopped),
                    () = tokio::time::sleep(SEED_LOOK) => {}
                }
            }
        }
        Ok(())
    }
}

/// The parts of a server that are not ready, or why it does not say. `None` if it is ready.
async fn why_not_ready(url: &str) -> Option<String> {
    let source = match HttpSource::new(url) {
        Ok(source) => source.with_timeout(CONNECT_TIMEOUT),
        Err(error) => return Some(error.to_string()),
    };
    match clients::health::ask(&source, false).await {
        Ok((true, _)) => None,
        Ok((false, health)) => {
            let parts = health.parts.iter().filter(|(_, state)| *state != "ok");
            let parts = parts.map(|(part, state)| format!("{part}: {state}"));
            Some(parts.collect::<Vec<_>>().join("; "))
        }
        Err(error) => Some(error.to_string()),
    }
}

/// A server that is ready for the first registration.
pub(super) struct Ready {
    pub status: Status,
    /// The admission settings before the run.
    pub before: AdmissionState,
}

pub(super) async fn prepare(
    servers: &Servers,
    ops: &Ops,
    options: &RunOptions,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<Ready, LoadError> {
    let (scenario, profile) = (&options.scenario, options.profile.as_ref());
    if options.shard.index > 0 {
        let ready = follow(ops, scenario, progress, stop).await?;
        servers.await_ready(stop).await?;
        return Ok(ready);
    }
    let mut status = ops.status().await?;
    let misfit = misfit(&status, scenario, profile);
    let seeds = match (options.reseed, &misfit) {
        (Reseed::Always, _) | (Reseed::WhenUnfit, Some(_)) => true,
        (Reseed::WhenMissing, _) if status.dataset.is_none() => true,
        (Reseed::WhenUnfit | Reseed::WhenMissing, None) => false,
        (Reseed::WhenMissing, Some(reason)) => {
            return Err(LoadError::Dataset(format!(
                "{reason}; --reseed replaces it by a new one of `{}`",
                scenario.dataset
            )));
        }
    };
    if seeds {
        seed(ops, &scenario.dataset, profile, progress, stop).await?;
        status = ops.status().await?;
        if let Some(reason) = self::misfit(&status, scenario, profile) {
            return Err(LoadError::Dataset(reason));
        }
    }
    // Before the first change of settings, so that a server that is not ready leaves nothing to restore.
    servers.await_ready(stop).await?;
    let before = status.admission.clone();
    let change = AdmissionChange {
        batch: Some(scenario.admission.batch),
        every_ms: Some(u64::try_from(scenario.admission.every.0.as_millis()).unwrap_or(u64::MAX)),
        paused: Some(false),
        opening: Some(Opening::Closed),
        // A server without this field refuses it.
        follow: Some(scenario.admission.follow).filter(|it| *it != before.follow),
    };
    ops.admission(&change).await?;
    Ok(Ready { status, before })
}

/// Waits until the first part of the run has prepared the server, at most [`LEADER_WITHIN`]: the dataset is loaded,
/// admission is closed, and its settings are those of the scenario.
async fn follow(
    ops: &Ops,
    scenario: &Scenario,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<Ready, LoadError> {
    let deadline = Instant::now() + LEADER_WITHIN;
    loop {
        let status = ops.status().await?;
        let admission = &status.admission;
        let set = admission.batch == scenario.admission.batch
            && u128::from(admission.every_ms) == scenario.admission.every.0.as_millis()
            && admission.follow == scenario.admission.follow
            && admission.opens_at_ms.is_none();
        let fits =
            |it: &Dataset| it.profile == scenario.dataset && it.users >= scenario.everybody();
        if set && status.dataset.as_ref().is_some_and(fits) {
            let before = status.admission.clone();
            return Ok(Ready { status, before });
        }
        if Instant::now() > deadline {
            let problem = format!(
                "the first part of the run (--shard 1/…) has not set the server up within {} s",
                LEADER_WITHIN.as_secs()
            );
            return Err(LoadError::Dataset(problem));
        }
        progress.send_modify(|progress| progress.step = Step::Connecting);
        tokio::select! {
            () = stop.cancelled() => return Err(LoadError::Stopped),
            () = tokio::time::sleep(SEED_LOOK) => {}
        }
    }
}

/// The reason why the scenario cannot run on the server's dataset; `None` when it can.
fn misfit(status: &Status, scenario: &Scenario, own: Option<&OwnProfile>) -> Option<String> {
    let wanted = &scenario.dataset;
    let Some(dataset) = &status.dataset else {
        return Some(format!(
            "the server holds no dataset, the scenario wants `{wanted}`"
        ));
    };
    if dataset.profile != *wanted {
        return Some(format!(
            "the server holds the dataset `{}`, the scenario wants `{wanted}`",
            dataset.profile
        ));
    }
    // A shipped profile never changes, but a file may have changed since.
    if let Some(own) = own.filter(|own| (own.seats, own.users) != (dataset.seats, dataset.users)) {
        return Some(format!(
            "the server holds `{wanted}` with {} seats and {} users, its profile file now says {} and {}",
            dataset.seats, dataset.users, own.seats, own.users
        ));
    }
    if dataset.users < scenario.everybody() {
        return Some(format!(
            "the dataset has {} users, the scenario wants {}",
            dataset.users,
            scenario.everybody()
        ));
    }
    let registered = status.queue.registered;
    (registered > 0).then(|| {
        format!("the dataset has been used: {registered} people are in its queue, and each may register once")
    })
}

async fn seed(
    ops: &Ops,
    name: &str,
    own: Option<&OwnProfile>,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<(), LoadError> {
    let request = SeedRequest {
        profile: own.is_none().then(|| name.to_owned()),
        profile_yaml: own.map(|own| own.text.clone()),
        replace: true,
    };
    let mut seen = ops.seed(&request).await?;
    let mut moved = Instant::now();
    loop {
        progress.send_modify(|progress| progress.step = Step::Seeding(seen.clone()));
        match seen.phase {
            SeedPhase::Done => return Ok(()),
            SeedPhase::Running => {}
            SeedPhase::Idle | SeedPhase::Cancelled | SeedPhase::Failed => {
                return Err(seed_failed(&seen));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Err(LoadError::Stopped),
            () = tokio::time::sleep(SEED_LOOK) => {}
        }
        let next = ops.seeding().await?;
        if next.rows_done != seen.rows_done {
            moved = Instant::now();
        }
        if moved.elapsed() > SEED_STALL {
            let reason = format!("no row was written for {} s", SEED_STALL.as_secs());
            return Err(LoadError::Seeding(reason));
        }
        seen = next;
    }
}

fn seed_failed(seen: &SeedProgress) -> LoadError {
    let reason = seen
        .error
        .clone()
        .unwrap_or_else(|| format!("it ended as {:?}", seen.phase).to_lowercase());
    LoadError::Seeding(reason)
}

/// Waits until `people` users have registered over all parts of the run, at most [`LEADER_WITHIN`].
pub(super) async fn await_registered(ops: &Ops, people: u64) {
    let deadline = Instant::now() + LEADER_WITHIN;
    while Instant::now() < deadline {
        let status = ops.status().await;
        if status.is_ok_and(|status| status.queue.registered >= people) {
            return;
        }
        tokio::time::sleep(SEED_LOOK).await;
    }
}

/// Waits until the first part of the run has opened the sale.
pub(super) async fn await_opening(ops: &Ops) -> Result<(), OpsError> {
    let deadline = Instant::now() + LEADER_WITHIN;
    loop {
        let status = ops.status().await;
        let over = Instant::now() > deadline;
        match status {
            Ok(status) if status.admission.open || over => return Ok(()),
            Err(error) if !error.is_silence() || over => return Err(error),
            _ => tokio::time::sleep(SEED_LOOK).await,
        }
    }
}

/// Opens the sale. Retries while the server does not answer, for at most `time_limit`.
pub(super) async fn open_sale(ops: &Ops, time_limit: Duration) -> Result<(), OpsError> {
    let change = AdmissionChange {
        opening: Some(Opening::Now),
        ..AdmissionChange::default()
    };
    let deadline = Instant::now() + time_limit;
    loop {
        match ops.admission(&change).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_silence() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Restores the server's batch and interval. The sale stays open.
pub(super) async fn restore(ops: &Ops, before: &AdmissionState) -> Result<(), OpsError> {
    // A server without this field refuses the whole request, including batch and interval.
    let now = ops.status().await.map(|status| status.admission.follow);
    let follow = now.ok().filter(|now| *now != before.follow);
    let follow = follow.map(|_| before.follow);
    let change = AdmissionChange {
        batch: Some(before.batch),
        every_ms: Some(before.every_ms),
        paused: Some(before.paused),
        opening: None,
        follow,
    };
    ops.admission(&change).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_http_url() {
        let endpoint = Endpoint::parse("http://127.0.0.1:8080/").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("127.0.0.1", 8080));
        assert_eq!(Endpoint::parse("http://[::1]:9").unwrap().host, "::1");
        let secured = |url| Endpoint::parse(url).map(|it| (it.port, it.is_tls)).unwrap();
        assert_eq!(secured("http://tickets.example"), (80, false));
        assert_eq!(secured("https://tickets.example"), (443, true));
        for url in [
            "",
            "127.0.0.1:8080",
            "http://a/api",
            "https://a/api",
            "ftp://a",
            "http://u:p@a",
            "http://",
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains("write http://host:port"), "{url}: {error}");
        }
    }
}
