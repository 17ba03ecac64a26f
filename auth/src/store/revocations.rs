//! Which sessions have ended: pushed to rendezvous, which hold it against tickets.

use super::{Error, PAGE, Store, each};

/// A session that ended before its time.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Revocation {
    /// Its place in the order of revocations.
    pub seq: i64,
    /// The tickets' `jti`.
    pub session: String,
    /// Why, fit to be shown to its user.
    pub reason: String,
}

/// How long revocations are kept, seconds: far longer than any ticket lives.
const KEPT: i64 = 7 * 86_400;

/// Ends the sessions for which a condition holds (`$4` is `$subject`), and gives their number.
///
/// The counter's row is locked first, so that numbers become visible in their order and a reader
/// that asks for what is after N misses nothing.
macro_rules! end_sessions {
    ($tx:ident, $condition:literal, $subject:expr, $reason:expr, $now:expr) => {{
        let base: i64 = sqlx::query_scalar(
            "UPDATE counters SET value = value WHERE name = 'revocations' RETURNING value",
        )
        .fetch_one(&mut *$tx)
        .await?;
        let ended = sqlx::query(concat!(
            "INSERT INTO revocations (seq, session, reason, at) ",
            "SELECT $1 + row_number() OVER (ORDER BY id), id, $2, $3 FROM sessions ",
            "WHERE ended_at IS NULL AND ",
            $condition
        ))
        .bind(base)
        .bind($reason)
        .bind($now)
        .bind($subject)
        .execute(&mut *$tx)
        .await?
        .rows_affected();
        let ended = i64::try_from(ended).unwrap_or(i64::MAX);
        if ended > 0 {
            sqlx::query("UPDATE counters SET value = $1 WHERE name = 'revocations'")
                .bind(base + ended)
                .execute(&mut *$tx)
                .await?;
            sqlx::query(
                "UPDATE sessions SET ended_at = $1, ended_reason = $2 \
                 WHERE id IN (SELECT session FROM revocations WHERE seq > $3)",
            )
            .bind($now)
            .bind($reason)
            .bind(base)
            .execute(&mut *$tx)
            .await?;
        }
        ended
    }};
}
pub(crate) use end_sessions;

impl Store {
    /// What was revoked after number `after`, oldest first, at most [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn revocations(&self, after: i64) -> Result<Vec<Revocation>, Error> {
        let sql =
            "SELECT seq, session, reason FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2";
        Ok(each!(self, pool => {
            sqlx::query_as(sql).bind(after).bind(PAGE).fetch_all(pool).await?
        }))
    }

    /// Forgets what nobody needs any more: old revocations, sessions long ended or idle.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn prune(&self, now: i64, idle: i64) -> Result<(), Error> {
        each!(self, pool => {
            sqlx::query("DELETE FROM revocations WHERE at < $1").bind(now - KEPT).execute(pool).await?;
            sqlx::query("DELETE FROM sessions WHERE renewed_at < $1")
                .bind(now - idle - KEPT)
                .execute(pool)
                .await?;
            sqlx::query("DELETE FROM sessions WHERE ended_at < $1")
                .bind(now - idle)
                .execute(pool)
                .await?;
        });
        Ok(())
    }
}
