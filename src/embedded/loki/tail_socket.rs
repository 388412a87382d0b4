//! `/loki/api/v1/tail`: sends lines over a WebSocket when they arrive.
//!
//! The latest lines since `start` come first, then each new line. A reader that is too slow gets the list of the
//! lines that it missed (`dropped_entries`). The number of readers, the number of lines that wait for each, and the
//! time of a write are bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::QueryError;
use super::eval::{self, Budget, Direction, Window};
use super::http::{Store, asks_to_categorize, parse};
use super::logql::{LogExpr, Query};
use super::params::Params;
use super::responses::{CATEGORIZE_LABELS, StreamJson};
use super::store::{LokiStore, StreamSnapshot};
use super::tail_queue::{Frame, Tail};
use crate::embedded::now_ns;

/// The default range of the lines that are sent first, in nanoseconds.
const SINCE_NS: i64 = 3_600_000_000_000;
/// The largest `delay_for` in seconds, the same as in Loki.
const MAX_DELAY_SECONDS: u64 = 5;
/// The time-out of one write to a reader.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two pings. A write to a closed connection fails.
const PING_EVERY: Duration = Duration::from_secs(10);
/// The largest message from a reader, which sends only pongs and the close.
const MAX_MESSAGE_BYTES: usize = 4096;

/// The parameters of a tail.
struct TailRequest {
    expr: LogExpr,
    start_ns: i64,
    limit: usize,
    delay: Duration,
    categorize: bool,
}

/// One of the store's readers, until this value is dropped.
struct Reader {
    store: Arc<LokiStore>,
    tail: Arc<Tail>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.store.close_tail(&self.tail);
    }
}

pub(super) async fn tail(
    State(store): Store,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, Response> {
    let asked = asked(&store, &params, &headers).map_err(IntoResponse::into_response)?;
    let upgrade = upgrade.map_err(IntoResponse::into_response)?;
    let tail = Arc::new(Tail::new(asked.expr.selector.clone()));
    let most = store.config.limits.max_tails;
    let Some(history) = store.open_tail(&tail, asked.start_ns) else {
        return Err(QueryError::refused(format!(
            "max concurrent tail requests limit exceeded, count > limit ({} > {most})",
            most + 1
        ))
        .into_response());
    };
    let reader = Reader { store, tail };
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, reader, asked, history)))
}

fn asked(
    store: &LokiStore,
    params: &Params,
    headers: &HeaderMap,
) -> Result<TailRequest, QueryError> {
    let limits = &store.config.limits;
    let Query::Log(expr) = parse(params, limits)? else {
        return Err(QueryError::refused(
            "only lines can be tailed: the query must select lines",
        ));
    };
    let delay = match params.get("delay_for").map(str::parse) {
        None => 0,
        Some(Ok(seconds @ 0..=MAX_DELAY_SECONDS)) => seconds,
        Some(Ok(_)) => {
            return Err(QueryError::refused(format!(
                "delay_for can't be greater than {MAX_DELAY_SECONDS}"
            )));
        }
        Some(Err(_)) => {
            return Err(QueryError::refused(
                "the parameter 'delay_for' must be a number of seconds",
            ));
        }
    };
    let start_ns = params.time("start")?;
    Ok(TailRequest {
        expr,
        start_ns: start_ns.unwrap_or_else(|| now_ns().saturating_sub(SINCE_NS)),
        limit: params.limit(limits.max_entries)?,
        delay: Duration::from_secs(delay),
        categorize: asks_to_categorize(headers),
    })
}

/// Sends lines until the reader disconnects or the server stops.
async fn serve(
    mut socket: WebSocket,
    reader: Reader,
    asked: TailRequest,
    history: Vec<StreamSnapshot>,
) {
    let stop = reader.store.stop.clone();
    tokio::select! {
        () = stop.cancelled() => end(&mut socket, close_code::AWAY, "the server stops").await,
        ended = send_lines(&mut socket, &reader, asked, history) => {
            if let Err(Ended::Failed(reason)) = ended {
                end(&mut socket, close_code::ERROR, &reason).await;
            }
        }
    }
}

/// The reason why no more lines are sent.
enum Ended {
    /// The reader disconnected or does not read.
    Disconnected,
    /// The query could not be evaluated.
    Failed(String),
}

async fn send_lines(
    socket: &mut WebSocket,
    reader: &Reader,
    asked: TailRequest,
    history: Vec<StreamSnapshot>,
) -> Result<(), Ended> {
    let asked = Arc::new(asked);
    let latest = latest(&reader.store, &asked, history).await?;
    if !latest.streams.is_empty() {
        send(socket, latest, asked.categorize).await?;
    }
    let mut pings = tokio::time::interval(PING_EVERY);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = reader.tail.next(&asked.expr, asked.categorize, asked.delay);
        tokio::select! {
            frame = next => send(socket, frame, asked.categorize).await?,
            _ = pings.tick() => write(socket, Message::Ping(Default::default())).await?,
            message = socket.recv() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return Err(Ended::Disconnected),
                Some(Ok(_)) => {}
            },
        }
    }
}

/// The latest lines from before the start of the tail, the oldest first.
async fn latest(
    store: &Arc<LokiStore>,
    asked: &Arc<TailRequest>,
    history: Vec<StreamSnapshot>,
) -> Result<Frame, Ended> {
    let (limits, asked) = (store.config.limits.clone(), Arc::clone(asked));
    let work = tokio::task::spawn_blocking(move || {
        let window = Window {
            limit: asked.limit,
            direction: Direction::Backward,
            categorize: asked.categorize,
        };
        let mut budget = Budget::new(&limits, Instant::now());
        let span = (asked.start_ns, i64::MAX);
        eval::log_query(&history, &asked.expr, span, window, &mut budget)
    });
    let streams = work.await.map_err(|_| Ended::Disconnected)?;
    let mut streams = streams.map_err(|error| Ended::Failed(error.to_string()))?;
    for stream in &mut streams {
        stream.entries.reverse();
    }
    Ok(Frame {
        streams,
        ..Frame::default()
    })
}

/// Loki's `TailResponse`.
#[derive(Serialize)]
struct TailJson {
    streams: Vec<StreamJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_entries: Vec<Value>,
    #[serde(rename = "encodingFlags", skip_serializing_if = "Option::is_none")]
    flags: Option<[&'static str; 1]>,
}

async fn send(socket: &mut WebSocket, frame: Frame, categorize: bool) -> Result<(), Ended> {
    let dropped = frame.dropped.iter();
    let dropped =
        dropped.map(|it| json!({"labels": &*it.labels, "timestamp": it.timestamp_ns.to_string()}));
    let json = TailJson {
        streams: frame.streams.into_iter().map(StreamJson::from).collect(),
        dropped_entries: dropped.collect(),
        flags: categorize.then_some([CATEGORIZE_LABELS]),
    };
    let text = serde_json::to_string(&json).map_err(|error| Ended::Failed(error.to_string()))?;
    write(socket, Message::Text(text.into())).await
}

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    let written = tokio::time::timeout(WRITE_TIMEOUT, socket.send(message)).await;
    written
        .map_err(|_| Ended::Disconnected)?
        .map_err(|_| Ended::Disconnected)
}

async fn end(socket: &mut WebSocket, code: u16, reason: &str) {
    // A control frame holds 125 bytes, of which the code takes two.
    let reason = &reason[..reason.floor_char_boundary(120)];
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // The reader may have disconnected already.
    let _sent = write(socket, Message::Close(Some(frame))).await;
}
