//! The swarm map in a real browser, with a handful of viewers and with thousands: `tests/ui/map.js` looks at it.

use std::path::{Path, PathBuf};

use link::protocol::{Request, SwarmReport, VERSION};
use rendezvous::hub::{Caller, Inbox, Outbox};
use ticket::{Identity, Location, Role};

use crate::stage::{ADMIN, Stage, publication, swarm_of};

/// A node at the hub, behind QUIC: sockets would be the load here, and are not what is looked at.
struct Seated {
    caller: Caller,
    inbox: Inbox,
}

fn seat(stage: &Stage, number: usize, role: Role, networks: usize) -> Seated {
    let id = Identity::generate().id();
    let mut ticket = stage.auth.user(id, role, &["*"]);
    // The first networks are the largest.
    let network = (number * number / 7 + number) % (networks * (networks + 1) / 2);
    let asn = (0..networks).find(|i| network < (i + 1) * networks - i * (i + 1) / 2).unwrap_or(0);
    let country = ["CH", "DE", "FR", "AT"][asn % 4].parse().ok();
    ticket.loc = Location { subset: None, asn: Some(64_500 + asn as u32), country };
    let ticket = stage.auth.sign(&ticket);
    let (outbox, inbox) = Outbox::new();
    let [a, b] = (number as u16).to_be_bytes();
    let from = ([127, 1 + role as u8, a, b], 7000).into();
    let software = "browser 1".into();
    let hello = Request::Hello { version: VERSION, ticket, advertise: vec![from], software };
    let caller = stage.server().hub().hello(id, from, &hello, &outbox).unwrap();
    Seated { caller, inbox }
}

fn watch(stage: &Stage, seated: &mut Seated, number: usize) {
    let hub = stage.server().hub();
    hub.answer(&seated.caller, Request::Join { channel: "one".into(), rendition: None });
    // A few are late, and a few have stalled.
    let n = number as u64;
    for round in 1..3 {
        let report = SwarmReport {
            swarm: swarm_of(1).0,
            have: (0..8).collect(),
            free: (number % 4) as u16,
            pushed: (number % 3) as u16 * 4,
            lag_ms: if number % 23 == 3 { 2500 } else { 300 },
            stalls: u32::from(number % 37 == 4),
            bytes_in: [round * 10_000, round * (n % 7) * 300_000, round * (n % 11) * 400_000],
            ..SwarmReport::default()
        };
        hub.answer(&seated.caller, Request::Report(vec![report]));
    }
    while seated.inbox.events.try_recv().is_ok() {}
}

async fn shown(viewers: usize, networks: usize) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let modules = top.join(".cache/browser/node_modules");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    if !modules.is_dir() || !Path::new(&chromium).is_file() {
        eprintln!("skipped: there is no browser (make setup-test)");
        return;
    }
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut seated: Vec<Seated> =
        (0..viewers).map(|i| seat(&stage, i, Role::Viewer, networks)).collect();
    let repeaters = if viewers > 100 { 12 } else { 2 };
    seated.extend((0..repeaters).map(|i| seat(&stage, i, Role::Repeater, networks)));
    for (number, node) in seated.iter_mut().enumerate() {
        watch(&stage, node, number);
    }
    let address = format!("http://{}", stage.server().http);
    let nodes = (viewers + repeaters + 1).to_string();
    let known = networks.to_string();
    let mut story = tokio::process::Command::new("node");
    story.arg(top.join("tests/ui/map.js")).args([&address, ADMIN, &nodes, &known]);
    if let Some(folder) = std::env::var_os("PICTURES").map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        story.arg(folder);
    }
    let output = story.env("NODE_PATH", modules).kill_on_drop(true).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn five_viewers_are_drawn() {
    shown(5, 2).await;
}

#[tokio::test]
async fn five_thousand_viewers_are_drawn() {
    shown(5000, 40).await;
}
