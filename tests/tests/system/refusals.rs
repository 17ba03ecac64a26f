//! Who may not is refused, with the reason.

use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use link::protocol::{Event, Refusal};
use serde_json::Value;
use system_tests::peer::{Registered, sign_in};
use ticket::{Identity, Issuer, UserTicket};

const LIMIT: Duration = Duration::from_secs(30);

async fn stage() -> Result<Stage> {
    Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 400), ..Channel::new("one", Source::Test) }],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_told_why() -> Result<()> {
    let mut stage = stage().await?;
    let anna = Watch::new("127.0.1.11", "one");
    let cases = [
        (
            Watch { user: ("anna".into(), "guessed".into()), ..anna.clone() },
            "wrong user or password",
        ),
        (
            Watch { user: ("nobody".into(), "guessed".into()), ..anna.clone() },
            "wrong user or password",
        ),
        (
            Watch { user: ("bert".into(), anna.user.1.clone()), ..anna.clone() },
            "channel one is not in your package",
        ),
        (Watch { channel: "two".into(), ..anna.clone() }, "channel two"),
    ];
    for (watch, reason) in cases {
        let (code, said) = stage.watch(watch)?.outcome(LIMIT).await?;
        assert_eq!(code, Some(1), "{reason}: {said}");
        assert!(said.contains(reason), "`{reason}` is not in:\n{said}");
    }

    // A disabled account is refused like a wrong password or with a reason, and never plays.
    stage.administer(&["user", "disable", "anna"]).await?;
    let (code, said) = stage.watch(anna)?.outcome(LIMIT).await?;
    assert_eq!(code, Some(1), "{said}");
    stage.strike().await
}

/// Says hello to rendezvous as `device` with `ticket`, and gives its answer.
async fn hello(stage: &Stage, device: Identity, ticket: String) -> Result<Event> {
    let (node, event) = Registered::hello(&stage.auth_url(), "127.0.1.77", device, ticket).await?;
    node.endpoint.close("done").await;
    Ok(event)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rendezvous_takes_no_ticket_but_the_devices_own() -> Result<()> {
    let mut stage = stage().await?;
    let refused = |event: Event, reason: &str| match event {
        Event::Refused { refusal: Refusal::Ticket, reason: said } => {
            assert!(said.contains(reason), "`{reason}` is not in `{said}`");
        }
        other => panic!("{reason}: {other:?}"),
    };

    let device = Identity::generate();
    let user = Watch::new("", "").user;
    let ticket = sign_in(&stage.auth_url(), &user, device.id()).await?;
    let seed = Identity::generate();
    refused(hello(&stage, seed, ticket.clone()).await?, "another device");

    // Forged: right claims and key name, another key's signature.
    let jwks = reqwest::get(format!("{}/v1/jwks.json", stage.auth_url())).await?.text().await?;
    let keys = ticket::KeySet::from_json(&jwks)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut claims = UserTicket::check(&ticket, &keys, "stage", device.id(), now)?;
    let thief = Identity::generate();
    claims.cnf = ticket::Confirmation::new(thief.id());
    let kid = &keys.keys()[0].kid;
    let forged = Issuer::new(kid.clone(), &thief).user(&claims);
    refused(hello(&stage, thief, forged).await?, "forged");

    match hello(&stage, device, ticket).await? {
        Event::Welcome { line_up, .. } => assert_eq!(line_up.len(), 1, "{line_up:?}"),
        other => panic!("{other:?}"),
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_repeater_is_dropped_by_all() -> Result<()> {
    let mut stage = stage().await?;
    let mut viewer = stage.watch(Watch::new("127.0.1.11", "one"))?;
    viewer.playing().await?;
    let repeater: Value =
        serde_json::from_str(&std::fs::read_to_string(stage.folder().join("repeater-0.json"))?)?;
    let id = repeater["peer_id"].as_str().context("a peer id")?.to_owned();
    let fed = |figures: &demo::Figures| figures.substreams.iter().any(|from| from.parent == id);
    until("the nearest repeater feeds the viewer", || viewer.figures().is_ok_and(|f| fed(&f)))
        .await;

    stage.administer(&["node", "revoke", "repeater-0"]).await?;
    until("the viewer leaves it", || viewer.figures().is_ok_and(|f| !fed(&f))).await;
    until("the repeater is told", || {
        let log = stage.repeaters[0].log();
        log.contains("revoked") || log.contains("not valid")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let figures = viewer.figures()?;
    assert_eq!(figures.stalls, 0, "{figures:#?}");
    assert!(!fed(&figures), "{figures:#?}");
    viewer.stop().await
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within 30 s: {what}");
}
