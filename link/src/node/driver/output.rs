//! What engines want done.

use std::net::SocketAddr;

use segment::{LayerSet, SwarmId};
use swarm::{ConnectError, Delivery, Input, Offence, Output, Parting, ShardRef, Time, Urgency};
use ticket::{PeerId, Role};
use tokio::time::Instant;

use super::super::Played;
use super::super::dial;
use super::super::event::Event;
use super::super::hello;
use super::super::outbox::Waiting;
use super::super::wire::PeerFrame;
use super::Driver;
use crate::Purpose;

/// Peers that are dialled at one time.
const MAX_DIALS: usize = 128;

impl Driver {
    pub(super) fn output(&mut self, swarm: SwarmId, output: Output) {
        match output {
            Output::Connect { peer, role, addrs } => self.connect(swarm, peer, role, addrs),
            Output::Disconnect { peer, reason } => self.disconnect(swarm, peer, reason),
            Output::Send { to, message } => {
                if let Some(id) = self.met_in(swarm, &to) {
                    self.send(id, &PeerFrame::message(swarm, &message));
                }
            }
            Output::SendShard { to, shard, layers, deadline, urgency } => {
                self.send_shard(swarm, to, shard, layers, deadline, urgency);
            }
            Output::Cancel { to, substreams } => {
                let conn = self.by_peer.get(&to).and_then(|id| self.conns.get(id));
                if let Some(conn) = conn {
                    conn.outbox.cancel(swarm, substreams);
                }
            }
            Output::Play { number, layers, due } => {
                let due = self.clock.instant(due);
                if let Some(part) = self.parts.get_mut(&swarm) {
                    let played = part.played(number, layers, due);
                    part.shared.play(played);
                }
            }
            Output::Miss { number, cause } => {
                if let Some(part) = self.parts.get(&swarm) {
                    part.shared.play(Played::Missed { number, cause });
                }
            }
            Output::Forget { before } => {
                if let Some(part) = self.parts.get_mut(&swarm) {
                    part.store.forget(before);
                }
            }
            Output::FindPeers => {
                if let Some(part) = self.parts.get(&swarm) {
                    part.shared.want_peers();
                }
            }
        }
    }

    /// The connection to a peer that is met in this swarm.
    fn met_in(&self, swarm: SwarmId, peer: &PeerId) -> Option<u64> {
        let id = *self.by_peer.get(peer)?;
        self.conns.get(&id)?.is_in(swarm).then_some(id)
    }

    fn connect(&mut self, swarm: SwarmId, peer: PeerId, role: Role, addrs: Vec<SocketAddr>) {
        if let Some(&id) = self.by_peer.get(&peer) {
            if self.met_in(swarm, &peer).is_some() {
                return self.meet(id, swarm);
            }
            return self.ask(id, swarm);
        }
        if let Some(swarms) = self.dialling.get_mut(&peer) {
            swarms.insert(swarm);
            return;
        }
        let error = if peer == self.endpoint.id()
            || self.policy.is_banned(&peer)
            || (self.config.meeting.servers_only && role == Role::Viewer)
            || !self.standing.may_enter(swarm, peer, Instant::now())
        {
            Some(ConnectError::Refused)
        } else if addrs.is_empty()
            || self.dialling.len() >= MAX_DIALS
            || self.policy.token().is_none()
        {
            Some(ConnectError::Unreachable)
        } else {
            None
        };
        if let Some(error) = error {
            self.inputs.push_back((swarm, Input::NotConnected { peer, error }));
            return;
        }
        self.dialling.entry(peer).or_default().insert(swarm);
        let (endpoint, policy) = (self.endpoint.clone(), self.policy.clone());
        let (clock, tell) = (self.clock.clone(), self.tell.clone());
        let unlisted = self.config.meeting.servers_only;
        // Viewers are met half way, if somebody can introduce them.
        let broker = self.broker.clone().filter(|broker| role == Role::Viewer && broker.can_meet());
        self.tasks.spawn(async move {
            let dialled = match broker {
                Some(broker) => dial::viewer(&endpoint, &broker, peer).await,
                None => dial::first(&endpoint, &addrs, peer, Purpose::Peers).await,
            };
            let words = hello::Words { swarms: vec![swarm], unlisted };
            let event = match dial::greet(dialled, peer, words, &policy, &clock).await {
                Ok(met) => Event::Met(Box::new(met)),
                Err(error) => Event::NotMet { peer, error },
            };
            let _ = tell.send(event).await;
        });
    }

    fn disconnect(&mut self, swarm: SwarmId, peer: PeerId, reason: Parting) {
        if let Some(swarms) = self.dialling.get_mut(&peer) {
            swarms.remove(&swarm);
        }
        let Some(&id) = self.by_peer.get(&peer) else { return };
        if let Parting::Misbehaved(offence) = reason {
            self.standing.misbehaved(swarm, peer, Instant::now());
            // What cannot happen by chance or overload ends the whole connection.
            match offence {
                Offence::BadShard => return self.expel(id, "sent a bad shard"),
                Offence::Replay => return self.expel(id, "replayed old shards"),
                Offence::Protocol => return self.expel(id, "broke the protocol"),
                Offence::Flood | Offence::FalseAvailability | Offence::BrokenPromise => {
                    tracing::info!(?peer, ?offence, "peer is left");
                    self.dropped += 1;
                }
            }
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.leave(swarm).is_some() {
            self.send(id, &PeerFrame::Leave { swarm: swarm.0 });
        }
    }

    fn send_shard(
        &mut self,
        swarm: SwarmId,
        to: PeerId,
        shard: ShardRef,
        layers: LayerSet,
        deadline: Time,
        urgency: Urgency,
    ) {
        let Some(id) = self.met_in(swarm, &to) else { return };
        let Some(part) = self.parts.get_mut(&swarm) else { return };
        let Some(held) = part.store.shard(shard, layers) else {
            tracing::debug!(?swarm, ?shard, "a shard to be sent is not held");
            return;
        };
        let (head, wire) = (part.head.clone(), held.wire().clone());
        let since = self.clock.now();
        let Some(conn) = self.conns.get(&id) else { return };
        let waiting = Waiting { swarm, shard, head, wire, deadline, urgency, since };
        let gathered = self.config.role != Role::Viewer && urgency == Urgency::Push;
        if gathered {
            self.gather.add(id, swarm, shard, &mut part.burst);
        }
        let dropped = conn.outbox.shard(waiting);
        if !gathered {
            conn.outbox.wake();
        }
        for dropped in dropped {
            let Waiting { swarm, shard, urgency, .. } = dropped;
            let delivery = Delivery::Dropped;
            self.inputs.push_back((swarm, Input::Delivery { to, shard, urgency, delivery }));
        }
    }
}
