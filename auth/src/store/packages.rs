//! Packages: named sets of channels that accounts have.

use super::{Error, PAGE, Store, each, transaction};
use crate::names;

/// A set of channels.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its channels by name; `["*"]` stands for all.
    pub channels: Vec<String>,
}

impl Store {
    /// Makes the package, or gives it these channels instead of those that it had.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names that cannot be; if the database is away.
    pub async fn set_package(
        &self,
        name: &str,
        channels: &[String],
        now: i64,
    ) -> Result<Package, Error> {
        names::plain("package", name)?;
        let channels = names::channels(channels)?;
        transaction!(self, tx => {
            sqlx::query("INSERT INTO packages (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            sqlx::query("DELETE FROM package_channels WHERE package = $1")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            for channel in &channels {
                sqlx::query("INSERT INTO package_channels (package, channel) VALUES ($1, $2)")
                    .bind(name)
                    .bind(channel)
                    .execute(&mut *tx)
                    .await?;
            }
        });
        Ok(Package { name: name.to_owned(), channels })
    }

    /// One package.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn package(&self, name: &str) -> Result<Package, Error> {
        let known: Option<String> = each!(self, pool => {
            sqlx::query_scalar("SELECT name FROM packages WHERE name = $1")
                .bind(name)
                .fetch_optional(pool)
                .await?
        });
        let name = known.ok_or_else(|| Error::Missing(format!("package {name}")))?;
        let channels = self.package_channels(&name).await?;
        Ok(Package { name, channels })
    }

    async fn package_channels(&self, name: &str) -> Result<Vec<String>, Error> {
        let sql = "SELECT channel FROM package_channels WHERE package = $1 ORDER BY channel";
        Ok(each!(self, pool => sqlx::query_scalar(sql).bind(name).fetch_all(pool).await?))
    }

    /// All packages by name, at most [`PAGE`].
    ///
    /// # Errors
    /// If the database is away.
    pub async fn packages(&self) -> Result<Vec<Package>, Error> {
        let names: Vec<String> = each!(self, pool => {
            sqlx::query_scalar("SELECT name FROM packages ORDER BY name LIMIT $1")
                .bind(PAGE)
                .fetch_all(pool)
                .await?
        });
        let mut packages = Vec::with_capacity(names.len());
        for name in names {
            let channels = self.package_channels(&name).await?;
            packages.push(Package { name, channels });
        }
        Ok(packages)
    }

    /// Removes a package; accounts that had it have it no more.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn remove_package(&self, name: &str) -> Result<(), Error> {
        let removed = each!(self, pool => {
            sqlx::query("DELETE FROM packages WHERE name = $1").bind(name).execute(pool).await?.rows_affected()
        });
        if removed == 0 { Err(Error::Missing(format!("package {name}"))) } else { Ok(()) }
    }
}
