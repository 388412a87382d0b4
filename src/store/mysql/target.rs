//! The database that a URL names, and how a connection to it is set up.
//!
//! The password is only in the driver's options, which are never shown. Errors and logs use the name.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::MySqlOptions;
use crate::store::server::Purpose;
use crate::store::{StoreError, socket_options};

/// The form of a URL, for messages.
const FORM: &str = "mysql://USER:PASSWORD@HOST:3306/DATABASE";
/// The longest name of a database. The names of datasets and of locks are longer, and MySQL allows 64 characters.
const LONGEST_NAME: usize = 40;

/// A database that a URL names, with the settings of its sessions.
#[derive(Clone)]
pub struct Target {
    /// On the heap, because the options are large, and every value that holds a session contains them.
    options: Box<MySqlConnectOptions>,
    /// The statement that sets up a session.
    set_up: String,
    pub(super) name: String,
    user: String,
    database: String,
    port: u16,
}

impl Target {
    /// Parses a URL.
    pub(super) fn of_url(url: &str, options: &MySqlOptions) -> Result<Target, StoreError> {
        // The parser's messages may repeat a part of the URL, and a part may be the password.
        let url: Url = url.parse().map_err(|_| {
            unusable(format!(
                "its URL cannot be read: write {FORM}, with special characters of the password percent-encoded (@ as %40, / as %2F)"
            ))
        })?;
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(unusable(format!("its URL names no host: write {FORM}")));
        };
        if host.contains([',', '@']) {
            return Err(unusable(format!(
                "its URL names several hosts or has an @ in the password: name one host, and write {FORM}"
            )));
        }
        let host = host.trim_matches(['[', ']']);
        let user = decoded(url.username())?;
        let database = decoded(url.path().trim_start_matches('/'))?;
        check_database(&database)?;
        let port = url.port().unwrap_or(3306);
        let mut driver = MySqlConnectOptions::new()
            .host(host)
            .port(port)
            .username(&user)
            .charset("utf8mb4")
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .disable_statement_logging();
        if let Some(password) = url.password() {
            driver = driver.password(&decoded(password)?);
        }
        for (name, value) in url.query_pairs() {
            driver = with_parameter(driver, &name, &value)?;
        }
        Ok(Target {
            name: format!("{host}:{port}/{database}"),
            options: Box::new(driver),
            set_up: set_up(Purpose::Statements, options),
            user,
            database,
            port,
        })
    }

    /// The name of the database, without the server.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// The user who connects.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The same server, for connections that use the tables in `database`.
    pub(super) fn in_database(
        &self,
        database: &str,
        purpose: Purpose,
        options: &MySqlOptions,
    ) -> Target {
        Target {
            options: Box::new(self.options.as_ref().clone().database(database)),
            set_up: set_up(purpose, options),
            ..self.clone()
        }
    }

    /// Opens a connection and sets it up.
    pub(super) async fn set_up(&self) -> Result<MySqlConnection, sqlx::Error> {
        let next = socket_options::Next::descriptor();
        let mut connection = MySqlConnection::connect_with(&self.options).await?;
        next.set(self.port).await;
        // The text consists of numbers and of words of this program.
        sqlx::raw_sql(AssertSqlSafe(self.set_up.clone()))
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

/// The statement that sets up a session. Only MariaDB runs a part in `/*M! */`, and only MySQL a part in `/*!80000 */`.
/// MySQL's statement time-out bounds only reads, so the wait for locks bounds its writes.
fn set_up(purpose: Purpose, options: &MySqlOptions) -> String {
    let statement = match purpose {
        Purpose::Statements => options.statement_timeout,
        Purpose::Long => Duration::ZERO,
    };
    let (seconds, millis) = (statement.as_secs_f64(), statement.as_millis());
    let lock_wait = (options.statement_timeout / 2).as_secs().max(1);
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
         SET SESSION autocommit = 1, wait_timeout = 28800, innodb_lock_wait_timeout = {lock_wait},
             sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'
             /*M! , max_statement_time = {seconds} */ /*!80000 , max_execution_time = {millis} */"
    )
}

fn unusable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable(why.into())
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| unusable(format!("its URL is not UTF-8: write {FORM}")))
}

/// Checks the name, which becomes a part of the names of datasets and of statements that contain these names.
fn check_database(name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        return Err(unusable(format!("its URL names no database: write {FORM}")));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(plain) || name.len() > LONGEST_NAME {
        return Err(unusable(format!(
            "its URL names the database {name:?}: use a name of at most {LONGEST_NAME} letters, digits and _"
        )));
    }
    Ok(())
}

fn with_parameter(
    options: MySqlConnectOptions,
    name: &str,
    value: &str,
) -> Result<MySqlConnectOptions, StoreError> {
    Ok(match name {
        "sslmode" | "ssl-mode" => options.ssl_mode(ssl_mode(value)?),
        "sslrootcert" | "ssl-ca" => options.ssl_ca(value),
        "sslcert" | "ssl-cert" => options.ssl_client_cert(value),
        "sslkey" | "ssl-key" => options.ssl_client_key(value),
        _ => {
            return Err(unusable(format!(
                "its URL has the parameter {name:?}, and there are ssl-mode, ssl-ca, ssl-cert and ssl-key"
            )));
        }
    })
}

/// Parses the modes by their names in MySQL's clients and in PostgreSQL's.
fn ssl_mode(value: &str) -> Result<MySqlSslMode, StoreError> {
    let value = value.to_ascii_lowercase().replace('_', "-");
    Ok(match value.as_str() {
        "disable" | "disabled" => MySqlSslMode::Disabled,
        "prefer" | "preferred" => MySqlSslMode::Preferred,
        "require" | "required" => MySqlSslMode::Required,
        "verify-ca" => MySqlSslMode::VerifyCa,
        "verify-identity" | "verify-full" => MySqlSslMode::VerifyIdentity,
        _ => {
            return Err(unusable(format!(
                "its URL has ssl-mode={value}: use disabled, preferred, required, verify-ca or verify-identity"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, StoreError> {
        Target::of_url(url, &MySqlOptions::default())
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_password() {
        for (url, named) in [
            ("mysql://u:secret@h", "names no database"),
            ("mysql://u:secret@/db", "its URL"),
            ("mysql://u:secret@h:x/db", "cannot be read"),
            ("mysql://u:secret@h/d-b", "letters, digits"),
            ("mysql://u:secret@h/db?ssl-mode=on", "ssl-mode=on"),
            ("mysql://u:secret@h/db?sslmod=off", "\"sslmod\""),
            ("mysql://u:secret@h,i/db", "several hosts"),
        ] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains(named), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_target_is_named_without_user_and_password() {
        let target = parse("mariadb://u:se%40cret@[::1]:3307/db?sslmode=verify-full").unwrap();
        assert_eq!(target.name, "::1:3307/db");
        assert_eq!((target.user(), target.database()), ("u", "db"));
        assert_eq!(format!("{target:?}"), "Target(\"::1:3307/db\")");
    }
}
