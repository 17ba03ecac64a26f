//! What rendezvous says.

use std::time::Duration;

use segment::{ChannelKey, Coding, ContentKey, SwarmId};
use swarm::PeerHint;
use tokio::sync::watch;
use tokio::time::Instant;

use super::asks::Pending;
use super::{Line, REPORT_SOON};
use crate::JoinSpec;
use crate::protocol::{EpochKey, Event, Parameters, Refusal};
use crate::session::member::{Member, attend};
use crate::session::{Joined, Part, SessionError};

impl Line {
    pub(super) async fn heard(&mut self, event: Event) {
        match event {
            // `Refused` ends the connection before this.
            Event::Welcome { .. } | Event::Refused { .. } | Event::Lost { .. } => {}
            Event::Ticket { ticket } => self.ticket(ticket),
            Event::Channel { parameters, keys, peers } => self.channel(parameters, keys, peers),
            Event::NoChannel { channel, refusal, reason } => {
                self.no_channel(channel, refusal, &reason);
            }
            Event::Peers { swarm, peers } => {
                if let Some(member) = self.book.members.get(&SwarmId(swarm)) {
                    member.watch.candidates(peers);
                }
            }
            Event::Keys { swarm, keys } => {
                if let Some(member) = self.book.members.get(&SwarmId(swarm)) {
                    member.add_keys(keys);
                }
            }
            Event::Introduced { peer, introduction } => {
                if let Some(broker) = self.node.broker() {
                    broker.introduced(peer, introduction).await;
                }
            }
            Event::Reflectors(reflectors) => {
                // Through a tunnel it is TCP's address that is seen.
                let tunnelled = self.node.endpoint().is_tunnelled();
                let observed = self.book.observed.filter(|_| !tunnelled);
                if let Some(broker) = self.node.broker() {
                    broker.welcome(observed.map(crate::endpoint::canonical), reflectors).await;
                }
            }
            Event::Neighbours { swarm, peers } => {
                if let Some(member) = self.book.members.get(&SwarmId(swarm)) {
                    member.watch.neighbours(peers);
                }
            }
            Event::LineUp(line_up) => self.teller.line_up(line_up),
            Event::OnAir(schedules) => self.teller.on_air(schedules),
            Event::KeySet(json) => self.key_set(&json),
            Event::Revoked(sessions) => self.node.revoke(&sessions),
            // Nobody there to look: no headend, or one that is about to end.
            Event::Look { channel } => drop(self.looks.send(channel)),
            Event::Order(order) => drop(self.orders.send(order)),
            Event::Clock { sent, received } => {
                let now = self.node.monotonic();
                if let Some(offset) = self.book.pulse.sample(sent, received, now) {
                    self.node.set_clock(offset);
                }
            }
        }
    }

    fn no_channel(&mut self, channel: String, refusal: Refusal, reason: &str) {
        let reason = crate::endpoint::reason(reason.as_bytes());
        let book = &mut self.book;
        let Some(at) = book.pending.iter().position(|pending| pending.channel == channel) else {
            tracing::debug!(channel, reason, "rendezvous does not take a swarm back yet");
            return;
        };
        let pending = book.pending.remove(at);
        let error = match refusal {
            _ if pending.publication.is_some() => SessionError::Refused(reason),
            Refusal::NotEntitled => SessionError::NotEntitled(channel),
            Refusal::NoSuchChannel => SessionError::NoSuchChannel(channel),
            _ => SessionError::Refused(reason),
        };
        let _ = pending.reply.send(Err(error));
    }

    fn channel(&mut self, parameters: Parameters, keys: Vec<EpochKey>, peers: Vec<PeerHint>) {
        let swarm = SwarmId::new(&ChannelKey(parameters.key), &parameters.rendition);
        let book = &mut self.book;
        book.pending.retain(|pending| !pending.reply.is_closed());
        let answered = book.pending.iter().position(|p| p.is_answered_by(&parameters));
        if let Some(at) = answered {
            let pending = book.pending.remove(at);
            self.join(swarm, pending, parameters, keys, peers);
        } else if let Some(member) = book.members.get_mut(&swarm) {
            member.confirmed = true;
            member.add_keys(keys);
            member.watch.candidates(peers);
        }
    }

    fn join(
        &mut self,
        swarm: SwarmId,
        pending: Pending,
        parameters: Parameters,
        keys: Vec<EpochKey>,
        peers: Vec<PeerHint>,
    ) {
        let Part { uplink, max_pushed, serve, max_spares, begin_at } = pending.part;
        let Parameters { n, k, essential_k, segment_ms, delay_ms, .. } = parameters;
        let coding = match Coding::new(n, k, essential_k) {
            Ok(coding) if segment_ms > 0 => coding,
            _ => {
                let error = format!("channel {} is of a kind not known here", pending.channel);
                let _ = pending.reply.send(Err(SessionError::Refused(error)));
                return;
            }
        };
        let spec = JoinSpec {
            swarm,
            channel: parameters.channel.clone(),
            key: ChannelKey(parameters.key),
            coding,
            segment: Duration::from_millis(segment_ms.into()),
            playout_delay: Duration::from_millis(delay_ms.into()),
            uplink,
            max_pushed,
            serve,
            max_spares,
        };
        let joined = self.node.join(spec.clone());
        if let Some(begin) = begin_at {
            joined.begin_at(begin);
        }
        joined.candidates(peers);
        let (tell_keys, keys_told) = watch::channel(Vec::<ContentKey>::new());
        let book = &mut self.book;
        book.instances += 1;
        let instance = book.instances;
        let watch = joined.watch();
        let rendition = parameters.rendition.clone();
        let member = Member {
            watch: watch.clone(),
            instance,
            parameters,
            keys: tell_keys,
            publication: pending.publication.clone(),
            confirmed: true,
            asked: Instant::now(),
        };
        member.add_keys(keys);
        book.members.insert(swarm, member);
        let soon = Instant::now() + REPORT_SOON;
        book.report_at = Some(book.report_at.map_or(soon, |at| at.min(soon)));
        tokio::spawn(attend(watch, instance, pending.publication, self.ask.clone()));
        // If nobody waits any more, the swarm is left as it is dropped.
        let joined = Joined { swarm: joined, spec, rendition, keys: keys_told };
        let _ = pending.reply.send(Ok(joined));
    }
}
