//! Who watches: told to webhooks, listed for the operator, and limited by account.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use link::protocol::Refusal;
use rendezvous::config::Webhook;
use serde_json::Value;
use service::Stop;
use ticket::{Identity, Role};

use crate::stage::{ADMIN, Guest, Stage, publication, swarm_of, until};

const SECRET: &str = "what the receiver knows too";

/// A receiver that refuses the first message it gets, once.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Value>>>,
    refused: Arc<Mutex<usize>>,
    stop: Stop,
}

impl Receiver {
    async fn start() -> Self {
        let (got, refused) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (keep, refuse) = (got.clone(), refused.clone());
        let take = move |headers: HeaderMap, body: String| async move {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
            let expected = rendezvous::webhooks::sign(SECRET, &id, time.parse().unwrap(), &body);
            assert_eq!(header("webhook-signature"), expected);
            let mut refused = refuse.lock().unwrap();
            if *refused == 0 {
                *refused += 1;
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            keep.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            StatusCode::NO_CONTENT
        };
        let router = axum::Router::new().route("/hook", axum::routing::post(take));
        let stop = Stop::new();
        let at = "127.0.0.1:0".parse().unwrap();
        let (addr, _task) = service::serve(at, router, stop.clone()).await.unwrap();
        Self { url: format!("http://{addr}/hook"), got, refused, stop }
    }

    async fn kinds(&self, expected: &[&str]) {
        until(async || {
            let got = self.got.lock().unwrap();
            let kinds: Vec<_> = got.iter().map(|one| one["type"].as_str().unwrap()).collect();
            kinds == expected
        })
        .await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.request();
    }
}

async fn webhooks_are_told_in_order_signed_and_again_if_refused() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let stage = Stage::with(|config| {
        let secret = service::config::Secret::File(secret);
        config.webhooks =
            vec![Webhook { url: receiver.url.parse().unwrap(), secret, events: Vec::new() }];
    })
    .await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    receiver.kinds(&["channel.on_air"]).await;
    assert_eq!(*receiver.refused.lock().unwrap(), 1);
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    viewer.join("one").await.unwrap();
    receiver.kinds(&["channel.on_air", "viewer.started"]).await;
    let report = link::protocol::SwarmReport {
        swarm: swarm_of(1).0,
        stalls: 3,
        bytes_in: [1, 2, 3],
        ..Default::default()
    };
    viewer.tell(link::protocol::Request::Report(vec![report])).await;
    viewer.in_step().await;
    let account = format!("account of {}", viewer.id());
    viewer.vanish();
    receiver.kinds(&["channel.on_air", "viewer.started", "viewer.stopped"]).await;
    let got = receiver.got.lock().unwrap();
    let data = &got[2]["data"];
    assert_eq!((&data["account"], &data["stalls"]), (&account.into(), &3.into()));
    assert_eq!(data["location"]["country"], "CH");
    assert_eq!(data["bytes_in"]["viewer"], 3);
    assert!(!got[2].to_string().contains("127.0.0"), "no address");
}

/// Another device of an account.
async fn device(stage: &Stage, account: &str) -> Guest {
    let identity = Identity::generate();
    let mut ticket = stage.auth.user(identity.id(), Role::Viewer, &["one"]);
    ticket.sub = account.into();
    stage.come(identity, &ticket).await.unwrap()
}

async fn an_account_plays_on_so_many_devices_and_no_more() {
    let stage = Stage::with(|config| config.limits.streams_per_account = 2).await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut first = device(&stage, "anna").await;
    let mut second = device(&stage, "anna").await;
    let mut third = device(&stage, "anna").await;
    first.join("one").await.unwrap();
    second.join("one").await.unwrap();
    let refused = third.join("one").await.unwrap_err();
    assert_eq!(refused, (Refusal::Limit, "your account plays on 2 devices already".into()));
    let mut other = device(&stage, "berta").await;
    other.join("one").await.unwrap();
    first.join("one").await.unwrap();
    second.vanish();
    until(async || stage.server().hub().sessions() == 4).await;
    third.join("one").await.unwrap();
}

async fn the_operator_sees_who_watches_what() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut viewer = device(&stage, "anna").await;
    viewer.join("one").await.unwrap();
    assert_eq!(stage.get("/v1/sessions").await.0, 401);
    let (_, body) = stage.get_as("/v1/sessions", Some(ADMIN)).await;
    let seen = &body["sessions"][1];
    assert_eq!((&seen["account"], &seen["role"]), (&"anna".into(), &"viewer".into()));
    assert_eq!(seen["session"], format!("session of {}", viewer.id()));
    assert_eq!(seen["watching"][0]["channel"], "one");
    assert!(!body.to_string().contains("127.0.0"), "no address");
    let (_, rest) = stage.get_as("/v1/sessions?skip=2", Some(ADMIN)).await;
    assert_eq!(rest["sessions"], serde_json::json!([]));
}

crate::on_both!(
    webhooks_are_told_in_order_signed_and_again_if_refused,
    an_account_plays_on_so_many_devices_and_no_more,
    the_operator_sees_who_watches_what,
);
