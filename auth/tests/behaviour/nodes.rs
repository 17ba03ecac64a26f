//! Nodes sign in with their credentials, and rendezvous servers are found.

use reqwest::Method;
use serde_json::{Value, json};
use ticket::{KeyPurpose, Role};

use crate::database::Database;
use crate::support::{Auth, CREDENTIAL, device, until};

crate::on_both!(
    a_credential_gives_a_ticket_with_role_and_channels,
    wrong_and_revoked_credentials_are_refused,
    rendezvous_servers_are_found_while_they_report,
    restarts_of_auth_do_not_hide_rendezvous_servers,
);

async fn a_credential_gives_a_ticket_with_role_and_channels(database: Database) {
    let auth = Auth::start(database).await;
    let device = device();
    let reply = auth.node("a credential of the repeater", device, &[]).await.expect(201);
    assert_eq!(reply["platform"], "tv");
    assert_eq!(reply["location"]["subset"], 7);
    let ticket = auth.check(&reply, device).await.unwrap();
    assert_eq!((ticket.role, ticket.sub.as_str()), (Role::Repeater, "node:rep"));
    assert_eq!(ticket.channels, ["one"]);
    assert_eq!(reply["expires_at"], ticket.exp);
    let again = auth.node("a credential of the repeater", device, &[]).await.expect(201);
    assert_eq!(auth.check(&again, device).await.unwrap().jti, ticket.jti, "the same session");
}

async fn wrong_and_revoked_credentials_are_refused(database: Database) {
    let auth = Auth::start(database).await;
    let wrong = "a credential of nobody at all";
    assert_eq!(auth.node(wrong, device(), &[]).await.problem(401), "wrong-credential");
    let reply = auth.node(CREDENTIAL, device(), &["nowhere"]).await;
    assert!(reply.body["detail"].as_str().unwrap().contains("`nowhere` is not IP:PORT"));
    assert_eq!(reply.problem(400), "malformed");
    let body = json!({"credential": CREDENTIAL, "device_key": device()});
    auth.call(Method::POST, "/v1/nodes/sessions", None, Some(body)).await.expect(201);
    auth.store().await.revoke_node("rv", auth.now()).await.unwrap();
    assert_eq!(auth.node(CREDENTIAL, device(), &[]).await.problem(403), "node-revoked");
}

async fn rendezvous_servers_are_found_while_they_report(database: Database) {
    let auth = Auth::start(database).await;
    let found = || async { auth.get("/.well-known/braidcast").await.expect(200) };
    let nobody = found().await;
    assert_eq!(nobody["rendezvous"], json!([]));
    assert_eq!((&nobody["platform"], &nobody["auth"]), (&json!("tv"), &json!(auth.base)));
    let time = nobody["time"].as_u64().unwrap() / 1_000_000;
    assert!(time.abs_diff(u64::try_from(auth.now()).unwrap()) <= 1);

    let server = device();
    auth.node(CREDENTIAL, server, &["127.0.0.1:4711", "[::1]:4711"]).await.expect(201);
    let listed = json!([{
        "peer_id": server, "quic": ["127.0.0.1:4711", "[::1]:4711"], "http": "http://127.0.0.1:9",
    }]);
    assert_eq!(found().await["rendezvous"], listed, "at once");
    let keys = auth.keys().await;
    let key = keys.find(&server.to_string(), KeyPurpose::ChannelTicket).unwrap();
    assert_eq!(key.key, server);

    // It moves, and is not listed twice.
    auth.node(CREDENTIAL, server, &["127.0.0.1:4712"]).await.expect(201);
    assert_eq!(found().await["rendezvous"][0]["quic"], json!(["127.0.0.1:4712"]));
    assert_eq!(found().await["rendezvous"].as_array().unwrap().len(), 1);
    // Another one of the same credential is listed beside it, as long as it reports.
    let other = device();
    auth.pass(100);
    auth.node(CREDENTIAL, other, &["127.0.0.1:4713"]).await.expect(201);
    assert_eq!(found().await["rendezvous"].as_array().unwrap().len(), 2);
    auth.pass(100);
    let left = found().await["rendezvous"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["peer_id"], json!(other));
    let keys = auth.keys().await;
    assert!(
        keys.find(&server.to_string(), KeyPurpose::ChannelTicket).is_some(),
        "its tickets are still valid"
    );

    auth.store().await.revoke_node("rv", auth.now()).await.unwrap();
    until("a revoked rendezvous is gone from directory and key set", || async {
        let keys = auth.keys().await;
        found().await["rendezvous"] == Value::Array(vec![])
            && keys.find(&other.to_string(), KeyPurpose::ChannelTicket).is_none()
    })
    .await;
}

async fn restarts_of_auth_do_not_hide_rendezvous_servers(database: Database) {
    let mut auth = Auth::start(database).await;
    auth.node(CREDENTIAL, device(), &["127.0.0.1:4711"]).await.expect(201);
    auth.pass(600);
    let count = |reply: Value| reply["rendezvous"].as_array().unwrap().len();
    assert_eq!(count(auth.get("/.well-known/braidcast").await.expect(200)), 0);
    auth.restart().await;
    assert_eq!(
        count(auth.get("/.well-known/braidcast").await.expect(200)),
        1,
        "it could not report while auth was away"
    );
}
