//! Opens the storage of a server: its datasets, and the secrets that all servers of one database share.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::domain::token::TokenKey;
use crate::files::{self, Access};
use crate::secret::Secret;
use crate::settings::{self, ServeSettings};
use crate::store::data_dir::DataDir;
use crate::store::{
    DatasetStorage, PoolOptions, PresenceLock, StorageError, StoreError, mysql, postgres, sqlite,
};

/// The names of the shared secrets in the database.
const TOKEN_KEY: &str = "token-key";
const OPS_TOKEN: &str = "ops-token";

/// The open storage.
pub(super) struct Storage {
    pub(super) storage: DatasetStorage,
    /// Signs Wait-Tokens. Servers that share a database share the key, so each server accepts every token.
    pub(super) token_key: TokenKey,
    /// The data directory had no key.
    pub(super) key_is_new: bool,
    /// The operations token. A file in the data directory also holds it, for other commands.
    pub(super) ops_token: String,
    pub(super) locks: StorageLocks,
}

/// Keeps other processes out of the storage until it is dropped.
#[derive(Debug)]
pub(super) struct StorageLocks {
    /// The directory is locked even if the data are in another database, because it still holds this server's own
    /// files.
    _data_dir: Arc<DataDir>,
    _presence: Option<PresenceLock>,
}

/// Opens the storage that the settings name.
pub(super) async fn open(settings: &ServeSettings) -> anyhow::Result<Storage> {
    let data_dir = Arc::new(DataDir::open(&settings.data_dir)?);
    if let Some(warning) = data_dir.exposed() {
        tracing::warn!("{warning}");
    }
    let given_key = settings.token_key_file.as_deref();
    let given_key = given_key.map(settings::given_token_key).transpose();
    let given_key = given_key.context("the token key")?;
    let storage = match &settings.database_url {
        None => DatasetStorage::Files(Arc::clone(&data_dir), settings.store),
        Some(url) => connect(url, settings.database_connections, Some(&settings.store)).await?,
    };
    // A refused start makes no secrets.
    storage.check_named().await?;
    let ops_token = settings::ops_token(&settings.data_dir).context("the operations token")?;
    let (token_key, key_is_new) = match (given_key, storage.is_shared()) {
        (Some(key), _) => (key, false),
        (None, false) => settings::token_key(&settings.data_dir).context("the token key")?,
        (None, true) => (shared_key(&storage).await?, false),
    };
    let ops_token = match storage.is_shared() {
        false => ops_token,
        true => shared_ops_token(&storage, ops_token, &settings.data_dir).await?,
    };
    // Without Redis the queue is in this process, so no other server may use the database.
    let presence = storage.lock_presence(settings.redis_url.is_none()).await?;
    Ok(Storage {
        storage,
        token_key,
        key_is_new,
        ops_token,
        locks: StorageLocks {
            _data_dir: data_dir,
            _presence: presence,
        },
    })
}

/// Connects to the database that the URL names, with the time-outs of `store` or the default ones.
async fn connect(
    url: &Secret,
    connections: usize,
    store: Option<&sqlite::Options>,
) -> Result<DatasetStorage, StoreError> {
    let url = url.expose();
    let default = PoolOptions::default();
    let options = PoolOptions {
        connections,
        timeout: store.map_or(default.timeout, |store| store.timeout),
        slow: store.map_or(default.slow, |store| store.slow),
        ..default
    };
    if url.starts_with("mysql://") || url.starts_with("mariadb://") {
        let database = mysql::Database::connect(url, options).await?;
        return Ok(DatasetStorage::MySql(Box::new(database)));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(StoreError::Unavailable(
            "its URL must begin with postgres:// or mysql://, as in postgres://USER:PASSWORD@HOST:5432/DATABASE".to_owned(),
        ));
    }
    let database = postgres::Database::connect(url, options).await?;
    Ok(DatasetStorage::Postgres(Box::new(database)))
}

async fn shared_key(storage: &DatasetStorage) -> anyhow::Result<TokenKey> {
    let secret = storage.secret(TOKEN_KEY, settings::new_secret()).await?;
    TokenKey::new(secret.as_bytes()).with_context(|| {
        let (name, least) = (storage.place(), TokenKey::MIN_BYTES);
        format!("{name}: the secret {TOKEN_KEY} in the database has fewer than {least} characters: delete its row to have a new one made")
    })
}

/// The token that the first server of the database stored. The file in the data directory gets the same token.
async fn shared_ops_token(
    storage: &DatasetStorage,
    own: String,
    dir: &Path,
) -> anyhow::Result<String> {
    let shared = storage.secret(OPS_TOKEN, own.clone()).await?;
    if shared != own {
        let copy = settings::ops_token_file(dir);
        files::replace(&copy, shared.as_bytes(), Access::Owner).context("the operations token")?;
    }
    Ok(shared)
}

/// Opens a database for a command that only seeds.
pub async fn open_database(url: &Secret) -> Result<DatasetStorage, StorageError> {
    Ok(connect(url, 1, None).await?)
}
