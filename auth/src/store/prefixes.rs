//! The operator's prefix table.

use ipnet::IpNet;
use ticket::{Country, Location};

use super::{Error, Store, each, raise, transaction};

/// A row of the table: where addresses of a prefix are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The addresses.
    pub prefix: IpNet,
    /// Where they are.
    pub location: Location,
}

/// A table larger than this is not loaded whole.
const MOST: i64 = 1_000_000;

impl Store {
    /// Adds a prefix, or says something else of one that is there.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn set_prefix(&self, prefix: &Prefix) -> Result<(), Error> {
        let Prefix { prefix, location } = prefix;
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO prefixes (prefix, subset, asn, country) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (prefix) DO UPDATE SET subset = excluded.subset, \
                 asn = excluded.asn, country = excluded.country",
            )
            .bind(prefix.trunc().to_string())
            .bind(location.subset.map(i64::from))
            .bind(location.asn.map(i64::from))
            .bind(location.country.map(|country| country.to_string()))
            .execute(&mut *tx)
            .await?;
            raise!(tx, "prefixes");
        });
        Ok(())
    }

    /// Removes a prefix.
    ///
    /// # Errors
    /// [`Error::Missing`]; if the database is away.
    pub async fn remove_prefix(&self, prefix: IpNet) -> Result<(), Error> {
        let prefix = prefix.trunc();
        transaction!(self, tx => {
            let removed = sqlx::query("DELETE FROM prefixes WHERE prefix = $1")
                .bind(prefix.to_string())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if removed == 0 {
                return Err(Error::Missing(format!("prefix {prefix}")));
            }
            raise!(tx, "prefixes");
        });
        Ok(())
    }

    /// The whole table, in no order that matters.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn prefixes(&self) -> Result<Vec<Prefix>, Error> {
        type Row = (String, Option<i64>, Option<i64>, Option<String>);
        let rows: Vec<Row> = each!(self, pool => {
            sqlx::query_as("SELECT prefix, subset, asn, country FROM prefixes ORDER BY prefix LIMIT $1")
                .bind(MOST)
                .fetch_all(pool)
                .await?
        });
        Ok(rows
            .into_iter()
            .filter_map(|(prefix, subset, asn, country)| {
                Some(Prefix {
                    prefix: prefix.parse().ok()?,
                    location: location(subset, asn, country),
                })
            })
            .collect())
    }
}

/// A location from its columns.
fn location(subset: Option<i64>, asn: Option<i64>, country: Option<String>) -> Location {
    Location {
        subset: subset.and_then(|subset| subset.try_into().ok()),
        asn: asn.and_then(|asn| asn.try_into().ok()),
        country: country.and_then(|country| country.parse::<Country>().ok()),
    }
}
