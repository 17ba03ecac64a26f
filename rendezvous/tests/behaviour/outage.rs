//! Auth or rendezvous itself is away for a while.

use std::sync::Arc;

use link::protocol::{Event, Refusal, Request, SwarmReport};
use ticket::{Identity, Role};

use crate::auth::now;
use crate::stage::{Guest, PATIENCE, Stage, publication, swarm_of, until};

async fn it_waits_for_auth_and_says_so() {
    let mut stage = Stage::dark(|_| ()).await;
    stage.auth.down().await;
    stage.start().await;
    until(async || {
        let (code, body) = stage.get("/readyz").await;
        code == 503 && body["missing"]["auth"].as_str().unwrap().contains("cannot be reached")
    })
    .await;
    assert_eq!(stage.get("/healthz").await.0, 200);

    // A node is sent away without a verdict on its ticket.
    let identity = Arc::new(Identity::generate());
    let token = stage.auth.sign(&stage.auth.user(identity.id(), Role::Viewer, &["one"]));
    let local = "127.0.0.1:0".parse().unwrap();
    let endpoint = link::Endpoint::bind(local, identity.clone(), &[]).unwrap();
    let (quic, id) = (stage.server().quic, stage.server().id);
    let purpose = link::Purpose::Rendezvous;
    let connection = endpoint.connect(quic, id, purpose).await.unwrap();
    let (mut send, mut recv) = connection.quic.open_bi().await.unwrap();
    link::protocol::write(&mut send, &crate::stage::hello(token.clone())).await.unwrap();
    assert!(link::protocol::read::<Event>(&mut recv).await.is_err());

    stage.auth.up().await;
    stage.ready().await;
    assert!(stage.come_with(identity, token).await.is_ok());
}

async fn a_wrong_credential_is_named_in_its_health() {
    let mut stage = Stage::dark(|_| ()).await;
    let Some(service::config::Secret::File(path)) = &stage.config.auth.credential else { panic!() };
    std::fs::write(path, "wrong").unwrap();
    stage.start().await;
    until(async || {
        let (code, body) = stage.get("/readyz").await;
        code == 503 && body["missing"]["auth"] == "auth refuses: no node has this credential"
    })
    .await;
}

async fn it_is_listed_with_the_addresses_that_others_should_use() {
    let stage = Stage::with(|config| {
        config.advertise.quic = vec!["198.51.100.1:7881".parse().unwrap()];
        config.advertise.http = Some("https://rendezvous.tv.example/".parse().unwrap());
    })
    .await;
    let said = &stage.auth.signed_in()[0];
    assert_eq!(said["device_key"], stage.server().id.to_string());
    assert_eq!(said["advertise"]["quic"], serde_json::json!(["198.51.100.1:7881"]));
    assert_eq!(said["advertise"]["http"], "https://rendezvous.tv.example/");

    let plain = Stage::new().await;
    let said = &plain.auth.signed_in()[0];
    assert_eq!(said["advertise"]["quic"][0], plain.server().quic.to_string());
    assert_eq!(said["advertise"]["http"], format!("http://{}/", plain.server().http));
}

async fn it_starts_again_while_auth_is_away_and_still_knows_who_is_revoked() {
    let mut stage = Stage::new().await;
    let id = stage.server().id;
    let mut culprit = stage.node(Role::Viewer, &["one"]).await;
    stage.auth.revoke(&format!("session of {}", culprit.id()), "node revoked");
    culprit.rest().await;
    stage.stop().await;
    stage.auth.down().await;
    stage.start().await;
    assert_eq!(stage.server().id, id);

    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let told = Event::Revoked(vec![format!("session of {}", culprit.id())]);
    assert_eq!(viewer.next().await, Some(told));
    let token = stage.auth.sign(&stage.auth.user(culprit.id(), Role::Viewer, &["one"]));
    let refused = stage.come_with(culprit.identity, token).await.err().unwrap();
    assert_eq!(refused, (Refusal::Revoked, "node revoked".into()));
}

/// A node that was here before, with its own key.
async fn back(stage: &Stage, before: &Guest, role: Role) -> Guest {
    let ticket = stage.auth.user(before.id(), role, &["one"]);
    let token = stage.auth.sign(&ticket);
    stage.come_with(before.identity.clone(), token).await.unwrap()
}

async fn after_a_restart_the_map_is_whole_again_from_what_nodes_say() {
    let mut stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut nodes = Vec::new();
    for role in [Role::Repeater, Role::Repeater, Role::Viewer, Role::Viewer] {
        let mut node = stage.node(role, &["one"]).await;
        node.join("one").await.unwrap();
        nodes.push((role, node));
    }
    stage.stop().await;
    stage.start().await;
    let start = tokio::time::Instant::now();

    // The viewers are back before the headend is: one reports as if nothing had happened, the other
    // asks again.
    let mut returned = Vec::new();
    for (role, node) in &nodes {
        returned.push(back(&stage, node, *role).await);
    }
    let wish = Request::Join { channel: "one".into(), rendition: None };
    returned[3].tell(wish).await;
    let report = || SwarmReport { swarm: swarm_of(1).0, free: 2, ..Default::default() };
    for node in &mut returned {
        node.tell(Request::Report(vec![report()])).await;
        node.in_step().await;
    }
    let mut headend = back(&stage, &headend, Role::Headend).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    // Who waited is answered now.
    let keys = returned[3]
        .find(|event| match event {
            Event::Channel { keys, .. } => Some(keys),
            Event::NoChannel { reason, .. } => panic!("{reason}"),
            _ => None,
        })
        .await;
    assert_eq!(keys.len(), 2);
    for node in &mut returned {
        node.tell(Request::Report(vec![report()])).await;
        node.in_step().await;
    }
    let (_, map) = stage.get_as("/v1/swarms", Some(crate::stage::ADMIN)).await;
    let counted = serde_json::json!({"headend": 1, "repeater": 2, "viewer": 2});
    assert_eq!(map["swarms"][0]["nodes"], counted, "{map}");
    assert_eq!(map["swarms"][0]["live"], true, "{map}");
    assert!(start.elapsed() < std::time::Duration::from_secs(30));
}

async fn a_ticket_is_renewed_though_auth_is_away_and_the_user_ticket_has_lapsed() {
    let mut stage = Stage::new().await;
    let identity = Arc::new(Identity::generate());
    let mut ticket = stage.auth.user(identity.id(), Role::Viewer, &["one"]);
    let mut viewer = stage.come_with(identity, stage.auth.sign(&ticket)).await.unwrap();
    stage.auth.down().await;
    (ticket.iat, ticket.exp) = (now() - 600, now() - 1);
    let lapsed = stage.auth.sign(&ticket);
    for shown in [None, Some(lapsed)] {
        viewer.tell(Request::Renew { ticket: shown }).await;
        let renewed = viewer
            .find(|event| match event {
                Event::Ticket { ticket } => Some(ticket),
                _ => None,
            })
            .await;
        assert!(renewed.len() > 100);
    }
}

async fn a_node_with_a_lapsed_ticket_comes_back_while_auth_is_away_and_only_then() {
    let mut stage = Stage::new().await;
    let identity = Arc::new(Identity::generate());
    let mut ticket = stage.auth.user(identity.id(), Role::Viewer, &["one"]);
    (ticket.iat, ticket.exp) = (now() - 700, now() - 100);
    let lapsed = stage.auth.sign(&ticket);
    let refused = stage.come_with(identity.clone(), lapsed.clone()).await.err().unwrap();
    assert_eq!(refused.0, Refusal::Ticket);
    stage.stop().await;
    stage.auth.down().await;
    stage.start().await;
    assert!(stage.come_with(identity.clone(), lapsed).await.is_ok());
    (ticket.iat, ticket.exp) = (now() - 90_600, now() - 90_000);
    let ancient = stage.auth.sign(&ticket);
    assert_eq!(stage.come_with(identity, ancient).await.err().unwrap().0, Refusal::Ticket);
}

async fn channels_keep_their_numbers_over_a_restart() {
    let mut stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    headend.publish(publication("two", 2, 0)).await.unwrap();
    let folder = stage.config.state.clone();
    until(async || {
        let kept = std::fs::read_to_string(folder.join("line-up.json")).unwrap_or_default();
        kept.contains("two")
    })
    .await;
    stage.stop().await;
    stage.start().await;
    // They come in another order.
    let mut headend = back(&stage, &headend, Role::Headend).await;
    headend.publish(publication("three", 3, 0)).await.unwrap_err();
    let mut other = stage.node(Role::Headend, &["*"]).await;
    other.publish(publication("three", 3, 0)).await.unwrap();
    other.publish(publication("two", 2, 0)).await.unwrap();
    let (_, body) = stage.get("/v1/channels").await;
    let numbers: Vec<_> = body["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| (channel["number"].as_u64().unwrap(), channel["id"].as_str().unwrap()))
        .collect();
    assert_eq!(numbers, [(1, "one"), (2, "two"), (3, "three")]);
    assert_eq!(body["channels"][0]["live"], false);
}

async fn a_new_key_of_auth_is_fetched_when_the_first_ticket_names_it() {
    let stage = Stage::new().await;
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    stage.auth.rotate();
    let late = tokio::time::timeout(PATIENCE, stage.node(Role::Viewer, &["one"])).await.unwrap();
    let Event::Welcome { key_set, .. } = late.welcome() else { panic!() };
    assert!(key_set.contains("key 1"), "{key_set}");
    let told = viewer
        .find(|event| match event {
            Event::KeySet(keys) => Some(keys),
            _ => None,
        })
        .await;
    assert_eq!(&told, key_set);
}

crate::on_both!(
    it_waits_for_auth_and_says_so,
    a_wrong_credential_is_named_in_its_health,
    it_is_listed_with_the_addresses_that_others_should_use,
    it_starts_again_while_auth_is_away_and_still_knows_who_is_revoked,
    after_a_restart_the_map_is_whole_again_from_what_nodes_say,
    a_ticket_is_renewed_though_auth_is_away_and_the_user_ticket_has_lapsed,
    a_node_with_a_lapsed_ticket_comes_back_while_auth_is_away_and_only_then,
    channels_keep_their_numbers_over_a_restart,
    a_new_key_of_auth_is_fetched_when_the_first_ticket_names_it,
);
