//! Keys that sign user tickets, and other secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ticket::UserTicket;

use super::{Error, Store, each, raise, transaction};
use crate::random;

/// A retired key is published for so long, seconds: the tickets it signed live no longer, and a
/// minute for clocks that differ.
const PUBLISHED_AFTER: i64 = UserTicket::LIFETIME as i64 + 60;

/// A key that signs, or signed, user tickets.
#[derive(Clone)]
pub struct SigningKey {
    /// Its name.
    pub kid: String,
    /// The secret.
    pub(crate) seed: [u8; 32],
    /// Since when it is there, seconds since 1970.
    pub created_at: i64,
    /// Since when it does not sign any more, seconds since 1970.
    pub retired_at: Option<i64>,
}

impl Store {
    pub(super) async fn make_first_keys(&self, now: i64) -> Result<(), Error> {
        let there: i64 = each!(self, pool => {
            sqlx::query_scalar(
                "SELECT COUNT(*) FROM signing_keys JOIN secrets ON secrets.name = 'refresh' \
                 WHERE retired_at IS NULL",
            )
            .fetch_one(pool)
            .await?
        });
        if there > 0 {
            return Ok(());
        }
        transaction!(self, tx => {
            // Locks, so that of two that start at once only one makes keys.
            raise!(tx, "keys");
            let signing: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM signing_keys WHERE retired_at IS NULL")
                    .fetch_one(&mut *tx)
                    .await?;
            if signing == 0 {
                sqlx::query("INSERT INTO signing_keys (kid, seed, created_at) VALUES ($1, $2, $3)")
                    .bind(random::id())
                    .bind(random::secret())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            sqlx::query("INSERT INTO secrets (name, value) VALUES ('refresh', $1) ON CONFLICT (name) DO NOTHING")
                .bind(random::secret())
                .execute(&mut *tx)
                .await?;
        });
        Ok(())
    }

    /// Makes a new key, which signs from now on; the others only stay published until what they
    /// signed has expired. Gives its name.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn rotate_keys(&self, now: i64) -> Result<String, Error> {
        let kid = random::id();
        transaction!(self, tx => {
            raise!(tx, "keys");
            sqlx::query("DELETE FROM signing_keys WHERE retired_at < $1")
                .bind(now - PUBLISHED_AFTER)
                .execute(&mut *tx)
                .await?;
            sqlx::query("UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL")
                .bind(now)
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO signing_keys (kid, seed, created_at) VALUES ($1, $2, $3)")
                .bind(&kid)
                .bind(random::secret())
                .bind(now)
                .execute(&mut *tx)
                .await?;
        });
        Ok(kid)
    }

    /// The keys that sign or are still published, the newest first.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn signing_keys(&self, now: i64) -> Result<Vec<SigningKey>, Error> {
        let sql = "SELECT kid, seed, created_at, retired_at FROM signing_keys \
                   WHERE retired_at IS NULL OR retired_at >= $1 \
                   ORDER BY created_at DESC, kid LIMIT 32";
        let rows: Vec<(String, String, i64, Option<i64>)> = each!(self, pool => {
            sqlx::query_as(sql).bind(now - PUBLISHED_AFTER).fetch_all(pool).await?
        });
        rows.into_iter()
            .map(|(kid, seed, created_at, retired_at)| {
                Ok(SigningKey { seed: seed_from(&seed)?, kid, created_at, retired_at })
            })
            .collect()
    }

    /// The secret that authenticates refresh tokens.
    pub(crate) async fn refresh_secret(&self) -> Result<[u8; 32], Error> {
        let text: String = each!(self, pool => {
            sqlx::query_scalar("SELECT value FROM secrets WHERE name = 'refresh'").fetch_one(pool).await?
        });
        seed_from(&text)
    }
}

impl SigningKey {
    /// Whether it is still published at `now`.
    pub(crate) fn is_published(&self, now: i64) -> bool {
        self.retired_at.is_none_or(|at| now <= at + PUBLISHED_AFTER)
    }
}

fn seed_from(text: &str) -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut seed) {
        Ok(32) => Ok(seed),
        _ => Err(Error::Invalid("a secret in the database is damaged".into())),
    }
}
