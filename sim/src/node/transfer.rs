//! Shards go out through the uplink and come in through the downlink.

use swarm::{Arrival, Delivery, Input, Urgency};
use ticket::{Nearness, Role};

use super::Node;
use crate::event::{BAD, Event, Load, TAKEN, What};
use crate::population::Manner;
use crate::post::Post;
use crate::setting::{Setting, nearness};
use crate::tally::{Steps, micros};
use crate::transit::Crossing;

/// A push that waited longer is dropped, as in `link`.
const MAX_PUSH_AGE: u64 = 2_000_000;

impl Node {
    /// Sends the next shard that waits if the line is free; whether there was one.
    pub(super) fn pump(&mut self, post: &mut Post<'_>) -> bool {
        if self.uplink.is_empty() {
            return false;
        }
        let ready = self.uplink.ready().max(self.line(post)[0]);
        if post.now < ready {
            if self.uplink.awaited.is_none_or(|at| at <= post.now) {
                self.uplink.awaited = Some(ready);
                self.remind(post, ready, What::Uplink);
            }
            return false;
        }
        let Some(waiting) = self.uplink.next() else { return false };
        let setting = post.setting;
        let bytes = setting.shard_bytes(waiting.shard.number);
        let profile = setting.profile(self.me);
        let home = setting.housemates(self.me, waiting.to);
        let takes = if home { 0 } else { Setting::transmission(bytes, profile.up) };
        let left = post.now + takes;
        let old = waiting.urgency == Urgency::Push && post.now - waiting.since > MAX_PUSH_AGE;
        let breaks = self.manner == Manner::PromiseBreaker && waiting.urgency == Urgency::Push;
        let delivery = if old || self.local(post.now) > waiting.deadline {
            Delivery::Dropped
        } else if breaks {
            Delivery::Sent(std::time::Duration::ZERO)
        } else {
            // What stays in the home takes nothing of the line.
            if !home {
                self.uplink.spend(post.now, Setting::transmission(bytes, profile.lends));
                self.line_mut(post)[0] = left;
            }
            self.transmit(post, waiting.to, waiting.shard, left, bytes);
            Delivery::Sent(std::time::Duration::from_micros(left - waiting.since))
        };
        let (to, shard, urgency) = (setting.id(waiting.to), waiting.shard, waiting.urgency);
        let input = Input::Delivery { to, shard, urgency, delivery };
        let now = self.local(post.now);
        post.watch.time(|| self.engine.handle_input(now, input));
        true
    }

    fn transmit(
        &mut self,
        post: &mut Post<'_>,
        to: u32,
        shard: swarm::ShardRef,
        left: u64,
        bytes: u32,
    ) {
        let setting = post.setting;
        if setting.cut(self.me, to, left).is_some() {
            return;
        }
        let number = (shard.number - setting.first()) as u32;
        let token = u64::from(number) << 8 | u64::from(shard.index);
        let crossing = self.crossing(post, to, bytes);
        let travel = setting.travel_with(self.me, to, left, bytes, token, crossing.lost);
        let travel = travel + crossing.waits;
        let home = setting.housemates(self.me, to);
        let down = if home { 0 } else { Setting::transmission(bytes, setting.profile(to).down) };
        let hops = match self.role {
            Role::Headend => 0,
            _ => self.held.hops(number, shard.index),
        };
        let flags = if self.manner == Manner::Polluter { BAD } else { 0 };
        let what = What::Shard { number, index: shard.index, hops, flags };
        let event = self.event(left + travel + down, to, what);
        post.send(event, Load::None);
    }

    /// What befalls a shard between two systems.
    fn crossing(&self, post: &Post<'_>, to: u32, bytes: u32) -> Crossing {
        let Some(transit) = &post.transit else { return Crossing::default() };
        let asn = |node| post.setting.profile(node).location.asn.unwrap_or_default();
        let (from, to) = (asn(self.me), asn(to));
        if from == to { Crossing::default() } else { transit.cross(post.now, from, to, bytes) }
    }

    /// When the line has sent, and has taken in, what was under way: a home has one.
    fn line(&self, post: &Post<'_>) -> [u64; 2] {
        let profile = post.setting.profile(self.me);
        if !profile.shares_line {
            return self.line;
        }
        post.homes.get(&profile.home).copied().unwrap_or_default()
    }

    fn line_mut<'a>(&'a mut self, post: &'a mut Post<'_>) -> &'a mut [u64; 2] {
        let profile = post.setting.profile(self.me);
        if !profile.shares_line {
            return &mut self.line;
        }
        post.homes.entry(profile.home).or_default()
    }

    /// A shard is there, or has to wait for the downlink.
    pub(super) fn shard_came(
        &mut self,
        post: &mut Post<'_>,
        event: &Event,
        number: u32,
        index: u8,
        (hops, flags): (u8, u8),
    ) {
        if !self.links.has(event.from) {
            return;
        }
        let setting = post.setting;
        let whole = u64::from(number) + setting.first();
        let bytes = setting.shard_bytes(whole);
        if flags & TAKEN == 0 && !setting.housemates(self.me, event.from) {
            let down = Setting::transmission(bytes, setting.profile(self.me).down);
            let now = post.now;
            let taken = &mut self.line_mut(post)[1];
            let ready = *taken + down;
            if ready > now {
                *taken = ready;
                let what = What::Shard { number, index, hops, flags: flags | TAKEN };
                // It keeps its sender: the order follows from that.
                self.seq = self.seq.wrapping_add(1);
                post.remind(Event { at: ready, what, seq: self.seq, ..*event });
                return;
            }
            *taken = now;
        }
        post.tally.deliveries += 1;
        Steps::note(&mut self.steps.shard, post.now - self.joined);
        let from = setting.id(event.from);
        if flags & BAD != 0 {
            self.bad_came(post, event.from);
            self.input(post, Input::BadShard { from });
            return;
        }
        let hops = hops.saturating_add(1);
        self.count(post, event.from, bytes);
        if let Some(depth) = self.held.take(number, index, hops, self.k) {
            let captured = setting.captured(whole);
            if self.is_viewer() && captured >= self.joined {
                let lag = post.now - captured;
                post.tally.lag.add(lag);
                post.tally.lately.lag.add(lag);
                post.tally.depth.add(depth.into());
            }
        }
        let header = setting.header(whole);
        let arrival = Arrival { header, index, layers: Setting::layers(), bytes };
        self.input(post, Input::Shard { from, arrival });
        let (moved, last) = self.engine.failovers();
        if moved != self.moved {
            self.moved = moved;
            if let Some(failover) = last
                && self.is_viewer()
                && self.manner == Manner::Honest
            {
                post.tally.failover.add(micros(failover.gap));
                post.tally.moves.add(&failover);
                if post.failovers {
                    post.tally.moves.lines.push((post.now, self.me, failover));
                }
            }
        }
    }

    /// Counts where bytes came from.
    fn count(&self, post: &mut Post<'_>, from: u32, bytes: u32) {
        if !self.is_viewer() {
            return;
        }
        let bytes = u64::from(bytes);
        let near = nearness(post.setting, self.me, from);
        let role = post.setting.profile(from).role;
        let tally = &mut post.tally;
        let place = match role {
            Role::Headend => 0,
            Role::Repeater => 1,
            Role::Viewer | Role::Rendezvous => 2,
        };
        tally.lately.bytes[place] += bytes;
        if role == Role::Viewer {
            tally.near[near as usize] += bytes;
            tally.lately.between[0] += bytes;
            tally.lately.between[1] += if near <= Nearness::As { bytes } else { 0 };
        }
        let asn = post.setting.profile(self.me).location.asn.unwrap_or(0);
        if near > Nearness::As
            && let Some(entering) = tally.entering.get_mut((asn as usize).wrapping_sub(1))
        {
            *entering += bytes;
        }
    }

    fn bad_came(&mut self, post: &mut Post<'_>, from: u32) {
        post.tally.bad += 1;
        let first = match self.bad.iter().find(|(peer, _)| *peer == from) {
            Some(&(_, first)) => first,
            None => {
                self.bad.push((from, post.now));
                post.now
            }
        };
        post.tally.bad_after.add(post.now - first);
    }
}
