//! Where a server keeps its datasets, and the secrets that all servers of one home share.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::domain::token::TokenKey;
use crate::files::{self, Access};
use crate::settings::{self, ServeSettings};
use crate::store::data_dir::DataDir;
use crate::store::postgres::{Database, PgOptions};
use crate::store::{Home, HomeError};

/// The names under which the database keeps what all its servers share.
const TOKEN_KEY: &str = "token-key";
const OPS_TOKEN: &str = "ops-token";

/// A home, and what opens its doors.
pub(super) struct Furnished {
    pub(super) home: Home,
    /// Signs Wait-Tokens: any server of the home takes any token.
    pub(super) key: TokenKey,
    /// The operations token; also in the data directory, for other commands on it.
    pub(super) ops_token: String,
    /// The data directory, held also where the data are elsewhere: it is this server's own.
    pub(super) dir: Arc<DataDir>,
}

/// Opens the home that the settings name.
pub(super) async fn furnish(settings: &ServeSettings) -> anyhow::Result<Furnished> {
    let dir = Arc::new(DataDir::open(&settings.data_dir)?);
    if let Some(warning) = dir.exposed() {
        tracing::warn!("{warning}");
    }
    let own_token = || settings::ops_token(&settings.data_dir).context("the operations token");
    let given_key = settings.token_key_file.as_deref();
    let given_key = given_key.map(settings::given_token_key).transpose();
    let given_key = given_key.context("the token key")?;
    let Some(url) = &settings.database_url else {
        let own_key = || settings::token_key(&settings.data_dir).context("the token key");
        return Ok(Furnished {
            home: Home::Files(Arc::clone(&dir), settings.store),
            key: given_key.map_or_else(own_key, Ok)?,
            ops_token: own_token()?,
            dir,
        });
    };
    let options = PgOptions {
        connections: settings.database_connections,
        timeout: settings.store.timeout,
        slow: settings.store.slow,
        ..PgOptions::default()
    };
    let database = Database::connect(url.expose(), options).await?;
    Ok(Furnished {
        key: match given_key {
            Some(key) => key,
            None => shared_key(&database).await?,
        },
        ops_token: shared_token(&database, own_token()?, &settings.data_dir).await?,
        home: Home::Postgres(Box::new(database)),
        dir,
    })
}

async fn shared_key(database: &Database) -> anyhow::Result<TokenKey> {
    let secret = database.secret(TOKEN_KEY, &settings::new_secret()).await?;
    TokenKey::new(secret.as_bytes()).with_context(|| {
        let (name, least) = (database.name(), TokenKey::MIN_BYTES);
        format!("{name}: the secret {TOKEN_KEY} in concertctl.secrets has fewer than {least} characters: delete its row to have a new one made")
    })
}

/// The token of all servers: the first one's. The copy in the data directory follows it.
async fn shared_token(database: &Database, own: String, dir: &Path) -> anyhow::Result<String> {
    let shared = database.secret(OPS_TOKEN, &own).await?;
    if shared != own {
        files::replace(
            &settings::ops_token_file(dir),
            shared.as_bytes(),
            Access::Owner,
        )
        .context("the operations token")?;
    }
    Ok(shared)
}

/// The same home for a command that only loads datasets.
pub async fn open_database(url: &settings::SecretUrl) -> Result<Home, HomeError> {
    let options = PgOptions {
        connections: 1,
        ..PgOptions::default()
    };
    Ok(Home::Postgres(Box::new(
        Database::connect(url.expose(), options).await?,
    )))
}
