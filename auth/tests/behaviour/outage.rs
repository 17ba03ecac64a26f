//! The database goes away and comes back.

use std::sync::Arc;

use crate::database::{Database, Postgres};
use crate::support::{Auth, CREDENTIAL, PASSWORD, device, until};

#[tokio::test]
async fn without_its_database_auth_says_so_and_recovers_by_itself() {
    let Some(server) = tokio::task::spawn_blocking(Postgres::start).await.unwrap() else { return };
    let server = Arc::new(server);
    let url = server.new_database().await;
    let auth = Auth::start(Database::at(url)).await;
    let phone = device();
    let session = auth.anna(phone).await;
    auth.node(CREDENTIAL, device(), &["127.0.0.1:1"]).await.expect(201);
    assert!(auth.get("/readyz").await.status.is_success());

    let stopping = Arc::clone(&server);
    tokio::task::spawn_blocking(move || stopping.stop()).await.unwrap();
    until("readyz says what is missing", || async {
        let reply = auth.get("/readyz").await;
        reply.status == 503 && reply.body["missing"]["database"].is_string()
    })
    .await;
    let reply = auth.sign_in("anna", PASSWORD, phone).await;
    assert_eq!(reply.retry_after, Some(2));
    assert_eq!(reply.problem(503), "unavailable");
    assert_eq!(auth.refresh(&session["refresh_token"]).await.problem(503), "unavailable");
    // What was known goes on: whoever holds a ticket can be checked, and finds rendezvous.
    assert!(auth.get("/healthz").await.status.is_success());
    assert!(auth.check(&session, phone).await.is_ok());
    let found = auth.get("/.well-known/braidcast").await.expect(200);
    assert_eq!(found["rendezvous"].as_array().unwrap().len(), 1);

    let resuming = Arc::clone(&server);
    tokio::task::spawn_blocking(move || resuming.resume()).await.unwrap();
    until("auth is ready again", || async { auth.get("/readyz").await.status.is_success() }).await;
    auth.anna(phone).await;
    auth.refresh(&session["refresh_token"]).await.expect(200);
}
