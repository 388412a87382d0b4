//! Every source asked once: what `--once` shows.

use crate::clients::ClientError;
use crate::tui::event::Event;
use crate::tui::model::{Plan, Source};
use crate::tui::sources::fetch::metrics::{Wanted, round};
use crate::tui::sources::fetch::{Backoff, Clients, silences};
use crate::tui::sources::{board_logs, fetch_traces, tail};

/// Asks every source once, all at the same time: what `--once` shows.
pub(crate) async fn once(clients: &Clients, plan: &Plan) -> Vec<Event> {
    let wanted = Wanted::of(plan);
    let metrics = async {
        let answer = round(&clients.prometheus, &wanted, None).await;
        answer.unwrap_or_else(|error| Backoff::default().down(Source::Prometheus, &error).0)
    };
    let logs = async {
        let asked = match (&plan.logs, plan.log_window) {
            (Some(query), Some(window)) => tail::of_window(&clients.loki, query, window).await,
            (Some(query), None) => tail::Tail::default().next(&clients.loki, query).await,
            (None, _) => tail::probe(&clients.loki).await,
        };
        asked.unwrap_or_else(|error| Backoff::default().down(Source::Loki, &error).0)
    };
    let alerts = async {
        let alerts = match clients.alertmanager.alerts().await {
            Ok(alerts) => alerts,
            Err(error) => return vec![Backoff::default().down(Source::Alertmanager, &error).0],
        };
        let silences = silences(&clients.alertmanager, &alerts).await;
        silences
            .into_iter()
            .chain([Event::Alerts(alerts)])
            .collect()
    };
    let rules = async {
        let answer = clients.prometheus.alerts().await;
        Event::RuleAlerts(answer.map_err(|error| error.to_string()))
    };
    let ops = async {
        let asked = async {
            Ok((
                clients.ops.status().await?,
                clients.ops.seed_progress().await?,
            ))
        };
        let answer = asked.await.map(|answer| Event::Ops(Box::new(answer)));
        answer.unwrap_or_else(|error: ClientError| Backoff::default().down(Source::Ops, &error).0)
    };
    let traces = fetch_traces::once(&clients.tempo, plan);
    let board = board_logs::once(&clients.loki, plan);
    let (ops, metrics, logs, alerts, rules, traces, board) =
        tokio::join!(ops, metrics, logs, alerts, rules, traces, board);
    let mut events = vec![ops, metrics, logs, rules, traces];
    events.extend::<Vec<Event>>(alerts);
    events.extend(board);
    events.extend(warned(clients));
    events
}

/// What Prometheus calls wrong with its own answers.
fn warned(clients: &Clients) -> Option<Event> {
    let warning = clients.prometheus.source().response_meta().warning();
    warning.is_some().then_some(Event::Warned {
        source: Source::Prometheus,
        warning,
    })
}

/// Asks Prometheus once more: answers may tell what else there is to ask.
pub(crate) async fn again(clients: &Clients, plan: &Plan) -> Vec<Event> {
    let metrics = round(&clients.prometheus, &Wanted::of(plan), None).await;
    let board = board_logs::once(&clients.loki, plan).await;
    metrics.ok().into_iter().chain(board).collect()
}
