//! Users sign in, go on, and sign out.

use reqwest::Method;
use serde_json::{Value, json};
use ticket::Role;

use crate::database::Database;
use crate::support::{Auth, PASSWORD, device};

crate::on_both!(
    a_right_password_gives_a_ticket_for_this_device,
    what_is_wrong_is_refused_with_the_reason,
    refresh_tokens_are_used_once_and_end_the_session_when_stolen,
    a_lost_reply_locks_nobody_out,
    signing_out_ends_the_session,
    a_disabled_user_is_refused_and_told_why,
    packages_decide_about_channels_from_the_next_ticket_on,
    sessions_end_when_idle_or_too_many,
    tickets_outlive_the_key_that_signed_them,
);

async fn a_right_password_gives_a_ticket_for_this_device(database: Database) {
    let auth = Auth::start(database).await;
    let device = device();
    let reply = auth.anna(device).await;
    assert_eq!(reply["location"], json!({"subset": 7, "asn": 64512, "country": "CH"}));
    assert_eq!(reply["platform"], "tv");
    let ticket = auth.check(&reply, device).await.unwrap();
    assert_eq!(ticket.iss, auth.base);
    assert_eq!(ticket.role, Role::Viewer);
    assert_eq!(ticket.channels, ["one", "two"]);
    assert_eq!(ticket.loc.subset, Some(7));
    assert_eq!(ticket.exp, ticket.iat + 600);
    assert_eq!(reply["expires_at"], ticket.exp);
    assert_eq!(auth.check(&reply, crate::support::device()).await, Err(ticket::Error::OtherDevice));
    auth.pass(600);
    assert_eq!(auth.check(&reply, device).await, Err(ticket::Error::Expired));
}

async fn what_is_wrong_is_refused_with_the_reason(database: Database) {
    let auth = Auth::start(database).await;
    assert_eq!(auth.sign_in("anna", "wrong", device()).await.problem(401), "wrong-credentials");
    assert_eq!(auth.sign_in("nobody", PASSWORD, device()).await.problem(401), "wrong-credentials");
    let long = "x".repeat(2000);
    assert_eq!(auth.sign_in(&long, PASSWORD, device()).await.problem(401), "wrong-credentials");
    assert_eq!(auth.sign_in("anna", &long, device()).await.problem(401), "wrong-credentials");
    for (body, says) in [
        (json!({"username": "anna"}), "password"),
        (json!({"username": "anna", "password": PASSWORD, "device_key": "x"}), "device_key"),
        (json!(1), "invalid type"),
    ] {
        let reply = auth.call(Method::POST, "/v1/sessions", None, Some(body)).await;
        assert!(reply.body["detail"].as_str().unwrap().contains(says), "{reply:?}");
        assert_eq!(reply.problem(400), "malformed");
    }
    let huge = json!({"username": "x".repeat(100_000)});
    let reply = auth.call(Method::POST, "/v1/sessions", None, Some(huge)).await;
    assert_eq!(reply.problem(400), "malformed");
    assert_eq!(auth.get("/v1/sessions").await.problem(405), "wrong-method");
    assert_eq!(auth.get("/nothing").await.problem(404), "not-found");
}

async fn refresh_tokens_are_used_once_and_end_the_session_when_stolen(database: Database) {
    let auth = Auth::start(database).await;
    let device = device();
    let first = auth.anna(device).await;
    let other = auth.anna(device).await;
    auth.pass(300);
    let second = auth.refresh(&first["refresh_token"]).await.expect(200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let (was, is) = (auth.check(&first, device).await, auth.check(&second, device).await);
    assert_eq!(is.as_ref().unwrap().jti, was.unwrap().jti, "the same session");
    auth.pass(300);
    let third = auth.refresh(&second["refresh_token"]).await.expect(200);

    // Whoever comes with an old token has stolen it, or it was stolen from them.
    let reply = auth.refresh(&first["refresh_token"]).await;
    assert!(reply.body["detail"].as_str().unwrap().contains("twice"), "{reply:?}");
    assert_eq!(reply.problem(401), "session-ended");
    assert_eq!(auth.refresh(&third["refresh_token"]).await.problem(401), "session-ended");
    // Other sessions of the account are not touched.
    auth.refresh(&other["refresh_token"]).await.expect(200);
    assert_eq!(auth.refresh(&json!("nonsense")).await.problem(401), "unknown-token");
}

async fn a_lost_reply_locks_nobody_out(database: Database) {
    let auth = Auth::start(database).await;
    let device = device();
    let first = auth.anna(device).await;
    let token = &first["refresh_token"];
    let second = auth.refresh(token).await.expect(200);
    auth.pass(20);
    let again = auth.refresh(token).await.expect(200);
    assert_eq!(again["refresh_token"], second["refresh_token"], "the same successor");
    let with_key = |key: Value| json!({"refresh_token": token, "device_key": key});
    let call = |body| auth.call(Method::POST, "/v1/sessions/refresh", None, Some(body));
    let again = call(with_key(json!(device))).await.expect(200);
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    let stranger = crate::support::device();
    assert_eq!(call(with_key(json!(stranger))).await.problem(401), "other-device");

    // Many at once get the same, too.
    let token = &second["refresh_token"];
    let all = futures::future::join_all((0..8).map(|_| auth.refresh(token))).await;
    let all: Vec<Value> = all.into_iter().map(|reply| reply.expect(200)).collect();
    assert!(all.iter().all(|reply| reply["refresh_token"] == all[0]["refresh_token"]));

    auth.pass(31);
    assert_eq!(auth.refresh(token).await.problem(401), "session-ended");
}

async fn signing_out_ends_the_session(database: Database) {
    let auth = Auth::start(database).await;
    let session = auth.anna(device()).await;
    let ticket = session["ticket"].as_str();
    let path = "/v1/sessions/current";
    auth.call(Method::DELETE, path, ticket, None).await.expect(204);
    auth.call(Method::DELETE, path, ticket, None).await.expect(204);
    let reply = auth.refresh(&session["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "signed out");
    assert_eq!(reply.problem(401), "session-ended");

    let session = auth.anna(device()).await;
    let body = json!({"refresh_token": session["refresh_token"]});
    auth.call(Method::DELETE, path, None, Some(body)).await.expect(204);
    assert_eq!(auth.refresh(&session["refresh_token"]).await.problem(401), "session-ended");

    assert_eq!(auth.call(Method::DELETE, path, None, None).await.problem(401), "bad-ticket");
    let forged = format!("{}x", ticket.unwrap());
    let reply = auth.call(Method::DELETE, path, Some(&forged), None).await;
    assert_eq!(reply.problem(401), "bad-ticket");
}

async fn a_disabled_user_is_refused_and_told_why(database: Database) {
    let auth = Auth::start(database).await;
    let session = auth.anna(device()).await;
    let store = auth.store().await;
    assert_eq!(store.set_disabled("anna", true, auth.now()).await.unwrap(), 1);
    let reply = auth.refresh(&session["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "the account is disabled");
    assert_eq!(reply.problem(401), "session-ended");
    assert_eq!(auth.sign_in("anna", PASSWORD, device()).await.problem(403), "account-disabled");
    // Who does not know the password learns nothing.
    assert_eq!(auth.sign_in("anna", "wrong", device()).await.problem(401), "wrong-credentials");
    store.set_disabled("anna", false, auth.now()).await.unwrap();
    auth.anna(device()).await;
}

async fn packages_decide_about_channels_from_the_next_ticket_on(database: Database) {
    let auth = Auth::start(database).await;
    let device = device();
    let session = auth.anna(device).await;
    let store = auth.store().await;
    store.set_package("sport", &["three".into(), "one".into()], auth.now()).await.unwrap();
    store.set_account_packages("anna", &["basic".into(), "sport".into()]).await.unwrap();
    let session = auth.refresh(&session["refresh_token"]).await.expect(200);
    let channels = auth.check(&session, device).await.unwrap().channels;
    assert_eq!(channels, ["one", "three", "two"]);
    store.set_package("sport", &["*".into()], auth.now()).await.unwrap();
    let session = auth.refresh(&session["refresh_token"]).await.expect(200);
    assert_eq!(auth.check(&session, device).await.unwrap().channels, ["*"]);
    store.remove_package("basic").await.unwrap();
    store.remove_package("sport").await.unwrap();
    let session = auth.refresh(&session["refresh_token"]).await.expect(200);
    assert!(auth.check(&session, device).await.unwrap().channels.is_empty());
}

async fn sessions_end_when_idle_or_too_many(database: Database) {
    let auth = Auth::start_with(database, |config| config.sessions.per_account = 3).await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(auth.anna(device()).await);
        auth.pass(1);
    }
    let reply = auth.refresh(&sessions[0]["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "the account has too many sessions");
    auth.refresh(&sessions[1]["refresh_token"]).await.expect(200);
    auth.pass(31 * 86_400);
    let reply = auth.refresh(&sessions[2]["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "the session was idle for too long");
    assert_eq!(reply.problem(401), "session-ended");
}

async fn tickets_outlive_the_key_that_signed_them(database: Database) {
    let mut auth = Auth::start(database).await;
    let device = device();
    let old = auth.anna(device).await;
    let kid = auth.store().await.rotate_keys(auth.now()).await.unwrap();
    crate::support::until("the new key is published", || async {
        auth.keys().await.keys().iter().any(|key| key.kid == kid)
    })
    .await;
    let new = auth.anna(device).await;
    assert!(auth.check(&old, device).await.is_ok());
    assert!(auth.check(&new, device).await.is_ok());
    auth.restart().await;
    assert!(auth.check(&old, device).await.is_ok(), "keys last");
    auth.pass(700);
    let kids: Vec<_> = auth.keys().await.keys().iter().map(|key| key.kid.clone()).collect();
    assert_eq!(kids, [kid], "the old key is gone when nothing it signed is valid");
}
