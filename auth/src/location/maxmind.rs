//! MaxMind's databases, read into memory and read again when the files are replaced.
//!
//! Not mapped into memory: a file that is overwritten in place would change, or shorten, under
//! our hands.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use ticket::Country;

use crate::config::Locations;

/// Larger files are not read, bytes: the largest that MaxMind sells has less.
const LARGEST: u64 = 2 << 30;

/// The two databases; either may be absent.
pub(super) struct MaxMind {
    asn: Option<Database>,
    country: Option<Database>,
}

/// What looking at the files gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Looked {
    /// Databases read anew.
    pub(crate) replaced: u32,
    /// Databases that could not be read; the last good ones stay in use.
    pub(crate) damaged: u32,
}

struct Database {
    path: PathBuf,
    reader: ArcSwapOption<Reader<Vec<u8>>>,
    /// What was there when it was last looked at; the outer none: never looked.
    seen: Mutex<Option<Option<Stamp>>>,
}

/// Tells a file from the one that replaces it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

#[derive(Deserialize)]
struct AsnRecord {
    #[serde(default)]
    autonomous_system_number: Option<Number>,
}

/// An AS number in whatever width the file's maker chose.
struct Number(u32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Width;
        impl de::Visitor<'_> for Width {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 32 bits")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                number.try_into().map(Number).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                number.try_into().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Width)
    }
}

#[derive(Deserialize)]
struct CountryRecord<'a> {
    #[serde(borrow)]
    country: Option<Iso<'a>>,
    #[serde(borrow)]
    registered_country: Option<Iso<'a>>,
}

#[derive(Deserialize)]
struct Iso<'a> {
    iso_code: Option<&'a str>,
}

impl MaxMind {
    pub(super) fn open(config: &Locations) -> Self {
        let database = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| Database {
                path: path.clone(),
                reader: ArcSwapOption::empty(),
                seen: Mutex::default(),
            })
        };
        let databases = Self {
            asn: database(&config.asn_database),
            country: database(&config.country_database),
        };
        databases.look();
        databases
    }

    pub(super) fn look(&self) -> Looked {
        let mut looked = Looked::default();
        for database in [&self.asn, &self.country].into_iter().flatten() {
            match database.look() {
                Ok(true) => looked.replaced += 1,
                Ok(false) => {}
                Err(why) => {
                    looked.damaged += 1;
                    let file = database.path.display();
                    let kept = database.reader.load().is_some();
                    tracing::warn!(%file, %why, last_good_stays = kept, "cannot read the database of locations");
                }
            }
        }
        looked
    }

    pub(super) fn asn(&self, address: IpAddr) -> Option<u32> {
        let reader = self.asn.as_ref()?.reader.load_full()?;
        let record: AsnRecord = reader.lookup(address).ok()?.decode().ok()??;
        record.autonomous_system_number.map(|Number(number)| number)
    }

    pub(super) fn country(&self, address: IpAddr) -> Option<Country> {
        let reader = self.country.as_ref()?.reader.load_full()?;
        let record: CountryRecord<'_> = reader.lookup(address).ok()?.decode().ok()??;
        [record.country, record.registered_country]
            .into_iter()
            .flatten()
            .find_map(|country| country.iso_code?.parse().ok())
    }
}

impl Database {
    /// Whether the file was read anew. One damaged file is reported once.
    fn look(&self) -> Result<bool, String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if *seen == Some(stamp) {
            return Ok(false);
        }
        *seen = Some(stamp);
        if stamp.is_none() {
            return Err("no such file".into());
        }
        let reader = read(&self.path)?;
        let kind = reader.metadata().database_type.clone();
        self.reader.store(Some(Arc::new(reader)));
        tracing::info!(file = %self.path.display(), kind, "database of locations read");
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > LARGEST {
        return Err(format!("larger than {LARGEST} bytes"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
    walk(&reader).map_err(|error| error.to_string())?;
    Ok(reader)
}

/// Visits every network and record: a file of which a part is missing or overwritten fails here and
/// not at somebody's sign-in. (`Reader::verify` is not used: it also asks for a description, which
/// files of an operator's own making may lack.)
fn walk(reader: &Reader<Vec<u8>>) -> Result<(), MaxMindDbError> {
    let mut records = HashSet::new();
    // A tree of N nodes has at most N + 1 leaves; more means a circle.
    let most = reader.metadata().node_count.saturating_add(1);
    for (visited, network) in reader.networks(WithinOptions::default())?.enumerate() {
        if visited > most as usize {
            return Err(MaxMindDbError::invalid_database("the tree has a circle"));
        }
        let network = network?;
        if network.offset().is_some_and(|offset| records.insert(offset)) {
            network.decode::<serde::de::IgnoredAny>()?;
        }
    }
    Ok(())
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            inode: file.ino(),
            size: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}
