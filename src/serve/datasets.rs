//! The active dataset, and its replacement while the server runs.
//!
//! A seeding writes a new dataset beside the active one. When the new dataset is complete and durable, it is
//! activated and the service switches to it. Requests in progress on the old dataset finish there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::critical::CriticalTasks;
use crate::api::ErrorCode;
use crate::api::ops::{SeedPhase, SeedProgress, SeedRequest};
use crate::booking::{ActiveDataset, Booking, Refusal};
use crate::clock::Clock;
use crate::coordination::{Coordination, Embedded, RedisCoordination, RedisOptions};
use crate::domain::Epoch;
use crate::domain::queue::QueueSnapshot;
use crate::faults::Faults;
use crate::http::ApiError;
use crate::http::ops::SeedControl;
use crate::secret::Secret;
use crate::seeding::{self, Profile, Progress, SeedError};
use crate::settings::ServeSettings;
use crate::store::{DatasetStorage, Store, StoreError, Unclosed};
use crate::telemetry::Metrics;

/// The pause between two checks for a dataset that another process activated.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// The life of a seat lock. It is longer than any reservation takes. It is short, because the lock of a crashed server
/// blocks its seat for this long.
const LOCK_TTL: Duration = Duration::from_secs(10);

/// The datasets of this server's storage.
pub(super) struct Datasets {
    storage: DatasetStorage,
    redis: Option<Secret>,
    redis_options: RedisOptions,
    clock: Clock,
    booking: Arc<Booking>,
    metrics: Metrics,
    faults: Faults,
    critical: CriticalTasks,
    seeding: Mutex<Option<Seeding>>,
    /// Held while the active dataset changes, so that only one change happens at a time.
    changing: tokio::sync::Mutex<()>,
    /// The server stops, so no dataset becomes active any more.
    is_closed: AtomicBool,
    runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for Datasets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datasets")
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

/// The latest seeding.
struct Seeding {
    profile: String,
    progress: Arc<Progress>,
    task: Option<tokio::task::JoinHandle<()>>,
    ended: Option<(SeedPhase, Option<String>, seeding::Snapshot)>,
}

impl Datasets {
    /// Opens the active dataset of `storage`, if there is one.
    pub(super) async fn open(
        storage: DatasetStorage,
        settings: &ServeSettings,
        booking: &Arc<Booking>,
        metrics: &Metrics,
        faults: &Faults,
        critical: &CriticalTasks,
    ) -> anyhow::Result<Arc<Datasets>> {
        let current = storage.current().await?;
        let datasets = Datasets {
            storage,
            redis: settings.redis_url.clone(),
            redis_options: RedisOptions::new(settings.rules.active, LOCK_TTL),
            clock: settings.clock.clone(),
            booking: Arc::clone(booking),
            metrics: metrics.clone(),
            faults: faults.clone(),
            critical: critical.clone(),
            seeding: Mutex::new(None),
            changing: tokio::sync::Mutex::default(),
            is_closed: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::current(),
        };
        match (current, &datasets.redis) {
            (Some(epoch), _) => {
                let store = datasets.open_store(epoch).await;
                // Only the start needs this advice about backups: a fresh dataset that cannot be opened has no backup.
                let store = store.with_context(|| datasets.storage.advice(epoch))?;
                let dataset = datasets.load(epoch, store).await?;
                datasets.booking.activate(Some(Arc::new(dataset)));
            }
            // A wrong address fails at the start, not at the first seeding.
            (None, Some(urls)) => {
                RedisCoordination::check(urls.expose(), datasets.redis_options).await?;
            }
            (None, None) => {}
        }
        // The sweep comes last: when the active dataset cannot be opened, an old file may still save the data.
        datasets.storage.sweep().await?;
        Ok(Arc::new(datasets))
    }

    async fn open_store(&self, epoch: Epoch) -> Result<Store, StoreError> {
        let (metrics, faults) = (self.metrics.clone(), self.faults.clone());
        self.storage.open(epoch, metrics, faults).await
    }

    /// Loads a dataset from its open store. Its database writer is a critical task.
    async fn load(&self, epoch: Epoch, store: Store) -> anyhow::Result<ActiveDataset> {
        let (broke, critical) = (store.writer_broke(), self.critical.clone());
        self.runtime.spawn(async move {
            if broke.await {
                critical.fail("its database writer broke");
            }
        });
        let snapshot = self.booking.queue_snapshot(&store).await?;
        let coordination = self.coordinate(epoch, &snapshot).await?;
        let dataset = ActiveDataset::load(store, coordination, self.clock.clone()).await?;
        let (set, flags) = (dataset.admission(), self.booking.rules().admission);
        if (set.batch, set.every_ms) != (flags.batch, flags.every_ms) {
            tracing::info!(
                batch = set.batch,
                every_ms = set.every_ms,
                "the dataset keeps the admission that was set on it, whatever the flags say; change it with \
                 PUT /ops/v1/admission"
            );
        }
        Ok(dataset)
    }

    async fn coordinate(
        &self,
        epoch: Epoch,
        snapshot: &QueueSnapshot,
    ) -> anyhow::Result<Coordination> {
        let options = self.redis_options;
        let Some(urls) = &self.redis else {
            let snapshot = snapshot.not_ahead_of(self.clock.now());
            let embedded = Embedded::restore(&snapshot, options.active_for, options.lock_ttl);
            return Ok(Coordination::Embedded(Box::new(embedded)));
        };
        let redis = RedisCoordination::connect(
            urls.expose(),
            epoch,
            snapshot,
            (options, self.clock.clone()),
            self.faults.clone(),
        )
        .await?;
        Ok(Coordination::Redis(Box::new(redis)))
    }

    /// The database's name in metrics, and whether the database answers and accepts writes.
    pub(super) async fn database_problem(
        &self,
        within: Duration,
    ) -> (&'static str, Option<String>) {
        let late = || format!("no answer within {} ms", within.as_millis());
        let asked = tokio::time::timeout(within, self.booking.check_writable());
        match &self.storage {
            DatasetStorage::Postgres(database) => {
                let (answers, asked) = tokio::join!(database.answers(within), asked);
                ("postgres", shared_problem(answers, asked, late))
            }
            DatasetStorage::MySql(database) => {
                let (answers, asked) = tokio::join!(database.answers(within), asked);
                ("mysql", shared_problem(answers, asked, late))
            }
            DatasetStorage::Files(..) => {
                let problem = match asked.await {
                    Ok(Ok(()) | Err(Refusal::NoDataset)) => None,
                    Ok(Err(refused)) => Some(refused.to_string()),
                    Err(_) => Some(late()),
                };
                ("sqlite", problem)
            }
        }
    }

    /// Switches to each dataset that another process activates in a shared storage.
    pub(super) async fn follow(self: Arc<Self>) {
        if !self.storage.is_shared() {
            return;
        }
        let mut ticks = tokio::time::interval(FOLLOW_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.switch_to_current().await {
                tracing::warn!(
                    "cannot switch to the active dataset, and will try again: {error:#}"
                );
            }
        }
    }

    async fn switch_to_current(&self) -> anyhow::Result<()> {
        let _changing = self.changing.lock().await;
        if self.is_closed() {
            return Ok(());
        }
        let Some(epoch) = self.storage.current().await? else {
            return Ok(());
        };
        let active = self.booking.dataset();
        if active.is_ok_and(|active| active.info().epoch == epoch) {
            return Ok(());
        }
        let dataset = self.load(epoch, self.open_store(epoch).await?).await?;
        let profile = &dataset.info().profile;
        tracing::info!(profile, "another process activated this dataset");
        self.switch_to(dataset).await;
        Ok(())
    }

    /// Makes `dataset` the active dataset for new requests, and closes the previous one.
    async fn switch_to(&self, dataset: ActiveDataset) {
        if let Some(before) = self.booking.activate(Some(Arc::new(dataset))) {
            // The error is in the log. The earlier dataset is removed next.
            drop(before.close().await);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Ends a running seeding, by which the new dataset may just become active, and closes the active dataset.
    ///
    /// # Errors
    /// [`Unclosed`].
    pub(super) async fn close(&self) -> Result<(), Unclosed> {
        let seeding = {
            let mut seeding = self.seeding.lock();
            self.is_closed.store(true, Ordering::SeqCst);
            seeding.as_mut().and_then(|seeding| {
                seeding.progress.cancel();
                seeding.task.take()
            })
        };
        if let Some(seeding) = seeding {
            // The end of the task says nothing: it has recorded how the seeding ended.
            drop(seeding.await);
        }
        let _changing = self.changing.lock().await;
        match self.booking.activate(None) {
            Some(active) => active.close().await,
            None => Ok(()),
        }
    }

    /// Runs a seeding and records how it ended.
    async fn seed(self: Arc<Self>, profile: Profile, progress: Arc<Progress>) {
        let epoch = Epoch(rand::random());
        let ended = match self
            .write_and_activate(profile, epoch, Arc::clone(&progress))
            .await
        {
            Ok(()) => (SeedPhase::Done, None),
            Err(error) => {
                self.storage.discard(epoch).await;
                match error.downcast_ref::<SeedError>() {
                    Some(SeedError::Cancelled) => (SeedPhase::Cancelled, None),
                    _ => (SeedPhase::Failed, Some(format!("{error:#}"))),
                }
            }
        };
        match &ended {
            (SeedPhase::Failed, Some(error)) => tracing::error!(error, "seeding failed"),
            (phase, _) => tracing::info!(?phase, rows = progress.snapshot().done, "seeding ended"),
        }
        if let Some(seeding) = self.seeding.lock().as_mut() {
            seeding.ended = Some((ended.0, ended.1, progress.snapshot()));
        }
    }

    /// Writes a dataset beside the active one, activates it and switches to it.
    async fn write_and_activate(
        &self,
        profile: Profile,
        epoch: Epoch,
        progress: Arc<Progress>,
    ) -> anyhow::Result<()> {
        let bulk = self.storage.begin(epoch).await?;
        let now = self.clock.now();
        let loaded = tokio::task::spawn_blocking(move || {
            seeding::load(&profile, bulk, epoch, now, &progress)
        });
        let (_, kept) = loaded.await??;
        let _changing = self.changing.lock().await;
        if self.is_closed() {
            return Err(SeedError::Cancelled.into());
        }
        // Opened before it is activated: a dataset that cannot be opened must not become the active one.
        let dataset = self.load(epoch, self.open_store(epoch).await?).await?;
        self.storage.activate(epoch).await?;
        self.switch_to(dataset).await;
        drop(kept);
        if !self.storage.await_followers(epoch).await {
            tracing::warn!("another server has not switched to the new dataset yet");
        }
        self.storage.sweep().await?;
        Ok(())
    }
}

impl SeedControl for Arc<Datasets> {
    fn start(&self, request: SeedRequest) -> Result<SeedProgress, ApiError> {
        let profile = requested_profile(&request)?;
        if let (Ok(dataset), false) = (self.booking.dataset(), request.replace) {
            let info = dataset.info();
            let detail = format!(
                "the dataset {} with {} seats is loaded; set `replace` to replace it",
                info.profile,
                info.seats()
            );
            return Err(ApiError::new(ErrorCode::OpsConflict, detail));
        }
        let mut seeding = self.seeding.lock();
        if self.is_closed() {
            let detail = "the server stops: seed again when it has started";
            return Err(ApiError::new(ErrorCode::OpsConflict, detail));
        }
        if seeding.as_ref().is_some_and(|one| one.ended.is_none()) {
            let detail =
                "a seeding is under way: wait for its end, or cancel it with DELETE /ops/v1/seed";
            return Err(ApiError::new(ErrorCode::OpsConflict, detail));
        }
        tracing::info!(
            profile = profile.name,
            rows = profile.rows(),
            "seeding begins"
        );
        let (name, progress) = (profile.name.clone(), Arc::new(Progress::new(&profile)));
        let task = Arc::clone(self).seed(profile, Arc::clone(&progress));
        // The task records its end under the same lock, so it cannot end before it is stored here.
        *seeding = Some(Seeding {
            profile: name,
            progress,
            task: Some(self.runtime.spawn(task)),
            ended: None,
        });
        drop(seeding);
        Ok(self.progress())
    }

    fn progress(&self) -> SeedProgress {
        let seeding = self.seeding.lock();
        let Some(seeding) = seeding.as_ref() else {
            return SeedProgress::default();
        };
        let (phase, error, at) = match &seeding.ended {
            Some((phase, error, at)) => (*phase, error.clone(), *at),
            None => (SeedPhase::Running, None, seeding.progress.snapshot()),
        };
        SeedProgress {
            phase,
            profile: seeding.profile.clone(),
            rows_done: at.done,
            rows_total: at.total,
            rows_per_second: at.rate(),
            elapsed_seconds: at.elapsed.as_secs_f64(),
            seconds_left: at
                .left()
                .filter(|_| phase == SeedPhase::Running)
                .map(|left: Duration| left.as_secs_f64()),
            error,
        }
    }

    fn cancel(&self) -> SeedProgress {
        if let Some(seeding) = self.seeding.lock().as_ref() {
            seeding.progress.cancel();
        }
        self.progress()
    }
}

fn requested_profile(request: &SeedRequest) -> Result<Profile, ApiError> {
    let malformed = |detail: String| ApiError::new(ErrorCode::RequestMalformed, detail);
    let profile = match (&request.profile, &request.profile_yaml) {
        // Only names are allowed, because a path would read files of the server's machine.
        (Some(name), None) if Profile::built_in().any(|known| known == name) => Profile::find(name),
        (Some(name), None) => {
            let known = Profile::built_in().collect::<Vec<_>>().join(", ");
            let detail = format!("no profile is called {name:?}; there are {known}");
            return Err(malformed(detail));
        }
        (None, Some(text)) => Profile::parse("profileYaml", text),
        _ => return Err(malformed("give either profile or profileYaml".to_owned())),
    };
    profile.map_err(|error| malformed(error.to_string()))
}

/// The problem of a shared database, if it has one. A full pool is not an outage, so only a refused write and a missing
/// answer count.
fn shared_problem<T>(
    answers: bool,
    asked: Result<Result<T, Refusal>, tokio::time::error::Elapsed>,
    late: impl Fn() -> String,
) -> Option<String> {
    match asked {
        Ok(Err(Refusal::Store(StoreError::Unwritable(why)))) => Some(why),
        _ => (!answers).then(late),
    }
}
