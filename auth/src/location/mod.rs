//! Where an address is: the operator's prefix table first, then MaxMind's databases, else unknown.
//! Never an error.

mod maxmind;
mod table;

use std::net::IpAddr;

use arc_swap::ArcSwap;
use serde::Serialize;
use ticket::Location;
use utoipa::ToSchema;

pub(crate) use maxmind::Looked;
use maxmind::MaxMind;
use table::Table;

use crate::config::Locations;
use crate::store::Prefix;

/// Decides locations.
pub struct Locator {
    table: ArcSwap<Table>,
    maxmind: MaxMind,
}

/// A location as it stands in replies; what is not known is null.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct Place {
    /// The operator's number for the address prefix.
    pub subset: Option<u32>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// ISO 3166-1 alpha-2 country code in capitals.
    pub country: Option<String>,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            subset: location.subset,
            asn: location.asn,
            country: location.country.map(|country| country.to_string()),
        }
    }
}

impl Locator {
    /// Reads the databases that are there; the table is empty until it is set.
    pub fn new(config: &Locations) -> Self {
        Self { table: ArcSwap::default(), maxmind: MaxMind::open(config) }
    }

    /// Replaces the prefix table.
    pub fn set_prefixes(&self, prefixes: &[Prefix]) {
        self.table.store(Table::new(prefixes).into());
    }

    /// Where an address is. The longest prefix of the table decides; what it leaves open, the
    /// databases fill in.
    pub fn locate(&self, address: IpAddr) -> Location {
        let address = address.to_canonical();
        let table = self.table.load().find(address).unwrap_or_default();
        if table.asn.is_some() && table.country.is_some() {
            return table;
        }
        Location {
            subset: table.subset,
            asn: table.asn.or_else(|| self.maxmind.asn(address)),
            country: table.country.or_else(|| self.maxmind.country(address)),
        }
    }

    /// Reads databases again that were replaced; a damaged one leaves the last good one in use.
    /// Reads files: not for the event loop.
    pub(crate) fn look(&self) -> Looked {
        self.maxmind.look()
    }
}

#[cfg(test)]
mod tests;
