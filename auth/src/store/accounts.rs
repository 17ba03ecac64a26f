//! Accounts: who may sign in with a password.

use super::revocations::end_sessions;
use super::{Error, PAGE, Store, each, transaction};
use crate::{names, random};

/// An account as the sign-in needs it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) password_hash: String,
    pub(crate) disabled_at: Option<i64>,
}

/// An account as administrators see it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Account {
    /// Its lasting id: the tickets' `sub`.
    pub id: String,
    /// What its user types.
    pub username: String,
    /// Its packages by name.
    pub packages: Vec<String>,
    /// Whether it may not sign in.
    pub disabled: bool,
    /// When it was made, seconds since 1970.
    pub created_at: i64,
    /// When it last signed in, seconds since 1970.
    pub signed_in_at: Option<i64>,
}

/// A part of the list of accounts.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct AccountPage {
    /// In the order of their names.
    pub users: Vec<Account>,
    /// Where the next part begins: give it as `after`. None: this is the end.
    pub next: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    username: String,
    created_at: i64,
    signed_in_at: Option<i64>,
    disabled_at: Option<i64>,
}

fn missing(username: &str) -> Error {
    Error::Missing(format!("user {}", username.escape_debug()))
}

/// Gives an account exactly these packages.
macro_rules! set_packages {
    ($tx:ident, $account:expr, $packages:expr) => {
        sqlx::query("DELETE FROM account_packages WHERE account = $1")
            .bind($account)
            .execute(&mut *$tx)
            .await?;
        for package in names::merge($packages.iter().cloned()) {
            sqlx::query("INSERT INTO account_packages (account, package) VALUES ($1, $2)")
                .bind($account)
                .bind(&package)
                .execute(&mut *$tx)
                .await
                .map_err(|error| Error::from(error).or_missing(|| format!("package {package}")))?;
        }
    };
}

impl Store {
    /// Makes an account. `password_hash` is in PHC form.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Missing`] (a package), [`Error::Invalid`] (the name); if the
    /// database is away.
    pub async fn add_account(
        &self,
        username: &str,
        password_hash: &str,
        packages: &[String],
        now: i64,
    ) -> Result<(), Error> {
        names::username(username)?;
        let id = random::id();
        transaction!(self, tx => {
            sqlx::query("INSERT INTO accounts (id, username, password_hash, created_at) VALUES ($1, $2, $3, $4)")
                .bind(&id)
                .bind(username)
                .bind(password_hash)
                .bind(now)
                .execute(&mut *tx)
                .await
                .map_err(|error| Error::from(error).or_exists(|| format!("user {username}")))?;
            set_packages!(tx, &id, packages);
        });
        Ok(())
    }

    pub(crate) async fn credentials(&self, username: &str) -> Result<Option<Credentials>, Error> {
        let sql = "SELECT id, password_hash, disabled_at FROM accounts WHERE username = $1";
        Ok(each!(self, pool => sqlx::query_as(sql).bind(username).fetch_optional(pool).await?))
    }

    /// Whether this device has signed in to the account before.
    pub(crate) async fn is_known_device(&self, account: &str, device: &str) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM sessions WHERE account = $1 AND device = $2";
        let count: i64 = each!(self, pool => {
            sqlx::query_scalar(sql).bind(account).bind(device).fetch_one(pool).await?
        });
        Ok(count > 0)
    }

    /// One account.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn account(&self, username: &str) -> Result<Account, Error> {
        let sql = "SELECT id, username, created_at, signed_in_at, disabled_at FROM accounts \
                   WHERE username = $1";
        let row: Option<Row> = each!(self, pool => {
            sqlx::query_as(sql).bind(username).fetch_optional(pool).await?
        });
        self.with_packages(row.ok_or_else(|| missing(username))?).await
    }

    async fn with_packages(&self, row: Row) -> Result<Account, Error> {
        let sql = "SELECT package FROM account_packages WHERE account = $1 ORDER BY package";
        let packages = each!(self, pool => {
            sqlx::query_scalar(sql).bind(&row.id).fetch_all(pool).await?
        });
        Ok(Account {
            id: row.id,
            username: row.username,
            packages,
            disabled: row.disabled_at.is_some(),
            created_at: row.created_at,
            signed_in_at: row.signed_in_at,
        })
    }

    /// Accounts whose names come after `after`, at most `limit` and [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn accounts(&self, after: &str, limit: i64) -> Result<AccountPage, Error> {
        let limit = limit.clamp(1, PAGE);
        let sql = "SELECT id, username, created_at, signed_in_at, disabled_at FROM accounts \
                   WHERE username > $1 ORDER BY username LIMIT $2";
        let rows: Vec<Row> = each!(self, pool => {
            sqlx::query_as(sql).bind(after).bind(limit + 1).fetch_all(pool).await?
        });
        let full = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > full;
        let mut users = Vec::with_capacity(rows.len());
        for row in rows.into_iter().take(full) {
            users.push(self.with_packages(row).await?);
        }
        let next = users.last().filter(|_| more).map(|user| user.username.clone());
        Ok(AccountPage { users, next })
    }

    /// The channels of all packages of an account, sorted.
    pub(crate) async fn account_channels(&self, account: &str) -> Result<Vec<String>, Error> {
        let sql = "SELECT DISTINCT channel FROM package_channels \
                   JOIN account_packages ON account_packages.package = package_channels.package \
                   WHERE account_packages.account = $1";
        let channels: Vec<String> = each!(self, pool => {
            sqlx::query_scalar(sql).bind(account).fetch_all(pool).await?
        });
        Ok(names::merge(channels.into_iter()))
    }

    /// Sets the packages of an account; its tickets follow at their next renewal.
    ///
    /// # Errors
    /// [`Error::Missing`] (the account or a package); if the database is away.
    pub async fn set_account_packages(
        &self,
        username: &str,
        packages: &[String],
    ) -> Result<(), Error> {
        transaction!(self, tx => {
            let id: Option<String> = sqlx::query_scalar("SELECT id FROM accounts WHERE username = $1")
                .bind(username)
                .fetch_optional(&mut *tx)
                .await?;
            let id = id.ok_or_else(|| missing(username))?;
            set_packages!(tx, &id, packages);
        });
        Ok(())
    }

    /// Sets another password and ends all sessions. Gives how many.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn set_password(
        &self,
        username: &str,
        password_hash: &str,
        now: i64,
    ) -> Result<i64, Error> {
        Ok(transaction!(self, tx => {
            let id: Option<String> = sqlx::query_scalar(
                "UPDATE accounts SET password_hash = $1 WHERE username = $2 RETURNING id",
            )
            .bind(password_hash)
            .bind(username)
            .fetch_optional(&mut *tx)
            .await?;
            let id = id.ok_or_else(|| missing(username))?;
            end_sessions!(tx, "account = $4", &id, "the password was changed", now)
        }))
    }

    /// Disables an account, which ends its sessions, or enables it again. Gives how many ended.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn set_disabled(
        &self,
        username: &str,
        disabled: bool,
        now: i64,
    ) -> Result<i64, Error> {
        Ok(transaction!(self, tx => {
            let id: Option<String> = sqlx::query_scalar(
                "UPDATE accounts SET disabled_at = $1 WHERE username = $2 RETURNING id",
            )
            .bind(disabled.then_some(now))
            .bind(username)
            .fetch_optional(&mut *tx)
            .await?;
            let id = id.ok_or_else(|| missing(username))?;
            if disabled {
                end_sessions!(tx, "account = $4", &id, "the account is disabled", now)
            } else {
                0
            }
        }))
    }

    /// Removes an account with all that is kept of it, and ends its sessions. Gives how many.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn remove_account(&self, username: &str, now: i64) -> Result<i64, Error> {
        Ok(transaction!(self, tx => {
            let id: Option<String> = sqlx::query_scalar(
                "UPDATE accounts SET disabled_at = $1 WHERE username = $2 RETURNING id",
            )
            .bind(now)
            .bind(username)
            .fetch_optional(&mut *tx)
            .await?;
            let id = id.ok_or_else(|| missing(username))?;
            let ended = end_sessions!(tx, "account = $4", &id, "the account was removed", now);
            sqlx::query("DELETE FROM accounts WHERE id = $1").bind(&id).execute(&mut *tx).await?;
            ended
        }))
    }
}
