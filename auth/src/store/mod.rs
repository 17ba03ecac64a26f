//! Everything that lasts, in SQLite or PostgreSQL.
//!
//! Both get the same statements: only `BIGINT` and `TEXT`, `$1` for values, `RETURNING`, and
//! transactions that lock a row by updating it. So there is one text of each, compiled for both
//! drivers with their own types (`sqlx::Any` would lose these).
//!
//! Changes that a running auth must notice raise a counter in the same transaction.

mod accounts;
mod audit;
mod error;
mod guide;
mod keys;
mod nodes;
mod packages;
mod prefixes;
mod revocations;
mod sessions;

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::config::Database;

pub use accounts::{Account, AccountPage};
pub use audit::Act;
pub use error::Error;
pub use keys::SigningKey;
pub use nodes::Node;
pub(crate) use nodes::role_name;
pub use packages::Package;
pub use prefixes::Prefix;
pub use revocations::Revocation;
pub use sessions::{NodeSession, Rendezvous, Rotation, Session, Subject};

/// The most rows that one list gives.
pub const PAGE: i64 = 1_000;

/// A connection that is not had in this time is not had, seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Programs that open a new SQLite file at once try again for so long, and this often.
const RACES: Duration = Duration::from_secs(5);
const RACE: Duration = Duration::from_millis(100);

/// The database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
}

#[derive(Clone, Debug)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The same expression for either driver.
macro_rules! each {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.pool {
            $crate::store::Pool::Sqlite($pool) => $body,
            $crate::store::Pool::Postgres($pool) => $body,
        }
    };
}

/// The same block for either driver, inside a transaction that `?` and `return` roll back.
macro_rules! transaction {
    ($store:expr, $tx:ident => $body:block) => {
        match &$store.pool {
            $crate::store::Pool::Sqlite(pool) => {
                // Taking the lock for writing first avoids two readers that wait for each other.
                let mut $tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                let out = $body;
                $tx.commit().await?;
                out
            }
            $crate::store::Pool::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let out = $body;
                $tx.commit().await?;
                out
            }
        }
    };
}

/// Raises the counter of this name: a running auth looks.
macro_rules! raise {
    ($tx:ident, $name:literal) => {
        sqlx::query(concat!("UPDATE counters SET value = value + 1 WHERE name = '", $name, "'"))
            .execute(&mut *$tx)
            .await?
    };
}

pub(crate) use {each, raise, transaction};

/// How far the counters are; a difference means a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) revocations: i64,
    pub(crate) prefixes: i64,
    pub(crate) keys: i64,
    pub(crate) directory: i64,
    pub(crate) guide: i64,
}

impl Store {
    /// Describes the way to the database; connects when first needed.
    ///
    /// # Errors
    /// If the folder of a SQLite file cannot be made, or the URL of PostgreSQL has a mistake.
    pub fn open(database: &Database, password: Option<&str>) -> Result<Self, Error> {
        let pool = match database {
            Database::Sqlite(file) => {
                if let Some(folder) = file.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| {
                        Error::Unavailable(format!("cannot make {}: {error}", folder.display()))
                    })?;
                }
                keep_to_owner(file).map_err(|error| {
                    Error::Unavailable(format!("cannot make {}: {error}", file.display()))
                })?;
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(PATIENCE)
                    .foreign_keys(true);
                Pool::Sqlite(
                    SqlitePoolOptions::new()
                        .max_connections(4)
                        .acquire_timeout(PATIENCE)
                        .connect_lazy_with(options),
                )
            }
            Database::Postgres(url) => {
                let mut options = PgConnectOptions::from_str(url.as_str())?;
                if let Some(password) = password {
                    options = options.password(password);
                }
                Pool::Postgres(
                    PgPoolOptions::new()
                        .max_connections(16)
                        .acquire_timeout(PATIENCE)
                        .connect_lazy_with(
                            options
                                .application_name("braidcast-auth")
                                // Else every start is told that tables exist already.
                                .options([("client_min_messages", "warning")]),
                        ),
                )
            }
        };
        Ok(Self { pool })
    }

    /// Brings the tables up to date and makes the first keys. Doing it twice does no harm.
    ///
    /// # Errors
    /// If the database cannot be reached or is of a newer version.
    pub async fn prepare(&self, now: i64) -> Result<(), Error> {
        let end = Instant::now() + RACES;
        while let Err(error) = self.try_to_prepare(now).await {
            if Instant::now() > end || !self.is_a_race(&error) {
                return Err(error);
            }
            tokio::time::sleep(RACE).await;
        }
        Ok(())
    }

    async fn try_to_prepare(&self, now: i64) -> Result<(), Error> {
        match &self.pool {
            Pool::Sqlite(pool) => sqlx::migrate!("../migrations/sqlite").run(pool).await?,
            Pool::Postgres(pool) => sqlx::migrate!("../migrations/postgres").run(pool).await?,
        }
        self.make_first_keys(now).await
    }

    /// Whether another program was at a new SQLite file, too: both make the tables, or one turns
    /// the write-ahead log on, for which SQLite doesn't wait however long it may. PostgreSQL lets
    /// the second one wait.
    fn is_a_race(&self, error: &Error) -> bool {
        let may_pass = match error {
            Error::Unavailable(_) => true,
            Error::Migration(error) => {
                matches!(error, MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
            }
            _ => false,
        };
        may_pass && matches!(self.pool, Pool::Sqlite(_))
    }

    /// Lets all connections go.
    pub async fn close(&self) {
        each!(self, pool => pool.close().await);
    }

    pub(crate) async fn counters(&self) -> Result<Counters, Error> {
        let rows: Vec<(String, i64)> = each!(self, pool => {
            sqlx::query_as("SELECT name, value FROM counters").fetch_all(pool).await?
        });
        let mut counters = Counters::default();
        for (name, value) in rows {
            match name.as_str() {
                "revocations" => counters.revocations = value,
                "prefixes" => counters.prefixes = value,
                "keys" => counters.keys = value,
                "directory" => counters.directory = value,
                "guide" => counters.guide = value,
                _ => {}
            }
        }
        Ok(counters)
    }
}

/// Makes the file, if it is not there, for its owner alone: it holds the keys that sign tickets. What
/// SQLite puts beside it gets the same permissions.
fn keep_to_owner(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn only_its_owner_can_read_a_new_sqlite_database() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.db");
        let store = Store::open(&Database::Sqlite(file), None).unwrap();
        store.prepare(1_800_000_000).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        assert!(!files.is_empty());
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} has the mode {mode:o}", file.file_name());
        }
    }
}
