//! A receiver of notifications: records every request, and answers as the test wants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::eventually;

/// A received request: its path, its body, and when it arrived.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) path: String,
    pub(super) body: Value,
    pub(super) at: Instant,
}

/// Computes the answer to a request from the number of earlier requests.
type Answers = Box<dyn Fn(usize) -> Answer + Send + Sync>;

pub(super) enum Answer {
    Now(Response),
    /// Accepts the request and answers after this time.
    After(Duration),
}

pub(super) struct Listener {
    pub(super) url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    posts: Arc<Mutex<Vec<Post>>>,
    answers: Answers,
}

impl Listener {
    /// A receiver that accepts every message.
    pub(super) async fn start() -> Listener {
        Listener::answering(|_| Answer::status(200)).await
    }

    pub(super) async fn answering(
        answers: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Listener {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let posts = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared {
            posts: Arc::clone(&posts),
            answers: Box::new(answers),
        };
        let app = axum::Router::new()
            .fallback(take)
            .with_state(Arc::new(shared));
        let task = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Listener { url, posts, task }
    }

    pub(super) fn posts(&self) -> Vec<Post> {
        self.posts.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.posts.lock().len()
    }

    /// Waits for a request whose body matches `is`.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Post {
        eventually(what, || async {
            self.posts().into_iter().find(|post| is(&post.body))
        })
        .await
    }
}

impl Answer {
    pub(super) fn status(status: u16) -> Answer {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        Answer::Now(status.into_response())
    }

    /// A refusal with a `Retry-After` of so many seconds.
    pub(super) fn retry_after(status: u16, seconds: &str) -> Answer {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        Answer::Now((status, [("retry-after", seconds.to_owned())]).into_response())
    }
}

async fn take(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let before = {
        let mut posts = shared.posts.lock();
        posts.push(Post {
            path: uri.path().to_owned(),
            body: serde_json::from_slice(&body).unwrap(),
            at: Instant::now(),
        });
        posts.len() - 1
    };
    match (shared.answers)(before) {
        Answer::Now(response) => response,
        Answer::After(pause) => {
            tokio::time::sleep(pause).await;
            "late".into_response()
        }
    }
}
