//! The service that answers: a small dataset in its own directory. 64 of its 100 users are admitted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::api::ErrorCode;
use crate::api::ops::{SeedProgress, SeedRequest};
use crate::booking::{self, ActiveDataset, AdmissionChange, Booking, Opening, Rules};
use crate::clock::Clock;
use crate::coordination::{Coordination, Embedded};
use crate::domain::token::TokenKey;
use crate::domain::{Epoch, QueueStatus, UserId};
use crate::faults::Faults;
use crate::fuzzing::inputs::runtime;
use crate::http::ops::{BearerToken, Hosts, OpsState, SeedControl};
use crate::http::{self, ApiError, Limits};
use crate::seeding::{self, Profile, Progress};
use crate::store::DatasetStorage;
use crate::store::data_dir::DataDir;
use crate::store::sqlite::Options;
use crate::telemetry::Metrics;

pub(super) const OPS_TOKEN: &str = "ops-token-of-the-fuzzer";
const EPOCH: Epoch = Epoch(1);
/// The number of users that are registered and admitted. [`PROFILE`] has more.
const USERS: i64 = 64;
const PROFILE: &str = "name: fuzz\nconcerts: 2\ndates_per_concert: 2\nseats_per_date: 50\nusers: 100\n\
    on_sale: { concert: 1, popular_share: 0.2 }\nprices: [{ up_to: 50, price: 1000 }]\n";

/// Both APIs of one running service.
pub(super) struct Service {
    pub(super) public: Router,
    pub(super) ops: Router,
    dir: PathBuf,
    tokens: Vec<(String, i64)>,
    next: AtomicUsize,
}

static SERVICE: OnceLock<Service> = OnceLock::new();

/// The service; it is started by the first request.
pub(super) fn service() -> &'static Service {
    SERVICE.get_or_init(|| runtime().block_on(start()).expect("the service starts"))
}

/// Removes the files of the service, if it was started. The service cannot be used after this.
pub fn remove_files() {
    if let Some(service) = SERVICE.get() {
        let _ = std::fs::remove_dir_all(&service.dir);
    }
}

impl Service {
    /// Returns the token and the id of the next admitted user. After the last user it starts again with the first.
    pub(super) fn admitted_user(&self) -> (&str, i64) {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let (token, user) = &self.tokens[nth % self.tokens.len()];
        (token, *user)
    }
}

async fn start() -> anyhow::Result<Service> {
    let dir = std::env::temp_dir().join(format!("concertctl-fuzz-{}", std::process::id()));
    let metrics = Metrics::new()?;
    let rules = Rules {
        active: Duration::from_secs(24 * 3600),
        ..Rules::default()
    };
    let key = TokenKey::new(&[7; 32]).expect("32 bytes are enough");
    let booking = Booking::new(rules, key, metrics.clone());
    let faults = Faults::new(metrics.clone(), false);
    let storage = DatasetStorage::Files(Arc::new(DataDir::open(&dir)?), Options::default());
    let dataset = dataset(&storage, &rules, &metrics, &faults).await?;
    booking.activate(Some(Arc::new(dataset)));
    let tokens = queue(&booking).await?;
    let state = OpsState {
        booking: Arc::clone(&booking),
        metrics: metrics.clone(),
        seeding: Arc::new(NoSeeding),
        // Injected faults must not reach the ticketing API, because they would break it on purpose.
        faults: Faults::new(metrics.clone(), false),
        api_addr: ([127, 0, 0, 1], 1).into(),
        consoles: Default::default(),
    };
    let access = (
        BearerToken::new(OPS_TOKEN),
        Hosts::new(([127, 0, 0, 1], 1).into(), &[]),
    );
    // A rate limit per token would end most sequences early.
    let limits = Limits {
        token: None,
        ..Limits::default()
    };
    Ok(Service {
        public: http::public(booking, &metrics, limits, faults),
        ops: http::ops::router(state, access, Router::new(), Router::new()),
        dir,
        tokens,
        next: AtomicUsize::new(0),
    })
}

async fn dataset(
    storage: &DatasetStorage,
    rules: &Rules,
    metrics: &Metrics,
    faults: &Faults,
) -> anyhow::Result<ActiveDataset> {
    let profile = Profile::parse("fuzz.yaml", PROFILE)?;
    let progress = Progress::new(&profile);
    let bulk = storage.begin(EPOCH).await?;
    let clock = Clock::default();
    let now = clock.now();
    let loading = move || seeding::load(&profile, bulk, EPOCH, now, &progress);
    let (_, _complete) = tokio::task::spawn_blocking(loading).await??;
    let store = storage.open(EPOCH, metrics.clone(), faults.clone()).await?;
    let snapshot = store.queue_snapshot().await?;
    let embedded = Embedded::restore(&snapshot, rules.active, Duration::from_secs(10));
    Ok(ActiveDataset::load(store, Coordination::Embedded(Box::new(embedded)), clock).await?)
}

/// Registers [`USERS`] users, and waits until all of them are admitted.
async fn queue(booking: &Arc<Booking>) -> anyhow::Result<Vec<(String, i64)>> {
    let work = booking::run_background(Arc::clone(booking), CancellationToken::new());
    tokio::spawn(work);
    let change = AdmissionChange {
        batch: Some(1_000),
        every_ms: Some(1_000),
        paused: Some(false),
        opening: Some(Opening::Now),
        follow: None,
    };
    booking.change_admission(change).await?;
    let mut tokens = Vec::new();
    for user in 1..=USERS {
        tokens.push((booking.register(UserId(user), None).await?.token, user));
    }
    for (token, _) in &tokens {
        let caller = booking.caller(token).await?;
        while booking.poll(&caller).standing.status != QueueStatus::Active {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(tokens)
}

/// Refuses seeding, which would replace the dataset under the requests that follow.
struct NoSeeding;

impl SeedControl for NoSeeding {
    fn start(&self, _: SeedRequest) -> Result<SeedProgress, ApiError> {
        Err(ApiError::new(
            ErrorCode::RequestMalformed,
            "the fuzzer does not seed",
        ))
    }

    fn progress(&self) -> SeedProgress {
        SeedProgress::default()
    }

    fn cancel(&self) -> SeedProgress {
        SeedProgress::default()
    }
}
