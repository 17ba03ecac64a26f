//! What peers say: frames, messages and shards.

use std::time::Duration;

use segment::{Shard, SwarmId};
use swarm::{ConnectError, Input, Message, PeerInfo};
use tokio::time::Instant;

use super::super::budget::Hold;
use super::super::conn::Presence;
use super::super::part::Judged;
use super::super::standing::SOON;
use super::super::wire::{Absence, Close, PeerFrame};
use super::{ANSWER, Driver, MAX_RENEWALS, MAX_STRAYS};
use crate::endpoint::canonical;
use crate::is_tunnel;

/// Who sent a bad shard does not come back in this life of the node.
const BAN: Duration = Duration::from_secs(24 * 3600);

impl Driver {
    pub(super) fn frame(&mut self, id: u64, frame: PeerFrame) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let peer = conn.peer;
        match frame {
            PeerFrame::Hello { .. } => self.closed(id, true),
            PeerFrame::Ticket { ticket } => self.renewed(id, &ticket),
            PeerFrame::Unlisted => conn.unlisted = true,
            PeerFrame::Enter { swarm } => self.entering(id, SwarmId(swarm)),
            PeerFrame::Entered { swarm } => {
                let swarm = SwarmId(swarm);
                // Otherwise it was left meanwhile, which was told, or it is met already.
                if conn.swarms.get(&swarm).is_some_and(|presence| *presence != Presence::In) {
                    if self.grants(id, swarm) {
                        self.meet(id, swarm);
                    } else {
                        self.part_from(id, swarm);
                        self.send(id, &PeerFrame::Leave { swarm: swarm.0 });
                    }
                }
            }
            PeerFrame::NotHere { swarm, absence } => {
                let swarm = SwarmId(swarm);
                // Said once for each time that it was asked, however often it is told.
                if absence == Absence::NotGranted && conn.swarms.contains_key(&swarm) {
                    let reason = ticket::Error::Channel.to_string();
                    tracing::info!(?peer, ?swarm, reason, "refused by peer");
                }
                self.part_from(id, swarm);
            }
            PeerFrame::Later { swarm, wait_ms } => {
                let wait = Duration::from_millis(wait_ms.into());
                self.put_off(id, SwarmId(swarm), wait);
            }
            PeerFrame::Leave { swarm } => {
                let swarm = SwarmId(swarm);
                // An answer to what was asked since is still to come.
                if conn.is_in(swarm) {
                    self.part_from(id, swarm);
                }
            }
            PeerFrame::Message { swarm, message } => self.message(id, SwarmId(swarm), &message),
        }
    }

    /// A peer's renewed ticket.
    fn renewed(&mut self, id: u64, token: &str) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.renewals += 1;
        if conn.renewals > MAX_RENEWALS {
            return self.closed(id, true);
        }
        let ticket = match self.policy.check(
            token,
            conn.peer,
            canonical(conn.quic.remote_address()),
            &self.clock,
        ) {
            Ok(ticket) if ticket.role == conn.ticket.role => ticket,
            Ok(_) => return self.refuse(id, "the role changed"),
            Err(reason) => return self.refuse(id, &reason),
        };
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.ticket = ticket;
        let swarms: Vec<SwarmId> = conn.swarms.keys().copied().collect();
        for swarm in swarms {
            if !self.grants(id, swarm) {
                self.part_from(id, swarm);
                let absence = Absence::NotGranted;
                self.send(id, &PeerFrame::NotHere { swarm: swarm.0, absence });
            }
        }
    }

    /// Whether the peer's ticket grants the channel of a swarm that was joined.
    fn grants(&self, id: u64, swarm: SwarmId) -> bool {
        let (conn, part) = (self.conns.get(&id), self.parts.get(&swarm));
        conn.zip(part).is_some_and(|(conn, part)| conn.ticket.grants(&part.spec.channel))
    }

    /// A peer says that it is in a swarm.
    fn entering(&mut self, id: u64, swarm: SwarmId) {
        if self.parts.get(&swarm).is_none_or(|part| part.rests) {
            let absence = Absence::NotJoined;
            self.stray(id);
            return self.send(id, &PeerFrame::NotHere { swarm: swarm.0, absence });
        }
        if !self.grants(id, swarm) {
            self.refused += 1;
            let absence = Absence::NotGranted;
            self.stray(id);
            return self.send(id, &PeerFrame::NotHere { swarm: swarm.0, absence });
        }
        let Some(conn) = self.conns.get(&id) else { return };
        if let Err(wait) = self.standing.enter(swarm, conn.peer, Instant::now()) {
            tracing::debug!(peer = ?conn.peer, ?swarm, "enters too often, or misbehaved");
            self.refused += 1;
            self.part_from(id, swarm);
            self.stray(id);
            let answer = if wait <= SOON {
                PeerFrame::Later { swarm: swarm.0, wait_ms: wait.as_millis() as u16 + 1 }
            } else {
                PeerFrame::NotHere { swarm: swarm.0, absence: Absence::NotJoined }
            };
            return self.send(id, &answer);
        }
        self.send(id, &PeerFrame::Entered { swarm: swarm.0 });
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.is_in(swarm) {
            // It began anew without having said that it left.
            let peer = conn.peer;
            self.inputs.push_back((swarm, Input::Disconnected { peer }));
        }
        self.meet(id, swarm);
    }

    /// A peer that was asked wants to be asked again: the engine goes on waiting, no longer than for any answer.
    fn put_off(&mut self, id: u64, swarm: SwarmId, wait: Duration) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(Presence::Asked(since)) = conn.swarms.get(&swarm).copied() else { return };
        let until = Instant::now() + wait;
        if until.duration_since(since) > ANSWER {
            return self.part_from(id, swarm);
        }
        conn.enter(swarm, Presence::PutOff { since, until });
    }

    /// Asks those again that have put this node off until now.
    pub(super) fn ask_again(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (id, conn) in &mut self.conns {
            for (swarm, presence) in &mut conn.swarms {
                if let Presence::PutOff { since, until } = *presence
                    && until <= now
                {
                    *presence = Presence::Asked(since);
                    due.push((*id, PeerFrame::Enter { swarm: swarm.0 }));
                }
            }
        }
        due.iter().for_each(|(id, enter)| self.send(*id, enter));
    }

    /// Presents a peer to an engine.
    pub(super) fn meet(&mut self, id: u64, swarm: SwarmId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.enter(swarm, Presence::In);
        let info = PeerInfo {
            role: conn.ticket.role,
            location: conn.ticket.loc,
            rtt: conn.quic.rtt(),
            // Whose UDP is blocked cannot be connected to, and some do not want to be.
            addrs: Some(conn.quic.remote_address())
                .filter(|addr| !is_tunnel(*addr) && !conn.unlisted)
                .map(canonical)
                .into_iter()
                .collect(),
            household: conn.household,
        };
        self.inputs.push_back((swarm, Input::Connected { peer: conn.peer, info }));
    }

    /// The peer is not met in this swarm, or no more.
    fn part_from(&mut self, id: u64, swarm: SwarmId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let peer = conn.peer;
        let input = match conn.leave(swarm) {
            Some(Presence::In) => Input::Disconnected { peer },
            Some(Presence::Asked(_) | Presence::PutOff { .. }) => {
                Input::NotConnected { peer, error: ConnectError::Refused }
            }
            None => return,
        };
        self.inputs.push_back((swarm, input));
    }

    fn message(&mut self, id: u64, swarm: SwarmId, bytes: &[u8]) {
        let Some(conn) = self.conns.get(&id) else { return };
        if !conn.is_in(swarm) {
            return self.stray(id);
        }
        match Message::decode(bytes) {
            Ok(Some((message, used))) if used == bytes.len() => {
                let from = conn.peer;
                self.inputs
                    .extend(message.map(|message| (swarm, Input::Message { from, message })));
            }
            _ => self.closed(id, true),
        }
    }

    pub(super) fn shard(&mut self, id: u64, swarm: SwarmId, shard: Box<Shard>, hold: Hold) {
        let Some(conn) = self.conns.get(&id) else { return };
        if !conn.is_in(swarm) {
            return self.stray(id);
        }
        let Some(part) = self.parts.get_mut(&swarm) else { return };
        let from = conn.peer;
        match part.take(*shard) {
            Judged::Good(arrival) => {
                self.inputs.push_back((swarm, Input::Shard { from, arrival }));
            }
            Judged::Bad => self.bad_shard(id, swarm),
            Judged::Foreign => self.stray(id),
        }
        drop(hold);
    }

    /// A peer that sends what is not the channel's own is cut off at once and does not come back.
    pub(super) fn bad_shard(&mut self, id: u64, swarm: SwarmId) {
        let Some(conn) = self.conns.get(&id) else { return };
        if !conn.is_in(swarm) {
            return self.stray(id);
        }
        let from = conn.peer;
        self.inputs.push_back((swarm, Input::BadShard { from }));
        self.expel(id, "sent a bad shard");
    }

    /// Cuts a peer off for good.
    pub(super) fn expel(&mut self, id: u64, text: &str) {
        let Some(conn) = self.conns.get(&id) else { return };
        tracing::warn!(peer = ?conn.peer, reason = text, "peer dropped");
        self.dropped += 1;
        self.policy.ban(conn.peer, BAN);
        self.drop_conn(id, Close::Misbehaved, text, ConnectError::Refused);
    }

    /// Something of a swarm that the peer is not met in: an echo, or nonsense if there is much.
    fn stray(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.strays += 1;
        if conn.strays > MAX_STRAYS {
            self.closed(id, true);
        }
    }
}
