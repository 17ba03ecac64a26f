//! Sessions: one per sign-in of an account, one per device of a node.

use ticket::{Location, PeerId};

use super::nodes::{list_from, list_to};
use super::revocations::end_sessions;
use super::{Error, PAGE, Store, each, raise, transaction};
use crate::random;

/// Most sessions of one node: a credential is meant for one machine, or a few that replace it.
const PER_NODE: i64 = 16;

/// Rendezvous servers not heard of for longer are not worth reading, seconds.
const DIRECTORY: i64 = 86_400;

/// What became of a refresh token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// It was good: the session goes on with the token of this generation. Used again within the
    /// time of grace, the answer is the same.
    Renewed {
        /// Generation of the token that is valid now.
        generation: i64,
        /// The account.
        account: String,
        /// The device.
        device: PeerId,
    },
    /// The session has ended, for this reason.
    Ended(String),
    /// The token was used long ago: one of two who use it stole it. The session was ended now.
    Reused,
    /// It belongs to another device; nothing was changed.
    OtherDevice,
    /// There is no such session.
    Unknown,
}

/// Whose session it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject<'a> {
    /// Of the account with this user name.
    User(&'a str),
    /// Of the node with this name.
    Node(&'a str),
    /// Of anybody.
    Anybody,
}

/// A session as administrators see it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Session {
    /// Its id: the tickets' `jti`.
    pub id: String,
    /// The user's name, unless it is a node's.
    pub user: Option<String>,
    /// The node's name, unless it is a user's.
    pub node: Option<String>,
    /// The device's public key.
    pub device: String,
    /// Operator's subset of the address last seen.
    pub subset: Option<i64>,
    /// AS number of the address last seen.
    pub asn: Option<i64>,
    /// Country of the address last seen.
    pub country: Option<String>,
    /// When it began, seconds since 1970.
    pub created_at: i64,
    /// When it was last renewed, seconds since 1970.
    pub renewed_at: i64,
    /// When it was ended, seconds since 1970; none: it lives.
    pub ended_at: Option<i64>,
    /// Why it was ended.
    pub ended_reason: Option<String>,
}

/// What a node says of itself on signing in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSession<'a> {
    /// Its name.
    pub node: &'a str,
    /// Its device key.
    pub device: PeerId,
    /// Where it is.
    pub location: Location,
    /// Addresses for QUIC that others should use.
    pub quic: &'a [String],
    /// Address of its HTTP side.
    pub http: Option<&'a str>,
    /// Whether it is listed in the directory.
    pub listed: bool,
}

/// A rendezvous server as it last signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendezvous {
    /// Its identity.
    pub device: PeerId,
    /// Its addresses for QUIC.
    pub quic: Vec<String>,
    /// Its HTTP side.
    pub http: Option<String>,
    /// When it was last heard of, seconds since 1970.
    pub seen_at: i64,
}

impl Store {
    /// Begins a session of an account and gives its id; the first refresh token is of generation
    /// 0. Beyond `most` sessions, those idle for longest end.
    ///
    /// # Errors
    /// [`Error::Missing`] if the account is not there or disabled by now; if the database is away.
    pub async fn start_session(
        &self,
        account: &str,
        device: PeerId,
        at: &Location,
        most: u32,
        now: i64,
    ) -> Result<String, Error> {
        let id = random::id();
        transaction!(self, tx => {
            // Locks the account, so that a session cannot slip past its disabling.
            let open = sqlx::query("UPDATE accounts SET signed_in_at = $1 WHERE id = $2 AND disabled_at IS NULL")
                .bind(now)
                .bind(account)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if open == 0 {
                return Err(Error::Missing("such account".into()));
            }
            let live: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM sessions WHERE account = $1 AND ended_at IS NULL",
            )
            .bind(account)
            .fetch_one(&mut *tx)
            .await?;
            for _ in 0..(live + 1 - i64::from(most)).clamp(0, 100) {
                end_sessions!(
                    tx,
                    "id = (SELECT id FROM sessions WHERE account = $4 AND ended_at IS NULL \
                     ORDER BY renewed_at, created_at, id LIMIT 1)",
                    account,
                    "the account has too many sessions",
                    now
                );
            }
            sqlx::query(
                "INSERT INTO sessions (id, account, device, created_at, renewed_at, subset, asn, country) \
                 VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
            )
            .bind(&id)
            .bind(account)
            .bind(device.to_string())
            .bind(now)
            .bind(at.subset.map(i64::from))
            .bind(at.asn.map(i64::from))
            .bind(at.country.map(|country| country.to_string()))
            .execute(&mut *tx)
            .await?;
        });
        Ok(id)
    }

    /// Uses a refresh token: that of `generation` of session `id`.
    ///
    /// `grace` and `idle` in seconds; with `device`, only that one may.
    ///
    /// # Errors
    /// If the database is away.
    #[allow(clippy::too_many_arguments)] // one statement's values
    pub async fn rotate(
        &self,
        id: &str,
        generation: i64,
        device: Option<PeerId>,
        at: &Location,
        grace: i64,
        idle: i64,
        now: i64,
    ) -> Result<Rotation, Error> {
        type Row = (String, String, i64, i64, Option<i64>, Option<String>);
        let device = device.map(|device| device.to_string());
        let renewed = |generation, account, device: String| {
            let device = device.parse().map_err(|_| damaged())?;
            Ok(Rotation::Renewed { generation, account, device })
        };
        let rotated = each!(self, pool => {
            sqlx::query_as::<_, (String, String)>(
                "UPDATE sessions SET generation = generation + 1, renewed_at = $1, \
                 subset = $2, asn = $3, country = $4 \
                 WHERE id = $5 AND generation = $6 AND ended_at IS NULL AND account IS NOT NULL \
                 AND renewed_at >= $7 AND device = coalesce($8, device) \
                 RETURNING account, device",
            )
            .bind(now)
            .bind(at.subset.map(i64::from))
            .bind(at.asn.map(i64::from))
            .bind(at.country.map(|country| country.to_string()))
            .bind(id)
            .bind(generation)
            .bind(now - idle)
            .bind(&device)
            .fetch_optional(pool)
            .await?
        });
        if let Some((account, device)) = rotated {
            return renewed(generation + 1, account, device);
        }
        Ok(transaction!(self, tx => {
            let row: Option<Row> = sqlx::query_as(
                "SELECT account, device, generation, renewed_at, ended_at, ended_reason \
                 FROM sessions WHERE id = $1 AND account IS NOT NULL",
            )
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
            let Some((account, owner, current, renewed_at, ended_at, reason)) = row else {
                return Ok(Rotation::Unknown);
            };
            if device.is_some_and(|device| device != owner) {
                return Ok(Rotation::OtherDevice);
            }
            if ended_at.is_some() {
                return Ok(Rotation::Ended(reason.unwrap_or_default()));
            }
            if current == generation + 1 && now - renewed_at <= grace {
                return renewed(current, account, owner);
            }
            if current > generation {
                end_sessions!(tx, "id = $4", id, "a refresh token was used twice", now);
                Rotation::Reused
            } else if renewed_at < now - idle {
                end_sessions!(tx, "id = $4", id, "the session was idle for too long", now);
                Rotation::Ended("the session was idle for too long".into())
            } else {
                // A token of a generation that this database has never seen: it was restored.
                Rotation::Unknown
            }
        }))
    }

    /// Begins or renews the session of a node on a device, and gives its id.
    ///
    /// # Errors
    /// [`Error::Missing`] if the node is not there or revoked; if the database is away.
    pub async fn node_session(&self, session: &NodeSession<'_>, now: i64) -> Result<String, Error> {
        let NodeSession { node, device, location: at, quic, http, listed } = session;
        let id = transaction!(self, tx => {
            let open = sqlx::query("UPDATE nodes SET seen_at = $1 WHERE name = $2 AND revoked_at IS NULL")
                .bind(now)
                .bind(node)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if open == 0 {
                return Err(Error::Missing(format!("node {node}")));
            }
            let known: Option<String> = sqlx::query_scalar(
                "SELECT id FROM sessions WHERE node = $1 AND device = $2 AND ended_at IS NULL LIMIT 1",
            )
            .bind(node)
            .bind(device.to_string())
            .fetch_optional(&mut *tx)
            .await?;
            let id = match known {
                Some(id) => id,
                None => {
                    let live: i64 = sqlx::query_scalar(
                        "SELECT COUNT(*) FROM sessions WHERE node = $1 AND ended_at IS NULL",
                    )
                    .bind(node)
                    .fetch_one(&mut *tx)
                    .await?;
                    if live >= PER_NODE {
                        end_sessions!(
                            tx,
                            "id = (SELECT id FROM sessions WHERE node = $4 AND ended_at IS NULL \
                             ORDER BY renewed_at, created_at, id LIMIT 1)",
                            node,
                            "the node has too many sessions",
                            now
                        );
                    }
                    let id = random::id();
                    sqlx::query(
                        "INSERT INTO sessions (id, node, device, created_at, renewed_at) \
                         VALUES ($1, $2, $3, $4, $4)",
                    )
                    .bind(&id)
                    .bind(node)
                    .bind(device.to_string())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
                    id
                }
            };
            sqlx::query(
                "UPDATE sessions SET renewed_at = $1, subset = $2, asn = $3, country = $4, \
                 quic = $5, http = $6 WHERE id = $7",
            )
            .bind(now)
            .bind(at.subset.map(i64::from))
            .bind(at.asn.map(i64::from))
            .bind(at.country.map(|country| country.to_string()))
            .bind(list_to(quic))
            .bind(http)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
            if *listed {
                raise!(tx, "directory");
            }
            id
        });
        Ok(id)
    }

    /// Rendezvous servers heard of within a day, the latest first.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn rendezvous(&self, now: i64) -> Result<Vec<Rendezvous>, Error> {
        let sql = "SELECT device, quic, http, renewed_at FROM sessions \
                   JOIN nodes ON nodes.name = sessions.node \
                   WHERE nodes.role = 'rendezvous' AND nodes.revoked_at IS NULL \
                   AND ended_at IS NULL AND renewed_at > $1 ORDER BY renewed_at DESC, id LIMIT 100";
        let rows: Vec<(String, String, Option<String>, i64)> = each!(self, pool => {
            sqlx::query_as(sql).bind(now - DIRECTORY).fetch_all(pool).await?
        });
        rows.into_iter()
            .map(|(device, quic, http, seen_at)| {
                let device = device.parse().map_err(|_| damaged())?;
                Ok(Rendezvous { device, quic: list_from(&quic)?, http, seen_at })
            })
            .collect()
    }

    /// Ends one session; one that ended before stays as it was. Gives whether it was alive.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn end_session(&self, id: &str, reason: &str, now: i64) -> Result<bool, Error> {
        Ok(transaction!(self, tx => {
            let ended = end_sessions!(tx, "id = $4", id, reason, now);
            raise!(tx, "directory");
            ended > 0
        }))
    }

    /// Whether a session is there and was not ended.
    pub(crate) async fn is_alive(&self, id: &str) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM sessions WHERE id = $1 AND ended_at IS NULL";
        let count: i64 =
            each!(self, pool => sqlx::query_scalar(sql).bind(id).fetch_one(pool).await?);
        Ok(count > 0)
    }

    /// Sessions, the latest renewed first, at most [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn sessions(&self, of: Subject<'_>) -> Result<Vec<Session>, Error> {
        let (user, node) = match of {
            Subject::User(name) => (Some(name), None),
            Subject::Node(name) => (None, Some(name)),
            Subject::Anybody => (None, None),
        };
        let sql = "SELECT sessions.id, username AS \"user\", node, device, subset, asn, country, \
                   sessions.created_at, renewed_at, ended_at, ended_reason FROM sessions \
                   LEFT JOIN accounts ON accounts.id = sessions.account \
                   WHERE coalesce(username, '') = coalesce($1, username, '') \
                   AND coalesce(node, '') = coalesce($2, node, '') \
                   ORDER BY renewed_at DESC, sessions.id LIMIT $3";
        Ok(each!(self, pool => {
            sqlx::query_as(sql).bind(user).bind(node).bind(PAGE).fetch_all(pool).await?
        }))
    }
}

fn damaged() -> Error {
    Error::Invalid("a device key in the database is damaged".into())
}
