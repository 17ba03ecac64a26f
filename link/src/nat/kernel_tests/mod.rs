//! Real homes, behind routers that the kernel plays, over the node's real socket.

mod carrier;
mod line;
mod pairs;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ticket::{Identity, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::broker::{Broker, Setup, Way};
use super::reflect::{Reflector, Voice, reflect};
use super::street::Kind;
use super::{Access, Reach};
use crate::home::Place;
use crate::protocol::Introduction;
use crate::{Endpoint, Purpose};

/// Every frame on the internet takes so long, each way.
const WAY: Duration = Duration::from_millis(40);
/// An introduction is on its way so long: to rendezvous, and to the other.
const LETTER: Duration = Duration::from_millis(2 * WAY.as_millis() as u64);

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
                    let (broker, endpoint) = (broker.clone(), endpoint.clone());
                    tokio::spawn(async move {
                        let connected = endpoint.connect_over(way, other, Purpose::Peers).await;
                        broker.met(other);
                        let _ = reply.send(connected.is_ok());
                    });
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

    fn stop(self) {
        self.words.send(Word::Stop).ok().unwrap();
        self.thread.join().unwrap();
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
        let reach = self.ask(Word::Reach).await;
        Reach { v4: settled(reach.v4), v6: settled(reach.v6), ..reach }
    }
}

/// What stays unknown is taken for none: nothing answers there, and the shell would have gone through TCP.
fn settled(access: Access) -> Access {
    if access == Access::Unknown { Access::None } else { access }
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
