//! Real homes: every kind with every other, through routers that the kernel plays, over the node's real socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ticket::{Identity, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::broker::{Broker, Setup, Way};
use super::reflect::{Reflector, Voice, reflect};
use super::street::{KINDS, Kind, Spot, Street};
use super::{Access, Reach, is_local, same_home};
use crate::home::Place;
use crate::protocol::Introduction;
use crate::{Endpoint, Purpose};

/// An introduction is on its way so long: to rendezvous, and to the other.
const LETTER: Duration = Duration::from_millis(80);

/// Says this from and about a home.
enum Word {
    Reach(oneshot::Sender<Reach>),
    Meet(PeerId, oneshot::Sender<Option<Way>>),
    Introduced(PeerId, Introduction),
    /// Dials what was found, as the node does.
    Dial(Way, PeerId, oneshot::Sender<bool>),
    Stop,
}

struct Home {
    kind: Kind,
    peer: PeerId,
    seen: IpAddr,
    words: mpsc::UnboundedSender<Word>,
    thread: thread::JoinHandle<()>,
}

type Letters = mpsc::UnboundedSender<(PeerId, PeerId, Introduction)>;

/// What rendezvous runs, at both addresses of both families.
fn reflectors(servers: &Place) -> Vec<Reflector> {
    let ips: [IpAddr; 4] = ["198.18.0.1", "198.18.0.2", "2001:db8:ff::1", "2001:db8:ff::2"]
        .map(|ip| ip.parse().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    servers.run(move || {
        let bind =
            |ip: IpAddr| [0u16; 3].map(|port| Arc::new(UdpSocket::bind((ip, port)).unwrap()));
        let trios = ips.map(bind);
        let all = trios.each_ref().map(|[first, second, _]| Reflector {
            first: first.local_addr().unwrap(),
            second: second.local_addr().unwrap(),
        });
        tell.send(all.to_vec()).unwrap();
        for (at, trio) in trios.iter().enumerate() {
            for socket in [trio[0].clone(), trio[1].clone()] {
                let (silent, other) = (trio[2].clone(), trios[at ^ 1][2].clone());
                thread::spawn(move || {
                    let mut bytes = [0; 512];
                    while let Ok((len, from)) = socket.recv_from(&mut bytes) {
                        let Some((voice, answer)) = reflect(from, &bytes[..len]) else { continue };
                        let voice = match voice {
                            Voice::Same => &socket,
                            Voice::Silent => &silent,
                            Voice::Other => &other,
                        };
                        let _ = voice.send_to(&answer, from);
                    }
                });
            }
        }
    });
    told.recv().unwrap()
}

/// A viewer in a home: its socket, its broker, and who answers its door.
fn home(kind: Kind, place: &Place, reflectors: Vec<Reflector>, letters: Letters) -> Home {
    let identity = Arc::new(Identity::generate());
    let (peer, own) = (identity.id(), identity);
    let (words, mut heard) = mpsc::unbounded_channel();
    let thread = place.block_on(move || async move {
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let (endpoint, stun) = Endpoint::bind_behind(any, own, &[Purpose::Peers], None).unwrap();
        let broker = Broker::start(Setup {
            me: peer,
            local: endpoint.local_addr(),
            stun,
            send: endpoint.stun_sender(),
            port_mapping: false,
            servers_only: false,
        });
        broker.welcome(None, reflectors).await;
        let (door, signals) = (endpoint.clone(), broker.clone());
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(incoming) = door.accept().await {
                kept.extend(incoming.establish().await);
            }
        });
        tokio::spawn(async move {
            loop {
                let (to, introduction) = signals.signal().await;
                let _ = letters.send((peer, to, introduction));
            }
        });
        while let Some(word) = heard.recv().await {
            match word {
                Word::Reach(reply) => {
                    let _ = reply.send(*broker.reach().borrow());
                }
                Word::Meet(other, reply) => {
                    let broker = broker.clone();
                    tokio::spawn(async move {
                        let _ = reply.send(broker.meet(other).await);
                    });
                }
                Word::Introduced(from, introduction) => {
                    broker.introduced(from, introduction).await;
                }
                Word::Dial(way, other, reply) => {
                    let connected = endpoint.connect_over(way, other, Purpose::Peers).await;
                    broker.met(other);
                    let _ = reply.send(connected.is_ok());
                }
                Word::Stop => break,
            }
        }
        endpoint.close("the end").await;
    });
    let seen = match kind {
        Kind::Ipv6 => "2001:db8::".parse().unwrap(),
        _ => place.ip.into(),
    };
    Home { kind, peer, seen, words, thread }
}

impl Home {
    async fn ask<T>(&self, word: impl FnOnce(oneshot::Sender<T>) -> Word) -> T {
        let (reply, answer) = oneshot::channel();
        self.words.send(word(reply)).ok().unwrap();
        answer.await.unwrap()
    }

    /// Waits until it is known how far it can be reached.
    async fn reach(&self) -> Reach {
        let unknown = |reach: &Reach| reach.v4 == Access::Unknown || reach.v6 == Access::Unknown;
        for _ in 0..100 {
            let reach = self.ask(Word::Reach).await;
            if !unknown(&reach) {
                return reach;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Nothing answers: the shell would have gone through TCP.
        let mut reach = self.ask(Word::Reach).await;
        for access in [&mut reach.v4, &mut reach.v6] {
            if *access == Access::Unknown {
                *access = Access::None;
            }
        }
        reach
    }
}

fn shows_as(kind: Kind) -> (Access, Access) {
    match kind {
        Kind::None | Kind::FullCone => (Access::Open, Access::None),
        Kind::AddressRestricted => (Access::AddressRestricted, Access::None),
        Kind::PortRestricted | Kind::Carrier => (Access::PortRestricted, Access::None),
        Kind::Symmetric | Kind::SymmetricRandom | Kind::CarrierSymmetric => {
            (Access::Symmetric, Access::None)
        }
        Kind::Ipv6 => (Access::None, Access::PortRestricted),
        Kind::Dual => (Access::Symmetric, Access::PortRestricted),
        Kind::Blocked => (Access::None, Access::None),
    }
}

/// Passes introductions on, after the time that they take.
fn post(
    doors: BTreeMap<PeerId, mpsc::UnboundedSender<Word>>,
    mut letters: mpsc::UnboundedReceiver<(PeerId, PeerId, Introduction)>,
) {
    tokio::spawn(async move {
        while let Some((from, to, introduction)) = letters.recv().await {
            let door = doors.get(&to).cloned();
            tokio::spawn(async move {
                tokio::time::sleep(LETTER).await;
                if let Some(door) = door {
                    let _ = door.send(Word::Introduced(from, introduction));
                }
            });
        }
    });
}

#[test]
fn every_pair_of_real_homes_does_as_was_foretold() {
    // Two homes of each kind, so that each kind meets its own too.
    let kinds: Vec<Kind> = KINDS.into_iter().chain(KINDS).collect();
    let (street, places) = match Street::new("m", &kinds) {
        Ok(street) => street,
        Err(why) => return eprintln!("skipped: no network namespaces here ({why})"),
    };
    let place = |spot: &Spot| Place::named(&spot.namespace, spot.ip);
    let reflectors = reflectors(&place(&street.servers));
    let (letters, post_office) = mpsc::unbounded_channel();
    let homes: Vec<Home> = kinds
        .iter()
        .zip(&places)
        .map(|(kind, spot)| home(*kind, &place(spot), reflectors.clone(), letters.clone()))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let doors = homes.iter().map(|home| (home.peer, home.words.clone())).collect();
        post(doors, post_office);
        let mut reaches = Vec::new();
        for home in &homes {
            let reach = home.reach().await;
            assert_eq!((reach.v4, reach.v6), shows_as(home.kind), "{:?}", home.kind);
            reaches.push(reach);
        }
        println!("pair: time from the wish to the way that is dialled; introductions take {LETTER:?} each");
        let (mut met, mut spared) = (0, 0);
        for (i, a) in KINDS.iter().enumerate() {
            for (j, b) in KINDS.iter().enumerate().skip(i) {
                let (one, other) = (&homes[i], &homes[KINDS.len() + j]);
                assert!(!same_home(one.seen, other.seen) || *a == Kind::Ipv6);
                if !reaches[i].meets(&reaches[KINDS.len() + j], false) {
                    spared += 1;
                    println!("{a:?} and {b:?}: not tried");
                    continue;
                }
                let begun = Instant::now();
                let way = one.ask(|reply| Word::Meet(other.peer, reply)).await;
                let took = begun.elapsed();
                let way = way.unwrap_or_else(|| panic!("{a:?} and {b:?} do not meet"));
                println!("{a:?} and {b:?}: {took:.0?}");
                assert!(!is_local(way.addr.ip()), "{a:?} and {b:?}: {way:?}");
                let connected = one.ask(|reply| Word::Dial(way, other.peer, reply)).await;
                assert!(connected, "{a:?} dials {b:?} in vain");
                met += 1;
            }
        }
        println!("{met} pairs met, {spared} were not tried");
        assert_eq!(met + spared, 66);
        for home in homes {
            home.words.send(Word::Stop).ok().unwrap();
            home.thread.join().unwrap();
        }
    });
    drop(street);
}
