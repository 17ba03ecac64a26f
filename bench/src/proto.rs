//! What a sender can have of quinn's protocol at most: quinn-proto in a loop of its own, without a runtime, tasks,
//! channels or locks. It knows no tickets, no engine and no shed children: nothing that must be there comes cheaper.

use std::io::{ErrorKind, IoSliceMut};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use quinn::congestion::CubicConfig;
use quinn::{AckFrequencyConfig, EndpointConfig, TransportConfig, VarInt};
use quinn_proto::{Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, Event};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use crate::bare::{self, Place};
use crate::load::{K, Load, SEGMENT};

/// Packets that are made and handed over at once: what the system takes in one message.
const AT_ONCE: usize = 44;
/// After so many children it listens.
const EARS: usize = 4;
/// A look at the socket and at the timers.
const LOOK: Duration = Duration::from_millis(1);
/// As of our servers: the window at first, bytes.
const WINDOW: u64 = 256 << 10;
/// The same: packets that are acknowledged together.
const ACKS: u32 = 32;

struct Child {
    connection: Connection,
    plays: bool,
    due: Option<Instant>,
}

struct Sender {
    endpoint: Endpoint,
    socket: UdpSocket,
    state: UdpSocketState,
    children: Vec<Option<Child>>,
    /// Packets before they go.
    buffer: Vec<u8>,
    /// Packets as they come.
    space: Vec<u8>,
}

/// Says where it is on stdout, then sends shards at the load's pace to whoever connects.
///
/// # Errors
/// If the socket cannot be bound or fails.
pub(crate) fn send(load: Load) -> Result<()> {
    let (certificate, mut config) = bare::identity()?;
    config.transport_config(transport());
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let state = UdpSocketState::new((&socket).into())?;
    state.set_send_buffer_size((&socket).into(), 4 << 20)?;
    state.set_recv_buffer_size((&socket).into(), 4 << 20)?;
    println!("{}", serde_json::to_string(&Place::new(socket.local_addr()?, &certificate))?);
    let shard = Bytes::from(vec![0x5a; load.shard()]);
    let endpoint =
        Endpoint::new(Arc::new(EndpointConfig::default()), Some(Arc::new(config)), true, None);
    let (children, buffer, space) = (Vec::new(), Vec::new(), vec![0; BATCH_SIZE << 16]);
    let mut sender = Sender { endpoint, socket, state, children, buffer, space };
    let mut next = Instant::now() + SEGMENT;
    loop {
        sender.receive()?;
        sender.pass()?;
        if Instant::now() >= next {
            next += SEGMENT;
            for at in 0..sender.children.len() {
                sender.feed(at, &shard)?;
                if at % EARS == 0 {
                    // What is heard late looks like a long way, on which quinn sends slowly.
                    sender.receive()?;
                }
            }
            sender.pass()?;
        }
        std::thread::sleep(LOOK.min(next.saturating_duration_since(Instant::now())));
    }
}

/// As our servers have it.
fn transport() -> Arc<TransportConfig> {
    let mut frequency = AckFrequencyConfig::default();
    frequency
        .ack_eliciting_threshold(VarInt::from_u32(ACKS))
        .max_ack_delay(Some(Duration::from_millis(25)));
    let mut cubic = CubicConfig::default();
    cubic.initial_window(WINDOW);
    let mut config = TransportConfig::default();
    config
        .send_fairness(false)
        .ack_frequency_config(Some(frequency))
        .congestion_controller_factory(Arc::new(cubic));
    Arc::new(config)
}

impl Sender {
    /// Takes in all that has come.
    fn receive(&mut self) -> Result<()> {
        let mut space = std::mem::take(&mut self.space);
        let heard = self.hear(&mut space);
        self.space = space;
        heard
    }

    fn hear(&mut self, space: &mut [u8]) -> Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        loop {
            let mut slices: Vec<_> = space.chunks_exact_mut(1 << 16).map(IoSliceMut::new).collect();
            let came = match self.state.recv((&self.socket).into(), &mut slices, &mut metas) {
                Ok(came) => came,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("receive"),
            };
            let now = Instant::now();
            for (meta, bytes) in metas[..came].iter().zip(&slices) {
                for datagram in bytes[..meta.len].chunks(meta.stride.max(1)) {
                    let event = self.endpoint.handle(
                        now,
                        meta.addr,
                        meta.dst_ip,
                        None,
                        BytesMut::from(datagram),
                        &mut self.buffer,
                    );
                    self.act(event, now)?;
                }
            }
        }
    }

    fn act(&mut self, event: Option<DatagramEvent>, now: Instant) -> Result<()> {
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.buffer.clear();
                let accepted = self.endpoint.accept(incoming, now, &mut self.buffer, None);
                let (handle, connection) = accepted.ok().context("a child is let in")?;
                self.children.resize_with(self.children.len().max(handle.0 + 1), || None);
                self.children[handle.0] = Some(Child { connection, plays: false, due: Some(now) });
                self.drive(handle.0)
            }
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(child) = &mut self.children[handle.0] else { return Ok(()) };
                child.connection.handle_event(event);
                // Whatever is to be done is done when all that came has been heard.
                child.due = Some(now);
                Ok(())
            }
            // What is said to strangers: here there are none.
            Some(DatagramEvent::Response(_)) | None => Ok(()),
        }
    }

    /// Whoever has something to do does it.
    fn pass(&mut self) -> Result<()> {
        let now = Instant::now();
        for at in 0..self.children.len() {
            let Some(child) = &mut self.children[at] else { continue };
            if child.due.is_some_and(|due| due <= now) {
                child.connection.handle_timeout(now);
                self.drive(at)?;
            }
        }
        Ok(())
    }

    /// A segment's shards for one child.
    fn feed(&mut self, at: usize, shard: &Bytes) -> Result<()> {
        let Some(child) = self.children[at].as_mut().filter(|child| child.plays) else {
            return Ok(());
        };
        for _ in 0..K {
            let Some(id) = child.connection.streams().open(Dir::Uni) else { break };
            let mut stream = child.connection.send_stream(id);
            let mut rest = [shard.clone()];
            let written = stream.write_chunks(&mut rest).context("write a shard")?;
            anyhow::ensure!(written.chunks == 1, "a shard does not fit");
            stream.finish().context("end a shard")?;
        }
        self.drive(at)
    }

    /// All that a connection has to say is said.
    fn drive(&mut self, at: usize) -> Result<()> {
        let Some(child) = &mut self.children[at] else { return Ok(()) };
        loop {
            while let Some(event) = child.connection.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(ConnectionHandle(at), event) {
                    child.connection.handle_event(event);
                }
            }
            while let Some(event) = child.connection.poll() {
                child.plays |= matches!(event, Event::Connected);
            }
            self.buffer.clear();
            let now = Instant::now();
            let Some(made) = child.connection.poll_transmit(now, AT_ONCE, &mut self.buffer) else {
                break;
            };
            let transmit = Transmit {
                destination: made.destination,
                ecn: None,
                contents: &self.buffer[..made.size],
                segment_size: made.segment_size,
                src_ip: made.src_ip,
            };
            while let Err(error) = self.state.try_send((&self.socket).into(), &transmit) {
                anyhow::ensure!(error.kind() == ErrorKind::WouldBlock, "send: {error}");
                std::thread::yield_now();
            }
        }
        child.due = child.connection.poll_timeout();
        if child.connection.is_drained() {
            self.children[at] = None;
        }
        Ok(())
    }
}
