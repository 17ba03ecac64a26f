//! Nodes: headends, repeaters and rendezvous servers with credentials of their own.

use ticket::Role;

use super::revocations::end_sessions;
use super::{Error, PAGE, Store, each, raise, transaction};
use crate::{names, random};

/// A node as administrators see it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Node {
    /// Its name; the tickets' `sub` is `node:` and this.
    pub name: String,
    /// What it does.
    #[schema(value_type = String, example = "repeater")]
    pub role: Role,
    /// The channels it may carry or publish; `["*"]` stands for all.
    pub channels: Vec<String>,
    /// Whether its credential is void.
    pub revoked: bool,
    /// When it was added, seconds since 1970.
    pub created_at: i64,
    /// When it last signed in, seconds since 1970.
    pub seen_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    role: String,
    channels: String,
    created_at: i64,
    seen_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<Row> for Node {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            role: role_from(&row.role)?,
            channels: list_from(&row.channels)?,
            name: row.name,
            revoked: row.revoked_at.is_some(),
            created_at: row.created_at,
            seen_at: row.seen_at,
        })
    }
}

/// A role by its name.
pub(crate) fn role_from(text: &str) -> Result<Role, Error> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        Error::Invalid(format!("`{text}` is not a role: headend, repeater or rendezvous"))
    })
}

/// The name of a role.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Headend => "headend",
        Role::Repeater => "repeater",
        Role::Viewer => "viewer",
        Role::Rendezvous => "rendezvous",
    }
}

pub(super) fn list_from(json: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(json)
        .map_err(|_| Error::Invalid("a list in the database is damaged".into()))
}

pub(super) fn list_to(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

fn missing(name: &str) -> Error {
    Error::Missing(format!("node {}", name.escape_debug()))
}

impl Store {
    /// Adds a node, or a revoked one of that name anew, and gives its credential, which is not
    /// kept. `credential`: one that the operator chose.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`]; if the database is away.
    pub async fn add_node(
        &self,
        name: &str,
        role: Role,
        channels: &[String],
        credential: Option<&str>,
        now: i64,
    ) -> Result<String, Error> {
        names::plain("node", name)?;
        if role == Role::Viewer {
            return Err(Error::Invalid("viewers are users, not nodes".into()));
        }
        let channels = list_to(&names::channels(channels)?);
        let credential = match credential {
            Some(credential) => {
                names::credential(credential)?;
                credential.to_owned()
            }
            None => random::secret(),
        };
        transaction!(self, tx => {
            sqlx::query("DELETE FROM nodes WHERE name = $1 AND revoked_at IS NOT NULL")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO nodes (name, role, credential_hash, channels, created_at) \
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(name)
            .bind(role_name(role))
            .bind(random::digest(&credential))
            .bind(&channels)
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(|error| Error::from(error).or_exists(|| {
                format!("node {name}, or another with the same credential,")
            }))?;
        });
        Ok(credential)
    }

    /// Whether the node has exactly these properties, so that nothing needs to be changed.
    pub(crate) async fn has_node(
        &self,
        name: &str,
        role: Role,
        channels: &[String],
        credential: &str,
    ) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM nodes WHERE name = $1 AND role = $2 AND channels = $3 \
                   AND credential_hash = $4 AND revoked_at IS NULL";
        let count: i64 = each!(self, pool => {
            sqlx::query_scalar(sql)
                .bind(name)
                .bind(role_name(role))
                .bind(list_to(&names::channels(channels)?))
                .bind(random::digest(credential))
                .fetch_one(pool)
                .await?
        });
        Ok(count > 0)
    }

    /// The node that has this credential, revoked or not.
    pub(crate) async fn node_by_credential(&self, credential: &str) -> Result<Option<Node>, Error> {
        let sql = "SELECT name, role, channels, created_at, seen_at, revoked_at FROM nodes \
                   WHERE credential_hash = $1";
        let row: Option<Row> = each!(self, pool => {
            sqlx::query_as(sql).bind(random::digest(credential)).fetch_optional(pool).await?
        });
        row.map(Node::try_from).transpose()
    }

    /// All nodes by name, at most [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let sql = "SELECT name, role, channels, created_at, seen_at, revoked_at FROM nodes \
                   ORDER BY name LIMIT $1";
        let rows: Vec<Row> = each!(self, pool => {
            sqlx::query_as(sql).bind(PAGE).fetch_all(pool).await?
        });
        rows.into_iter().map(Node::try_from).collect()
    }

    /// Voids a node's credential and ends its sessions. Gives how many.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn revoke_node(&self, name: &str, now: i64) -> Result<i64, Error> {
        Ok(transaction!(self, tx => {
            let known: Option<String> = sqlx::query_scalar(
                "UPDATE nodes SET revoked_at = coalesce(revoked_at, $1) WHERE name = $2 RETURNING name",
            )
            .bind(now)
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
            let name = known.ok_or_else(|| missing(name))?;
            let ended = end_sessions!(tx, "node = $4", &name, "the node was revoked", now);
            raise!(tx, "directory");
            ended
        }))
    }
}
