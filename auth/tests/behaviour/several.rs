//! Several auths share one database: each knows at once, or soon, what the others did.

use reqwest::Method;
use serde_json::json;
use ticket::KeyPurpose;

use crate::database::Database;
use crate::support::{Auth, CREDENTIAL, device, until};

crate::on_both!(what_one_does_the_other_knows, many_sign_in_at_once);

async fn what_one_does_the_other_knows(database: Database) {
    let one = Auth::start(database).await;
    let other = one.beside().await;
    let phone = device();
    let session = one.anna(phone).await;
    assert!(other.check(&session, phone).await.is_ok(), "they sign with the same keys");
    let next = other.refresh(&session["refresh_token"]).await.expect(200);
    let again = one.refresh(&session["refresh_token"]).await.expect(200);
    assert_eq!(next["refresh_token"], again["refresh_token"], "the same successor from both");

    let server = device();
    let signed = one.node(CREDENTIAL, server, &["127.0.0.1:1"]).await.expect(201);
    until("the other lists the rendezvous", || async {
        let found = other.get("/.well-known/braidcast").await.expect(200);
        found["rendezvous"][0]["peer_id"] == json!(server)
            && other.keys().await.find(&server.to_string(), KeyPurpose::ChannelTicket).is_some()
    })
    .await;

    let path = "/v1/revocations?after=0&wait=60";
    let waiting = other.call(Method::GET, path, signed["ticket"].as_str(), None);
    let ending = one.call(Method::DELETE, "/v1/sessions/current", session["ticket"].as_str(), None);
    let (told, ended) = tokio::join!(waiting, ending);
    ended.expect(204);
    assert_eq!(told.expect(200)["revoked"][0]["reason"], "signed out");
}

async fn many_sign_in_at_once(database: Database) {
    let one = Auth::start(database).await;
    let other = one.beside().await;
    let sign_ins = (0..24).map(|i| if i % 2 == 0 { &one } else { &other }.anna(device()));
    let sessions = futures::future::join_all(sign_ins).await;
    let refreshes = sessions.iter().map(|session| one.refresh(&session["refresh_token"]));
    for reply in futures::future::join_all(refreshes).await {
        reply.expect(200);
    }
    let living = one.admin(Method::GET, "/sessions?user=anna", None).await.expect(200);
    assert_eq!(living["sessions"].as_array().unwrap().len(), 24);
}
