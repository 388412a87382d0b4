//! The console's polls of its sources. Each source has a separate task.
//!
//! [`follow`] is the polling loop. A [`follow::Poll`] derives its request from the plan and turns the answer into
//! events. A source that hangs delays only its own polls.

pub(crate) mod alerts;
pub(crate) mod answers;
pub(crate) mod board_logs;
pub(crate) mod checks;
pub(crate) mod clients;
pub(crate) mod crosscheck;
pub(crate) mod evidence;
pub(crate) mod follow;
pub(crate) mod log_tail;
pub(crate) mod metadata;
pub(crate) mod metrics;
pub(crate) mod panels;
pub(crate) mod plan;
pub(crate) mod reason;
pub(crate) mod series;
pub(crate) mod server;
pub(crate) mod traces;

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::alerts::{Alerts, RuleAlerts};
use self::board_logs::BoardLogs;
use self::evidence::fetch::EvidenceOfAlert;
use self::follow::{Follow, Poll};
use self::log_tail::LogTail;
use self::metadata::Metadata;
use self::metrics::Metrics;
use self::plan::Plan;
use self::server::ServerState;
use self::traces::Traces;
use crate::clients::HttpSource;
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::sources::clients::Clients;

impl Clients {
    fn http(&self, source: Source) -> &HttpSource {
        match source {
            Source::Ops => self.ops.source(),
            Source::Prometheus => self.prometheus.source(),
            Source::Loki => self.loki.source(),
            Source::Alertmanager => self.alertmanager.source(),
            Source::Tempo => self.tempo.source(),
        }
    }

    fn poll<P: Poll>(&self, source: Source, poll: P) -> Follow<P> {
        Follow::new(source, self.http(source).clone(), poll)
    }
}

/// Wakes the polls whose data an action may have changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refresh {
    server: Arc<Notify>,
    alerts: Arc<Notify>,
}

impl Refresh {
    pub(crate) fn after_action(&self) {
        self.server.notify_one();
        self.alerts.notify_one();
    }
}

/// Starts a task for each poll.
pub(crate) fn spawn(
    clients: &Clients,
    plan: &watch::Receiver<Plan>,
    refresh: &Refresh,
    events: &mpsc::Sender<Event>,
) -> JoinSet<()> {
    let mut start = Start {
        clients,
        plan,
        events,
        tasks: JoinSet::new(),
    };
    let no_refresh = Arc::default();
    let c = clients.clone();
    start.poll(Source::Ops, ServerState(c.ops), &refresh.server);
    start.poll(
        Source::Alertmanager,
        Alerts(c.alertmanager),
        &refresh.alerts,
    );
    start.poll(Source::Prometheus, Metrics::new(clients, plan), &no_refresh);
    start.poll(Source::Prometheus, RuleAlerts(c.prometheus), &no_refresh);
    start.poll(
        Source::Prometheus,
        EvidenceOfAlert::new(clients, plan),
        &no_refresh,
    );
    start.poll(Source::Loki, LogTail::new(&c.loki), &no_refresh);
    start.poll(Source::Loki, BoardLogs(c.loki), &no_refresh);
    start.poll(Source::Tempo, Traces::new(c.tempo), &no_refresh);
    // This task sends no request: it reads the metadata that the clients stored from earlier answers.
    start.poll(Source::Ops, Metadata::new(clients), &no_refresh);
    start.tasks
}

/// The arguments of each task, and the tasks started so far.
struct Start<'a> {
    clients: &'a Clients,
    plan: &'a watch::Receiver<Plan>,
    events: &'a mpsc::Sender<Event>,
    tasks: JoinSet<()>,
}

impl Start<'_> {
    fn poll(&mut self, source: Source, poll: impl Poll + 'static, refresh: &Arc<Notify>) {
        let follow = self.clients.poll(source, poll);
        let (plan, events) = (self.plan.clone(), self.events.clone());
        self.tasks
            .spawn(follow.run(plan, Arc::clone(refresh), events));
    }
}

/// Runs each poll once, concurrently, for `--once`.
pub(crate) async fn once(clients: &Clients, plan: &Plan) -> Vec<Event> {
    let (_sender, receiver) = watch::channel(plan.clone());
    let c = clients.clone();
    let (server, metrics, logs, rules, traces, alerts, board) = tokio::join!(
        clients.poll(Source::Ops, ServerState(c.ops)).once(plan),
        clients
            .poll(Source::Prometheus, Metrics::new(clients, &receiver))
            .once(plan),
        clients.poll(Source::Loki, LogTail::new(&c.loki)).once(plan),
        clients
            .poll(Source::Prometheus, RuleAlerts(c.prometheus))
            .once(plan),
        clients.poll(Source::Tempo, Traces::new(c.tempo)).once(plan),
        clients
            .poll(Source::Alertmanager, Alerts(c.alertmanager))
            .once(plan),
        clients.poll(Source::Loki, BoardLogs(c.loki)).once(plan),
    );
    // Last, because it reads the metadata of the requests above.
    let metadata = clients.poll(Source::Ops, Metadata::new(clients));
    let metadata = metadata.once(plan).await;
    [
        server, metrics, logs, rules, traces, alerts, board, metadata,
    ]
    .concat()
}

/// Polls metrics and board logs again, for queries that depend on the first answers. The first round has reported a
/// metrics source that is down.
pub(crate) async fn again(clients: &Clients, plan: &Plan) -> Vec<Event> {
    let (_sender, receiver) = watch::channel(plan.clone());
    let metrics = clients.poll(Source::Prometheus, Metrics::new(clients, &receiver));
    let board = clients.poll(Source::Loki, BoardLogs(clients.loki.clone()));
    let mut events = metrics.once(plan).await;
    events.retain(|event| !matches!(event, Event::Down { .. }));
    events.extend(board.once(plan).await);
    events
}
