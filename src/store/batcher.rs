//! Group commit: requests that arrive while a statement runs go into the next statement together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::StoreError;
use super::turn::Turn;

/// The most requests that wait for the next statement.
const QUEUE: usize = 32_768;
/// The most requests in one statement.
const BATCH: usize = 1_024;

/// Work that costs the same for many requests as for one.
pub(super) trait BatchWork: Send + 'static {
    /// One request.
    type Request: Send + 'static;
    /// Its answer.
    type Answer: Send + 'static;

    /// Does the work. Returns an answer for each request, in their order.
    fn run(
        &self,
        requests: &[Self::Request],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StoreError>> + Send;
}

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;
type Queued<W> = (
    Turn,
    <W as BatchWork>::Request,
    Reply<<W as BatchWork>::Answer>,
);

/// Collects requests into batches. One task runs the batches, one after the other.
pub(super) struct Batcher<W: BatchWork> {
    queue: Mutex<Option<mpsc::Sender<Queued<W>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    timeout: Duration,
}

impl<W: BatchWork> Batcher<W> {
    /// Starts the task. A caller waits at most `timeout` for its batch to begin.
    pub(super) fn start(work: W, timeout: Duration) -> Batcher<W> {
        let (queue, queued) = mpsc::channel(QUEUE);
        Batcher {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(tokio::spawn(run(work, queued)))),
            timeout,
        }
    }

    /// Adds a request to the next batch and waits for its answer.
    pub(super) async fn request(&self, request: W::Request) -> Result<W::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.lock().clone();
        let Some(queue) = queue else {
            return Err(StoreError::Unavailable("it is closed".to_owned()));
        };
        let turn = Turn::default();
        let queued = (turn.clone(), request, reply);
        queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::Unavailable("it takes no more work".to_owned())
            }
        })?;
        drop(queue);
        turn.outcome(answer, self.timeout).await
    }

    /// Takes no more requests, and waits for those that are queued.
    pub(super) async fn close(&self) {
        self.queue.lock().take();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic of the task was reported when it happened.
            drop(task.await);
        }
    }
}

async fn run<W: BatchWork>(work: W, mut queued: mpsc::Receiver<Queued<W>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queued.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|(turn, _, reply)| !reply.is_closed() && turn.begin());
        let (requests, replies): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|(_, request, reply)| (request, reply))
            .unzip();
        if requests.is_empty() {
            continue;
        }
        match work.run(&requests).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // A caller that gave up gets no answer. Its work stays done.
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
