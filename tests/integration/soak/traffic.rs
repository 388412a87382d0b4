//! All buyers of a run, and the gate at which they wait while the database is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::buyer::Buyer;
use super::client::Client;
use super::journal::Facts;

/// The seats on sale and the number of users.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    /// Dates 1 to this belong to concert 1.
    pub dates: i64,
    pub seats_per_date: usize,
    pub users: usize,
    /// The number of concurrent buyers.
    pub buyers: usize,
}

/// The state that all buyers share.
pub struct Shared {
    pub sale: Sale,
    pub client: Client,
    pub facts: Mutex<Facts>,
    /// A buyer holds it for reading from before an attempt until its answer is recorded.
    pub gate: RwLock<()>,
    amounts: AtomicI64,
}

impl Shared {
    /// A number that no other charge of the run has.
    pub fn next_amount(&self) -> i64 {
        self.amounts.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of charges that were requested so far.
    pub fn charges(&self) -> i64 {
        self.amounts.load(Ordering::Relaxed)
    }
}

/// Tasks that simulate buyers until [`Traffic::stop`].
pub struct Traffic {
    pub shared: Arc<Shared>,
    stop: CancellationToken,
    buyers: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub fn start(sale: Sale, addresses: Vec<String>, seed: u64) -> Traffic {
        let shared = Arc::new(Shared {
            sale,
            client: Client::new(addresses),
            facts: Mutex::default(),
            gate: RwLock::new(()),
            amounts: AtomicI64::new(0),
        });
        let stop = CancellationToken::new();
        let buyers = (0..sale.buyers).map(|number| {
            let buyer = Buyer::new(Arc::clone(&shared), number, seed);
            tokio::spawn(buyer.run(stop.clone()))
        });
        Traffic {
            buyers: buyers.collect(),
            shared,
            stop,
        }
    }

    /// Waits for the requests in progress, and blocks all others until the guard is dropped.
    pub async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().await
    }

    /// Ends all journeys.
    pub async fn stop(self) -> Arc<Shared> {
        self.stop.cancel();
        for buyer in self.buyers {
            buyer.await.expect("a buyer does not panic");
        }
        self.shared
    }
}
