//! The database that a URL names: its active dataset, and the state that all servers share.
//!
//! One update of a row activates a dataset. A dataset that is not active, and that no session loads or uses, is swept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ServerStore;
use super::dialect::{self, Dialect, Purpose};
use super::presence::{InUse, PresenceLock, Use};
use super::schema;
use super::session::Session;
use crate::domain::Epoch;
use crate::faults::Faults;
use crate::store::fault::Fault;
use crate::store::pooled::{Pool, PoolOptions};
use crate::store::retry::{Repeat, Retry};
use crate::store::{DatasetInfo, StoreError};
use crate::telemetry::Metrics;

/// A database that was reached and can be used. Cloning shares it.
#[derive(Clone)]
pub struct Database<D: Dialect> {
    target: D,
    options: PoolOptions,
    control: Arc<Pool<D>>,
}

impl<D: Dialect> fmt::Debug for Database<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.name()).finish()
    }
}

impl<D: Dialect> Database<D> {
    /// Connects, and makes the control tables if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with one line that says what is wrong with the URL, the server or the database, and
    /// what to do. It never contains the password.
    pub async fn connect(url: &str, options: PoolOptions) -> Result<Database<D>, StoreError> {
        let target = D::parse(url, &options)?;
        let long = target.in_namespace(target.control(), Purpose::Long, &options);
        let mut session = Session::connect(&long, options.connect_timeout).await?;
        let preparing = schema::prepare(&target, &mut session);
        tokio::time::timeout(options.timeout, preparing)
            .await
            .map_err(|_| StoreError::Timeout(options.timeout))??;
        let one = PoolOptions {
            connections: 1,
            ..options
        };
        let short = target.in_namespace(target.control(), Purpose::Statements, &options);
        Ok(Database {
            control: Pool::new(short, one, None, Faults::default())?,
            target,
            options,
        })
    }

    /// `host:port/database`, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// The active dataset, or `None` before the first seeding.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row names no dataset.
    pub async fn current(&self) -> Result<Option<Epoch>, StoreError> {
        let mut retry = self.retry("dataset.current");
        let reply = retry.run(D::SQL.current, &[]).await?;
        let Some(row) = reply.rows.first() else {
            return Ok(None);
        };
        let text = D::text(row, 0)?;
        dialect::epoch(text).map(Some).ok_or_else(|| {
            StoreError::Damaged(format!("the control tables name no dataset: {text:?}"))
        })
    }

    /// Opens a dataset with its own connections, and runs the migrations that are due.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not complete, [`StoreError::Unavailable`] when it does not exist or a newer
    /// program changed it.
    pub async fn open(
        &self,
        epoch: Epoch,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<ServerStore<D>, StoreError> {
        // The presence lock comes first, so that no other server sweeps the dataset.
        let presence = self.present(Use::Dataset(epoch)).await?;
        let opening = async {
            let mut session = self.session_in(epoch).await?;
            schema::bring_up_to_date(&self.target, &mut session).await?;
            schema::read_info(&mut session).await
        };
        let info = opening.await.map_err(|fault| self.about(epoch, fault))?;
        let short = self.dataset(epoch, Purpose::Statements);
        let pool = Pool::new(short, self.options, Some(metrics), faults)?;
        let long = self.dataset(epoch, Purpose::Long);
        Ok(ServerStore::new(pool, long, info, presence))
    }

    /// Describes a dataset without opening it for work.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn describe(&self, epoch: Epoch) -> Result<DatasetInfo, StoreError> {
        let describing = async { schema::read_info(&mut self.session_in(epoch).await?).await };
        describing.await.map_err(|fault| self.about(epoch, fault))
    }

    fn namespace_of(&self, epoch: Epoch) -> String {
        dialect::namespace_of(self.target.control(), epoch)
    }

    fn dataset(&self, epoch: Epoch, purpose: Purpose) -> D {
        let namespace = self.namespace_of(epoch);
        self.target.in_namespace(&namespace, purpose, &self.options)
    }

    async fn session_in(&self, epoch: Epoch) -> Result<Session<D>, Fault> {
        let dataset = self.dataset(epoch, Purpose::Long);
        Session::connect(&dataset, self.options.connect_timeout).await
    }

    fn about(&self, epoch: Epoch, fault: Fault) -> StoreError {
        let (name, word, namespace) = (self.name(), D::NAMESPACE, self.namespace_of(epoch));
        let about = |why: String| format!("{name}, {word} {namespace}: {why}");
        match StoreError::from(fault) {
            StoreError::Unavailable(why) => StoreError::Unavailable(about(why)),
            StoreError::Damaged(why) => StoreError::Damaged(about(why)),
            other => other,
        }
    }

    /// Begins to load a dataset. The functions of the result block, so only a blocking thread may call them.
    ///
    /// # Errors
    /// [`StoreError`], for example when the user may not create a namespace.
    pub async fn begin_bulk(&self, epoch: Epoch) -> Result<D::Bulk, StoreError> {
        // The presence lock is taken before other servers can see the namespace.
        let present = self.in_use(Use::Dataset(epoch)).expect().await?;
        D::begin_bulk(present, self.namespace_of(epoch)).await
    }

    /// Returns whether the database answers and accepts writes. It does not use the connections of datasets, because
    /// all of these may be in use.
    pub async fn answers(&self, within: Duration) -> bool {
        self.control.accepts_writes(within).await
    }

    /// Activates a loaded dataset.
    ///
    /// # Errors
    /// [`StoreError`]. The dataset before may still be active then.
    pub async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let epoch = dialect::hex(epoch);
        let mut retry = self.retry("dataset.activate");
        retry.run(D::SQL.activate, &[epoch.as_str().into()]).await?;
        Ok(())
    }

    /// Returns whether every server of the database uses this dataset.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn is_followed(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let (epoch, mut retry) = (dialect::hex(epoch), self.retry("dataset.followers"));
        let params = [epoch.as_str().into()];
        let reply = retry.run(D::SQL.is_followed, &params).await?;
        match reply.rows.first() {
            Some(row) => Ok(D::int(row, 0)? == 1),
            None => Ok(false),
        }
    }

    /// Removes an unfinished dataset as far as possible now. [`Database::sweep`] removes the rest later.
    pub async fn discard(&self, epoch: Epoch) {
        if let Err(error) = self.sweep_these(|found| found == epoch).await {
            tracing::warn!(%error, "an unfinished dataset was not removed");
        }
    }

    /// Drops every dataset that is not active and that no session loads or uses. Returns their number. If none is
    /// active, all stay, because one of them may be the sale: its row may be lost, or come later in a restore.
    ///
    /// # Errors
    /// [`StoreError`]. The next sweep tries again.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        match self.current().await? {
            Some(_) => self.sweep_these(|_| true).await,
            None => Ok(0),
        }
    }

    async fn sweep_these(&self, which: impl Fn(Epoch) -> bool) -> Result<usize, StoreError> {
        let mut swept = 0;
        for epoch in self.datasets().await? {
            if which(epoch) && self.drop_unless_used(epoch).await? {
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Every dataset, complete or not.
    async fn datasets(&self) -> Result<Vec<Epoch>, StoreError> {
        let control = self.target.control();
        let mut retry = self.retry("dataset.list");
        let reply = retry.run(D::SQL.namespaces, &[]).await?;
        let names = reply.rows.iter().map(|row| D::text(row, 0));
        let epochs = names.map(|name| Ok(dialect::epoch_of(control, name?)));
        epochs.filter_map(Result::transpose).collect()
    }

    /// Refuses a database that lost the row of its active dataset, or into which a dump is being restored: it names no
    /// dataset and holds one that no session loads. The remains of a killed load do not count.
    ///
    /// # Errors
    /// [`StoreError::Unnamed`] with the statement that makes the dataset active again.
    pub async fn check_named(&self) -> Result<(), StoreError> {
        if self.current().await?.is_some() {
            return Ok(());
        }
        for epoch in self.datasets().await? {
            let counts = D::LOADS_WHOLE || self.describe(epoch).await.is_ok();
            // A dataset that was being loaded may have become the active one meanwhile.
            if counts && self.is_unused(epoch).await? && self.current().await?.is_none() {
                return Err(StoreError::Unnamed(self.lost_its_name(epoch)));
            }
        }
        Ok(())
    }

    async fn is_unused(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let Some(present) = self.in_use(Use::Sweeping(epoch)).take().await? else {
            return Ok(false);
        };
        present.release().await;
        Ok(true)
    }

    fn lost_its_name(&self, epoch: Epoch) -> String {
        let (name, word, namespace) = (self.name(), D::NAMESPACE, self.namespace_of(epoch));
        let value = format!("'{}'", dialect::hex(epoch));
        let words: Vec<&str> = D::SQL.activate.split_whitespace().collect();
        let statement = words.join(" ").replace("$1", &value).replace('?', &value);
        format!(
            "{name}: the {word} {namespace} holds a dataset, and the row that names the active dataset is missing: finish the restore of its dump, run `{statement}`, or load a new dataset with `concertctl seed --replace`"
        )
    }

    /// Drops a dataset while no other session can begin to use it.
    async fn drop_unless_used(&self, epoch: Epoch) -> Result<bool, StoreError> {
        if self.current().await? == Some(epoch) {
            return Ok(false);
        }
        let Some(mut present) = self.in_use(Use::Sweeping(epoch)).take().await? else {
            return Ok(false);
        };
        // The dataset may have been activated before this session took the lock.
        let is_current = self.current().await? == Some(epoch);
        if !is_current {
            let drop = D::drop_namespace(&self.namespace_of(epoch));
            present.session.run(&drop).await?;
        }
        present.release().await;
        Ok(!is_current)
    }

    /// The secret called `name`. All servers of the database get the same one: the candidate of the first server that
    /// asked.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn secret(&self, name: &str, candidate: &str) -> Result<String, StoreError> {
        let mut retry = self.retry("secret.read");
        let params = [name.into(), candidate.into()];
        retry.run(D::SQL.offer_secret, &params).await?;
        let reply = retry.run(D::SQL.secret, &params[..1]).await?;
        let row = reply.rows.first().ok_or_else(|| {
            StoreError::Unavailable(format!("the shared secret {name:?} was deleted"))
        })?;
        Ok(D::text(row, 0)?.to_owned())
    }

    /// Takes the presence lock, which shows that this server uses the database until the result is dropped. With
    /// `alone`, no other server may use it, because queue and locks are in this process.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another server's presence excludes this one.
    pub async fn lock_presence(&self, alone: bool) -> Result<PresenceLock, StoreError> {
        self.present(Use::Database { alone }).await
    }

    async fn present(&self, using: Use) -> Result<PresenceLock, StoreError> {
        PresenceLock::hold(self.in_use(using)).await
    }

    fn in_use(&self, using: Use) -> InUse<D> {
        let (control, options) = (self.target.control(), self.options);
        InUse {
            using,
            target: self.target.in_namespace(control, Purpose::Long, &options),
            options,
        }
    }

    fn retry(&self, name: &'static str) -> Retry<'_, D> {
        Retry::new(&self.control, name, Repeat::Safe)
    }
}
