//! Connections: made, replaced, lost.

use std::sync::Arc;
use std::time::Duration;

use segment::SwarmId;
use swarm::{ConnectError, Input};
use ticket::Role;
use tokio::time::Instant;

use super::super::conn::{Conn, Presence};
use super::super::event::{Delivered, Event};
use super::super::hello::Met;
use super::super::intake;
use super::super::outbox::Outbox;
use super::super::pipe::{self, ShardWriter};
use super::super::wire::{Close, PeerFrame};
use super::Driver;
use crate::endpoint::{STREAMS, reason};
use crate::nat::is_at_home;
use crate::protocol::frame::framed;

/// Two connections between the same two that are nearer in time than this were made at once.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Met(met) => self.met(*met),
            Event::NotMet { peer, error } => {
                self.refused += u64::from(error == ConnectError::Refused);
                for swarm in self.dialling.remove(&peer).unwrap_or_default() {
                    self.inputs.push_back((swarm, Input::NotConnected { peer, error }));
                }
            }
            Event::Refused => self.refused += 1,
            Event::Frame { id, frame } => self.frame(id, frame),
            Event::Shard { id, swarm, shard, hold } => self.shard(id, swarm, shard, hold),
            Event::Garbage { id, swarm } => self.bad_shard(id, swarm),
            Event::Delivered { id, shards } => {
                let Some(conn) = self.conns.get(&id) else { return };
                let known = shards.into_iter().filter(|shard| conn.is_in(shard.swarm));
                self.inputs.extend(known.map(|Delivered { swarm, shard, urgency, delivery }| {
                    (swarm, Input::Delivery { to: conn.peer, shard, urgency, delivery })
                }));
            }
            Event::Closed { id, broke_protocol } => self.closed(id, broke_protocol),
        }
    }

    fn met(&mut self, met: Met) {
        let Met { connection, ticket, send, receive, dialled, asked } = met;
        let (peer, quic) = (connection.peer, connection.quic);
        let mut wanted: Vec<SwarmId> = self
            .dialling
            .get_mut(&peer)
            .map(|swarms| std::mem::take(swarms).into_iter().collect())
            .unwrap_or_default();
        if dialled {
            self.dialling.remove(&peer);
        }
        if let Some(&old) = self.by_peer.get(&peer) {
            if !self.replaces(old, dialled) {
                quic.close(Close::Superseded.code(), b"another connection stays");
                wanted.into_iter().for_each(|swarm| self.ask(old, swarm));
                return;
            }
            wanted.extend(self.supersede(old));
        }
        if self.conns.len() >= self.config.max_connections {
            self.make_room();
        }
        if self.conns.len() >= self.config.max_connections || self.policy.is_banned(&peer) {
            self.refused += 1;
            quic.close(Close::Full.code(), b"no room for more connections");
            for swarm in wanted {
                let error = ConnectError::Refused;
                self.inputs.push_back((swarm, Input::NotConnected { peer, error }));
            }
            return;
        }
        let id = self.next_conn;
        self.next_conn += 1;
        // A server's children do not feed it.
        if self.config.role == Role::Viewer || ticket.role != Role::Viewer {
            quic.set_max_concurrent_uni_streams(STREAMS);
        }
        let server = self.egress.uplink().is_none();
        let outbox = Arc::new(if server { Outbox::of_server() } else { Outbox::default() });
        let events = self.tell.clone();
        self.tasks.spawn(pipe::read_control(id, receive, events.clone()));
        self.tasks.spawn(pipe::write_control(send, outbox.clone()));
        self.tasks.spawn(intake::run(id, quic.clone(), self.budget.connection(), events.clone()));
        let viewers = self.config.role == Role::Viewer && ticket.role == Role::Viewer;
        let household = viewers && is_at_home(quic.remote_address().ip());
        if household {
            tracing::info!(?peer, "a viewer of this home is met");
        }
        let uplink = self.egress.uplink().filter(|_| household);
        let writer = ShardWriter {
            id,
            household: uplink.map(|uplink| uplink.stays_at_home(&quic)),
            quic: quic.clone(),
            outbox: outbox.clone(),
            egress: self.egress.clone(),
            clock: self.clock.clone(),
            events,
        };
        self.tasks.spawn(writer.run());
        let now = Instant::now();
        let swarms = Default::default();
        let idle = Some(now);
        let conn = Conn {
            peer,
            quic,
            outbox,
            ticket,
            dialled,
            since: now,
            swarms,
            idle,
            strays: 0,
            household,
            unlisted: false,
            renewals: 0,
        };
        if let Some(broker) = &self.broker {
            broker.met(peer);
        }
        self.conns.insert(id, conn);
        self.by_peer.insert(peer, id);
        for swarm in &asked {
            let Some(conn) = self.conns.get_mut(&id) else { return };
            if wanted.contains(swarm) && self.parts.contains_key(swarm) {
                conn.enter(*swarm, Presence::Asked(now));
            } else {
                self.send(id, &PeerFrame::Leave { swarm: swarm.0 });
            }
        }
        wanted.into_iter().for_each(|swarm| self.ask(id, swarm));
    }

    /// A connection that is only kept warm goes for a new one, the one that is idle longest.
    fn make_room(&mut self) {
        let idle = self.conns.iter().filter_map(|(id, conn)| Some((conn.idle?, *id))).min();
        if let Some((_, id)) = idle {
            self.drop_conn(id, Close::Idle, "no common swarm", ConnectError::Unreachable);
        }
    }

    /// Which of two connections with one peer stays. Of two that were made at once, both sides keep
    /// the one that the smaller id dialled; otherwise the old one is a ghost that its other end
    /// lost.
    fn replaces(&self, old: u64, dialled: bool) -> bool {
        let Some(old) = self.conns.get(&old) else { return true };
        let at_once = old.since.elapsed() < AT_ONCE && old.quic.close_reason().is_none();
        !at_once || old.dialled == dialled || dialled == (self.endpoint.id() < old.peer)
    }

    /// Takes a connection down for a newer one; gives the swarms that the peer was met in.
    fn supersede(&mut self, id: u64) -> Vec<SwarmId> {
        let Some(conn) = self.conns.get_mut(&id) else { return Vec::new() };
        let swarms: Vec<SwarmId> = conn.swarms.keys().copied().collect();
        // Those that were only asked are asked again, without telling the engine.
        conn.swarms.retain(|_, presence| *presence == Presence::In);
        let text = "another connection stays";
        self.drop_conn(id, Close::Superseded, text, ConnectError::Unreachable);
        swarms
    }

    /// Asks a peer whether it is in a swarm.
    pub(super) fn ask(&mut self, id: u64, swarm: SwarmId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if !self.parts.contains_key(&swarm) || conn.swarms.contains_key(&swarm) {
            return;
        }
        conn.enter(swarm, Presence::Asked(Instant::now()));
        self.send(id, &PeerFrame::Enter { swarm: swarm.0 });
    }

    /// Queues a control frame.
    pub(super) fn send(&mut self, id: u64, frame: &PeerFrame) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Ok(frame) = framed(frame) else { return };
        if !conn.outbox.control(frame) {
            let text = "control is not read";
            self.drop_conn(id, Close::Protocol, text, ConnectError::Unreachable);
        }
    }

    /// Closes a connection and tells the engines.
    pub(super) fn drop_conn(&mut self, id: u64, close: Close, text: &str, error: ConnectError) {
        let Some(conn) = self.conns.remove(&id) else { return };
        let peer = conn.peer;
        if self.by_peer.get(&peer) == Some(&id) {
            self.by_peer.remove(&peer);
        }
        conn.quic.close(close.code(), text.as_bytes());
        conn.outbox.close();
        for (swarm, presence) in conn.swarms {
            let input = match presence {
                Presence::In => Input::Disconnected { peer },
                Presence::Asked(_) | Presence::PutOff { .. } => Input::NotConnected { peer, error },
            };
            self.inputs.push_back((swarm, input));
        }
    }

    /// Refuses peers whose ticket passes no more.
    pub(super) fn refuse_where(&mut self, bad: impl Fn(&Self, &Conn) -> bool, text: &str) {
        let ids: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| bad(self, conn)).map(|(id, _)| *id).collect();
        for id in ids {
            self.refuse(id, text);
        }
    }

    pub(super) fn refuse(&mut self, id: u64, text: &str) {
        if let Some(conn) = self.conns.get(&id) {
            tracing::debug!(peer = ?conn.peer, reason = text, "peer refused");
            self.refused += 1;
            self.drop_conn(id, Close::Refused, text, ConnectError::Refused);
        }
    }

    pub(super) fn closed(&mut self, id: u64, broke_protocol: bool) {
        let Some(conn) = self.conns.get(&id) else { return };
        let mut error = ConnectError::Unreachable;
        if let Some(quinn::ConnectionError::ApplicationClosed(close)) = conn.quic.close_reason() {
            let why = reason(&close.reason);
            if close.error_code == Close::Refused.code() {
                tracing::info!(peer = ?conn.peer, reason = why, "refused by peer");
                error = ConnectError::Refused;
            } else if close.error_code == Close::Full.code() {
                error = ConnectError::Refused;
            } else {
                tracing::debug!(peer = ?conn.peer, reason = why, "closed by peer");
            }
        }
        let (close, text) = if broke_protocol {
            self.dropped += 1;
            (Close::Protocol, "broke the protocol")
        } else {
            (Close::Idle, "closed")
        };
        self.drop_conn(id, close, text, error);
    }
}
