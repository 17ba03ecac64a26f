//! Rendezvous servers learn at once which sessions are void.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::database::Database;
use crate::support::{Auth, CREDENTIAL, device, until};

crate::on_both!(
    what_ended_is_told_in_order_and_once,
    a_waiting_rendezvous_is_told_at_once,
    only_rendezvous_servers_are_told,
);

async fn poll(auth: &Auth, ticket: &str, after: i64, wait: u64) -> Value {
    let path = format!("/v1/revocations?after={after}&wait={wait}");
    auth.call(Method::GET, &path, Some(ticket), None).await.expect(200)
}

async fn rendezvous(auth: &Auth) -> String {
    let reply = auth.node(CREDENTIAL, device(), &["127.0.0.1:1"]).await.expect(201);
    reply["ticket"].as_str().unwrap().to_owned()
}

async fn session(auth: &Auth, reply: &Value, device: ticket::PeerId) -> String {
    auth.check(reply, device).await.unwrap().jti
}

async fn what_ended_is_told_in_order_and_once(database: Database) {
    let auth = Auth::start(database).await;
    let bearer = rendezvous(&auth).await;
    assert_eq!(poll(&auth, &bearer, 0, 0).await, json!({"next": 0, "revoked": []}));
    let phone = device();
    let first = auth.anna(phone).await;
    let (one, two) = (session(&auth, &first, phone).await, auth.anna(phone).await);
    let two = session(&auth, &two, phone).await;
    auth.call(Method::DELETE, "/v1/sessions/current", first["ticket"].as_str(), None)
        .await
        .expect(204);
    let told = poll(&auth, &bearer, 0, 0).await;
    assert_eq!(told["next"], 1);
    assert_eq!(told["revoked"], json!([{"seq": 1, "session": one, "reason": "signed out"}]));
    auth.admin(Method::PATCH, "/users/anna", Some(json!({"disabled": true}))).await.expect(200);
    let told = poll(&auth, &bearer, 1, 0).await;
    let second = json!([{"seq": 2, "session": two, "reason": "the account is disabled"}]);
    assert_eq!((&told["next"], &told["revoked"]), (&json!(2), &second));
    assert_eq!(poll(&auth, &bearer, 2, 0).await["revoked"], json!([]));
    let all = poll(&auth, &bearer, 99, 0).await;
    assert_eq!(all["next"], 2, "who knows another database is told everything");
    assert_eq!(all["revoked"].as_array().unwrap().len(), 2);
}

async fn a_waiting_rendezvous_is_told_at_once(database: Database) {
    let auth = Auth::start(database).await;
    let bearer = rendezvous(&auth).await;
    let phone = device();
    let reply = auth.anna(phone).await;
    let gone = session(&auth, &reply, phone).await;
    // By another process, such as the command line.
    let store = auth.store().await;
    let waiting = poll(&auth, &bearer, 0, 60);
    let revoking = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        store.set_disabled("anna", true, auth.now()).await.unwrap();
        Instant::now()
    };
    let (told, at) = tokio::join!(waiting, revoking);
    assert!(at.elapsed() < Duration::from_secs(20), "long before the time to wait is over");
    assert_eq!(told["revoked"][0]["session"], json!(gone));
    // The time to wait passes without anything.
    assert_eq!(poll(&auth, &bearer, 1, 1).await, json!({"next": 1, "revoked": []}));
}

async fn only_rendezvous_servers_are_told(database: Database) {
    let auth = Auth::start(database).await;
    let ask =
        async |ticket: Option<&str>| auth.call(Method::GET, "/v1/revocations", ticket, None).await;
    assert_eq!(ask(None).await.problem(401), "bad-ticket");
    assert_eq!(ask(Some("nonsense")).await.problem(401), "bad-ticket");
    let user = auth.anna(device()).await;
    assert_eq!(ask(user["ticket"].as_str()).await.problem(403), "forbidden");
    let repeater = auth.node("a credential of the repeater", device(), &[]).await.expect(201);
    assert_eq!(ask(repeater["ticket"].as_str()).await.problem(403), "forbidden");
    let bearer = rendezvous(&auth).await;
    ask(Some(&bearer)).await.expect(200);
    auth.store().await.revoke_node("rv", auth.now()).await.unwrap();
    assert_eq!(ask(Some(&bearer)).await.problem(401), "bad-ticket");
    until("the directory is empty", || async {
        auth.get("/.well-known/braidcast").await.expect(200)["rendezvous"] == json!([])
    })
    .await;
}
