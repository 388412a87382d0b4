//! Group commit: what arrives while a statement is under way goes into the next one, together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::store::StoreError;
use crate::store::turn::Turn;

/// Requests that may wait for the next statement.
const QUEUE: usize = 32_768;
/// Most requests in one statement.
const BATCH: usize = 1_024;

/// Work that is done for many at the price of one.
pub(super) trait Together: Send + 'static {
    /// One request.
    type Ask: Send + 'static;
    /// Its answer.
    type Answer: Send + 'static;

    /// Does the work; as many answers as requests, in their order.
    fn run(
        &self,
        asks: &[Self::Ask],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StoreError>> + Send;
}

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;
type Asked<W> = (Turn, <W as Together>::Ask, Reply<<W as Together>::Answer>);

/// The handle to the task that forms the groups.
pub(super) struct Group<W: Together> {
    queue: Mutex<Option<mpsc::Sender<Asked<W>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    timeout: Duration,
}

impl<W: Together> Group<W> {
    /// Starts the task; a caller waits at most `timeout`.
    pub(super) fn start(work: W, timeout: Duration) -> Group<W> {
        let (queue, asked) = mpsc::channel(QUEUE);
        Group {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(tokio::spawn(run(work, asked)))),
            timeout,
        }
    }

    /// One request.
    pub(super) async fn ask(&self, ask: W::Ask) -> Result<W::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.lock().clone();
        let Some(queue) = queue else {
            return Err(StoreError::Unavailable("it is closed".to_owned()));
        };
        let turn = Turn::default();
        let asked = (turn.clone(), ask, reply);
        queue.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::Unavailable("it takes no more work".to_owned())
            }
        })?;
        drop(queue);
        turn.outcome(answer, self.timeout).await
    }

    /// Takes no more, and waits for what is queued.
    pub(super) async fn close(&self) {
        self.queue.lock().take();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic of the task was reported when it happened.
            drop(task.await);
        }
    }
}

async fn run<W: Together>(work: W, mut asked: mpsc::Receiver<Asked<W>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|(turn, _, reply)| !reply.is_closed() && turn.begin());
        let (asks, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|(_, ask, reply)| (ask, reply)).unzip();
        if asks.is_empty() {
            continue;
        }
        match work.run(&asks).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // Whoever gave up is not told; what was done stays done.
                    drop(reply.send(Ok(answer)));
                }
            }
            Err(error) => {
                for reply in replies {
                    drop(reply.send(Err(error.clone())));
                }
            }
        }
    }
}
