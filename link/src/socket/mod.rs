//! The node's one UDP socket: tokio's, with its bytes counted, QUIC and STUN told apart, and one gate that all
//! QUIC passes on its way out.
//!
//! quinn reaches it only through its abstract socket interface. What it joins (segmentation offload) stays joined.

mod batch;
mod demux;
mod gate;
mod mark;
mod pace;
mod visit;

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Type};
use tokio::sync::mpsc;

use self::demux::Kind;
pub(crate) use self::gate::Gate;
use self::gate::Poller;
use self::mark::Marker;
pub(crate) use self::pace::Pace;
pub(crate) use self::visit::Visits;
use crate::tcp::Table;

/// What the system is asked to buffer each way, bytes; it may give less. Segments of many channels
/// arrive in bursts.
const BUFFER: usize = 4 << 20;
/// STUN datagrams that wait to be read; more are dropped: who needs an answer asks again.
const STUN: usize = 256;
/// The longest STUN message that is taken, bytes: those of connectivity checks are far shorter.
const LONGEST_STUN: usize = 1280;

/// Bytes on the socket.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Meter {
    /// Received and sent so far, UDP payload bytes.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

/// A STUN message that came.
#[derive(Clone, Debug)]
pub(crate) struct Stun {
    /// From where.
    pub(crate) from: SocketAddr,
    /// To which of this machine's addresses, where the system tells.
    pub(crate) to: Option<IpAddr>,
    /// The message.
    pub(crate) bytes: Bytes,
}

/// What stays the same when the socket is bound anew: its counters, where STUN goes, and the gate.
#[derive(Clone, Debug)]
pub(crate) struct Fittings {
    pub(crate) meter: Arc<Meter>,
    stun: mpsc::Sender<Stun>,
    gate: Option<Arc<dyn Gate>>,
    pub(crate) tunnels: Arc<Table>,
}

impl Fittings {
    /// Also gives the end at which STUN comes out. Without a gate QUIC is sent as it comes.
    pub(crate) fn new(gate: Option<Arc<dyn Gate>>) -> (Self, mpsc::Receiver<Stun>) {
        let (stun, messages) = mpsc::channel(STUN);
        (Self { meter: Arc::default(), stun, gate, tunnels: Arc::default() }, messages)
    }
}

/// The socket.
pub(crate) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    /// For what yields to everything else.
    marker: Option<Marker>,
    fittings: Fittings,
    /// Whether it is of IPv6, and has to have IPv4 addresses written as such.
    ipv6: bool,
}

impl Socket {
    /// Binds to `addr`; an IPv6 address that is unspecified serves IPv4 too.
    pub(crate) fn bind(addr: SocketAddr, fittings: Fittings) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Smaller buffers than asked for still work.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        socket.bind(&addr.into())?;
        let marker = fittings.gate.as_ref().and_then(|_| Marker::new(&socket));
        let inner = TokioRuntime.wrap_udp_socket(socket.into())?;
        Ok(Self { inner, marker, fittings, ipv6: addr.is_ipv6() })
    }

    /// Sends one datagram that is not QUIC's, past the gate: these are few and short. One that the system has no room
    /// for is lost, as on the way.
    ///
    /// # Errors
    /// If there is no way to this address.
    pub(crate) fn send_stun(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        debug_assert_eq!(Kind::of(bytes), Kind::Stun);
        let destination = match (self.ipv6, to) {
            (true, SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            _ => to,
        };
        let transmit =
            Transmit { destination, ecn: None, contents: bytes, segment_size: None, src_ip: None };
        match self.inner.try_send(&transmit) {
            Ok(()) => {
                self.fittings.meter.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends one datagram over UDP, whatever tunnels there are: to see whether it is answered.
    pub(crate) fn send_probe(&self, to: SocketAddr, bytes: &[u8]) {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: None,
        };
        // What is not sent is not answered.
        if self.inner.try_send(&transmit).is_ok() {
            self.fittings.meter.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }

    /// Sends what is to yield on its way, marked; `false`: it was not sent.
    fn send_marked(&self, transmit: &Transmit<'_>) -> bool {
        let yields = self.fittings.gate.as_deref().is_some_and(|gate| gate.yields(transmit));
        yields && self.marker.as_ref().is_some_and(|marker| marker.send(transmit))
    }

    /// Takes out of what came whatever is not QUIC.
    fn sort(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        self.fittings.meter.received.fetch_add(meta.len as u64, Ordering::Relaxed);
        let (from, to) = (crate::endpoint::canonical(meta.addr), meta.dst_ip);
        for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
            if self.fittings.tunnels.came(from, datagram)
                && let Some(first) = datagram.first_mut()
            {
                *first = demux::NOTHING;
            }
        }
        demux::keep_quic(buffer, meta, |kind, datagram| {
            if kind == Kind::Stun && datagram.len() <= LONGEST_STUN {
                let to = to.map(|ip| ip.to_canonical());
                let message = Stun { from, to, bytes: Bytes::copy_from_slice(datagram) };
                // Full: dropped, as on the way. Closed: nobody speaks STUN here.
                let _ = self.fittings.stun.try_send(message);
            }
        });
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        let poller = self.inner.clone().create_io_poller();
        match &self.fittings.gate {
            Some(gate) => Box::pin(Poller::new(gate.clone(), poller)),
            None => poller,
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let gate = self.fittings.gate.as_deref();
        if gate.is_some_and(|gate| !gate.try_pass(transmit)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Transmit { destination, contents, segment_size, .. } = transmit;
        let tunnels = &self.fittings.tunnels;
        let sent = if tunnels.carry(*destination, contents, *segment_size, now())
            || self.send_marked(transmit)
        {
            Ok(())
        } else {
            visit::gather(self, transmit).unwrap_or_else(|| self.inner.try_send(transmit))
        };
        if sent.is_ok() {
            let bytes = transmit.contents.len() as u64;
            self.fittings.meter.sent.fetch_add(bytes, Ordering::Relaxed);
        } else if let Some(gate) = gate {
            gate.give_back(transmit);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let (Some(buffer), Some(meta)) = (bufs.first_mut(), meta.first_mut())
            && let Poll::Ready((len, addr)) = self.fittings.tunnels.poll_arrived(cx, buffer)
        {
            self.fittings.meter.received.fetch_add(len as u64, Ordering::Relaxed);
            *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            return Poll::Ready(Ok(1));
        }
        let result = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = result {
            for (buffer, meta) in bufs.iter_mut().zip(meta).take(count) {
                self.sort(buffer, meta);
            }
        }
        result
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        let system = self.inner.max_transmit_segments();
        let gate = self.fittings.gate.as_deref().map_or(system, Gate::max_segments);
        system.min(gate).max(1)
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// tokio's, so that tests can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
