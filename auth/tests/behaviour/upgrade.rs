//! A database of the first release is brought up by this one, with everything in it.

use reqwest::Method;
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use ticket::PeerId;

use crate::database::Database;
use crate::support::{Auth, PASSWORD, device};

crate::on_both!(
    accounts_sessions_nodes_and_keys_of_the_first_release_are_still_good,
    who_holds_a_newer_database_is_refused,
);

/// What the first release wrote.
const FIRST: &str = include_str!("first.sql");
/// The device and the refresh token of the session in it.
const DEVICE: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const TOKEN: &str = "M1FHQhJDfG35aLchyPAQ4gAAAAAAAAAAReJDUDYAkpKr-X2ZCwHCXoRKrHmGZ_vzNfZJ1EiYdmk";

/// The tables that the first release had.
fn first_tables(all: Migrator) -> Migrator {
    let first: Vec<_> = all.migrations.iter().filter(|one| one.version == 1).cloned().collect();
    assert_eq!(first.len(), 1);
    assert!(all.migrations.len() > 1, "nothing to upgrade to");
    Migrator::with_migrations(first)
}

/// Does something with the database, as its operator could.
async fn sql(database: &Database, text: &str) {
    let text = AssertSqlSafe(text.to_owned());
    if database.url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
        connection.execute(sqlx::raw_sql(text)).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        connection.execute(sqlx::raw_sql(text)).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// A database as the first release leaves it: its tables, and what it wrote into them.
async fn old(database: &Database) {
    if database.url.starts_with("sqlite:") {
        let create = format!("{}?mode=rwc", database.url);
        let mut connection = SqliteConnection::connect(&create).await.unwrap();
        let tables = first_tables(sqlx::migrate!("../migrations/sqlite"));
        tables.run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let tables = first_tables(sqlx::migrate!("../migrations/postgres"));
        tables.run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    sql(database, FIRST).await;
    // The session was used just now.
    let now = auth::Clock::system().seconds();
    sql(database, &format!("UPDATE sessions SET created_at = {now}, renewed_at = {now}")).await;
}

async fn accounts_sessions_nodes_and_keys_of_the_first_release_are_still_good(database: Database) {
    old(&database).await;
    let auth = Auth::start_on(database, |_| {}).await;

    // Who was signed in goes on, and the key that signed is known as before.
    let before: PeerId = DEVICE.parse().unwrap();
    let renewed = auth.refresh(&TOKEN.into()).await.expect(200);
    let ticket = auth.check(&renewed, before).await.unwrap();
    assert_eq!(ticket.channels, ["one", "two"]);
    assert_eq!(ticket.jti, "M1FHQhJDfG35aLchyPAQ4g");
    let keys = auth.admin(Method::GET, "/keys", None).await.expect(200);
    assert_eq!(keys["keys"][0]["kid"], "YrjbDldokEtk0AEO64zQwQ");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "no other key was made");

    // Passwords, credentials and places are known.
    let device = device();
    let reply = auth.sign_in("anna", PASSWORD, device).await.expect(201);
    assert_eq!(reply["location"], json!({"subset": 7, "asn": 64512, "country": "CH"}));
    auth.node("a credential of the repeater", device, &["127.0.0.1:1"]).await.expect(201);

    // What is new since then works on top.
    let berta = json!({"username": "berta", "password": PASSWORD, "packages": ["basic"]});
    auth.admin(Method::POST, "/users", Some(berta)).await.expect(201);
    let acts = auth.admin(Method::GET, "/audit", None).await.expect(200);
    assert_eq!(acts["acts"][0]["act"], "user added");
    assert_eq!(auth.get("/v1/guide").await.status, 404, "there is no guide yet");
}

async fn who_holds_a_newer_database_is_refused(database: Database) {
    old(&database).await;
    Auth::start_on(Database::at(database.url.clone()), |_| {}).await.restart().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    sql(&database, newer).await;
    let store = auth::store::Store::open(&database.url.parse().unwrap(), None).unwrap();
    let refused = store.prepare(0).await.unwrap_err();
    assert!(format!("{refused:?}").contains("9999"), "{refused:?}");
}
