//! Which addresses are reached through tunnels, and what came out of them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::silence::Silence;
use crate::endpoint::canonical;

/// Datagrams that wait to be read by QUIC; tunnels wait with the next.
const INBOX: usize = 512;
/// Marks the address of who came through a tunnel: QUIC must tell it from the same address over UDP. Interfaces' numbers
/// are small.
const MARK: u32 = 0x7c70_0000;
/// What begins every probe's connection id.
const PROBE: [u8; 4] = *b"udp?";
/// A version that nobody speaks (RFC 9000 section 15 reserves these): it is answered with those that are.
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// The length of a first packet (RFC 9000 section 14.1); of a shorter one nobody takes notice.
const PROBE_BYTES: usize = 1_200;

/// An address that stands for a tunnel from this one.
pub(super) fn marked(from: SocketAddr) -> SocketAddr {
    let ip = match from.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddrV6::new(ip, from.port(), 0, MARK).into()
}

/// Whether a connection's remote address stands for a tunnel through TCP: nobody can connect to it.
pub fn is_tunnel(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.scope_id() == MARK)
}

fn key(addr: SocketAddr) -> SocketAddr {
    if is_tunnel(addr) { addr } else { canonical(addr) }
}

/// A datagram that came through a tunnel, and whom QUIC takes it to be from.
pub(super) struct Arrived {
    pub(super) from: SocketAddr,
    pub(super) bytes: Bytes,
}

/// How an address is reached.
#[derive(Debug, Default)]
struct Way {
    /// The tunnel, if it is in use.
    tunnel: Option<mpsc::Sender<Bytes>>,
    /// The address as QUIC writes it.
    written: Option<SocketAddr>,
    /// Of an address that is watched: how silent it is over UDP.
    silence: Option<Silence>,
    /// UDP has answered a probe.
    answered: bool,
}

/// All of them.
pub(crate) struct Table {
    ways: RwLock<HashMap<SocketAddr, Mutex<Way>>>,
    /// Whether there is any; most nodes have none.
    any: AtomicBool,
    arrive: mpsc::Sender<Arrived>,
    arrived: Mutex<mpsc::Receiver<Arrived>>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Table {
    fn default() -> Self {
        let (arrive, arrived) = mpsc::channel(INBOX);
        Self {
            ways: RwLock::default(),
            any: AtomicBool::new(false),
            arrive,
            arrived: Mutex::new(arrived),
        }
    }
}

impl Table {
    fn with<T>(&self, addr: SocketAddr, act: impl FnOnce(&mut Way) -> T) -> Option<T> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&key(addr)).map(|way| act(&mut lock(way)))
    }

    fn change(&self, act: impl FnOnce(&mut HashMap<SocketAddr, Mutex<Way>>)) {
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        act(&mut ways);
        self.any.store(!ways.is_empty(), Ordering::Release);
    }

    /// Where tunnels hand over what they bring.
    pub(super) fn inbox(&self) -> mpsc::Sender<Arrived> {
        self.arrive.clone()
    }

    /// From now on this address is reached through a tunnel.
    pub(super) fn open(&self, addr: SocketAddr, tunnel: mpsc::Sender<Bytes>) {
        self.change(|ways| {
            let way = ways.entry(key(addr)).or_default().get_mut();
            let way = way.unwrap_or_else(PoisonError::into_inner);
            (way.tunnel, way.answered) = (Some(tunnel), false);
        });
    }

    /// No longer, if it still is this tunnel.
    pub(super) fn close(&self, addr: SocketAddr, tunnel: &mpsc::Sender<Bytes>) {
        self.change(|ways| {
            let Some(way) = ways.get_mut(&key(addr)) else { return };
            let way = way.get_mut().unwrap_or_else(PoisonError::into_inner);
            if way.tunnel.as_ref().is_some_and(|open| open.same_channel(tunnel)) {
                way.tunnel = None;
            }
            if way.tunnel.is_none() && way.silence.is_none() {
                ways.remove(&key(addr));
            }
        });
    }

    /// From now on it is listened whether this address is silent.
    pub(super) fn watch(&self, addr: SocketAddr) {
        self.change(|ways| {
            let way = ways.entry(key(addr)).or_default().get_mut();
            way.unwrap_or_else(PoisonError::into_inner).silence = Some(Silence::default());
        });
    }

    /// All about this address is forgotten.
    pub(super) fn forget(&self, addr: SocketAddr) {
        self.change(|ways| {
            ways.remove(&key(addr));
        });
    }

    /// How silent an address is over UDP that is watched.
    pub(super) fn silence(&self, addr: SocketAddr) -> Option<Silence> {
        self.with(addr, |way| way.silence).flatten()
    }

    /// UDP to this address starts anew, as if nothing had been sent.
    pub(super) fn begin(&self, addr: SocketAddr) {
        self.with(addr, |way| way.silence = way.silence.map(|_| Silence::default()));
    }

    /// Whether UDP has answered a probe since the tunnel was opened.
    pub(super) fn has_answered(&self, addr: SocketAddr) -> bool {
        self.with(addr, |way| way.answered).unwrap_or_default()
    }

    /// As QUIC writes this address.
    pub(super) fn written(&self, addr: SocketAddr) -> SocketAddr {
        self.with(addr, |way| way.written).flatten().unwrap_or(addr)
    }

    /// QUIC sends datagrams of `segment` bytes (the last may be shorter) to an address: whether a tunnel took them. A
    /// tunnel that has no room loses them, as a queue on the way would.
    pub(crate) fn carry(
        &self,
        to: SocketAddr,
        bytes: &[u8],
        segment: Option<usize>,
        now: Instant,
    ) -> bool {
        let taken = self.with(to, |way| {
            way.written = Some(to);
            if let Some(tunnel) = &way.tunnel {
                for datagram in bytes.chunks(segment.unwrap_or(bytes.len()).max(1)) {
                    let _ = tunnel.try_send(Bytes::copy_from_slice(datagram));
                }
                return true;
            }
            if let Some(silence) = &mut way.silence {
                silence.sent(now);
            }
            false
        });
        // Who came through a tunnel that is gone is nowhere.
        taken.unwrap_or_default() || is_tunnel(to)
    }

    /// Something came over UDP. Whether it was the answer to a probe, and not QUIC's.
    pub(crate) fn came(&self, from: SocketAddr, bytes: &[u8]) -> bool {
        self.with(from, |way| {
            if is_answer(bytes) {
                way.answered = true;
                return true;
            }
            if let Some(silence) = &mut way.silence {
                silence.came();
            }
            false
        })
        .unwrap_or_default()
    }

    /// The next datagram out of a tunnel: its length, and whom QUIC takes it to be from.
    pub(crate) fn poll_arrived(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(usize, SocketAddr)> {
        let mut arrived = lock(&self.arrived);
        loop {
            match std::task::ready!(arrived.poll_recv(cx)) {
                Some(Arrived { from, bytes }) if bytes.len() <= buffer.len() => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    return Poll::Ready((bytes.len(), from));
                }
                Some(_) => {}
                // Never: the table holds a sender.
                None => return Poll::Pending,
            }
        }
    }
}

/// A packet that every QUIC server answers without taking it for a connection (RFC 9000 section 6).
pub(super) fn probe(chance: [u8; 8]) -> Vec<u8> {
    let mut packet = vec![0; PROBE_BYTES];
    packet[0] = 0xc0;
    packet[1..5].copy_from_slice(&NO_VERSION);
    packet[5] = 8;
    packet[6..14].copy_from_slice(&chance);
    packet[14] = 8;
    packet[15..19].copy_from_slice(&PROBE);
    packet[19..23].copy_from_slice(&chance[..4]);
    packet
}

/// Version negotiation for a probe: version 0, and our connection id as the destination.
fn is_answer(bytes: &[u8]) -> bool {
    bytes.len() >= 14
        && bytes[0] & 0x80 != 0
        && bytes[1..5] == [0; 4]
        && bytes[5] == 8
        && bytes[6..10] == PROBE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_through_a_tunnel_is_told_from_the_same_address_over_udp() {
        let udp: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        let tunnel = marked(udp);
        assert!(is_tunnel(tunnel) && !is_tunnel(udp));
        assert_eq!(canonical(tunnel), udp);
        assert!(!is_tunnel("[fe80::1%3]:9".parse().unwrap()));
    }

    #[test]
    fn an_address_goes_through_its_tunnel_until_that_is_closed() {
        let (table, now) = (Table::default(), Instant::now());
        let addr: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        assert!(!table.carry(addr, &[1; 10], None, now));
        let (tunnel, mut out) = mpsc::channel(2);
        table.open(addr, tunnel.clone());
        assert!(table.carry(addr, &[1; 25], Some(10), now), "the third has no room: it is lost");
        assert_eq!(out.try_recv().unwrap().len(), 10);
        assert_eq!(out.try_recv().unwrap().len(), 10);
        assert!(out.try_recv().is_err());
        table.close(addr, &mpsc::channel(1).0);
        assert!(table.carry(addr, &[1; 10], None, now));
        table.close(addr, &tunnel);
        assert!(!table.carry(addr, &[1; 10], None, now));
        assert!(table.carry(marked(addr), &[1; 10], None, now), "not over UDP");
    }

    #[test]
    fn answers_to_probes_are_known() {
        let table = Table::default();
        let addr: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        table.watch(addr);
        let probe = probe([7; 8]);
        let mut answer = vec![0x80, 0, 0, 0, 0, 8];
        answer.extend(&probe[15..23]);
        answer.push(8);
        answer.extend(&probe[6..14]);
        answer.extend([0, 0, 0, 1]);
        assert!(!table.came(addr, &[0x40; 50]));
        assert!(!table.has_answered(addr));
        assert!(table.came(addr, &answer));
        assert!(table.has_answered(addr));
    }
}
