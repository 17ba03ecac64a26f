//! What administrators did, kept for two years.

use super::{Error, PAGE, Store, each, transaction};

/// For how long an act is kept, seconds.
const KEPT: i64 = 2 * 365 * 86_400;

/// Something that an administrator did.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Act {
    /// Its place in the order of acts.
    pub seq: i64,
    /// When, seconds since 1970.
    pub at: i64,
    /// Who: `administrator` over HTTP, or the system's user on the command line.
    pub actor: String,
    /// What, such as `user added`.
    pub act: String,
    /// To what, such as the name of a user.
    pub subject: String,
    /// The id of the request over HTTP, as logs have it; empty on the command line.
    pub request: String,
}

impl Store {
    /// Notes an act.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn note(
        &self,
        actor: &str,
        act: &str,
        subject: &str,
        request: &str,
        now: i64,
    ) -> Result<(), Error> {
        transaction!(self, tx => {
            let seq: i64 = sqlx::query_scalar(
                "UPDATE counters SET value = value + 1 WHERE name = 'audit' RETURNING value",
            )
            .fetch_one(&mut *tx)
            .await?;
            sqlx::query(
                "INSERT INTO audit (seq, at, actor, act, subject, request) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(seq)
            .bind(now)
            .bind(actor)
            .bind(act)
            .bind(subject)
            .bind(request)
            .execute(&mut *tx)
            .await?;
            sqlx::query("DELETE FROM audit WHERE at < $1").bind(now - KEPT).execute(&mut *tx).await?;
        });
        Ok(())
    }

    /// Acts before number `before`, the latest first, at most `limit` and [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn acts(&self, before: i64, limit: i64) -> Result<Vec<Act>, Error> {
        let sql = "SELECT seq, at, actor, act, subject, request FROM audit WHERE seq < $1 \
                   ORDER BY seq DESC LIMIT $2";
        let limit = limit.clamp(1, PAGE);
        Ok(each!(self, pool => {
            sqlx::query_as(sql).bind(before).bind(limit).fetch_all(pool).await?
        }))
    }
}
