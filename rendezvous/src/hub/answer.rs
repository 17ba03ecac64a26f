//! What nodes ask, and what they are answered.

use link::protocol::{Event, Publication, Refusal, Request, SwarmReport};
use segment::SwarmId;
use swarm::Time;
use ticket::{PeerId, Role};

use super::{Caller, Denied, Hub, Seat, State, Waiting};
use crate::map::Error;

/// The most reports that are read from one frame.
const REPORTS: usize = 1024;
/// The longest name that is looked up, or repeated in an answer, bytes.
const NAME: usize = 64;

impl Hub {
    /// A request of a node that was let in; answers go to its outbox. Gives `false` if the request
    /// makes no sense in a session: it should end.
    pub fn answer(&self, caller: &Caller, request: Request) -> bool {
        let received = self.wall();
        let now = self.now();
        // Signing and checking take their time: not under the lock.
        if let Request::Renew { ticket } = request {
            self.renew(caller, ticket.as_deref());
            return true;
        }
        let mut state = self.lock();
        let state = &mut *state;
        let Some(seat) = state.seats.get(&caller.peer) else { return false };
        if seat.connection != caller.connection {
            return false;
        }
        state.map.heard(now, caller.peer);
        match request {
            Request::Hello { .. } => return false,
            Request::Renew { .. } => {}
            Request::Clock { sent } => self.push(seat, Event::Clock { sent, received }),
            Request::Join { channel, rendition } => {
                let wish = Waiting {
                    peer: caller.peer,
                    connection: caller.connection,
                    channel,
                    rendition,
                    since: now,
                };
                self.join(state, now, wish);
            }
            Request::Leave { swarm } => {
                self.notice(state, caller.peer);
                state.map.leave(now, caller.peer, SwarmId(swarm));
                self.notice(state, caller.peer);
            }
            Request::Introduce { peer, introduction } => {
                self.introduce(state, caller, peer, introduction);
            }
            Request::Reach(reach) => self.reached(state, caller, reach),
            Request::FindPeers { swarm } => {
                let peers = if enter(state, now, caller.peer, SwarmId(swarm)) {
                    state.map.find(now, caller.peer, SwarmId(swarm))
                } else {
                    Vec::new()
                };
                if let Some(seat) = state.seats.get(&caller.peer) {
                    self.push(seat, Event::Peers { swarm, peers });
                }
                self.name_neighbours(state, now, caller.peer, SwarmId(swarm));
            }
            Request::Publish(publication) => self.publish(state, now, caller.peer, publication),
            Request::Report(reports) => {
                self.report(state, now, caller, reports);
                self.notice(state, caller.peer);
            }
            Request::Conditions(conditions) => {
                for condition in conditions.into_iter().take(REPORTS) {
                    state.map.condition(now, caller.peer, condition);
                }
            }
            Request::Preview { channel, jpeg } => {
                state.map.preview(now, caller.peer, channel, jpeg);
            }
            Request::Quality(told) => self.quality(state, caller.peer, told),
            Request::Done { number, problem } => {
                state.map.done(now, caller.peer, number, problem);
            }
            Request::OnAir(schedule) => {
                let channel = schedule.channel.clone();
                if state.map.on_air(now, caller.peer, schedule) {
                    state.on_air_changed.insert(channel);
                }
            }
        }
        true
    }

    fn renew(&self, caller: &Caller, token: Option<&str>) {
        let (now, seconds) = (self.now(), self.seconds());
        let fresh = match token.map(|token| self.check(caller.peer, token)) {
            None => None,
            Some(Ok(ticket)) => Some(ticket),
            // Auth was away, and the ticket lapsed meanwhile: as if there were none.
            Some(Err(Denied::Refused(Refusal::Ticket, reason)))
                if reason == ticket::Error::Expired.to_string() =>
            {
                None
            }
            Some(Err(denied)) => {
                let (refusal, reason) = match denied {
                    Denied::Refused(refusal, reason) => (refusal, reason),
                    Denied::UnknownKey => (Refusal::Ticket, ticket::Error::UnknownKey.to_string()),
                    Denied::NotReady => return,
                };
                return self.expel(caller, refusal, &reason);
            }
        };
        let mut state = self.lock();
        let state = &mut *state;
        let Some(seat) = state.seats.get_mut(&caller.peer) else { return };
        if seat.connection != caller.connection {
            return;
        }
        state.map.heard(now, caller.peer);
        let narrower = if let Some(ticket) = fresh {
            if (ticket.role, &ticket.sub) != (seat.ticket.role, &seat.ticket.sub) {
                let reason = "ticket is for another account";
                seat.outbox.refuse(Refusal::Ticket, reason);
                self.metrics.refused(Refusal::Ticket);
                return;
            }
            seat.renew_until = now + self.limits.renew_for;
            let changed = ticket.channels != seat.ticket.channels;
            seat.ticket = ticket;
            changed
        } else if now > seat.renew_until {
            let reason = "sign in again: no fresh user ticket was shown for too long";
            seat.outbox.refuse(Refusal::Ticket, reason);
            self.metrics.refused(Refusal::Ticket);
            return;
        } else {
            false
        };
        let (ticket, expires) = self.granter.grant(&seat.ticket, seconds);
        seat.expires = expires;
        let seat = &*seat;
        self.push(seat, Event::Ticket { ticket });
        if narrower {
            self.narrow(state, now, caller.peer);
        }
    }

    /// The package has changed: what it no longer holds is left, and the line-up is told.
    fn narrow(&self, state: &mut State, now: Time, peer: PeerId) {
        let Some(seat) = state.seats.get(&peer) else { return };
        for swarm in state.map.swarms_of(peer) {
            let channel = state.map.channel_of(swarm).unwrap_or_default().to_owned();
            if !seat.ticket.grants(&channel) {
                state.map.leave(now, peer, swarm);
                self.deny(seat, channel, Refusal::NotEntitled, None);
            }
        }
        self.notice(state, peer);
        let Some(seat) = state.seats.get(&peer) else { return };
        let line_up = super::entitled(&state.map.line_up(), &seat.ticket);
        self.push(seat, Event::LineUp(line_up));
    }

    fn expel(&self, caller: &Caller, refusal: Refusal, reason: &str) {
        self.metrics.refused(refusal);
        if let Some(seat) = self.lock().seats.get(&caller.peer)
            && seat.connection == caller.connection
        {
            seat.outbox.refuse(refusal, reason);
        }
    }

    /// Says that a channel cannot be had, and why.
    pub(super) fn deny(
        &self,
        seat: &Seat,
        channel: String,
        refusal: Refusal,
        reason: Option<String>,
    ) {
        self.metrics.refused(refusal);
        let reason = reason.unwrap_or_else(|| match refusal {
            Refusal::NotEntitled => format!("channel {channel} is not in your package"),
            _ => format!("channel {channel} is not on air"),
        });
        self.push(seat, Event::NoChannel { channel, refusal, reason });
    }

    /// Grants a wish, denies it, or lets it wait.
    fn join(&self, state: &mut State, now: Time, wish: Waiting) {
        let Some(seat) = state.seats.get(&wish.peer) else { return };
        if seat.connection != wish.connection {
            return;
        }
        let named = wish.rendition.as_ref().map_or(0, String::len);
        if wish.channel.len() > NAME || named > NAME {
            let channel = wish.channel.chars().take(NAME).collect();
            return self.deny(seat, channel, Refusal::NoSuchChannel, None);
        }
        if !seat.ticket.grants(&wish.channel) {
            return self.deny(seat, wish.channel, Refusal::NotEntitled, None);
        }
        let Some(swarm) = state.map.resolve(&wish.channel, wish.rendition.as_deref()) else {
            let young = wish.since < Time(0) + self.limits.rebuild;
            let patient = now.since(wish.since) < self.limits.patience;
            if young && patient && state.waiting.len() < self.limits.sessions {
                state.waiting.push_back(wish);
            } else {
                self.deny(seat, wish.channel, Refusal::NoSuchChannel, None);
            }
            return;
        };
        if seat.ticket.role == Role::Viewer && self.too_many(state, now, wish.peer) {
            let reason = Some(self.streams_reason());
            return self.deny(seat, wish.channel, Refusal::Limit, reason);
        }
        if let Err(error) = state.map.join(now, wish.peer, swarm) {
            let reason = Some(error.to_string());
            return self.deny(seat, wish.channel, Refusal::Limit, reason);
        }
        let Some((parameters, keys)) = state.map.publication(swarm) else { return };
        // Relays learn nothing: keys are for those who watch.
        let keys = if seat.ticket.role == Role::Viewer { keys } else { Vec::new() };
        let peers = state.map.find(now, wish.peer, swarm);
        self.metrics.joined(seat.ticket.role, self.now().since(wish.since));
        self.push(seat, Event::Channel { parameters, keys, peers });
        self.name_neighbours(state, now, wish.peer, swarm);
        self.notice(state, wish.peer);
    }

    /// Looks again at the wishes that wait.
    pub(super) fn settle(&self, state: &mut State, now: Time) {
        for wish in std::mem::take(&mut state.waiting) {
            self.join(state, now, wish);
        }
    }

    fn publish(&self, state: &mut State, now: Time, peer: PeerId, publication: Publication) {
        let Some(seat) = state.seats.get(&peer) else { return };
        let channel: String = publication.parameters.channel.chars().take(NAME).collect();
        if seat.ticket.role != Role::Headend {
            let reason = Some("only headends publish".to_owned());
            return self.deny(seat, channel, Refusal::Role, reason);
        }
        if !seat.ticket.grants(&publication.parameters.channel) {
            let reason = Some(format!("this headend may not publish channel {channel}"));
            return self.deny(seat, channel, Refusal::NotEntitled, reason);
        }
        let published = match state.map.publish(now, peer, publication) {
            Ok(published) => published,
            Err(error) => {
                let refusal = match error {
                    Error::Publication(_) | Error::Unknown | Error::NoSuchSwarm => Refusal::Role,
                    Error::TooManySwarms(_) | Error::Full(_) => Refusal::Limit,
                };
                tracing::warn!(%channel, headend = ?peer, %error, "a publication is refused");
                return self.deny(seat, channel, refusal, Some(error.to_string()));
            }
        };
        if published.line_up {
            tracing::info!(%channel, headend = ?peer, "on air");
        }
        state.line_up_changed |= published.line_up;
        let Some((parameters, _)) = state.map.publication(published.swarm) else { return };
        let peers = state.map.find(now, peer, published.swarm);
        self.push(seat, Event::Channel { parameters, keys: Vec::new(), peers });
        if published.keys {
            self.new_keys(state, published.swarm);
        }
        self.settle(state, now);
    }

    fn report(&self, state: &mut State, now: Time, caller: &Caller, reports: Vec<SwarmReport>) {
        for report in reports.into_iter().take(REPORTS) {
            if !enter(state, now, caller.peer, SwarmId(report.swarm)) {
                continue;
            }
            if let Some(progress) = state.map.report(now, caller.peer, report) {
                self.metrics.progress(caller.role, &progress);
            }
        }
    }
}

/// Whether the node takes part in the swarm. If it does not but may, it does from now on: it was in
/// it before this rendezvous was restarted.
fn enter(state: &mut State, now: Time, peer: PeerId, swarm: SwarmId) -> bool {
    if state.map.takes_part(peer, swarm) {
        return true;
    }
    let Some(seat) = state.seats.get(&peer) else { return false };
    let granted = state.map.channel_of(swarm).is_some_and(|channel| seat.ticket.grants(channel));
    granted && state.map.join(now, peer, swarm).is_ok()
}
