//! Where a viewer is seen: by its address, through trusted proxies, and in databases that change
//! while auth runs.

use std::path::Path;

use maxminddb_writer::Database as Tree;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::{Value, json};

use crate::database::Database;
use crate::support::{Auth, PASSWORD, device, until};

async fn seen(auth: &Auth, forwarded: &str) -> Value {
    let body = json!({"username": "anna", "password": PASSWORD, "device_key": device()});
    let call = auth.http.post(format!("{}/v1/sessions", auth.base)).json(&body);
    let reply = call.header("X-Forwarded-For", forwarded).send().await.unwrap();
    assert_eq!(reply.status(), 201);
    reply.json::<Value>().await.unwrap()["location"].clone()
}

#[tokio::test]
async fn the_header_counts_only_behind_a_trusted_proxy() {
    let home = json!({"subset": 7, "asn": 64512, "country": "CH"});
    let away = json!({"subset": null, "asn": null, "country": null});
    let auth = Auth::start(Database::sqlite()).await;
    assert_eq!(seen(&auth, "192.0.2.1").await, home);
    let auth = Auth::start_with(Database::sqlite(), |config| {
        config.proxy.trusted = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    assert_eq!(seen(&auth, "192.0.2.1").await, away);
    assert_eq!(seen(&auth, "192.0.2.1, 127.0.0.77").await, home, "the nearest one counts");
}

#[tokio::test]
async fn databases_are_read_again_while_auth_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("country.mmdb");
    let auth = Auth::start_with(Database::sqlite(), |config| {
        config.proxy.trusted = vec!["127.0.0.1/32".parse().unwrap()];
        config.location.country_database = Some(path.clone());
        config.location.look_every = service::config::Duration::from_millis(50);
    })
    .await;
    let country = async || seen(&auth, "192.0.2.1").await["country"].clone();
    assert_eq!(country().await, Value::Null);
    for code in ["SE", "FI"] {
        write(&path, code);
        until("the database is read", || async { country().await == json!(code) }).await;
    }
    std::fs::write(&path, "nonsense").unwrap();
    until("a damaged one is noticed", || async {
        let metrics = auth.get("/metrics").await.body;
        metrics.as_str().unwrap().contains("location_reads_total{result=\"damaged\"}")
    })
    .await;
    assert_eq!(country().await, "FI", "the last good one stays");
}

fn write(path: &Path, code: &str) {
    let mut tree = Tree::default();
    tree.metadata.ip_version = IpVersion::V6;
    tree.metadata.binary_format_major_version = 2;
    tree.metadata.database_type = "GeoLite2-Country".into();
    let record = tree.insert_value(json!({"country": {"iso_code": code}})).unwrap();
    tree.insert_node("::c000:200/120".parse::<IpAddrWithMask>().unwrap(), record);
    let draft = path.with_extension("draft");
    std::fs::write(&draft, tree.write_to(Vec::new()).unwrap()).unwrap();
    std::fs::rename(draft, path).unwrap();
}
