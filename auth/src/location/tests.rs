//! Tables and databases, written by the tests themselves.

use std::path::Path;

use maxminddb_writer::Database;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::{Value, json};

use super::*;

fn prefix(text: &str, subset: Option<u32>, asn: Option<u32>, country: Option<&str>) -> Prefix {
    Prefix {
        prefix: text.parse().unwrap(),
        location: Location { subset, asn, country: country.map(|code| code.parse().unwrap()) },
    }
}

/// A database in the form of MaxMind's: networks of IPv4 lie in ::/96 of an IPv6 tree.
fn write<T: serde::Serialize>(path: &Path, kind: &str, networks: &[(&str, T)]) {
    let mut database = Database::default();
    database.metadata.ip_version = IpVersion::V6;
    database.metadata.binary_format_major_version = 2;
    database.metadata.database_type = kind.into();
    database.metadata.build_epoch = 1_800_000_000;
    for (network, record) in networks {
        let network: IpAddrWithMask = network.parse().unwrap();
        let data = database.insert_value(record).unwrap();
        database.insert_node(network, data);
    }
    let draft = path.with_extension("draft");
    std::fs::write(&draft, database.write_to(Vec::new()).unwrap()).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// As wide as MaxMind writes it; `json!` alone would make it 64 bits wide.
#[derive(serde::Serialize)]
struct Asn {
    autonomous_system_number: u32,
    autonomous_system_organization: &'static str,
}

fn asn(autonomous_system_number: u32) -> Asn {
    Asn { autonomous_system_number, autonomous_system_organization: "Example" }
}

fn wide_asn(number: u64) -> Value {
    json!({"autonomous_system_number": number})
}

fn country(code: &str) -> Value {
    json!({"country": {"iso_code": code, "geoname_id": 1}, "continent": {"code": "EU"}})
}

fn locate(locator: &Locator, address: &str) -> (Option<u32>, Option<u32>, Option<String>) {
    let Place { subset, asn, country } = locator.locate(address.parse().unwrap()).into();
    (subset, asn, country)
}

#[test]
fn the_longest_prefix_decides() {
    let locator = Locator::new(&Locations::default());
    assert_eq!(locate(&locator, "127.0.1.1"), (None, None, None));
    locator.set_prefixes(&[
        prefix("127.0.0.0/8", Some(1), Some(64500), Some("ch")),
        prefix("127.0.1.0/24", Some(2), None, None),
        prefix("127.0.1.7/32", Some(3), Some(64502), Some("de")),
        prefix("2001:db8::/32", Some(6), None, Some("at")),
        prefix("::/0", Some(9), None, None),
    ]);
    assert_eq!(locate(&locator, "127.9.9.9"), (Some(1), Some(64500), Some("CH".into())));
    assert_eq!(locate(&locator, "127.0.1.6"), (Some(2), None, None), "nothing is inherited");
    assert_eq!(locate(&locator, "127.0.1.7"), (Some(3), Some(64502), Some("DE".into())));
    assert_eq!(locate(&locator, "::ffff:127.0.1.7").0, Some(3));
    assert_eq!(locate(&locator, "2001:db8:1::1"), (Some(6), None, Some("AT".into())));
    assert_eq!(locate(&locator, "2001:db9::1").0, Some(9));
    assert_eq!(locate(&locator, "10.0.0.1"), (None, None, None));
    locator.set_prefixes(&[prefix("0.0.0.0/0", Some(4), None, None)]);
    assert_eq!(locate(&locator, "127.0.1.7"), (Some(4), None, None));
}

#[test]
fn maxmind_fills_in_what_the_table_leaves_open() {
    let folder = tempfile::tempdir().unwrap();
    let (numbers, countries) = (folder.path().join("asn.mmdb"), folder.path().join("country.mmdb"));
    write(
        &numbers,
        "GeoLite2-ASN",
        &[("::c000:200/120", asn(64496)), ("2001:db8::/32", asn(64497))],
    );
    write(
        &countries,
        "GeoLite2-Country",
        &[
            ("::c000:200/120", country("CH")),
            ("2001:db8::/33", json!({"registered_country": {"iso_code": "SE"}})),
            ("2001:db8:8000::/33", json!({"continent": {"code": "EU"}})),
        ],
    );
    let locator = Locator::new(&Locations {
        asn_database: Some(numbers),
        country_database: Some(countries),
        ..Locations::default()
    });
    assert_eq!(locate(&locator, "192.0.2.1"), (None, Some(64496), Some("CH".into())));
    assert_eq!(locate(&locator, "192.0.3.1"), (None, None, None));
    assert_eq!(locate(&locator, "2001:db8::1"), (None, Some(64497), Some("SE".into())));
    assert_eq!(locate(&locator, "2001:db8:8000::1"), (None, Some(64497), None));
    locator.set_prefixes(&[prefix("192.0.2.0/25", Some(7), None, Some("fr"))]);
    assert_eq!(locate(&locator, "192.0.2.1"), (Some(7), Some(64496), Some("FR".into())));
    assert_eq!(locate(&locator, "192.0.2.200"), (None, Some(64496), Some("CH".into())));
}

#[test]
fn a_replaced_database_is_read_again_and_a_damaged_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    let locator =
        Locator::new(&Locations { asn_database: Some(path.clone()), ..Locations::default() });
    let found = || locate(&locator, "192.0.2.1").1;
    assert_eq!(found(), None, "a file that is absent is no error");

    write(&path, "GeoLite2-ASN", &[("::c000:200/120", asn(1))]);
    assert_eq!(locator.look(), Looked { replaced: 1, damaged: 0 });
    assert_eq!(found(), Some(1));
    assert_eq!(locator.look(), Looked::default(), "nothing changed");

    write(&path, "GeoLite2-ASN", &[("::c000:200/120", asn(2))]);
    assert_eq!(locator.look(), Looked { replaced: 1, damaged: 0 });
    assert_eq!(found(), Some(2));

    let whole = std::fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"nonsense", b""] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(locator.look(), Looked { replaced: 0, damaged: 1 });
        assert_eq!(found(), Some(2), "the last good one stays");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(locator.look(), Looked { replaced: 0, damaged: 1 });
    assert_eq!(locator.look(), Looked::default(), "said once");
    assert_eq!(found(), Some(2));
    write(&path, "GeoLite2-ASN", &[("::c000:200/120", asn(3))]);
    assert_eq!(locator.look(), Looked { replaced: 1, damaged: 0 });
    assert_eq!(found(), Some(3));
}

#[test]
fn records_of_another_kind_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.mmdb");
    write(
        &path,
        "Other",
        &[
            ("::c000:200/120", json!("a text")),
            ("::c000:300/120", json!({"country": {"iso_code": "CHE"}})),
        ],
    );
    let locator = Locator::new(&Locations {
        asn_database: Some(path.clone()),
        country_database: Some(path),
        ..Locations::default()
    });
    assert_eq!(locate(&locator, "192.0.2.1"), (None, None, None));
    assert_eq!(locate(&locator, "192.0.3.1"), (None, None, None));
}

#[test]
fn numbers_of_any_width_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    let networks =
        [("::c000:200/120", wide_asn(4_200_000_000)), ("::c000:300/120", wide_asn(1 << 40))];
    write(&path, "Own-ASN", &networks);
    let locator = Locator::new(&Locations { asn_database: Some(path), ..Locations::default() });
    assert_eq!(locate(&locator, "192.0.2.1").1, Some(4_200_000_000));
    assert_eq!(locate(&locator, "192.0.3.1").1, None, "not an AS number");
}
