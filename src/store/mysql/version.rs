//! Reads the server's product, version and settings, and checks whether the store can use the server.

use super::Session;
use super::target::Target;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::pooled::Driver as _;

/// The first version with `SKIP LOCKED` and `JSON_TABLE`.
const OLDEST_MARIADB: (u32, u32, u32) = (10, 6, 0);
/// The first version with invisible columns.
const OLDEST_MYSQL: (u32, u32, u32) = (8, 0, 23);

const SETTINGS: &str = "SELECT VERSION(), CAST(@@global.read_only AS SIGNED),
    CAST(@@global.innodb_flush_log_at_trx_commit AS SIGNED)";

/// Refuses a server that is too old or accepts no writes, and warns of settings under which a crash loses writes.
pub(super) async fn check_server(session: &mut Session, name: &str) -> Result<(), Fault> {
    let row = session.only_row(SETTINGS, &[]).await?;
    new_enough(Target::text(&row, 0)?, name).map_err(Fault::Final)?;
    if Target::int(&row, 1)? != 0 {
        return Err(Fault::unavailable(format!(
            "{name} is read-only, as a replica is: name the server that takes writes"
        )));
    }
    if Target::int(&row, 2)? != 1 {
        tracing::warn!(
            database = name,
            "the database runs with innodb_flush_log_at_trx_commit other than 1: a crash of its machine may lose acknowledged writes"
        );
    }
    Ok(())
}

fn new_enough(version: &str, name: &str) -> Result<(), StoreError> {
    let (product, (major, minor, patch)) = match version.contains("MariaDB") {
        true => ("MariaDB", OLDEST_MARIADB),
        false => ("MySQL", OLDEST_MYSQL),
    };
    if numbers(version) >= (major, minor, patch) {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "{name} is {product} {version}: {major}.{minor}.{patch} or newer is needed"
    )))
}

/// The numbers at the beginning of a version.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_the_version_that_is_needed() {
        for version in ["10.6.4-MariaDB", "11.4.2-MariaDB-log", "8.0.23", "9.1.0"] {
            assert!(new_enough(version, "db").is_ok(), "{version}");
        }
        for (version, needed) in [
            (
                "10.5.9-MariaDB",
                "db is MariaDB 10.5.9-MariaDB: 10.6.0 or newer",
            ),
            ("8.0.22", "db is MySQL 8.0.22: 8.0.23 or newer"),
            ("unknown", "db is MySQL unknown"),
        ] {
            let error = new_enough(version, "db").unwrap_err().to_string();
            assert!(error.contains(needed), "{error}");
        }
    }
}
