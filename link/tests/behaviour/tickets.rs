//! Who has no good ticket is told why, and whose ticket ends is let go.

use std::time::Duration;

use crate::common::{Channel, Platform, Say, micros, start, until};
use link::ConnectionError;
use ticket::{Confirmation, Identity, Issuer, Role};

fn refused(reason: &str) -> ConnectionError {
    ConnectionError::Refused(reason.into())
}

#[tokio::test]
async fn each_fault_of_a_ticket_is_refused_with_its_reason() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let puppet = platform.puppet();
    let good = platform.claims(puppet.id(), Role::Viewer);
    let now = micros() / 1_000_000;

    let mut expired = good.clone();
    (expired.iat, expired.exp) = (now - 600, now - 1);
    let mut not_yet = good.clone();
    (not_yet.iat, not_yet.exp) = (now + 600, now + 700);
    let mut others = good.clone();
    others.cnf = Confirmation::new(Identity::generate().id());
    let mut elsewhere = good.clone();
    elsewhere.aud = "radio".into();
    let mut long = good.clone();
    long.exp = now + 100_000;
    let stranger = Identity::generate();
    let forged = Issuer::new(good.iss.to_string(), &stranger).channel(&good);
    let unknown = Issuer::new(stranger.id().to_string(), &stranger).channel(&good);
    let mut revoked = good.clone();
    revoked.jti = "revoked".into();
    node.revoke(&["revoked".into()]);

    for (token, reason) in [
        (platform.sign(&expired), "ticket has expired"),
        (platform.sign(&not_yet), "ticket is not valid yet"),
        (platform.sign(&others), "ticket belongs to another device"),
        (platform.sign(&elsewhere), "ticket is for another platform"),
        (platform.sign(&long), "ticket lives longer than allowed"),
        (forged, "ticket is forged"),
        (unknown, "ticket is signed by an unknown key"),
        ("nonsense".into(), "ticket is malformed"),
        (platform.sign(&revoked), "ticket was revoked"),
    ] {
        let error = puppet.dial(&node, token).await.err();
        assert_eq!(error, Some(refused(reason)));
    }
    until("nine were refused", || node.stats().refused == 9).await;
    assert_eq!(node.stats().connections, 0);

    let _strings = puppet.dial(&node, platform.sign(&good)).await.unwrap();
    until("the good one is in", || node.stats().connections == 1).await;
}

#[tokio::test]
async fn a_node_without_a_ticket_meets_nobody() {
    let platform = Platform::new();
    let node = start(Role::Repeater, 10).await;
    let puppet = platform.puppet();
    let token = platform.token(puppet.id(), Role::Viewer);
    let error = puppet.dial(&node, token).await.err();
    assert_eq!(error, Some(refused("this node has no ticket yet")));
}

#[tokio::test]
async fn a_channel_that_the_ticket_does_not_grant_is_not_entered() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let channel = Channel::new(2);
    let swarm = node.join(channel.spec());
    let puppet = platform.puppet();
    let mut claims = platform.claims(puppet.id(), Role::Viewer);
    claims.channels = vec!["two".into()];
    let mut strings = puppet.dial(&node, platform.sign(&claims)).await.unwrap();
    let id = swarm.id().0;
    strings.say(Say::Enter { swarm: id }).await;
    assert_eq!(strings.hear().await, Ok(Say::NotHere { swarm: id, absence: 1 }));
    strings.say(Say::Enter { swarm: [9; 16] }).await;
    assert_eq!(strings.hear().await, Ok(Say::NotHere { swarm: [9; 16], absence: 0 }));
    // Granted by a renewed ticket, and taken back by the next.
    strings.say(Say::Ticket { ticket: platform.token(puppet.id(), Role::Viewer) }).await;
    strings.enter(channel.swarm()).await;
    until("the engine has a partner", || swarm.stats().partners == 1).await;
    strings.say(Say::Ticket { ticket: platform.sign(&claims) }).await;
    assert_eq!(strings.hear().await, Ok(Say::NotHere { swarm: id, absence: 1 }));
    until("the engine has none", || swarm.stats().partners == 0).await;
}

#[tokio::test]
async fn a_ticket_that_ends_ends_the_connection_unless_it_is_renewed() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let (keeps, lapses) = (platform.puppet(), platform.puppet());
    let short = |puppet: &crate::common::Puppet| {
        let mut claims = platform.claims(puppet.id(), Role::Viewer);
        claims.exp = micros() / 1_000_000 + 2;
        platform.sign(&claims)
    };
    let mut renewed = keeps.dial(&node, short(&keeps)).await.unwrap();
    let lapsed = lapses.dial(&node, short(&lapses)).await.unwrap();
    renewed.say(Say::Ticket { ticket: platform.token(keeps.id(), Role::Viewer) }).await;
    assert_eq!(lapsed.ended().await, (2, "ticket has expired".into()));
    assert!(renewed.connection.quic.close_reason().is_none());
    until("one is left", || node.stats().connections == 1).await;
}

#[tokio::test]
async fn a_renewed_ticket_must_be_good_too() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let puppet = platform.puppet();
    let token = platform.token(puppet.id(), Role::Viewer);
    let mut strings = puppet.dial(&node, token).await.unwrap();
    let other = platform.token(Identity::generate().id(), Role::Viewer);
    strings.say(Say::Ticket { ticket: other }).await;
    assert_eq!(strings.ended().await, (2, "ticket belongs to another device".into()));
    let mut strings = puppet.dial(&node, platform.token(puppet.id(), Role::Viewer)).await.unwrap();
    strings.say(Say::Ticket { ticket: platform.token(puppet.id(), Role::Headend) }).await;
    assert_eq!(strings.ended().await, (2, "the role changed".into()));
}

#[tokio::test]
async fn who_is_revoked_is_dropped_at_once_and_stays_out() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let puppet = platform.puppet();
    let claims = platform.claims(puppet.id(), Role::Viewer);
    let strings = puppet.dial(&node, platform.sign(&claims)).await.unwrap();
    until("it is in", || node.stats().connections == 1).await;
    node.revoke(std::slice::from_ref(&claims.jti));
    assert_eq!(strings.ended().await, (2, "ticket was revoked".into()));
    let error = puppet.dial(&node, platform.sign(&claims)).await.err();
    assert_eq!(error, Some(refused("ticket was revoked")));
}

#[tokio::test]
async fn a_node_tells_partners_of_its_renewed_ticket() {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let puppet = platform.puppet();
    let token = platform.token(puppet.id(), Role::Viewer);
    let mut strings = puppet.dial(&node, token).await.unwrap();
    until("it is in", || node.stats().connections == 1).await;
    let mut claims = platform.claims(node.id(), Role::Repeater);
    claims.jti = "renewed".into();
    node.set_ticket(platform.sign(&claims), claims.loc);
    assert_eq!(strings.hear().await, Ok(Say::Ticket { ticket: platform.sign(&claims) }));
}

#[tokio::test]
async fn a_dialler_checks_whom_it_dialled_too() {
    let platform = Platform::new();
    let viewer = platform.node(Role::Viewer).await;
    let impostor = Platform::new().node(Role::Repeater).await;
    // The impostor believes the platform's keys, but its own ticket is another platform's.
    impostor.set_key_set(platform.keys());
    let channel = Channel::new(3);
    let swarm = viewer.join(channel.spec());
    let _other = impostor.join(channel.spec());
    swarm.candidates(vec![crate::common::hint(&impostor, Role::Repeater)]);
    until("it was refused", || viewer.stats().refused >= 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(swarm.stats().partners, 0);
}
