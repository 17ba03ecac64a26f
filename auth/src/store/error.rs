//! What can go wrong with the database.

/// Why something was not done. The text of all but the last is fit for administrators and users.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer now; later it may.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// There is nothing of that name.
    #[error("there is no {0}")]
    Missing(String),
    /// It must not be so.
    #[error("{0}")]
    Invalid(String),
    /// The tables cannot be brought up to date.
    #[error("the database cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The database refused a statement: a fault of this program.
    #[error("the database refused")]
    Refused(#[source] sqlx::Error),
}

impl Error {
    /// Whether the database is away, so that the same may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Names what exists already, where uniqueness was broken.
    pub(crate) fn or_exists(self, what: impl FnOnce() -> String) -> Self {
        match &self {
            Self::Refused(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Self::Exists(what())
            }
            _ => self,
        }
    }

    /// Names what does not exist, where a reference was broken.
    pub(crate) fn or_missing(self, what: impl FnOnce() -> String) -> Self {
        match &self {
            Self::Refused(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Self::Missing(what())
            }
            _ => self,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let away = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // PostgreSQL: connection exceptions, lack of resources, operator intervention
            // (starting up, shutting down), a deadlock or conflict to try again, read-only standby.
            // SQLite: busy, locked, read-only, input or output error, disk full, cannot open.
            sqlx::Error::Database(error) => match error.code() {
                Some(code)
                    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() =>
                {
                    ["08", "53", "57P", "40", "25006", "28"]
                        .iter()
                        .any(|class| code.starts_with(class))
                }
                Some(code) => {
                    let primary = code.parse::<u32>().map(|code| code & 0xff);
                    matches!(primary, Ok(5 | 6 | 8 | 10 | 13 | 14))
                }
                None => false,
            },
            _ => false,
        };
        if away { Self::Unavailable(error.to_string()) } else { Self::Refused(error) }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => match Self::from(error) {
                Self::Refused(error) => {
                    Self::Migration(sqlx::migrate::MigrateError::Execute(error))
                }
                away => away,
            },
            error => Self::Migration(error),
        }
    }
}
