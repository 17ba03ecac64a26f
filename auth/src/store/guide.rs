//! The guide as it was read last.

use super::{Error, Store, each, raise, transaction};

impl Store {
    /// When the guide was stored, and it, as JSON.
    ///
    /// # Errors
    /// If the database is away.
    pub(crate) async fn guide(&self) -> Result<Option<(i64, String)>, Error> {
        Ok(each!(self, pool => {
            sqlx::query_as("SELECT loaded_at, body FROM guide WHERE id = 1").fetch_optional(pool).await?
        }))
    }

    /// Stores the guide instead of the one before.
    ///
    /// # Errors
    /// If the database is away.
    pub(crate) async fn set_guide(&self, now: i64, body: &str) -> Result<(), Error> {
        transaction!(self, tx => {
            // Two in one second differ, so that every auth notices the second.
            sqlx::query(
                "INSERT INTO guide (id, loaded_at, body) VALUES (1, $1, $2) \
                 ON CONFLICT (id) DO UPDATE SET body = excluded.body, loaded_at = \
                 CASE WHEN excluded.loaded_at > guide.loaded_at THEN excluded.loaded_at \
                 ELSE guide.loaded_at + 1 END",
            )
            .bind(now)
            .bind(body)
            .execute(&mut *tx)
            .await?;
            raise!(tx, "guide");
        });
        Ok(())
    }
}
