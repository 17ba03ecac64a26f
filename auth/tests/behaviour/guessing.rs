//! Guessing is slowed down, and nobody is locked out by it.

use std::time::Duration;

use reqwest::Method;

use crate::database::Database;
use crate::support::{ADMINISTRATOR, Auth, PASSWORD, device};

crate::on_both!(
    wrong_passwords_are_limited_and_forgiven,
    a_known_device_is_not_locked_out,
    the_administrators_token_cannot_be_guessed_either,
);

async fn wrong_passwords_are_limited_and_forgiven(database: Database) {
    let auth = Auth::start_with(database, |config| {
        config.limits.pair_failures = 3;
        config.limits.pair_forgiven_every = service::config::Duration::from_secs(1);
    })
    .await;
    for _ in 0..3 {
        assert_eq!(auth.sign_in("anna", "wrong", device()).await.problem(401), "wrong-credentials");
    }
    // The passwords are no longer looked at; it may take some time until here.
    let mut limited = None;
    for _ in 0..100 {
        let reply = auth.sign_in("anna", "wrong", device()).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("guessing without end");
    assert_eq!(limited.retry_after, Some(1));
    assert_eq!(limited.problem(429), "too-many-attempts");
    // Unknown names are limited in the same way, and others not at all.
    auth.sign_in("berta", PASSWORD, device()).await.problem(401);
    loop {
        let reply = auth.sign_in("anna", PASSWORD, device()).await;
        if reply.status == 201 {
            break;
        }
        let wait = reply.retry_after.unwrap();
        reply.problem(429);
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
}

async fn a_known_device_is_not_locked_out(database: Database) {
    let auth = Auth::start(database).await;
    let known = device();
    auth.anna(known).await;
    while auth.sign_in("anna", "wrong", device()).await.status != 429 {}
    assert_eq!(auth.sign_in("anna", PASSWORD, device()).await.problem(429), "too-many-attempts");
    auth.anna(known).await;
}

async fn the_administrators_token_cannot_be_guessed_either(database: Database) {
    let auth = Auth::start_with(database, |config| config.limits.prefix_failures = 4).await;
    let ask = async |token| auth.call(Method::GET, "/v1/admin/users", token, None).await;
    ask(Some(ADMINISTRATOR)).await.expect(200);
    assert_eq!(ask(None).await.problem(401), "not-administrator");
    let mut limited = false;
    for _ in 0..100 {
        limited |= ask(Some("guess")).await.status == 429;
    }
    assert!(limited);
}
