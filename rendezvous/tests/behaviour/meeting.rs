//! Viewers are introduced to each other, and told at what address they are seen.

use std::net::{IpAddr, SocketAddr};

use link::nat::{Access, Reach};
use link::protocol::{Candidate, CandidateKind, Event, Introduction, Request};
use ticket::{PeerId, Role};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::stage::{Guest, PATIENCE, Stage, publication};

/// A rendezvous with two reflectors on loopback, which the default does not have.
async fn stage() -> Stage {
    Stage::with(|config| {
        let ip = config.quic.listen.ip();
        let IpAddr::V4(v4) = ip else { panic!("the stage is of IPv4") };
        let other = std::net::Ipv4Addr::from_bits(v4.to_bits() ^ 1);
        config.reflect.listen = vec![SocketAddr::new(ip, 0), SocketAddr::new(other.into(), 0)];
    })
    .await
}

fn introduction(places: &[&str]) -> Introduction {
    let candidate =
        |text: &&str| Candidate { kind: CandidateKind::Host, addr: text.parse().unwrap() };
    Introduction {
        name: "name1".into(),
        pass: "0123456789abcdefghijklmn".into(),
        candidates: places.iter().map(candidate).collect(),
        answers: None,
    }
}

async fn introduced(guest: &mut Guest) -> (PeerId, Introduction) {
    guest
        .find(|event| match event {
            Event::Introduced { peer, introduction } => Some((peer, introduction)),
            _ => None,
        })
        .await
}

async fn two_viewers(stage: &Stage) -> (Guest, Guest, Guest) {
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut one = stage.node(Role::Viewer, &["one"]).await;
    let mut other = stage.node(Role::Viewer, &["one"]).await;
    one.join("one").await.unwrap();
    other.join("one").await.unwrap();
    (headend, one, other)
}

#[tokio::test]
async fn an_introduction_reaches_a_viewer_of_the_same_swarm_alone() {
    let stage = stage().await;
    let (headend, mut one, mut other) = two_viewers(&stage).await;
    let peer = other.id();
    let introduction = introduction(&["192.168.1.2:5", "127.0.0.1:7"]);
    // What is no introduction, or for nobody, is not passed on and does no harm.
    let bad = Introduction { pass: "short".into(), ..introduction.clone() };
    one.tell(Request::Introduce { peer, introduction: bad }).await;
    for peer in [headend.id(), PeerId([7; 32]), one.id()] {
        one.tell(Request::Introduce { peer, introduction: introduction.clone() }).await;
    }
    one.tell(Request::Introduce { peer, introduction: introduction.clone() }).await;
    let (from, said) = introduced(&mut other).await;
    assert_eq!((from, &said), (one.id(), &introduction), "on one machine all addresses will do");

    // Once they are known not to meet, they are not introduced.
    let reach = |v4| Reach { v4, v6: Access::None, servers_only: v4 == Access::Open };
    other.tell(Request::Reach(reach(Access::Open))).await;
    other.in_step().await;
    one.tell(Request::Introduce { peer, introduction: introduction.clone() }).await;
    one.in_step().await;
    other.tell(Request::Reach(reach(Access::Symmetric))).await;
    other.in_step().await;
    let last = Introduction { name: "last".into(), ..introduction };
    one.tell(Request::Introduce { peer, introduction: last.clone() }).await;
    assert_eq!(introduced(&mut other).await.1, last);
}

#[tokio::test]
async fn viewers_of_one_address_hear_of_each_other() {
    let stage = stage().await;
    let (_headend, one, mut other) = two_viewers(&stage).await;
    let peers = other
        .find(|event| match event {
            Event::Neighbours { peers, .. } => Some(peers),
            _ => None,
        })
        .await;
    assert_eq!(peers.iter().map(|hint| hint.peer).collect::<Vec<_>>(), [one.id()]);
}

/// A binding request with CHANGE-REQUEST and PADDING, by hand.
fn question(transaction: u8, change: u8) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 36, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([transaction; 12]);
    bytes.extend([0, 3, 0, 4, 0, 0, 0, change]);
    bytes.extend([0, 0x26, 0, 24]);
    bytes.resize(56, 0);
    bytes
}

#[tokio::test]
async fn reflectors_say_who_is_seen_where_and_from_where_they_are_asked_to() {
    let stage = stage().await;
    let mut viewer = stage.node(Role::Viewer, &["*"]).await;
    let reflectors = viewer
        .find(|event| match event {
            Event::Reflectors(reflectors) => Some(reflectors),
            _ => None,
        })
        .await;
    let [one, other] = reflectors[..] else { panic!("{reflectors:?}") };
    assert_ne!(one.first.ip(), other.first.ip());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    for (number, change, to) in
        [(1, 0, one.first), (2, 0, one.second), (3, 2, one.first), (4, 6, one.first)]
    {
        socket.send_to(&question(number, change), to).await.unwrap();
        let mut bytes = [0; 200];
        let (len, from) = timeout(PATIENCE, socket.recv_from(&mut bytes)).await.unwrap().unwrap();
        assert!(len <= 56);
        assert_eq!((&bytes[..2], &bytes[8..20]), (&[1, 1][..], &[number; 12][..]));
        let port = u16::from_be_bytes([bytes[26], bytes[27]]) ^ 0x2112;
        assert_eq!(port, own.port());
        match change {
            0 => assert_eq!(from, to),
            2 => assert!(from.ip() == to.ip() && from != one.first && from != one.second),
            _ => assert!(from.ip() == other.first.ip() && from != other.first),
        }
    }
    // Too short to be answered: nothing comes before the answer to the next.
    socket.send_to(&question(8, 0)[..28], one.first).await.unwrap();
    socket.send_to(&question(9, 0), one.first).await.unwrap();
    let mut bytes = [0; 200];
    timeout(PATIENCE, socket.recv_from(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes[8], 9);
}
