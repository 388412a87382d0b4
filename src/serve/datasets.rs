//! The dataset in use, and its replacement while the server runs.
//!
//! A seeding writes a new file beside the one in use; only when that is complete and on disk does
//! `CURRENT` point to it and the service turn to it. Requests under way on the old one finish there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::parts::Parts;
use crate::api::ErrorCode;
use crate::api::ops::{SeedPhase, SeedProgress, SeedRequest};
use crate::booking::{Booking, World, now};
use crate::coordination::{Coordination, Embedded};
use crate::domain::Epoch;
use crate::http::ApiError;
use crate::http::ops::SeedControl;
use crate::seeding::{self, Profile, Progress, SeedError};
use crate::store::data_dir::DataDir;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// A seat lock outlives any reservation, but not its holder's death for long.
const LOCK_TTL: Duration = Duration::from_secs(10);

/// Datasets of one data directory.
pub(super) struct Datasets {
    dir: DataDir,
    booking: Arc<Booking>,
    options: Options,
    metrics: Metrics,
    seeding: Mutex<Option<Seeding>>,
    parts: Parts,
    runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for Datasets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datasets")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

struct Seeding {
    profile: String,
    progress: Arc<Progress>,
    ended: Option<(SeedPhase, Option<String>, seeding::Snapshot)>,
}

impl Datasets {
    /// Opens what `dir` has in force, if anything.
    pub(super) async fn open(
        dir: DataDir,
        booking: Arc<Booking>,
        options: Options,
        metrics: Metrics,
        parts: Parts,
    ) -> anyhow::Result<Arc<Datasets>> {
        let current = dir.current()?;
        let runtime = tokio::runtime::Handle::current();
        let seeding = Mutex::new(None);
        let datasets = Datasets {
            dir,
            booking,
            options,
            metrics,
            seeding,
            parts,
            runtime,
        };
        if let Some(file) = current {
            let world = datasets.load(&file).await.with_context(|| {
                let (file, root) = (file.display(), datasets.dir.root().display());
                format!("{file} cannot be used; put a backup in its place, or load a new dataset with `concertctl seed --replace --data-dir {root}`")
            })?;
            datasets.booking.install(Some(Arc::new(world)));
        }
        // Only now: while the dataset in force cannot be used, what looks left over may be needed.
        datasets.dir.sweep()?;
        Ok(Arc::new(datasets))
    }

    async fn load(&self, file: &Path) -> Result<World, StoreError> {
        let (path, options, metrics) = (file.to_owned(), self.options, self.metrics.clone());
        let opened =
            tokio::task::spawn_blocking(move || SqliteStore::open(&path, options, metrics)).await;
        let store = opened.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        let (broke, parts) = (store.writer_broke(), self.parts.clone());
        self.runtime.spawn(async move {
            if broke.await {
                parts.over("its database writer broke");
            }
        });
        let coordination = Coordination::Embedded(Embedded::restore(
            &store.queue_snapshot().await?,
            self.booking.rules().active,
            LOCK_TTL,
        ));
        World::load(Store::Sqlite(store), coordination).await
    }

    /// Stops a seeding and closes the dataset in use.
    pub(super) async fn close(&self) {
        if let Some(seeding) = self.seeding.lock().as_ref() {
            seeding.progress.cancel();
        }
        if let Some(world) = self.booking.install(None) {
            world.close().await;
        }
    }

    async fn seed(self: Arc<Self>, profile: Profile, progress: Arc<Progress>) {
        let epoch = Epoch(rand::random());
        let file = self.dir.file_for(epoch);
        let ended = match self
            .write(profile, epoch, file.clone(), Arc::clone(&progress))
            .await
        {
            Ok(()) => (SeedPhase::Done, None),
            Err(error) => {
                // Swept at the next start if it cannot be removed now.
                drop(std::fs::remove_file(&file));
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

    async fn write(
        &self,
        profile: Profile,
        epoch: Epoch,
        file: PathBuf,
        progress: Arc<Progress>,
    ) -> anyhow::Result<()> {
        let path = file.clone();
        tokio::task::spawn_blocking(move || {
            seeding::load(&profile, &path, epoch, now(), &progress).map(drop)
        })
        .await??;
        let world = Arc::new(self.load(&file).await?);
        self.dir.put_in_force(epoch)?;
        if let Some(before) = self.booking.install(Some(world)) {
            before.close().await;
        }
        self.dir.sweep()?;
        Ok(())
    }
}

fn refused(code: ErrorCode, detail: impl Into<String>) -> ApiError {
    ApiError::new(code, detail)
}

impl SeedControl for Arc<Datasets> {
    fn start(&self, request: SeedRequest) -> Result<SeedProgress, ApiError> {
        let profile = match (&request.profile, &request.profile_yaml) {
            (Some(name), None) if Profile::built_in().any(|known| known == name) => {
                Profile::find(name)
            }
            (Some(name), None) => {
                let known = Profile::built_in().collect::<Vec<_>>().join(", ");
                let detail = format!("no profile is called {name:?}; there are {known}");
                return Err(refused(ErrorCode::RequestMalformed, detail));
            }
            (None, Some(text)) => Profile::parse("profileYaml", text),
            _ => {
                let detail = "give either profile or profileYaml";
                return Err(refused(ErrorCode::RequestMalformed, detail));
            }
        }
        .map_err(|error| refused(ErrorCode::RequestMalformed, error.to_string()))?;
        if let (Ok(world), false) = (self.booking.world(), request.replace) {
            let info = world.info();
            let (there, seats) = (&info.profile, info.seats());
            let detail = format!(
                "the dataset {there} with {seats} seats is loaded; ask with replace to give it up"
            );
            return Err(refused(ErrorCode::OpsConflict, detail));
        }
        let progress = Arc::new(Progress::new(&profile));
        {
            let mut seeding = self.seeding.lock();
            if seeding
                .as_ref()
                .is_some_and(|seeding| seeding.ended.is_none())
            {
                return Err(refused(ErrorCode::OpsConflict, "a seeding is under way"));
            }
            let name = profile.name.clone();
            *seeding = Some(Seeding {
                profile: name,
                progress: Arc::clone(&progress),
                ended: None,
            });
        }
        tracing::info!(
            profile = profile.name,
            rows = profile.rows(),
            "seeding begins"
        );
        self.runtime.spawn(Arc::clone(self).seed(profile, progress));
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
