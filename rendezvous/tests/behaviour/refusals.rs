//! Each reason for which a node is refused, and that it is told.

use std::sync::Arc;

use link::protocol::{Event, Refusal, Request, VERSION};
use ticket::{Identity, Issuer, Role};

use crate::auth::now;
use crate::stage::{Stage, hello, publication};

async fn only_a_good_ticket_of_ones_own_opens_the_door() {
    let stage = Stage::new().await;
    let identity = Arc::new(Identity::generate());
    let good = stage.auth.user(identity.id(), Role::Viewer, &["one"]);

    let changed = |change: &dyn Fn(&mut ticket::UserTicket)| {
        let mut ticket = good.clone();
        change(&mut ticket);
        stage.auth.sign(&ticket)
    };
    let expired = changed(&|t| (t.iat, t.exp) = (now() - 700, now() - 100));
    let early = changed(&|t| (t.iat, t.exp) = (now() + 300, now() + 900));
    let lasting = changed(&|t| t.exp = t.iat + 86_400);
    let elsewhere = changed(&|t| t.aud = "other-tv".into());
    let mut forged = stage.auth.sign(&good);
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    // Signed by a stranger who names auth's key.
    let usurped = Issuer::new("first", &Identity::generate()).user(&good);
    let unknown = Issuer::new("nobody's", &Identity::generate()).user(&good);

    for (token, says) in [
        (expired, "expired"),
        (early, "not valid yet"),
        (lasting, "longer than allowed"),
        (elsewhere, "another platform"),
        (forged, "forged"),
        (usurped, "forged"),
        (unknown, "unknown key"),
        ("nonsense".into(), "malformed"),
        ("x".repeat(10_000), "malformed"),
    ] {
        let refused = stage.come_with(identity.clone(), token).await.err().unwrap();
        assert_eq!(refused.0, Refusal::Ticket, "{refused:?}");
        assert!(refused.1.contains(says), "{refused:?} lacks {says}");
    }

    let thief = Arc::new(Identity::generate());
    let refused = stage.come_with(thief, stage.auth.sign(&good)).await.err().unwrap();
    assert_eq!(refused, (Refusal::Ticket, "ticket belongs to another device".into()));

    assert!(stage.come_with(identity, stage.auth.sign(&good)).await.is_ok());
    let metrics = stage.text("/metrics").await;
    let counted = r#"braidcast_rendezvous_refusals_total{reason="ticket"} 10"#;
    assert!(metrics.contains(counted), "{metrics}");
}

async fn a_channel_outside_the_package_is_refused_by_name() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("two", 2, 0)).await.unwrap();
    for role in [Role::Viewer, Role::Repeater] {
        let mut node = stage.node(role, &["one"]).await;
        let refused = node.join("two").await.unwrap_err();
        let reason = "channel two is not in your package";
        assert_eq!(refused, (Refusal::NotEntitled, reason.into()));
        // Nor is there a way around it.
        let swarm = crate::stage::swarm_of(2).0;
        node.tell(Request::FindPeers { swarm }).await;
        let report = link::protocol::SwarmReport { swarm, ..Default::default() };
        node.tell(Request::Report(vec![report])).await;
        let peers = node
            .find(|event| match event {
                Event::Peers { peers, .. } => Some(peers),
                _ => None,
            })
            .await;
        assert_eq!(peers, []);
        node.in_step().await;
    }
    let members = stage
        .server()
        .hub()
        .look(|map, now| map.details(now, crate::stage::swarm_of(2), 0, 9).unwrap().len());
    assert_eq!(members, 1, "only the headend");
}

async fn only_headends_that_may_do_so_publish() {
    let stage = Stage::new().await;
    for (role, channels, refusal) in [
        (Role::Viewer, ["*"], Refusal::Role),
        (Role::Repeater, ["*"], Refusal::Role),
        (Role::Headend, ["two"], Refusal::NotEntitled),
    ] {
        let mut node = stage.node(role, &channels).await;
        assert_eq!(node.publish(publication("one", 1, 0)).await.unwrap_err().0, refusal);
    }
    let (_, channels) = stage.get("/v1/channels").await;
    assert_eq!(channels["channels"], serde_json::json!([]));
}

async fn another_version_and_another_first_word_are_refused() {
    let stage = Stage::new().await;
    let identity = Arc::new(Identity::generate());
    let ticket = stage.auth.sign(&stage.auth.user(identity.id(), Role::Viewer, &["one"]));
    let Request::Hello { advertise, software, .. } = hello(String::new()) else { unreachable!() };
    let newer = Request::Hello { version: VERSION + 1, ticket, advertise, software };
    for first in [newer, Request::Clock { sent: 1 }] {
        let refused = stage.say(identity.clone(), first).await.err().unwrap();
        assert_eq!(refused.0, Refusal::Version, "{refused:?}");
    }
}

async fn a_rendezvous_does_not_sign_in_at_another() {
    let stage = Stage::new().await;
    let identity = Identity::generate();
    let ticket = stage.auth.user(identity.id(), Role::Rendezvous, &["*"]);
    assert_eq!(stage.come(identity, &ticket).await.err().unwrap().0, Refusal::Role);
}

async fn who_is_revoked_is_dropped_and_stays_out_and_everyone_is_told() {
    let stage = Stage::new().await;
    let mut bystander = stage.node(Role::Repeater, &["one"]).await;
    let mut culprit = stage.node(Role::Viewer, &["one"]).await;
    let session = format!("session of {}", culprit.id());
    stage.auth.revoke(&session, "account disabled");

    let last = culprit.rest().await.pop();
    let reason = "account disabled".to_owned();
    assert_eq!(last, Some(Event::Refused { refusal: Refusal::Revoked, reason: reason.clone() }));
    let told = bystander
        .find(|event| match event {
            Event::Revoked(sessions) => Some(sessions),
            _ => None,
        })
        .await;
    assert_eq!(told, std::slice::from_ref(&session));

    let token = stage.auth.sign(&stage.auth.user(culprit.id(), Role::Viewer, &["one"]));
    let refused = stage.come_with(culprit.identity.clone(), token).await.err().unwrap();
    assert_eq!(refused, (Refusal::Revoked, reason));
    // Who comes later is told too.
    let mut later = stage.node(Role::Viewer, &["one"]).await;
    assert_eq!(later.next().await, Some(Event::Revoked(vec![session])));
}

async fn a_renewal_with_somebody_elses_ticket_ends_the_session() {
    let stage = Stage::new().await;
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let mut other = stage.auth.user(viewer.id(), Role::Viewer, &["one"]);
    other.sub = "somebody else".into();
    let ticket = Some(stage.auth.sign(&other));
    viewer.tell(Request::Renew { ticket }).await;
    let last = viewer.rest().await.pop();
    assert!(matches!(last, Some(Event::Refused { refusal: Refusal::Ticket, .. })), "{last:?}");
}

crate::on_both!(
    only_a_good_ticket_of_ones_own_opens_the_door,
    a_channel_outside_the_package_is_refused_by_name,
    only_headends_that_may_do_so_publish,
    another_version_and_another_first_word_are_refused,
    a_rendezvous_does_not_sign_in_at_another,
    who_is_revoked_is_dropped_and_stays_out_and_everyone_is_told,
    a_renewal_with_somebody_elses_ticket_ends_the_session,
);
